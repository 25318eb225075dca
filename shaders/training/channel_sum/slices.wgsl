// The sum of each of many channels of few samples and many records. Counterpart: src/kernels/training/channel_sum.rs.
//
// y[c] = sum over b and t of x[b, c, t]
//
// A workgroup computes CHANNELS channels. For each of them SLICES invocations add up every 16th record and are then added in
// pairs, always in the same order, so that the result has the same bits every time.

const CHANNELS: u32 = 16;
const SLICES: u32 = 16;
const WORKGROUP: u32 = CHANNELS * SLICES;

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
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let c = (group.y * groups.x + group.x) * CHANNELS + lane % CHANNELS;
    var sum = 0.0;
    for (var b = lane / CHANNELS; b < sizes.batch && c < sizes.channels; b += SLICES) {
        for (var t = 0u; t < sizes.samples; t++) {
            sum += x[sizes.x_first + (b * sizes.channels + c) * sizes.x_pitch + t];
        }
    }
    partial[lane] = sum;
    for (var half = WORKGROUP / 2; half >= CHANNELS; half /= 2) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    if lane < CHANNELS && c < sizes.channels {
        y[sizes.y_first + c] = partial[lane];
    }
}
