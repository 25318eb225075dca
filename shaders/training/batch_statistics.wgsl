// Mean and biased variance of each channel of each group. Counterpart: src/kernels/training/batch_norm.rs.
//
// mean[g, c] = mean over b in g and t of x[b, c, t]
// variance[g, c] = mean over b in g and t of (x[b, c, t] - mean[g, c])^2
//
// A workgroup computes one channel of one group. Its invocations add up every LANES-th vec4 of a row, of every eighth record, and
// are then added in pairs, always in the same order, so that the result has the same bits every time. The variance is
// taken in a second pass: E[x^2] - mean^2 would lose most digits if the mean is much larger than the deviation.

override WORKGROUP: u32;
override LANES: u32; // invocations along a row

struct BatchStatistics {
    batch: u32, // per group
    channels: u32,
    samples: u32,
    x_base_offset: u32,
    x_pitch: u32,
    x_offset: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: BatchStatistics;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;  // [groups * batch, channels, x_pitch / 4] after x_base_offset / 4
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [groups, 2, channels, y_pitch] after y_base_offset

var<workgroup> partial: array<f32, WORKGROUP>;

// The sum over all invocations.
fn total(lane: u32, value: f32) -> f32 {
    workgroupBarrier();
    partial[lane] = value;
    for (var half = WORKGROUP / 2; half > 0; half /= 2) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    workgroupBarrier();
    return partial[0];
}

fn store(lane: u32, g: u32, moment: u32, c: u32, value: f32) {
    let first = sizes.y_base_offset + ((g * 2 + moment) * sizes.channels + c) * sizes.y_pitch;
    for (var i = lane; i < sizes.y_pitch; i += WORKGROUP) {
        y[first + i] = select(0.0, value, i == sizes.y_offset);
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let c = group.x;
    let g = group.y;
    let count = f32(sizes.batch * sizes.samples);

    var sum = vec4(0.0);
    for (var b = lane / LANES; b < sizes.batch; b += WORKGROUP / LANES) {
        let first = (sizes.x_base_offset + ((g * sizes.batch + b) * sizes.channels + c) * sizes.x_pitch) / 4;
        for (var i = lane % LANES; i < sizes.x_pitch / 4; i += LANES) {
            sum += x[first + i]; // the numbers around the samples are zeros
        }
    }
    let mean = total(lane, sum.x + sum.y + sum.z + sum.w) / count;

    var squares = vec4(0.0);
    for (var b = lane / LANES; b < sizes.batch; b += WORKGROUP / LANES) {
        let first = (sizes.x_base_offset + ((g * sizes.batch + b) * sizes.channels + c) * sizes.x_pitch) / 4;
        for (var i = lane % LANES; i < sizes.x_pitch / 4; i += LANES) {
            let t = i * 4 - sizes.x_offset; // a large number before the first sample, by wraparound
            let inside = vec4(t, t + 1, t + 2, t + 3) < vec4(sizes.samples);
            let deviation = select(vec4(0.0), x[first + i] - mean, inside);
            squares += deviation * deviation;
        }
    }
    let variance = total(lane, squares.x + squares.y + squares.z + squares.w) / count;
    store(lane, g, 0, c, mean);
    store(lane, g, 1, c, variance);
}
