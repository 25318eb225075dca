// Convolution along the samples, with bias and ReLU, for any size. Counterpart: src/kernels/conv1d/plain.rs.
//
// y[b, o, t] = bias[o] + sum over c and k of weight[o, c, k] * x[b, c, t * STRIDE + k - PADDING]
//
// One invocation computes four channels (a vec4) at four neighbouring positions, which it stores as vec4s.
// Each row of x is surrounded by at least PADDING zeros; numbers beyond them are read only for positions that are not stored.

//# storage

override KERNEL: u32;
override STRIDE: u32;
override PADDING: u32;
override RELU: bool;

const WORKGROUP: u32 = 64;

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
@group(0) @binding(1) var<storage, read> x: array<X>;            // [batch, in_channels, x_pitch] after x_base_offset
@group(0) @binding(2) var<storage, read> weight: array<Weight>;  // vec4s [in_channels, KERNEL, out_channels / 4]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>; // [out_channels / 4]
@group(0) @binding(4) var<storage, read_write> y: array<Y>;      // [batch, out_channels, y_pitch] after y_base_offset

//# write

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.x * WORKGROUP + lane) * 4;
    let t = i - POOLED * conv.y_offset; // a large number before the first sample, by wraparound
    let b = group.z;
    let quads = (conv.out_channels + 3) / 4;

    var sum0 = bias[group.y];
    var sum1 = sum0;
    var sum2 = sum0;
    var sum3 = sum0;
    for (var c = 0u; c < conv.in_channels; c++) {
        let row = conv.x_base_offset + (b * conv.in_channels + c) * conv.x_pitch - PADDING;
        for (var k = 0u; k < KERNEL; k++) {
            let w = weight_at((c * KERNEL + k) * quads + group.y);
            let position = row + t * STRIDE + k;
            sum0 += w * x_at(position);
            sum1 += w * x_at(position + STRIDE);
            sum2 += w * x_at(position + 2 * STRIDE);
            sum3 += w * x_at(position + 3 * STRIDE);
        }
    }
    let o = group.y * 4;
    store(b, o, i, vec4(sum0.x, sum1.x, sum2.x, sum3.x));
    store(b, o + 1, i, vec4(sum0.y, sum1.y, sum2.y, sum3.y));
    store(b, o + 2, i, vec4(sum0.z, sum1.z, sum2.z, sum3.z));
    store(b, o + 3, i, vec4(sum0.w, sum1.w, sum2.w, sum3.w));
    note_overflow(b);
}
