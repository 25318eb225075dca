// A high-pass and a low-pass filter of order 2, forward and backward. Twin: src/kernels/training/augment/band_pass.rs.
//
// A workgroup takes one lead. Where nothing is filtered all of its invocations copy; else the first filters, as each
// sample needs the one before, in place.

override SAMPLING_RATE: f32;

const WORKGROUP: u32 = 64;
const BAND: u32 = 2; // in the draws
const PI: f32 = 3.14159265;
const DAMPING: f32 = 1.41421356;

struct BandPass {
    rows: u32,
    leads: u32,
    samples: u32,
    run_up: u32,
    x_first: u32,
    x_row: u32,
    draws_first: u32,
    draws_row: u32,
    y_head: u32,
    y_row: u32,
    y_start: u32,
}

@group(0) @binding(0) var<uniform> sizes: BandPass;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [rows, leads, x_row] after x_first
@group(0) @binding(2) var<storage, read> draws: array<f32>;    // [rows, draws_row] after draws_first
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [rows, leads, y_row] after y_head

struct Section {
    a: vec3<f32>,
    state: vec2<f32>, // what its two integrators hold
}

// In the state that a signal leaves which always was `value`.
fn section(edge: f32, value: f32) -> Section {
    let g = tan(PI * edge / SAMPLING_RATE);
    let first = 1.0 / (1.0 + g * (g + DAMPING));
    return Section(vec3(1.0, g, g * g) * first, vec2(0.0, value));
}

// The low-pass and the high-pass output for the next sample.
fn next(section: ptr<function, Section>, value: f32) -> vec2<f32> {
    let a = (*section).a;
    let state = (*section).state;
    let rest = value - state.y;
    let band = a.x * state.x + a.y * rest;
    let low = state.y + a.y * state.x + a.z * rest;
    (*section).state = 2.0 * vec2(band, low) - state;
    return vec2(low, value - DAMPING * band - low);
}

// Filters y from the first sample to the last, or the other way round.
fn sweep(first: u32, edges: vec2<f32>, backward: bool) {
    let last = sizes.samples - 1;
    var lower = section(edges.x, y[first + select(sizes.run_up, last - sizes.run_up, backward)]);
    var upper = section(edges.y, 0.0);
    for (var i = 0u; i < sizes.run_up + sizes.samples; i++) {
        // The run-up is the signal mirrored at its first sample.
        let t = max(i, sizes.run_up) - min(i, sizes.run_up);
        let at = first + select(t, last - t, backward);
        let within = next(&upper, next(&lower, y[at]).y).x;
        if i >= sizes.run_up {
            y[at] = within;
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = group.y * groups.x + group.x;
    if channel >= sizes.rows * sizes.leads {
        return;
    }
    let row = sizes.y_head + channel * sizes.y_row;
    for (var i = lane; i < sizes.y_row; i += WORKGROUP) {
        let t = i - sizes.y_start; // wraps to a large number before the first sample
        var value = 0.0;
        if t < sizes.samples {
            value = x[sizes.x_first + channel * sizes.x_row + t];
        }
        // The zeros beside a row are written with it.
        y[row + i] = value;
    }
    storageBarrier();
    let drawn = sizes.draws_first + channel / sizes.leads * sizes.draws_row + BAND;
    let edges = vec2(draws[drawn], draws[drawn + 1]);
    if lane == 0 && edges.x > 0.0 {
        sweep(row + sizes.y_start, edges, false);
        sweep(row + sizes.y_start, edges, true);
    }
}
