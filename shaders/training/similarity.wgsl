// Similarities of unit rows. Twin: src/kernels/training/nt_xent.rs.
//
// s[i, j] = z[i] . z[j] / TEMPERATURE

override TEMPERATURE: f32;

const WORKGROUP: u32 = 64;

struct Similarity {
    rows: u32,
    features: u32,
    z_first: u32,
    z_row: u32,
    s_head: u32,
    s_row: u32,
    s_start: u32,
}

@group(0) @binding(0) var<uniform> sizes: Similarity;
@group(0) @binding(1) var<storage, read> z: array<f32>;        // [rows, features, z_row] after z_first
@group(0) @binding(2) var<storage, read_write> s: array<f32>;  // [rows, s_row] after s_head

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = group.x * WORKGROUP + lane;
    let i = group.y;
    let j = at - sizes.s_start; // wraps to a large number before the first
    if at >= sizes.s_row {
        return;
    }
    var sum = 0.0;
    if j < sizes.rows {
        for (var d = 0u; d < sizes.features; d++) {
            let first = z[sizes.z_first + (i * sizes.features + d) * sizes.z_row];
            sum += first * z[sizes.z_first + (j * sizes.features + d) * sizes.z_row];
        }
    }
    // The zeros beside a row are written with it.
    s[sizes.s_head + i * sizes.s_row + at] = sum / TEMPERATURE;
}
