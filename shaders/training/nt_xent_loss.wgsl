// NT-Xent of each row. Counterpart: src/kernels/training/nt_xent.rs.
//
// loss[i] = ln(sum over j != i of e^s[i, j]) - s[i, positive], the positive being (i + rows / 2) % rows
//
// A workgroup computes one row. Its invocations process every 64th similarity each, and their results are combined in
// pairs, always in the same order, so that the result has the same bits every time.

const WORKGROUP: u32 = 64;
const LOWEST: f32 = -3.4e38;

struct NtXentLoss {
    rows: u32,
    s_first: u32,
    s_pitch: u32,
    loss_base_offset: u32,
    loss_pitch: u32,
    loss_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: NtXentLoss;
@group(0) @binding(1) var<storage, read> s: array<f32>;           // [rows, s_pitch] after s_first
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;  // [loss_pitch] after loss_base_offset

var<workgroup> partial: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = group.x;
    let row = sizes.s_first + i * sizes.s_pitch;
    var largest = LOWEST;
    for (var j = lane; j < sizes.rows; j += WORKGROUP) {
        largest = select(largest, max(largest, s[row + j]), j != i);
    }
    partial[lane] = largest;
    for (var half = WORKGROUP / 2; half > 0; half /= 2) {
        workgroupBarrier();
        if lane < half {
            partial[lane] = max(partial[lane], partial[lane + half]);
        }
    }
    workgroupBarrier();
    largest = partial[0];
    workgroupBarrier();

    var sum = 0.0;
    for (var j = lane; j < sizes.rows; j += WORKGROUP) {
        sum += select(0.0, exp(s[row + j] - largest), j != i);
    }
    partial[lane] = sum;
    for (var half = WORKGROUP / 2; half > 0; half /= 2) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    workgroupBarrier();
    let positive = (i + sizes.rows / 2) % sizes.rows;
    if lane == 0 {
        loss[sizes.loss_base_offset + sizes.loss_offset + i] = largest + log(partial[0]) - s[row + positive];
    }
    // Writes the zeros around the losses.
    let losses_end = sizes.loss_offset + sizes.rows;
    for (var at = lane; i == 0 && at < sizes.loss_pitch; at += WORKGROUP) {
        if at < sizes.loss_offset || at >= losses_end {
            loss[sizes.loss_base_offset + at] = 0.0;
        }
    }
}
