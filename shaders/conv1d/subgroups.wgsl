// Convolution along the samples, with bias and ReLU, on subgroups of exactly 8. Twin: src/kernels/conv1d/subgroups.rs,
// which puts the unrolled lines where `//#` stands.
//
// y[b, o, t] = bias[o] + sum over c and k of weight[o, c, k] * x[b, c, t * STRIDE + k - PADDING]
//
// A workgroup is one subgroup and computes CHANNELS channels at 64 positions, eight a lane. Each lane loads a vec4 of
// weights, and broadcasts hand out all 32. Around each row of x lie at least PADDING zeros; what lies beyond them is
// read only for positions that are not stored.

//# storage

//# constants

override LEAD: u32;  // floats from a row's first to the first window's, back and in whole vec4s
override RELU: bool;

const LANES: u32 = 8;

struct Conv1d {
    in_channels: u32,
    out_channels: u32,
    out_samples: u32,
    x_head: u32,
    x_row: u32,
    y_head: u32,
    y_row: u32,
    y_start: u32,
}

@group(0) @binding(0) var<uniform> conv: Conv1d;
@group(0) @binding(1) var<storage, read> x: array<X>;              // vec4s [batch, in_channels, x_row / 4] after x_head / 4
@group(0) @binding(2) var<storage, read> weight: array<Weight>;    // vec4s [blocks, in_channels, LOADS, LANES]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;   // [blocks, LANES]
@group(0) @binding(4) var<storage, read_write> y: array<Y>;        // vec4s [batch, out_channels, y_row / 4] after y_head / 4

// Four positions of one channel, the first at float i of its row. The zeros beside a row are written with it.
fn store(b: u32, o: u32, i: u32, sum: vec4<f32>) {
    if i >= conv.y_row || o >= conv.out_channels {
        return;
    }
    let rectified = select(sum, max(sum, vec4(0.0)), RELU);
    let t = i - conv.y_start; // wraps to a large number before the first sample
    let inside = vec4(t, t + 1, t + 2, t + 3) < vec4(conv.out_samples);
    let row = conv.y_head + (b * conv.out_channels + o) * conv.y_row;
    set_y((row + i) / 4, select(vec4(0.0), rectified, inside));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let b = group.z;
    let i = (group.x * LANES + lane) * 8;
    var first = (conv.x_head + b * conv.in_channels * conv.x_row + i * STRIDE - LEAD) / 4;
    var at = group.y * conv.in_channels * LOADS * LANES + lane;
    let biases = bias[group.y * LANES + lane];
    //# declare
    for (var c = 0u; c < conv.in_channels; c++) {
        //# load
        //# multiply
        first += conv.x_row / 4;
        at += LOADS * LANES;
    }
    let o = group.y * CHANNELS;
    //# store
    note_overflow(b);
}
