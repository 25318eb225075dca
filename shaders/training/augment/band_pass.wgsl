// A high-pass and a low-pass filter of order 2, forward and backward. Counterpart: src/kernels/training/augment/band_pass.rs.
//
// A workgroup computes one lead. Each sample depends on the state of the filters after the previous one. So each invocation
// first filters one stretch of the lead from a state of zeros. The filters are linear, so the state after a stretch is that
// result plus the response to the state before it. From these the first invocation computes the state before each stretch,
// and then each invocation filters its stretch again from that state.
//
// The backward filters read what other invocations wrote. y is of atomics for that: without them the Vulkan that wgpu
// makes leaves it to the device whether a barrier shows one invocation's writes in a buffer to another.

override SAMPLING_RATE: f32;

const WORKGROUP: u32 = 64;
const BAND: u32 = 2; // index in the draws
const DAMPING: f32 = 1.41421356;

struct BandPass {
    rows: u32,
    leads: u32,
    samples: u32,
    run_up: u32,
    x_first: u32,
    x_pitch: u32,
    draws_first: u32,
    draws_pitch: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: BandPass;
@group(0) @binding(1) var<storage, read> x: array<f32>;              // [rows, leads, x_pitch] after x_first
@group(0) @binding(2) var<storage, read> draws: array<f32>;          // [rows, draws_pitch] after draws_first
@group(0) @binding(3) var<storage, read_write> y: array<atomic<u32>>;  // bits of f32 [rows, leads, y_pitch] after y_base_offset

struct Section {
    a: vec3<f32>,
    state: vec2<f32>, // of the two integrators
}

var<workgroup> left: array<vec4<f32>, WORKGROUP>;   // the state after each stretch from zeros, for both sections
var<workgroup> found: array<vec4<f32>, WORKGROUP>;  // the state before each stretch
var<workgroup> kept: array<vec4<f32>, 4>;           // the response to each number of the state before a stretch

//# sine_cosine

fn section(edge: f32) -> Section {
    let half = sine_cosine(edge / (2.0 * SAMPLING_RATE));
    let g = half.y / half.x; // tan(pi * edge / SAMPLING_RATE)
    let first = 1.0 / (1.0 + g * (g + DAMPING));
    return Section(vec3(1.0, g, g * g) * first, vec2(0.0));
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

// The index of number i of a sweep. The first `before` numbers, in whole stretches, are the run-up: the signal mirrored at
// its first sample, and before that the first number of the run-up repeated.
fn place(i: u32, before: u32, backward: bool) -> u32 {
    let last = sizes.samples - 1;
    let mirrored = min(before - min(i, before), sizes.run_up);
    let t = min(max(i, before) - before + mirrored, last);
    return select(t, last - t, backward);
}

// What a sweep reads: the samples of x, or those that the sweep before it wrote to y.
fn sample(first: vec2<u32>, t: u32, backward: bool) -> f32 {
    if backward {
        return bitcast<f32>(atomicLoad(&y[first.y + t]));
    }
    return x[first.x + t];
}

// Filters x from the first sample to the last into y, or y backward. `first` is the lead's first sample in x and in y.
fn sweep(lane: u32, first: vec2<u32>, edges: vec2<f32>, backward: bool) {
    // One stretch less than invocations, because the last stretches of the run-up and of the samples may be incomplete.
    let length = (sizes.run_up + sizes.samples + WORKGROUP - 2) / (WORKGROUP - 1);
    let before = (sizes.run_up + length - 1) / length * length;
    let start = lane * length;
    var lower = section(edges.x);
    var upper = section(edges.y);
    for (var i = start; i < start + length; i++) {
        next(&upper, next(&lower, sample(first, place(i, before, backward), backward)).y);
    }
    left[lane] = vec4(lower.state, upper.state);
    let unit = vec4<f32>(vec4(0u, 1u, 2u, 3u) == vec4(lane));
    lower.state = unit.xy;
    upper.state = unit.zw;
    for (var i = 0u; i < length; i++) {
        next(&upper, next(&lower, 0.0).y);
    }
    if lane < 4 {
        kept[lane] = vec4(lower.state, upper.state);
    }
    workgroupBarrier();
    if lane == 0 {
        let keep = mat4x4(kept[0], kept[1], kept[2], kept[3]);
        // The state after a constant signal of the run-up's first number.
        var state = vec4(0.0, sample(first, place(0, before, backward), backward), 0.0, 0.0);
        for (var stretch = 0u; stretch < WORKGROUP; stretch++) {
            found[stretch] = state;
            state = left[stretch] + keep * state;
        }
    }
    workgroupBarrier();
    storageBarrier();
    lower.state = found[lane].xy;
    upper.state = found[lane].zw;
    for (var i = start; i < start + length; i++) {
        let t = place(i, before, backward);
        if i >= before && i < before + sizes.samples {
            let filtered = next(&upper, next(&lower, sample(first, t, backward)).y).x;
            atomicStore(&y[first.y + t], bitcast<u32>(filtered));
        }
    }
    storageBarrier();
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
    let row = sizes.y_base_offset + channel * sizes.y_pitch;
    let first = vec2(sizes.x_first + channel * sizes.x_pitch, row + sizes.y_offset);
    let drawn = sizes.draws_first + channel / sizes.leads * sizes.draws_pitch + BAND;
    let edges = vec2(draws[drawn], draws[drawn + 1]);
    let filters = edges.x > 0.0;
    for (var i = lane; i < sizes.y_pitch; i += WORKGROUP) {
        let t = i - sizes.y_offset; // a large number before the first sample, by wraparound
        // The zeros around the samples of a row are written too.
        var value = 0.0;
        if t < sizes.samples {
            if filters {
                continue;
            }
            value = x[first.x + t];
        }
        atomicStore(&y[row + i], bitcast<u32>(value));
    }
    if filters {
        sweep(lane, first, edges, false);
        sweep(lane, first, edges, true);
    }
}
