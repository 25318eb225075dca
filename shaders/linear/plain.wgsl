// A linear layer with bias, one output an invocation. Twin: src/kernels/linear.rs.
//
// y[b, o] = bias[o] + sum over i of weight[o, i] * x[b, i]

//# storage

const WORKGROUP: u32 = 64;

struct Linear {
    in_features: u32,
    out_features: u32,
    x_head: u32,
    x_row: u32,
    y_head: u32,
    y_row: u32,
    y_start: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> linear: Linear;
@group(0) @binding(1) var<storage, read> x: array<X>;            // [batch, in_features, x_row] after x_head
@group(0) @binding(2) var<storage, read> weight: array<Weight>;  // [in_features, out_features]
@group(0) @binding(3) var<storage, read> bias: array<f32>;       // [out_features]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;    // [batch, out_features, y_row] after y_head

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let o = group.x * WORKGROUP + lane;
    if o >= linear.out_features {
        return;
    }
    let b = group.y;
    var sum = bias[o];
    for (var i = 0u; i < linear.in_features; i++) {
        sum += weight_at(i * linear.out_features + o) * x_at(linear.x_head + (b * linear.in_features + i) * linear.x_row);
    }
    for (var i = 0u; i < linear.y_row; i++) {
        y[linear.y_head + (b * linear.out_features + o) * linear.y_row + i] = select(0.0, sum, i == linear.y_start);
    }
}
