// Convolution along the samples, with bias and ReLU, on subgroups of exactly 8 that load eight floats a lane at once, as
// four 64-bit integers. Twin: src/kernels/conv1d/wide.rs, which puts the unrolled lines where `//#` stands.
//
// y[b, o, t] = bias[o] + sum over c and k of weight[o, c, k] * x[b, c, t * STRIDE + k - PADDING]
//
// A workgroup is one subgroup and computes CHANNELS channels at 8 * SAMPLES positions, SAMPLES a lane. Input channels are
// taken eight at a time: lane l loads the weights of channel l and what follows the tile in its row, and shuffles hand
// them out. A lane's window goes on in the next lane's samples. Around each row of x lie at least PADDING zeros; what
// lies beyond them is read only for positions that are not stored.

//# constants

override LEAD: u32;  // floats from a row's first to the first window's, back and in whole loads
override RELU: bool;

const LANES: u32 = 8;
const LOADED: u32 = 8;  // floats of a load

struct Conv1d {
    in_channels: u32,
    out_channels: u32,
    out_samples: u32,
    x_head: u32,
    x_row: u32,
    y_head: u32,
    y_row: u32,
    y_start: u32,
}

@group(0) @binding(0) var<uniform> conv: Conv1d;
@group(0) @binding(1) var<storage, read> x: array<vec4<u64>>;        // [batch, in_channels, x_row / 8] after x_head / 8
@group(0) @binding(2) var<storage, read> weight: array<vec4<u64>>;   // [blocks, in_channels / LANES, LOADS, LANES]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;     // [blocks, LANES]
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;  // [batch, out_channels, y_row / 4] after y_head / 4

fn low(pair: u64) -> f32 {
    return bitcast<f32>(u32(pair));
}

fn high(pair: u64) -> f32 {
    return bitcast<f32>(u32(pair >> 32u));
}

// Four positions of one channel, the first at float i of its row. The zeros beside a row are written with it.
fn store(b: u32, o: u32, i: u32, sum: vec4<f32>) {
    if i >= conv.y_row || o >= conv.out_channels {
        return;
    }
    let rectified = select(sum, max(sum, vec4(0.0)), RELU);
    let t = i - conv.y_start; // wraps to a large number before the first sample
    let inside = vec4(t, t + 1, t + 2, t + 3) < vec4(conv.out_samples);
    y[(conv.y_head + (b * conv.out_channels + o) * conv.y_row + i) / 4] = select(vec4(0.0), rectified, inside);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let b = group.z;
    let i = (group.x * LANES + lane) * SAMPLES;
    let row = conv.x_row / LOADED;
    let record = conv.x_head + b * conv.in_channels * conv.x_row - LEAD;
    var first = (record + i * STRIDE) / LOADED;
    var behind = (record + (group.x + 1) * LANES * SAMPLES * STRIDE) / LOADED + lane * row;
    var at = group.y * ((conv.in_channels + LANES - 1) / LANES) * LOADS * LANES + lane;
    let biases = bias[group.y * LANES + lane];
    let next = (lane + 1) % LANES;
    let last = lane == LANES - 1;
    // Behind the samples lie zeros alone.
    let channels = select(conv.in_channels, 0u, group.x * LANES * SAMPLES >= conv.y_start + conv.out_samples);
    //# declare
    for (var from_channel = 0u; from_channel < channels; from_channel += LANES) {
        //# load
        for (var c = 0u; c < min(LANES, channels - from_channel); c++) {
            //# window
            //# multiply
            first += row;
        }
        behind += LANES * row;
        at += LOADS * LANES;
    }
    let o = group.y * CHANNELS;
    //# store
}
