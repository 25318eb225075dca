// The gradient of a global average pool. Counterpart: src/kernels/training/global_average_pool_gradient.rs.
//
// dx[row, t] = dy[row] / samples, a row being a channel of a record
//
// One invocation computes four samples, a vec4.

const WORKGROUP: u32 = 64;

struct GlobalAveragePoolGradient {
    rows: u32,
    samples: u32,
    dy_first: u32,
    dy_pitch: u32,
    dx_base_offset: u32,
    dx_pitch: u32,
    dx_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: GlobalAveragePoolGradient;
@group(0) @binding(1) var<storage, read> dy: array<f32>;              // [rows, dy_pitch] after dy_first
@group(0) @binding(2) var<storage, read_write> gradient: array<vec4<f32>>;  // dx, [rows, dx_pitch / 4] after dx_base_offset / 4

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * WORKGROUP + lane;
    let row = i / (sizes.dx_pitch / 4);
    if row >= sizes.rows {
        return;
    }
    let t = i % (sizes.dx_pitch / 4) * 4 - sizes.dx_offset; // a large number before the first sample, by wraparound
    let inside = vec4(t, t + 1, t + 2, t + 3) < vec4(sizes.samples);
    let value = dy[sizes.dy_first + row * sizes.dy_pitch] / f32(sizes.samples);
    // The zeros around the samples of a row are written too.
    gradient[sizes.dx_base_offset / 4 + i] = select(vec4(0.0), vec4(value), inside);
}
