// The gradient of BYOL's loss with respect to the prediction. Counterpart: src/kernels/training/cosine_loss.rs.
//
// dp[i] = -2 * (t[other] / norm(t[other]) - p[i] / norm(p[i]) * cosine) / norm(p[i]) / (rows / 2)
//
// with the other view (i + rows / 2) % rows and the cosine of both. A workgroup computes one row. Its invocations add up
// every 64th number and are then added in pairs, always in the same order, so that the result has the same bits every
// time.

override SMALLEST_NORM: f32;

const WORKGROUP: u32 = 64;

struct CosineLossGradient {
    rows: u32,
    features: u32,
    p_first: u32,
    p_pitch: u32,
    t_first: u32,
    t_pitch: u32,
    dp_base_offset: u32,
    dp_pitch: u32,
    dp_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: CosineLossGradient;
@group(0) @binding(1) var<storage, read> p: array<f32>;         // [rows, features, p_pitch] after p_first
@group(0) @binding(2) var<storage, read> t: array<f32>;         // [rows, features, t_pitch] after t_first
@group(0) @binding(3) var<storage, read_write> dp: array<f32>;  // [rows, features, dp_pitch] after dp_base_offset

var<workgroup> partial: array<vec3<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = group.x;
    let other = (i + sizes.rows / 2) % sizes.rows;
    var sums = vec3(0.0);
    for (var d = lane; d < sizes.features; d += WORKGROUP) {
        let a = p[sizes.p_first + (i * sizes.features + d) * sizes.p_pitch];
        let b = t[sizes.t_first + (other * sizes.features + d) * sizes.t_pitch];
        sums += vec3(a * b, a * a, b * b);
    }
    partial[lane] = sums;
    for (var half = WORKGROUP / 2; half > 0; half /= 2) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    workgroupBarrier();
    let norms = max(sqrt(partial[0].yz), vec2(SMALLEST_NORM));
    let cosine = partial[0].x / norms.x / norms.y;
    for (var d = lane; d < sizes.features; d += WORKGROUP) {
        let a = p[sizes.p_first + (i * sizes.features + d) * sizes.p_pitch];
        let b = t[sizes.t_first + (other * sizes.features + d) * sizes.t_pitch];
        let slope = (b / norms.y - a / norms.x * cosine) / norms.x;
        let value = -2.0 * slope / f32(sizes.rows / 2);
        for (var in_row = 0u; in_row < sizes.dp_pitch; in_row++) {
            let at = sizes.dp_base_offset + (i * sizes.features + d) * sizes.dp_pitch + in_row;
            dp[at] = select(0.0, value, in_row == sizes.dp_offset);
        }
    }
}
