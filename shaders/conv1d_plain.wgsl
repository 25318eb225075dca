// Convolution along the samples, with bias and ReLU, for any size. Twin: src/kernels/conv1d/plain.rs.
//
// y[b, o, t] = bias[o] + sum over c and k of weight[o, c, k] * x[b, c, t * STRIDE + k - PADDING]
//
// One invocation computes four channels (a vec4) at four positions, a workgroup's width apart so that neighbouring
// invocations load neighbouring samples. Around each row of x lie at least PADDING zeros; what lies beyond them is read
// only for positions that are not stored.

override KERNEL: u32;
override STRIDE: u32;
override PADDING: u32;
override RELU: bool;

const WORKGROUP: u32 = 64;

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
@group(0) @binding(1) var<storage, read> x: array<f32>;             // [batch, in_channels, x_row] after x_head
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;  // [in_channels, KERNEL, out_channels / 4]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;    // [out_channels / 4]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;       // [batch, out_channels, y_row] after y_head

// The zeros beside a row are written with it.
fn store(b: u32, o: u32, t: u32, sum: vec4<f32>) {
    let i = t + conv.y_start;
    if i >= conv.y_row {
        return;
    }
    let rectified = select(sum, max(sum, vec4(0.0)), RELU);
    let value = select(vec4(0.0), rectified, t < conv.out_samples);
    let first = conv.y_head + (b * conv.out_channels + o) * conv.y_row + i;
    y[first] = value.x;
    if o + 1 < conv.out_channels { y[first + conv.y_row] = value.y; }
    if o + 2 < conv.out_channels { y[first + 2 * conv.y_row] = value.z; }
    if o + 3 < conv.out_channels { y[first + 3 * conv.y_row] = value.w; }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = group.x * 4 * WORKGROUP + lane - conv.y_start; // wraps to a large number before the first sample
    let b = group.z;
    let quads = (conv.out_channels + 3) / 4;

    var sum0 = bias[group.y];
    var sum1 = sum0;
    var sum2 = sum0;
    var sum3 = sum0;
    for (var c = 0u; c < conv.in_channels; c++) {
        let row = conv.x_head + (b * conv.in_channels + c) * conv.x_row - PADDING;
        for (var k = 0u; k < KERNEL; k++) {
            let w = weight[(c * KERNEL + k) * quads + group.y];
            let position = row + t * STRIDE + k;
            sum0 += w * x[position];
            sum1 += w * x[position + WORKGROUP * STRIDE];
            sum2 += w * x[position + 2 * WORKGROUP * STRIDE];
            sum3 += w * x[position + 3 * WORKGROUP * STRIDE];
        }
    }
    let o = group.y * 4;
    store(b, o, t, sum0);
    store(b, o, t + WORKGROUP, sum1);
    store(b, o, t + 2 * WORKGROUP, sum2);
    store(b, o, t + 3 * WORKGROUP, sum3);
}
