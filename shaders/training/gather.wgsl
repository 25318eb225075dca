// Reorders numbers. Counterpart: src/kernels/training/gather.rs.
//
// y[i] = x[order[i] - 1], and 0 where order[i] is 0

const WORKGROUP: u32 = 64;

struct Gather {
    length: u32,
    x_first: u32,
    order_first: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
}

@group(0) @binding(0) var<uniform> gather: Gather;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // after x_first
@group(0) @binding(2) var<storage, read> order: array<f32>;    // whole numbers
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [y_pitch] after y_base_offset

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = (group.y * groups.x + group.x) * WORKGROUP + lane;
    let i = at - gather.y_offset; // a large number before the first, by wraparound
    if at >= gather.y_pitch {
        return;
    }
    var value = 0.0;
    if i < gather.length {
        let place = u32(order[gather.order_first + i]);
        if place > 0 {
            value = x[gather.x_first + place - 1];
        }
    }
    y[gather.y_base_offset + at] = value;
}
