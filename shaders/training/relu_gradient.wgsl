// The gradient of ReLU. Counterpart: src/kernels/training/relu.rs.
//
// dx[i] = dy[i] where x[i] > 0, else 0
//
// One invocation computes four numbers, a vec4. The zeros around the samples stay zeros.

const WORKGROUP: u32 = 64;

struct Relu {
    first: u32, // vec4s before the first row
    length: u32, // vec4s of all rows
}

@group(0) @binding(0) var<uniform> relu: Relu;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> gradient: array<vec4<f32>>;  // dx

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * WORKGROUP + lane;
    if i >= relu.length {
        return;
    }
    gradient[relu.first + i] = select(vec4(0.0), dy[relu.first + i], x[relu.first + i] > vec4(0.0));
}
