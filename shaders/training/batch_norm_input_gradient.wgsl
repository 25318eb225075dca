// The gradient of batch norm by its input. Counterpart: src/kernels/training/batch_norm.rs.
//
// dx = gamma * s * (dy - sums[g, 1, c] / count - xhat * sums[g, 0, c] / count)
//
// with s = 1 / sqrt(variance[g, c] + EPSILON) and xhat = (x - mean[g, c]) * s, where dy is 0 if the ReLU
// wrote 0. One invocation computes a vec4 of samples for RECORDS records, so that it loads a channel's numbers once.

override EPSILON: f32;
override RECORDS: u32;
override RELU: bool;

const WORKGROUP: u32 = 32;

struct BatchNormInputGradient {
    batch: u32, // per group
    channels: u32,
    samples: u32,
    base_offset: u32, // of x, dy and dx
    pitch: u32,
    offset: u32,
    statistics_first: u32,
    statistics_pitch: u32,
    affine_first: u32,
    sums_first: u32,
    sums_pitch: u32,
}

@group(0) @binding(0) var<uniform> norm: BatchNormInputGradient;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // [groups * batch, channels, pitch / 4] after base_offset / 4
@group(0) @binding(2) var<storage, read> statistics: array<f32>;      // [groups, 2, channels, statistics_pitch]
@group(0) @binding(3) var<storage, read> affine: array<f32>;          // [2, channels]
@group(0) @binding(4) var<storage, read> sums: array<f32>;            // [groups, 2, channels, sums_pitch]
@group(0) @binding(5) var<storage, read> dy: array<vec4<f32>>;        // like x
@group(0) @binding(6) var<storage, read_write> gradient: array<vec4<f32>>;  // dx, like x

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = group.x * WORKGROUP + lane;
    if i >= norm.pitch / 4 {
        return;
    }
    let c = group.y;
    let parts = (norm.batch + RECORDS - 1) / RECORDS;
    let g = group.z / parts;
    let from_record = group.z % parts * RECORDS;
    let count = f32(norm.batch * norm.samples);

    let moments = norm.statistics_first + (g * 2 * norm.channels + c) * norm.statistics_pitch;
    let mean = statistics[moments];
    let scale = 1.0 / sqrt(statistics[moments + norm.channels * norm.statistics_pitch] + EPSILON);
    let gamma = affine[norm.affine_first + c];
    let beta = affine[norm.affine_first + norm.channels + c];
    let totals = norm.sums_first + (g * 2 * norm.channels + c) * norm.sums_pitch;
    let gamma_mean = sums[totals] / count;
    let beta_mean = sums[totals + norm.channels * norm.sums_pitch] / count;

    let t = i * 4 - norm.offset; // a large number before the first sample, by wraparound
    let inside = vec4(t, t + 1, t + 2, t + 3) < vec4(norm.samples);
    for (var b = from_record; b < min(from_record + RECORDS, norm.batch); b++) {
        let at = (norm.base_offset + ((g * norm.batch + b) * norm.channels + c) * norm.pitch) / 4 + i;
        let normalised = (x[at] - mean) * scale;
        let passed = select(dy[at], vec4(0.0), vec4(RELU) & (gamma * normalised + beta <= vec4(0.0)));
        let value = gamma * scale * (passed - beta_mean - normalised * gamma_mean);
        // The zeros around the samples of a row are written too.
        gradient[at] = select(vec4(0.0), value, inside);
    }
}
