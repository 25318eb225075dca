// The gradient of rows scaled to length 1. Counterpart: src/kernels/training/l2_normalise.rs.
//
// dx[r, i] = (dy[r, i] - x[r, i] * (x[r] . dy[r]) / norm^2) / norm with norm = max(sqrt(x[r] . x[r]), SMALLEST_NORM)
//
// A workgroup computes one row. Its invocations add up every 64th number and are then added in pairs, always in the same
// order, so that the result has the same bits every time.

override SMALLEST_NORM: f32;

const WORKGROUP: u32 = 64;

struct L2NormaliseGradient {
    features: u32,
    x_first: u32,
    x_pitch: u32,
    dy_first: u32,
    dy_pitch: u32,
    dx_base_offset: u32,
    dx_pitch: u32,
    dx_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: L2NormaliseGradient;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // [rows, features, x_pitch] after x_first
@group(0) @binding(2) var<storage, read> dy: array<f32>;        // [rows, features, dy_pitch] after dy_first
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;  // dx, [rows, features, dx_pitch] after dx_base_offset

var<workgroup> partial: array<vec2<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.x * sizes.features;
    var sums = vec2(0.0);
    for (var i = lane; i < sizes.features; i += WORKGROUP) {
        let value = x[sizes.x_first + (row + i) * sizes.x_pitch];
        sums += value * vec2(value, dy[sizes.dy_first + (row + i) * sizes.dy_pitch]);
    }
    partial[lane] = sums;
    for (var half = WORKGROUP / 2; half > 0; half /= 2) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    workgroupBarrier();
    let norm = max(sqrt(partial[0].x), SMALLEST_NORM);
    // Divides twice, because the square of the smallest norm would underflow.
    let along = partial[0].y / norm / norm;
    for (var i = lane; i < sizes.features; i += WORKGROUP) {
        let across = dy[sizes.dy_first + (row + i) * sizes.dy_pitch] - x[sizes.x_first + (row + i) * sizes.x_pitch] * along;
        for (var in_row = 0u; in_row < sizes.dx_pitch; in_row++) {
            gradient[sizes.dx_base_offset + (row + i) * sizes.dx_pitch + in_row] = select(0.0, across / norm, in_row == sizes.dx_offset);
        }
    }
}
