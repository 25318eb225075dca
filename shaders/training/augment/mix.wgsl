// Mixes two records. Counterpart: src/kernels/training/augment/mix.rs.
//
// y[r, l, t] = (1 - share) * x[r, l, t] + share * x[partner, l, t], and x[cut_partner, l, t] inside the cut

const WORKGROUP: u32 = 64;
const SHARE: u32 = 4; // index in the draws
const PARTNER: u32 = 5;
const CUT_START: u32 = 6;
const CUT_LENGTH: u32 = 7;
const CUT_PARTNER: u32 = 8;

struct Mix {
    rows: u32,
    leads: u32,
    samples: u32,
    x_first: u32,
    x_pitch: u32,
    draws_first: u32,
    draws_pitch: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: Mix;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [rows, leads, x_pitch] after x_first
@group(0) @binding(2) var<storage, read> draws: array<f32>;    // [rows, draws_pitch] after draws_first
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [rows, leads, y_pitch] after y_base_offset

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
    let first = sizes.x_first + channel % sizes.leads * sizes.x_pitch + t;
    let row_length = sizes.leads * sizes.x_pitch;
    var value = 0.0;
    if t < sizes.samples {
        let share = draws[drawn + SHARE];
        // The difference is a large number before the cut, by wraparound.
        if t - u32(draws[drawn + CUT_START]) < u32(draws[drawn + CUT_LENGTH]) {
            value = x[first + u32(draws[drawn + CUT_PARTNER]) * row_length];
        } else {
            value = x[first + row * row_length];
            if share > 0.0 {
                value += share * (x[first + u32(draws[drawn + PARTNER]) * row_length] - value);
            }
        }
    }
    // The zeros around the samples of a row are written too.
    y[sizes.y_base_offset + at] = value;
}
