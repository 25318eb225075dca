// Scales all leads of a record by one gain, and drops whole leads. Counterpart: src/kernels/training/augment/scale_leads.rs,
// which adds the random numbers at `//# philox`.
//
// y[r, l, t] = 0 if lead l of row r is dropped, else gain[r] * x[r, l, t]

const WORKGROUP: u32 = 64;
const STEP: u32 = 0; // index in the schedule
const GAIN: u32 = 13; // index in the draws
const DROPPED_LEADS: u32 = 14;
const LEADS: u32 = 12; // last word of the counter of the random numbers

struct ScaleLeads {
    rows: u32,
    leads: u32,
    samples: u32,
    x_first: u32,
    x_pitch: u32,
    draws_first: u32,
    draws_pitch: u32,
    schedule_first: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: ScaleLeads;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // [rows, leads, x_pitch] after x_first
@group(0) @binding(2) var<storage, read> draws: array<f32>;     // [rows, draws_pitch] after draws_first
@group(0) @binding(3) var<storage, read> schedule: array<f32>;  // after schedule_first
@group(0) @binding(4) var<storage, read_write> y: array<f32>;   // [rows, leads, y_pitch] after y_base_offset

//# philox

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = (group.y * groups.x + group.x) * WORKGROUP + lane;
    let channel = at / sizes.y_pitch;
    if channel >= sizes.rows * sizes.leads {
        return;
    }
    let t = at % sizes.y_pitch - sizes.y_offset; // a large number before the first sample, by wraparound
    let row = channel / sizes.leads;
    let drawn = sizes.draws_first + row * sizes.draws_pitch;
    let step = u32(schedule[sizes.schedule_first + STEP]);
    let word = philox(vec4(channel % sizes.leads, step, row, LEADS)).x;
    let factor = select(draws[drawn + GAIN], 0.0, unit(word) < draws[drawn + DROPPED_LEADS]);
    var value = 0.0;
    if t < sizes.samples {
        value = factor * x[sizes.x_first + channel * sizes.x_pitch + t];
    }
    // The zeros around the samples of a row are written too.
    y[sizes.y_base_offset + at] = value;
}
