// BYOL's loss of each row. Counterpart: src/kernels/training/cosine_loss.rs.
//
// loss[i] = 2 - 2 * (p[i] . t[other]) / (norm(p[i]) * norm(t[other])), the other view being (i + rows / 2) % rows
//
// A workgroup computes one row. Its invocations add up every 64th number and are then added in pairs, always in the same
// order, so that the result has the same bits every time.

override SMALLEST_NORM: f32;

const WORKGROUP: u32 = 64;

struct CosineLoss {
    rows: u32,
    features: u32,
    p_first: u32,
    p_pitch: u32,
    t_first: u32,
    t_pitch: u32,
    loss_base_offset: u32,
    loss_pitch: u32,
    loss_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: CosineLoss;
@group(0) @binding(1) var<storage, read> p: array<f32>;           // [rows, features, p_pitch] after p_first
@group(0) @binding(2) var<storage, read> t: array<f32>;           // [rows, features, t_pitch] after t_first
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;  // [loss_pitch] after loss_base_offset

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
    if lane == 0 {
        loss[sizes.loss_base_offset + sizes.loss_offset + i] = 2.0 - 2.0 * (partial[0].x / norms.x / norms.y);
    }
    // Writes the zeros around the losses.
    let losses_end = sizes.loss_offset + sizes.rows;
    for (var at = lane; i == 0 && at < sizes.loss_pitch; at += WORKGROUP) {
        if at < sizes.loss_offset || at >= losses_end {
            loss[sizes.loss_base_offset + at] = 0.0;
        }
    }
}
