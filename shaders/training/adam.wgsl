// Adam with decoupled weight decay and clipping. Counterpart: src/kernels/training/adam.rs, which generates the
// last bindings at `//#`: the sums of squares are bound only if the gradient is clipped.
//
// m = BETA_1 * m + (1 - BETA_1) * g, v = BETA_2 * v + (1 - BETA_2) * g^2
// w = w - rate * (WEIGHT_DECAY * w + m / correction_1 / (sqrt(v / correction_2) + EPSILON))
//
// An invocation computes every 64th of its workgroup's numbers.

override BETA_1: f32;
override BETA_2: f32;
override EPSILON: f32;
override WEIGHT_DECAY: f32;
override LARGEST_NORM: f32;
override SUMS: u32; // of squares, 0 if the gradient is not clipped

const WORKGROUP: u32 = 64;
const NUMBERS: u32 = 16; // per invocation
const LEARNING_RATE: u32 = 1; // index in the schedule
const CORRECTIONS: u32 = 2;

struct Adam {
    length: u32,
    gradient_first: u32,
    schedule_first: u32,
    sums_first: u32,
    state_first: u32,
}

@group(0) @binding(0) var<uniform> sizes: Adam;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;     // [length] after gradient_first
@group(0) @binding(2) var<storage, read> schedule: array<f32>;     // after schedule_first
//# bindings

fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

var<workgroup> partial: array<f32, WORKGROUP>;

// The factor that shortens a longer gradient to LARGEST_NORM.
fn scale(lane: u32) -> f32 {
    var sum = 0.0;
    for (var s = lane; s < SUMS; s += WORKGROUP) {
        sum += squares(s);
    }
    partial[lane] = sum;
    for (var half = WORKGROUP / 2; half > 0; half /= 2) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    workgroupBarrier();
    let norm = sqrt(partial[0]) + 1e-6;
    return select(1.0, LARGEST_NORM / norm, norm > LARGEST_NORM);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rate = schedule[sizes.schedule_first + LEARNING_RATE];
    let first = schedule[sizes.schedule_first + CORRECTIONS];
    let second = schedule[sizes.schedule_first + CORRECTIONS + 1];
    let factor = scale(lane);
    let start = (group.y * groups.x + group.x) * WORKGROUP * NUMBERS;
    for (var at = lane; at < WORKGROUP * NUMBERS; at += WORKGROUP) {
        let i = start + at;
        if i >= sizes.length {
            return;
        }
        // Judged as it was stored: a compiler may assume that a product is finite. The factor is at most 1.
        let stored = gradient[sizes.gradient_first + i];
        let g = stored * factor;
        if rate == 0.0 || !is_finite(stored) {
            continue;
        }
        let w_at = sizes.state_first + i;
        let m_at = w_at + sizes.length;
        let v_at = m_at + sizes.length;
        let m = BETA_1 * state[m_at] + (1.0 - BETA_1) * g;
        let v = BETA_2 * state[v_at] + (1.0 - BETA_2) * g * g;
        let w = state[w_at];
        state[m_at] = m;
        state[v_at] = v;
        state[w_at] = w - rate * (WEIGHT_DECAY * w + m / first / (sqrt(v / second) + EPSILON));
    }
}
