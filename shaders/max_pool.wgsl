// The largest sample of each window. Twin: src/kernels/max_pool.rs.
//
// y[b, c, t] = max over k < KERNEL of x[b, c, t * STRIDE + k]

override KERNEL: u32;
override STRIDE: u32;

const WORKGROUP: u32 = 64;

struct MaxPool {
    channels: u32,
    out_samples: u32,
    x_head: u32,
    x_row: u32,
    y_head: u32,
    y_row: u32,
    y_start: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> pool: MaxPool;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [batch, channels, x_row] after x_head
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [batch, channels, y_row] after y_head

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = group.x * WORKGROUP + lane;
    let t = i - pool.y_start; // wraps to a large number before the first sample
    if i >= pool.y_row {
        return;
    }
    let row = group.z * pool.channels + group.y;
    let first = pool.x_head + row * pool.x_row + t * STRIDE;
    var largest = x[first];
    for (var k = 1u; k < KERNEL; k++) {
        largest = max(largest, x[first + k]);
    }
    // The zeros beside a row are written with it.
    y[pool.y_head + row * pool.y_row + i] = select(0.0, largest, t < pool.out_samples);
}
