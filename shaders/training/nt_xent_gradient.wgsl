// The gradient of NT-Xent with respect to the rows of length 1. Counterpart: src/kernels/training/nt_xent.rs.
//
// dz[i] = sum over j != i of (q[i, j] + q[j, i]) * z[j] / (rows * TEMPERATURE)
// q[i, j] = e^(s[i, j] - loss[i] - s[i, positive of i]) - (1 where j is the positive of i)
//
// A workgroup computes one row and 64 features. For 64 rows at a time each invocation computes the factor of one, then all
// go through them in order.

override TEMPERATURE: f32;

const WORKGROUP: u32 = 64;

struct NtXentGradient {
    rows: u32,
    features: u32,
    z_first: u32,
    z_pitch: u32,
    s_first: u32,
    s_pitch: u32,
    loss_first: u32,
    dz_base_offset: u32,
    dz_pitch: u32,
    dz_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: NtXentGradient;
@group(0) @binding(1) var<storage, read> z: array<f32>;         // [rows, features, z_pitch] after z_first
@group(0) @binding(2) var<storage, read> s: array<f32>;         // [rows, s_pitch] after s_first
@group(0) @binding(3) var<storage, read> loss: array<f32>;      // [rows] after loss_first
@group(0) @binding(4) var<storage, read_write> dz: array<f32>;  // [rows, features, dz_pitch] after dz_base_offset

var<workgroup> factors: array<f32, WORKGROUP>;

fn q(i: u32, j: u32) -> f32 {
    let positive = (i + sizes.rows / 2) % sizes.rows;
    let row = sizes.s_first + i * sizes.s_pitch;
    // The logarithm of the sum is the loss plus the similarity of the positive.
    let logarithm = loss[sizes.loss_first + i] + s[row + positive];
    return exp(s[row + j] - logarithm) - select(0.0, 1.0, j == positive);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = group.x;
    let d = group.y * WORKGROUP + lane;
    var sum = 0.0;
    for (var from_row = 0u; from_row < sizes.rows; from_row += WORKGROUP) {
        let j = from_row + lane;
        var factor = 0.0;
        if j < sizes.rows && j != i {
            factor = q(i, j) + q(j, i);
        }
        workgroupBarrier();
        factors[lane] = factor;
        workgroupBarrier();
        if d < sizes.features {
            for (var at = 0u; at < min(WORKGROUP, sizes.rows - from_row); at++) {
                sum += factors[at] * z[sizes.z_first + ((from_row + at) * sizes.features + d) * sizes.z_pitch];
            }
        }
    }
    if d >= sizes.features {
        return;
    }
    let value = sum / (f32(sizes.rows) * TEMPERATURE);
    for (var in_row = 0u; in_row < sizes.dz_pitch; in_row++) {
        let at = sizes.dz_base_offset + (i * sizes.features + d) * sizes.dz_pitch + in_row;
        dz[at] = select(0.0, value, in_row == sizes.dz_offset);
    }
}
