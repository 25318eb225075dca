// Convolution along the samples, with bias and ReLU, on subgroups of exactly 8. Counterpart: src/kernels/conv1d/subgroups.rs,
// which generates the lines `//#`.
//
// y[b, o, t] = bias[o] + sum over c and k of weight[o, c, k] * x[b, c, t * STRIDE + k - PADDING]
//
// A workgroup is one subgroup and computes CHANNELS channels at 64 positions, eight per lane. Each lane loads a vec4 of
// weights, and broadcasts hand out all 32. Each row of x is surrounded by at least PADDING zeros;
// numbers beyond them are read only for positions that are not stored.

//# storage

//# constants

override WINDOW_OFFSET: u32;  // numbers from the start of a row back to its first window, in whole vec4s
override RELU: bool;

const LANES: u32 = 8;

struct Conv1d {
    in_channels: u32,
    out_channels: u32,
    out_samples: u32,
    x_base_offset: u32,
    x_pitch: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
}

@group(0) @binding(0) var<uniform> conv: Conv1d;
@group(0) @binding(1) var<storage, read> x: array<X>;              // vec4s [batch, in_channels, x_pitch / 4] after x_base_offset / 4
@group(0) @binding(2) var<storage, read> weight: array<Weight>;    // vec4s [blocks, in_channels, LOADS, LANES]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;   // [blocks, LANES]
@group(0) @binding(4) var<storage, read_write> y: array<Y>;        // [batch, out_channels, y_pitch] after y_base_offset

//# write

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let b = group.z;
    let i = (group.x * LANES + lane) * 8;
    var first = (conv.x_base_offset + b * conv.in_channels * conv.x_pitch + i * STRIDE - WINDOW_OFFSET) / 4;
    var at = group.y * conv.in_channels * LOADS * LANES + lane;
    let biases = bias[group.y * LANES + lane];
    //# declare
    for (var c = 0u; c < conv.in_channels; c++) {
        //# load
        //# multiply
        first += conv.x_pitch / 4;
        at += LOADS * LANES;
    }
    let o = group.y * CHANNELS;
    //# store
    note_overflow(b);
}
