// The mean over the samples of every channel, one channel per invocation. Counterpart: src/kernels/global_average_pool.rs.
//
// y[b, c] = mean over t of x[b, c, t]
//
// All other numbers of a row are zeros, so whole rows are summed.

//# storage

const WORKGROUP: u32 = 32;

struct GlobalAveragePool {
    channels: u32,
    samples: u32,
    x_base_offset: u32,
    x_pitch: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> pool: GlobalAveragePool;
@group(0) @binding(1) var<storage, read> x: array<X>;          // vec4s [batch, channels, x_pitch / 4] after x_base_offset / 4
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [batch, channels, y_pitch] after y_base_offset

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    if invocation.x >= pool.channels {
        return;
    }
    let row = invocation.y * pool.channels + invocation.x;
    var sum = vec4(0.0);
    let first = (pool.x_base_offset + row * pool.x_pitch) / 4;
    for (var t = 0u; t < pool.x_pitch / 4; t++) {
        sum += x_at(first + t);
    }
    let mean = (sum.x + sum.y + sum.z + sum.w) / f32(pool.samples);
    for (var i = 0u; i < pool.y_pitch; i++) {
        y[pool.y_base_offset + row * pool.y_pitch + i] = select(0.0, mean, i == pool.y_offset);
    }
}
