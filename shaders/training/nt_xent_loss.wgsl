// NT-Xent of each row. Twin: src/kernels/training/nt_xent.rs.
//
// loss[i] = ln(sum over j != i of e^s[i, j]) - s[i, positive], the positive being (i + rows / 2) % rows
//
// A workgroup takes one row. Its invocations take every 64th similarity each, and what they find is brought together in
// pairs, always in the same order, so that the result has the same bits every time.

const WORKGROUP: u32 = 64;
const LOWEST: f32 = -3.4e38;

struct NtXentLoss {
    rows: u32,
    s_first: u32,
    s_row: u32,
    loss_head: u32,
    loss_row: u32,
    loss_start: u32,
}

@group(0) @binding(0) var<uniform> sizes: NtXentLoss;
@group(0) @binding(1) var<storage, read> s: array<f32>;           // [rows, s_row] after s_first
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;  // [loss_row] after loss_head

var<workgroup> partial: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = group.x;
    let row = sizes.s_first + i * sizes.s_row;
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
        loss[sizes.loss_head + sizes.loss_start + i] = largest + log(partial[0]) - s[row + positive];
    }
    // The zeros beside the losses.
    let losses_end = sizes.loss_start + sizes.rows;
    for (var at = lane; i == 0 && at < sizes.loss_row; at += WORKGROUP) {
        if at < sizes.loss_start || at >= losses_end {
            loss[sizes.loss_head + at] = 0.0;
        }
    }
}
