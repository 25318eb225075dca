// Scales rows to length 1. Counterpart: src/kernels/training/l2_normalise.rs.
//
// y[r, i] = x[r, i] / max(sqrt(sum over j of x[r, j]^2), SMALLEST_NORM)
//
// A workgroup computes one row. Its invocations add up every 64th number and are then added in pairs, always in the same
// order, so that the result has the same bits every time.

override SMALLEST_NORM: f32;

const WORKGROUP: u32 = 64;

struct L2Normalise {
    features: u32,
    x_first: u32,
    x_pitch: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: L2Normalise;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [rows, features, x_pitch] after x_first
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [rows, features, y_pitch] after y_base_offset

var<workgroup> partial: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.x * sizes.features;
    var squares = 0.0;
    for (var i = lane; i < sizes.features; i += WORKGROUP) {
        let value = x[sizes.x_first + (row + i) * sizes.x_pitch];
        squares += value * value;
    }
    partial[lane] = squares;
    for (var half = WORKGROUP / 2; half > 0; half /= 2) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    workgroupBarrier();
    let norm = max(sqrt(partial[0]), SMALLEST_NORM);
    for (var i = lane; i < sizes.features; i += WORKGROUP) {
        let value = x[sizes.x_first + (row + i) * sizes.x_pitch] / norm;
        for (var in_row = 0u; in_row < sizes.y_pitch; in_row++) {
            y[sizes.y_base_offset + (row + i) * sizes.y_pitch + in_row] = select(0.0, value, in_row == sizes.y_offset);
        }
    }
}
