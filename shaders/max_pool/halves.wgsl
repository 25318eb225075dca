// The larger of each two samples. Counterpart: src/kernels/max_pool.rs.
//
// y[b, c, t] = max(x[b, c, 2 * t], x[b, c, 2 * t + 1])
//
// One invocation computes four samples, a vec4, from two vec4s.

//# storage

const WORKGROUP: u32 = 64;

struct MaxPool {
    channels: u32,
    out_samples: u32,
    x_base_offset: u32, // of the vec4 whose first two samples become the first of a row of y
    x_pitch: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> pool: MaxPool;
@group(0) @binding(1) var<storage, read> x: array<X>;        // vec4s [batch, channels, x_pitch / 4] after x_base_offset / 4
@group(0) @binding(2) var<storage, read_write> y: array<Y>;  // vec4s [batch, channels, y_pitch / 4] after y_base_offset / 4

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.z * pool.channels + group.y;
    let i = (group.x * WORKGROUP + lane) * 4;
    if i >= pool.y_pitch {
        return;
    }
    let first = (pool.x_base_offset + row * pool.x_pitch + 2 * i) / 4;
    let a = x_at(first);
    let b = x_at(first + 1);
    let largest = vec4(max(a.x, a.y), max(a.z, a.w), max(b.x, b.y), max(b.z, b.w));
    // The zeros around the samples of a row are written too.
    let t = i - pool.y_offset; // a large number before the first sample, by wraparound
    let inside = vec4(t, t + 1, t + 2, t + 3) < vec4(pool.out_samples);
    set_y((pool.y_base_offset + row * pool.y_pitch + i) / 4, select(vec4(0.0), largest, inside));
    note_overflow(group.z);
}
