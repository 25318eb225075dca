// Another heart rate. Counterpart: src/kernels/training/augment/time_warp.rs.
//
// y[r, l, t] = x[r, l](anchor + (t - anchor) * factor)
//
// with Catmull and Rom's cubic between the samples, and x mirrored at its ends.

const WORKGROUP: u32 = 64;
const FACTOR: u32 = 0; // index in the draws
const ANCHOR: u32 = 1;

struct TimeWarp {
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

@group(0) @binding(0) var<uniform> sizes: TimeWarp;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [rows, leads, x_pitch] after x_first
@group(0) @binding(2) var<storage, read> draws: array<f32>;    // [rows, draws_pitch] after draws_first
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [rows, leads, y_pitch] after y_base_offset

fn sample(first: u32, at: u32) -> f32 {
    return x[first + min(at, sizes.samples - 1)];
}

fn warped(first: u32, anchor: f32, factor: f32, t: u32) -> f32 {
    let last = f32(sizes.samples - 1);
    let moved = abs(anchor + (f32(t) - anchor) * factor);
    let position = select(moved, 2.0 * last - moved, moved > last);
    let at = u32(position);
    let f = position - f32(at);
    let a = sample(first, max(at, 1) - 1);
    let b = sample(first, at);
    let c = sample(first, at + 1);
    let d = sample(first, at + 2);
    return b + 0.5 * f * (c - a + f * (2.0 * a - 5.0 * b + 4.0 * c - d + f * (3.0 * (b - c) + d - a)));
}

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
    var value = 0.0;
    if t < sizes.samples {
        let first = sizes.x_first + channel * sizes.x_pitch;
        let factor = draws[drawn + FACTOR];
        if factor == 1.0 {
            value = x[first + t];
        } else {
            value = warped(first, draws[drawn + ANCHOR], factor, t);
        }
    }
    // The zeros around the samples of a row are written too.
    y[sizes.y_base_offset + at] = value;
}
