// Convolution along the samples, with bias and ReLU, by Winograd on subgroups of exactly 8 lanes that store eight
// floats at once, as four 64-bit integers, and load as many of x. Counterpart: src/kernels/conv1d/winograd.rs, which generates the
// lines `//#`.
//
// y[b, o, t] = bias[o] + sum over c and k of weight[o, c, k] * x[b, c, t * STRIDE + k - PADDING]
//
// A workgroup is one subgroup and computes CHANNELS channels at 8 * SAMPLES positions, SAMPLES per lane. Input channels are
// taken eight at a time: lane l loads the weights of channel l, evaluates its filters at the points, and loads what
// follows the tile in its row; shuffles hand both out. A lane's window goes on in the next lane's samples.

//# constants

override BEGIN: i32;  // loads from the start of a row to its first window
override RELU: bool;

const LANES: u32 = 8;
const LOADED: u32 = 8;  // floats of a load of x and of a store

struct Conv1d {
    in_channels: u32,
    out_channels: u32,
    out_samples: u32,
    x_base_offset: u32,
    x_pitch: u32,
    y_base_offset: u32,
    y_pitch: u32,
    y_offset: u32,
}

@group(0) @binding(0) var<uniform> conv: Conv1d;
@group(0) @binding(2) var weight: texture_storage_2d<rgba32float, read>;  // [blocks, in_channels / LANES, LOADS, LANES]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;          // [blocks, LANES]
@group(0) @binding(4) var<storage, read_write> y: array<vec4<u64>>;       // [batch, out_channels, y_pitch / 8] after y_base_offset / 8

struct Eight {
    first: vec4<f32>,
    second: vec4<f32>,
}

// Binding 1 and `x_at`.
//# x

// The place of a texel in a texture that holds a copy of a buffer. It is signed, because naga 30 makes invalid SPIR-V of the
// check of an unsigned one, which drivers without checks of their own get.
fn texel_at(texel: u32) -> vec2<i32> {
    return vec2<i32>(vec2(texel % TEXTURE_WIDTH, texel / TEXTURE_WIDTH));
}

fn weight_at(texel: u32) -> vec4<f32> {
    return textureLoad(weight, texel_at(texel));
}

fn pair(low: f32, high: f32) -> u64 {
    return u64(bitcast<u32>(low)) | (u64(bitcast<u32>(high)) << 32u);
}

// Four numbers, the first for number i of a row. The zeros around the samples are written too.
fn finished(i: u32, sum: vec4<f32>) -> vec4<f32> {
    let t = i - conv.y_offset; // a large number before the first sample, by wraparound
    let inside = vec4(t, t + 1, t + 2, t + 3) < vec4(conv.out_samples);
    let rectified = select(sum, max(sum, vec4(0.0)), RELU);
    return select(vec4(0.0), rectified, inside);
}

// Stores eight positions of one channel, the first at number i of its row.
fn store(b: u32, o: u32, i: u32, first: vec4<f32>, second: vec4<f32>) {
    if i >= conv.y_pitch || o >= conv.out_channels {
        return;
    }
    let f = finished(i, first);
    let s = finished(i + 4, second);
    let eight = vec4(pair(f.x, f.y), pair(f.z, f.w), pair(s.x, s.y), pair(s.z, s.w));
    y[(conv.y_base_offset + (b * conv.out_channels + o) * conv.y_pitch + i) / LOADED] = eight;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let b = group.z;
    let i = (group.x * LANES + lane) * SAMPLES;
    let row = conv.x_pitch / LOADED;
    let rows = LANES * row;
    let record = conv.x_base_offset / LOADED + b * conv.in_channels * row;
    // The index in the row, in loads; a large number before it, by wraparound.
    let position = i * STRIDE / LOADED + u32(BEGIN);
    let end = (group.x + 1) * LANES * SAMPLES * STRIDE / LOADED + u32(BEGIN);
    //# inside
    var own = record + position;
    var behind = record + end + lane * row;
    var at = group.y * ((conv.in_channels + LANES - 1) / LANES) * LOADS * LANES + lane;
    let biases = bias[group.y * LANES + lane];
    let next = (lane + 1) % LANES;
    let last = lane == LANES - 1;
    // Only zeros follow the samples.
    let behind_samples = group.x * LANES * SAMPLES >= POOLED * (conv.y_offset + conv.out_samples);
    let channels = select(conv.in_channels, 0u, behind_samples);
    //# declare
    for (var from_channel = 0u; from_channel < channels; from_channel += LANES) {
        //# load
        //# evaluate_filters
        for (var c = 0u; c < min(LANES, channels - from_channel); c++) {
            //# window
            //# evaluate_inputs
            //# multiply
            own += row;
        }
        behind += rows;
        at += LOADS * LANES;
    }
    let o = group.y * CHANNELS;
    let to = i / POOLED;
    //# store
}
