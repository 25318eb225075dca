// Moves groups of channels into neighbouring samples. Counterpart: src/kernels/training/depth_to_space.rs.
//
// y[b, c, t] = x[b, t % FACTOR * channels + c, t / FACTOR]

override FACTOR: u32;

const WORKGROUP: u32 = 64;

struct DepthToSpace {
    channels: u32,
    out_samples: u32,
    x_first: u32,
    x_pitch: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: DepthToSpace;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [batch, FACTOR * channels, x_pitch] after x_first
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [batch, channels, y_pitch] after y_base_offset

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = group.x * WORKGROUP + lane;
    let t = i - sizes.y_offset; // a large number before the first sample, by wraparound
    if i >= sizes.y_pitch {
        return;
    }
    let c = group.y;
    let b = group.z;
    var value = 0.0;
    if t < sizes.out_samples {
        let row = (b * FACTOR + t % FACTOR) * sizes.channels + c;
        value = x[sizes.x_first + row * sizes.x_pitch + t / FACTOR];
    }
    // The zeros around the samples of a row are written too.
    y[sizes.y_base_offset + (b * sizes.channels + c) * sizes.y_pitch + i] = value;
}
