// The gradient of a convolution by its weights. Counterpart: src/kernels/training/conv1d_weight_gradient/plain.rs.
//
// dw[o, c, k] = sum over b and t of dy[b, o, t] * x[b, c, t * STRIDE + k - PADDING]
//
// An invocation computes one tap for four output channels, over one part of the records. Each row of x is
// surrounded by at least PADDING zeros.

override KERNEL: u32;
override STRIDE: u32;
override PADDING: u32;
override RECORDS: u32; // per part

const WORKGROUP: u32 = 64;

struct Conv1dWeightGradient {
    batch: u32,
    in_channels: u32,
    out_channels: u32,
    out_samples: u32,
    x_first: u32,
    x_pitch: u32,
    dy_first: u32,
    dy_pitch: u32,
    dw_first: u32,
}

@group(0) @binding(0) var<uniform> sizes: Conv1dWeightGradient;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // [batch, in_channels, x_pitch] after x_first
@group(0) @binding(2) var<storage, read> dy: array<f32>;        // [batch, out_channels, dy_pitch] after dy_first
@group(0) @binding(3) var<storage, read_write> dw: array<f32>;  // [parts, out_channels, in_channels, KERNEL] after dw_first

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tap = group.x * WORKGROUP + lane; // of all channels
    let taps = sizes.in_channels * KERNEL;
    if tap >= taps {
        return;
    }
    let o = group.y * 4;
    // An output channel that does not exist is computed like the last one and not stored.
    let last = sizes.out_channels - 1;
    let others = min(vec3(o + 1, o + 2, o + 3), vec3(last)) - o;
    let part = group.z;

    var sum = vec4(0.0);
    for (var b = part * RECORDS; b < min((part + 1) * RECORDS, sizes.batch); b++) {
        let x_at = sizes.x_first + (b * sizes.in_channels + tap / KERNEL) * sizes.x_pitch + tap % KERNEL - PADDING;
        let dy_at = sizes.dy_first + (b * sizes.out_channels + o) * sizes.dy_pitch;
        for (var t = 0u; t < sizes.out_samples; t++) {
            let dy_of_each = vec4(
                dy[dy_at + t],
                dy[dy_at + others.x * sizes.dy_pitch + t],
                dy[dy_at + others.y * sizes.dy_pitch + t],
                dy[dy_at + others.z * sizes.dy_pitch + t],
            );
            sum += dy_of_each * x[x_at + t * STRIDE];
        }
    }
    let first = sizes.dw_first + (part * sizes.out_channels + o) * taps + tap;
    dw[first] = sum.x;
    if o + 1 < sizes.out_channels { dw[first + taps] = sum.y; }
    if o + 2 < sizes.out_channels { dw[first + 2 * taps] = sum.z; }
    if o + 3 < sizes.out_channels { dw[first + 3 * taps] = sum.w; }
}
