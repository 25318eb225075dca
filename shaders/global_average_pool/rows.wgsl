// The mean over the samples of every channel, one channel an invocation. Twin: src/kernels/global_average_pool.rs.
//
// y[b, c] = mean over t of x[b, c, t]
//
// A row has nothing but zeros beside its samples, so whole rows are summed.

//# storage

const WORKGROUP: u32 = 32;

struct GlobalAveragePool {
    channels: u32,
    samples: u32,
    x_head: u32,
    x_row: u32,
    y_head: u32,
    y_row: u32,
    y_start: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> pool: GlobalAveragePool;
@group(0) @binding(1) var<storage, read> x: array<X>;          // vec4s [batch, channels, x_row / 4] after x_head / 4
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [batch, channels, y_row] after y_head

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    if invocation.x >= pool.channels {
        return;
    }
    let row = invocation.y * pool.channels + invocation.x;
    var sum = vec4(0.0);
    let first = (pool.x_head + row * pool.x_row) / 4;
    for (var t = 0u; t < pool.x_row / 4; t++) {
        sum += x_at(first + t);
    }
    let mean = (sum.x + sum.y + sum.z + sum.w) / f32(pool.samples);
    for (var i = 0u; i < pool.y_row; i++) {
        y[pool.y_head + row * pool.y_row + i] = select(0.0, mean, i == pool.y_start);
    }
}
