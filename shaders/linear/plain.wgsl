// A linear layer with bias, one output per invocation. Counterpart: src/kernels/linear.rs.
//
// y[b, o] = bias[o] + sum over i of weight[o, i] * x[b, i]

//# storage

const WORKGROUP: u32 = 64;

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

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let o = group.x * WORKGROUP + lane;
    if o >= linear.out_features {
        return;
    }
    let b = group.y;
    var sum = bias[o];
    for (var i = 0u; i < linear.in_features; i++) {
        sum += weight_at(i * linear.out_features + o) * x_at(linear.x_base_offset + (b * linear.in_features + i) * linear.x_pitch);
    }
    for (var i = 0u; i < linear.y_pitch; i++) {
        y[linear.y_base_offset + (b * linear.out_features + o) * linear.y_pitch + i] = select(0.0, sum, i == linear.y_offset);
    }
}
