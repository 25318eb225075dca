// The gradient of a batch that passes in parts. Twin: src/kernels/training/moving_average.rs.
//
// sum[i] = kept * sum[i] + share * x[i]

const WORKGROUP: u32 = 64;
const ACCUMULATE: u32 = 5; // in the schedule

struct Accumulate {
    length: u32,
    x_first: u32,
    schedule_first: u32,
    sum_first: u32,
}

@group(0) @binding(0) var<uniform> sizes: Accumulate;
@group(0) @binding(1) var<storage, read> x: array<f32>;           // [length] after x_first
@group(0) @binding(2) var<storage, read> schedule: array<f32>;    // after schedule_first
@group(0) @binding(3) var<storage, read_write> sum: array<f32>;  // [length] after sum_first

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * WORKGROUP + lane;
    if i >= sizes.length {
        return;
    }
    let kept = schedule[sizes.schedule_first + ACCUMULATE];
    let share = schedule[sizes.schedule_first + ACCUMULATE + 1];
    let at = sizes.sum_first + i;
    // What 0 is kept of is forgotten, whatever it was.
    sum[at] = select(kept * sum[at], 0.0, kept == 0.0) + share * x[sizes.x_first + i];
}
