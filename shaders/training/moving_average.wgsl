// BYOL's target network. Twin: src/kernels/training/moving_average.rs.
//
// target[i] = momentum * target[i] + (1 - momentum) * x[i]

const WORKGROUP: u32 = 64;
const MOMENTUM: u32 = 4; // in the schedule

struct MovingAverage {
    length: u32,
    x_first: u32,
    schedule_first: u32,
    target_first: u32,
}

@group(0) @binding(0) var<uniform> sizes: MovingAverage;
@group(0) @binding(1) var<storage, read> x: array<f32>;                // [length] after x_first
@group(0) @binding(2) var<storage, read> schedule: array<f32>;         // after schedule_first
@group(0) @binding(3) var<storage, read_write> averages: array<f32>;  // [length] after target_first

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
    let momentum = schedule[sizes.schedule_first + MOMENTUM];
    let at = sizes.target_first + i;
    averages[at] = momentum * averages[at] + (1.0 - momentum) * x[sizes.x_first + i];
}
