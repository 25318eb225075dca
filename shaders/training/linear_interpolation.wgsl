// Interpolates between a state and new numbers. Counterpart: src/kernels/training/linear_interpolation.rs.
//
// state[i] = kept * state[i] + share * x[i]

const WORKGROUP: u32 = 64;

struct LinearInterpolation {
    length: u32,
    x_first: u32,
    factors: u32, // index of kept in the schedule; share follows
    state_first: u32,
}

@group(0) @binding(0) var<uniform> blend: LinearInterpolation;
@group(0) @binding(1) var<storage, read> x: array<f32>;            // [length] after x_first
@group(0) @binding(2) var<storage, read> schedule: array<f32>;
@group(0) @binding(3) var<storage, read_write> state: array<f32>;  // [length] after state_first

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * WORKGROUP + lane;
    if i >= blend.length {
        return;
    }
    let kept = schedule[blend.factors];
    let share = schedule[blend.factors + 1];
    let at = blend.state_first + i;
    // With kept 0 the old state has no effect, even if it is not finite.
    state[at] = select(kept * state[at], 0.0, kept == 0.0) + share * x[blend.x_first + i];
}
