// Similarities of rows of length 1. Counterpart: src/kernels/training/nt_xent.rs.
//
// s[i, j] = z[i] . z[j] / TEMPERATURE

override TEMPERATURE: f32;

const WORKGROUP: u32 = 64;

struct Similarity {
    rows: u32,
    features: u32,
    z_first: u32,
    z_pitch: u32,
    s_base_offset: u32,
    s_pitch: u32,
    s_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: Similarity;
@group(0) @binding(1) var<storage, read> z: array<f32>;        // [rows, features, z_pitch] after z_first
@group(0) @binding(2) var<storage, read_write> s: array<f32>;  // [rows, s_pitch] after s_base_offset

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = group.x * WORKGROUP + lane;
    let i = group.y;
    let j = at - sizes.s_offset; // a large number before the first, by wraparound
    if at >= sizes.s_pitch {
        return;
    }
    var sum = 0.0;
    if j < sizes.rows {
        for (var d = 0u; d < sizes.features; d++) {
            let first = z[sizes.z_first + (i * sizes.features + d) * sizes.z_pitch];
            sum += first * z[sizes.z_first + (j * sizes.features + d) * sizes.z_pitch];
        }
    }
    // The zeros around the samples of a row are written too.
    s[sizes.s_base_offset + i * sizes.s_pitch + at] = sum / TEMPERATURE;
}
