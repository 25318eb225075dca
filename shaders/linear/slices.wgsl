// A linear layer with bias, for GPUs where many loads at once are faster than many loads one after another. Counterpart:
// src/kernels/linear.rs.
//
// y[b, o] = bias[o] + sum over i of weight[o, i] * x[b, i]
//
// A workgroup computes OUTPUTS outputs of a record. For each of them SLICES invocations add up every 16th feature and are then
// added in pairs, always in the same order, so that the result has the same bits every time.

//# storage

const OUTPUTS: u32 = 16;
const SLICES: u32 = 16;
const WORKGROUP: u32 = OUTPUTS * SLICES;

struct Linear {
    in_features: u32,
    out_features: u32,
    x_base_offset: u32,
    x_pitch: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> linear: Linear;
@group(0) @binding(1) var<storage, read> x: array<X>;            // [batch, in_features, x_pitch] after x_base_offset
@group(0) @binding(2) var<storage, read> weight: array<Weight>;  // [in_features, out_features]
@group(0) @binding(3) var<storage, read> bias: array<f32>;       // [out_features]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;    // [batch, out_features, y_pitch] after y_base_offset

var<workgroup> partial: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let o = group.x * OUTPUTS + lane % OUTPUTS;
    let b = group.y;
    var sum = 0.0;
    for (var i = lane / OUTPUTS; i < linear.in_features && o < linear.out_features; i += SLICES) {
        sum += weight_at(i * linear.out_features + o) * x_at(linear.x_base_offset + (b * linear.in_features + i) * linear.x_pitch);
    }
    partial[lane] = sum;
    for (var half = WORKGROUP / 2; half >= OUTPUTS; half /= 2) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    if lane >= OUTPUTS || o >= linear.out_features {
        return;
    }
    sum = bias[o] + partial[lane];
    for (var i = 0u; i < linear.y_pitch; i++) {
        y[linear.y_base_offset + (b * linear.out_features + o) * linear.y_pitch + i] = select(0.0, sum, i == linear.y_offset);
    }
}
