// The gradients by gamma and beta, group by group. Counterpart: src/kernels/training/batch_norm.rs.
//
// y[g, 0, c] = sum over b in g and t of dy[b, c, t] * (x[b, c, t] - mean[g, c]) / sqrt(variance[g, c] + EPSILON)
// y[g, 1, c] = sum over b in g and t of dy[b, c, t]
//
// where dy is 0 if the ReLU wrote 0. A workgroup computes one channel of one group. Its invocations add up every
// eighth vec4 of every eighth record and are then added in pairs, always in the same order, so that the result has the same bits
// every time.

override EPSILON: f32;
override RELU: bool;

override WORKGROUP: u32;
override LANES: u32; // invocations along a row

struct BatchNormGradientSums {
    batch: u32, // per group
    channels: u32,
    base_offset: u32, // of x and dy
    pitch: u32,
    statistics_first: u32,
    statistics_pitch: u32,
    affine_first: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: BatchNormGradientSums;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;      // [groups * batch, channels, pitch / 4] after base_offset / 4
@group(0) @binding(2) var<storage, read> statistics: array<f32>;   // [groups, 2, channels, statistics_pitch]
@group(0) @binding(3) var<storage, read> affine: array<f32>;       // [2, channels]
@group(0) @binding(4) var<storage, read> dy: array<vec4<f32>>;     // like x
@group(0) @binding(5) var<storage, read_write> y: array<f32>;      // [groups, 2, channels, y_pitch] after y_base_offset

var<workgroup> partial: array<vec2<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let c = group.x;
    let g = group.y;
    let moments = sizes.statistics_first + (g * 2 * sizes.channels + c) * sizes.statistics_pitch;
    let mean = statistics[moments];
    let scale = 1.0 / sqrt(statistics[moments + sizes.channels * sizes.statistics_pitch] + EPSILON);
    let gamma = affine[sizes.affine_first + c];
    let beta = affine[sizes.affine_first + sizes.channels + c];

    var products = vec4(0.0);
    var plain = vec4(0.0);
    for (var b = lane / LANES; b < sizes.batch; b += WORKGROUP / LANES) {
        let first = (sizes.base_offset + ((g * sizes.batch + b) * sizes.channels + c) * sizes.pitch) / 4;
        for (var i = lane % LANES; i < sizes.pitch / 4; i += LANES) {
            let normalised = (x[first + i] - mean) * scale;
            // Around the samples dy is 0.
            let passed = select(dy[first + i], vec4(0.0), vec4(RELU) & (gamma * normalised + beta <= vec4(0.0)));
            products += passed * normalised;
            plain += passed;
        }
    }
    partial[lane] = vec2(products.x + products.y + products.z + products.w, plain.x + plain.y + plain.z + plain.w);
    for (var half = WORKGROUP / 2; half > 0; half /= 2) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    workgroupBarrier();
    for (var part = 0u; part < 2; part++) {
        let first = sizes.y_base_offset + ((g * 2 + part) * sizes.channels + c) * sizes.y_pitch;
        for (var i = lane; i < sizes.y_pitch; i += WORKGROUP) {
            y[first + i] = select(0.0, partial[0][part], i == sizes.y_offset);
        }
    }
}
