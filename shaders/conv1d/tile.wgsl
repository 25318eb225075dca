// Convolution along the samples, with bias and ReLU, in tiles of workgroup memory. Counterpart: src/kernels/conv1d/tile.rs,
// which generates the lines `//#`.
//
// y[b, o, t] = bias[o] + sum over c and k of weight[o, c, k] * x[b, c, t * STRIDE + k - PADDING]
//
// A workgroup computes 16 * QUADS channels at 64 positions: 16 lanes of four positions, four groups of QUADS vec4s of
// channels. There are SLICES such sets of 64 invocations, which share the input channels; their sums are
// added in the order of the slices, so that the result has the same bits every time. Each row of x is surrounded by at least
// PADDING zeros; numbers beyond them are read only for positions that are not stored.

//# storage

//# constants

override WINDOW_OFFSET: u32;  // numbers from the start of a row back to its first window, in whole vec4s
override RELU: bool;

const LANES: u32 = 16;
const GROUPS: u32 = 4;
const SLICE: u32 = LANES * GROUPS;
const WORKGROUP: u32 = SLICE * SLICES;

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
@group(0) @binding(1) var<storage, read> x: array<X>;              // vec4s [batch, in_channels, x_pitch / 4] after x_base_offset / 4
@group(0) @binding(2) var<storage, read> weight: array<Weight>;    // vec4s [blocks, in_channels, KERNEL, GROUPS * QUADS]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;   // [blocks, GROUPS * QUADS]
@group(0) @binding(4) var<storage, read_write> y: array<Y>;        // [batch, out_channels, y_pitch] after y_base_offset

var<workgroup> tile: array<vec4<f32>, STAGED * TILE_WIDTH>;
var<workgroup> weights: array<vec4<f32>, STAGED * WEIGHTS>;
var<workgroup> partial: array<vec4<f32>, PARTIAL>;

//# write

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let slice = index / SLICE;
    let member = index % SLICE;
    let lane = member % LANES;
    let channels = member / LANES;
    let b = group.z;
    let start = (conv.x_base_offset + b * conv.in_channels * conv.x_pitch - WINDOW_OFFSET) / 4 + group.x * LANES * STRIDE;
    let quad = (group.y * GROUPS + channels) * QUADS;
    //# declare
    for (var from_channel = 0u; from_channel < conv.in_channels; from_channel += STAGED) {
        workgroupBarrier();
        for (var i = index; i < STAGED * TILE_WIDTH; i += WORKGROUP) {
            tile[i] = x_at(start + (from_channel + i / TILE_WIDTH) * (conv.x_pitch / 4) + i % TILE_WIDTH);
        }
        let from_weight = (group.y * conv.in_channels + from_channel) * WEIGHTS;
        for (var i = index; i < STAGED * WEIGHTS; i += WORKGROUP) {
            weights[i] = weight_at(from_weight + i);
        }
        workgroupBarrier();
        for (var c = slice; c < min(STAGED, conv.in_channels - from_channel); c += SLICES) {
            let first = c * TILE_WIDTH + lane * STRIDE;
            let at = c * WEIGHTS + channels * QUADS;
            //# load
            //# multiply
        }
    }
    for (var giver = 1u; giver < SLICES; giver++) {
        if slice == giver {
            //# give
        }
        workgroupBarrier();
        if slice == 0 {
            //# take
        }
        workgroupBarrier();
    }
    if slice > 0 {
        return;
    }
    let o = quad * 4;
    let i = (group.x * LANES + lane) * 4;
    //# store
    note_overflow(b);
}
