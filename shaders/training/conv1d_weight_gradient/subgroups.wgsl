// The gradient of a convolution by its weights, on subgroups of exactly 8. Counterpart:
// src/kernels/training/conv1d_weight_gradient/subgroups.rs, which generates the lines `//#`.
//
// dw[o, c, k] = sum over b and t of dy[b, o, t] * x[b, c, t * STRIDE + k - PADDING]
//
// A workgroup is one subgroup and computes all taps of IN_CHANNELS by OUT_CHANNELS channels over one part of the records;
// each lane has every 8th output channel. Of dy a lane loads QUADS vec4s of each of its channels at a time. Each lane
// loads a vec4 of the samples of x that belong to these, and broadcasts hand out all 32. Around the samples dy is 0, so
// that the numbers around those of x do not matter.

//# constants

override WINDOW_OFFSET: u32;  // numbers from the start of a row back to its first window, in whole vec4s
override RECORDS: u32;  // per part

const LANES: u32 = 8;

struct Conv1dWeightGradient {
    batch: u32,
    in_channels: u32,
    out_channels: u32,
    x_base_offset: u32,
    x_pitch: u32,
    dy_base_offset: u32,
    dy_pitch: u32,
    dw_first: u32,
}

@group(0) @binding(0) var<uniform> sizes: Conv1dWeightGradient;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;   // [batch, in_channels, x_pitch / 4] after x_base_offset / 4
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;  // [batch, out_channels, dy_pitch / 4] after dy_base_offset / 4
@group(0) @binding(3) var<storage, read_write> dw: array<f32>;  // [parts, out_channels, in_channels, KERNEL] after dw_first

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let from_channel = group.x * IN_CHANNELS;
    let first_output = group.y * OUT_CHANNELS + lane;
    let part = group.z;
    let quads = sizes.dy_pitch / 4;
    //# declare
    for (var b = part * RECORDS; b < min((part + 1) * RECORDS, sizes.batch); b++) {
        let dy_first = sizes.dy_base_offset / 4 + (b * sizes.out_channels + first_output) * quads;
        let x_first = (sizes.x_base_offset + (b * sizes.in_channels + from_channel) * sizes.x_pitch - WINDOW_OFFSET) / 4 + lane;
        for (var i = 0u; i < quads; i += QUADS) {
            //# load
            let window = x_first + i * STRIDE;
            //# multiply
        }
    }
    //# store
}

fn store(part: u32, o: u32, c: u32, k: u32, sum: f32) {
    if o < sizes.out_channels && c < sizes.in_channels {
        dw[sizes.dw_first + ((part * sizes.out_channels + o) * sizes.in_channels + c) * KERNEL + k] = sum;
    }
}
