// The largest sample of each window. Twin: src/kernels/max_pool.rs.
//
// y[b, c, t] = max over k < KERNEL of x[b, c, t * STRIDE + k]

override KERNEL: u32;
override STRIDE: u32;

const WORKGROUP: u32 = 64;

struct MaxPool {
    channels: u32,
    in_samples: u32,
    out_samples: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> pool: MaxPool;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [batch, channels, in_samples]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [batch, channels, out_samples]

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = group.x * WORKGROUP + lane;
    if t >= pool.out_samples {
        return;
    }
    let row = group.z * pool.channels + group.y;
    let first = row * pool.in_samples + t * STRIDE;
    var largest = x[first];
    for (var k = 1u; k < KERNEL; k++) {
        largest = max(largest, x[first + k]);
    }
    y[row * pool.out_samples + t] = largest;
}
