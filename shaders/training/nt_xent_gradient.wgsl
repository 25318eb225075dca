// The gradient of NT-Xent by the unit rows. Twin: src/kernels/training/nt_xent.rs.
//
// dz[i] = sum over j != i of (q[i, j] + q[j, i]) * z[j] / (rows * TEMPERATURE)
// q[i, j] = e^(s[i, j] - loss[i] - s[i, positive of i]) - (1 where j is the positive of i)
//
// A workgroup takes one row and 64 features. For 64 rows at a time each invocation computes the factor of one, then all
// go through them in order.

override TEMPERATURE: f32;

const WORKGROUP: u32 = 64;

struct NtXentGradient {
    rows: u32,
    features: u32,
    z_first: u32,
    z_row: u32,
    s_first: u32,
    s_row: u32,
    loss_first: u32,
    dz_head: u32,
    dz_row: u32,
    dz_start: u32,
}

@group(0) @binding(0) var<uniform> sizes: NtXentGradient;
@group(0) @binding(1) var<storage, read> z: array<f32>;         // [rows, features, z_row] after z_first
@group(0) @binding(2) var<storage, read> s: array<f32>;         // [rows, s_row] after s_first
@group(0) @binding(3) var<storage, read> loss: array<f32>;      // [rows] after loss_first
@group(0) @binding(4) var<storage, read_write> dz: array<f32>;  // [rows, features, dz_row] after dz_head

var<workgroup> factors: array<f32, WORKGROUP>;

fn q(i: u32, j: u32) -> f32 {
    let positive = (i + sizes.rows / 2) % sizes.rows;
    let row = sizes.s_first + i * sizes.s_row;
    // The logarithm of the sum is the loss and the positive's similarity together.
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
                sum += factors[at] * z[sizes.z_first + ((from_row + at) * sizes.features + d) * sizes.z_row];
            }
        }
    }
    if d >= sizes.features {
        return;
    }
    let value = sum / (f32(sizes.rows) * TEMPERATURE);
    for (var beside = 0u; beside < sizes.dz_row; beside++) {
        let at = sizes.dz_head + (i * sizes.features + d) * sizes.dz_row + beside;
        dz[at] = select(0.0, value, beside == sizes.dz_start);
    }
}
