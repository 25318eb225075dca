// Convolution along the samples, with bias and ReLU. Twin: src/kernels/conv1d.rs.
//
// y[b, o, t] = bias[o] + sum over c and k of weight[o, c, k] * x[b, c, t * STRIDE + k - PADDING]
//
// One invocation computes four channels (a vec4) at four positions, a workgroup's width apart so that neighbouring
// invocations load neighbouring samples.

override KERNEL: u32;
override STRIDE: u32;
override PADDING: u32;
override RELU: bool;

const WORKGROUP: u32 = 64;

struct Conv1d {
    in_channels: u32,
    in_samples: u32,
    out_channels: u32,
    out_samples: u32,
}

@group(0) @binding(0) var<uniform> conv: Conv1d;
@group(0) @binding(1) var<storage, read> x: array<f32>;             // [batch, in_channels, in_samples]
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;  // [in_channels, KERNEL, out_channels / 4]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;    // [out_channels / 4]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;       // [batch, out_channels, out_samples]

// x at a position that may lie in the padding, where it is 0.
fn at(row: u32, position: u32) -> f32 {
    let sample = position - PADDING; // wraps to a large number before the first sample
    if sample < conv.in_samples {
        return x[row + sample];
    }
    return 0.0;
}

fn store(b: u32, o: u32, t: u32, sum: vec4<f32>) {
    if t >= conv.out_samples {
        return;
    }
    let value = select(sum, max(sum, vec4(0.0)), RELU);
    let first = (b * conv.out_channels + o) * conv.out_samples + t;
    y[first] = value.x;
    if o + 1 < conv.out_channels { y[first + conv.out_samples] = value.y; }
    if o + 2 < conv.out_channels { y[first + 2 * conv.out_samples] = value.z; }
    if o + 3 < conv.out_channels { y[first + 3 * conv.out_samples] = value.w; }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = group.x * 4 * WORKGROUP + lane;
    let b = group.z;
    let quads = (conv.out_channels + 3) / 4;

    var sum0 = bias[group.y];
    var sum1 = sum0;
    var sum2 = sum0;
    var sum3 = sum0;
    for (var c = 0u; c < conv.in_channels; c++) {
        let row = (b * conv.in_channels + c) * conv.in_samples;
        for (var k = 0u; k < KERNEL; k++) {
            let w = weight[(c * KERNEL + k) * quads + group.y];
            let position = t * STRIDE + k;
            sum0 += w * at(row, position);
            sum1 += w * at(row, position + WORKGROUP * STRIDE);
            sum2 += w * at(row, position + 2 * WORKGROUP * STRIDE);
            sum3 += w * at(row, position + 3 * WORKGROUP * STRIDE);
        }
    }
    let o = group.y * 4;
    store(b, o, t, sum0);
    store(b, o, t + WORKGROUP, sum1);
    store(b, o, t + 2 * WORKGROUP, sum2);
    store(b, o, t + 3 * WORKGROUP, sum3);
}
