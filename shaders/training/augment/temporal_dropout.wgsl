// Replaces a gap by a straight line. Counterpart: src/kernels/training/augment/temporal_dropout.rs.
//
// y[r, l, t] = before + (after - before) * (t + 1 - start) / (length + 1) within the gap, else x[r, l, t]
//
// where before and after are the samples around the gap.

const WORKGROUP: u32 = 64;
const GAP_START: u32 = 11; // index in the draws
const GAP_LENGTH: u32 = 12;

struct TemporalDropout {
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

@group(0) @binding(0) var<uniform> sizes: TemporalDropout;
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
    let first = sizes.x_first + channel * sizes.x_pitch;
    let start = u32(draws[drawn + GAP_START]);
    let length = u32(draws[drawn + GAP_LENGTH]);
    var value = 0.0;
    if t - start < length { // false before the gap, by wraparound
        let before = x[first + start - 1];
        let after = x[first + start + length];
        value = before + (after - before) * f32(t + 1 - start) / f32(length + 1);
    } else if t < sizes.samples {
        value = x[first + t];
    }
    // The zeros around the samples of a row are written too.
    y[sizes.y_base_offset + at] = value;
}
