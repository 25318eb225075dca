// The sum of each channel. Counterpart: src/kernels/training/channel_sum.rs.
//
// y[c] = sum over b and t of x[b, c, t]
//
// A workgroup computes one channel. Its invocations add up every 64th sample of each row and are then added in pairs,
// always in the same order, so that the result has the same bits every time.

const WORKGROUP: u32 = 64;

struct ChannelSum {
    batch: u32,
    channels: u32,
    samples: u32,
    x_first: u32,
    x_pitch: u32,
    y_first: u32,
}

@group(0) @binding(0) var<uniform> sizes: ChannelSum;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [batch, channels, x_pitch] after x_first
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [channels] after y_first

var<workgroup> partial: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let c = group.x;
    var sum = 0.0;
    for (var b = 0u; b < sizes.batch; b++) {
        for (var t = lane; t < sizes.samples; t += WORKGROUP) {
            sum += x[sizes.x_first + (b * sizes.channels + c) * sizes.x_pitch + t];
        }
    }
    partial[lane] = sum;
    for (var half = WORKGROUP / 2; half > 0; half /= 2) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    if lane == 0 {
        y[sizes.y_first + c] = partial[0];
    }
}
