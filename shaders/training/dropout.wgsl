// Dropout, and its own gradient. Counterpart: src/kernels/training/dropout.rs.
//
// y[i] = x[i] / (1 - rate) where the i-th random word is below THRESHOLD, else 0
//
// The words are those of Philox4x32-10 (`//# philox`): number i is word i % 4 of block i / 4 of the step.

override SCALE: f32; // 1 / (1 - rate)
override THRESHOLD: u32;

const WORKGROUP: u32 = 64;
const STEP: u32 = 0; // index in the schedule

struct Dropout {
    rows: u32,
    samples: u32,
    x_first: u32,
    x_pitch: u32,
    schedule_first: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
}

@group(0) @binding(0) var<uniform> dropout: Dropout;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // [rows, x_pitch] after x_first
@group(0) @binding(2) var<storage, read> schedule: array<f32>;  // after schedule_first
@group(0) @binding(3) var<storage, read_write> y: array<f32>;   // [rows, y_pitch] after y_base_offset

//# philox

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = (group.y * groups.x + group.x) * WORKGROUP + lane;
    let row = at / dropout.y_pitch;
    if row >= dropout.rows {
        return;
    }
    let t = at % dropout.y_pitch - dropout.y_offset; // a large number before the first sample, by wraparound
    var value = 0.0;
    if t < dropout.samples {
        let i = row * dropout.samples + t;
        let words = philox(vec4(i / 4, u32(schedule[dropout.schedule_first + STEP]), 0, 0));
        if words[i % 4] < THRESHOLD {
            value = x[dropout.x_first + row * dropout.x_pitch + t] * SCALE;
        }
    }
    // The zeros around the samples of a row are written too.
    y[dropout.y_base_offset + at] = value;
}
