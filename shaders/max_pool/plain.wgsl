// The largest sample of each window. Counterpart: src/kernels/max_pool.rs.
//
// y[b, c, t] = max over k < KERNEL of x[b, c, t * STRIDE + k]
//
// One invocation computes four samples, a vec4.

//# storage

override KERNEL: u32;
override STRIDE: u32;

const WORKGROUP: u32 = 64;

struct MaxPool {
    channels: u32,
    out_samples: u32,
    x_base_offset: u32,
    x_pitch: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> pool: MaxPool;
@group(0) @binding(1) var<storage, read> x: array<X>;        // [batch, channels, x_pitch] after x_base_offset
@group(0) @binding(2) var<storage, read_write> y: array<Y>;  // vec4s [batch, channels, y_pitch / 4] after y_base_offset / 4

// The samples of four neighbouring windows at one index, which is position i for the first.
fn four_at(i: u32) -> vec4<f32> {
    return vec4(x_at(i), x_at(i + STRIDE), x_at(i + 2 * STRIDE), x_at(i + 3 * STRIDE));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.x * WORKGROUP + lane) * 4;
    if i >= pool.y_pitch {
        return;
    }
    let row = group.z * pool.channels + group.y;
    let t = i - pool.y_offset; // a large number before the first sample, by wraparound
    let first = pool.x_base_offset + row * pool.x_pitch + t * STRIDE;
    var largest = four_at(first);
    for (var k = 1u; k < KERNEL; k++) {
        largest = max(largest, four_at(first + k));
    }
    // The zeros around the samples of a row are written too.
    let inside = vec4(t, t + 1, t + 2, t + 3) < vec4(pool.out_samples);
    set_y((pool.y_base_offset + row * pool.y_pitch + i) / 4, select(vec4(0.0), largest, inside));
    note_overflow(group.z);
}
