// The sum of each of many channels of few samples. Counterpart: src/kernels/training/channel_sum.rs.
//
// y[c] = sum over b and t of x[b, c, t]
//
// An invocation computes one channel.

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

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let c = (group.y * groups.x + group.x) * WORKGROUP + lane;
    if c >= sizes.channels {
        return;
    }
    var sum = 0.0;
    for (var b = 0u; b < sizes.batch; b++) {
        for (var t = 0u; t < sizes.samples; t++) {
            sum += x[sizes.x_first + (b * sizes.channels + c) * sizes.x_pitch + t];
        }
    }
    y[sizes.y_first + c] = sum;
}
