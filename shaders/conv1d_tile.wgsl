// Convolution along the samples, with bias and ReLU, in tiles of workgroup memory. Twin: src/kernels/conv1d/tile.rs,
// which puts the unrolled lines where `//#` stands.
//
// y[b, o, t] = bias[o] + sum over c and k of weight[o, c, k] * x[b, c, t * STRIDE + k - PADDING]
//
// A workgroup computes 16 * QUADS channels at 64 positions: 16 lanes of four positions, four groups of QUADS vec4s of
// channels. Around each row of x lie at least PADDING zeros; what lies beyond them is read only for positions that are
// not stored.

//# constants

override PADDING: u32;  // here up to a multiple of four, the unrolled lines skipping the surplus
override RELU: bool;

const WORKGROUP: u32 = 64;
const LANES: u32 = 16;
const GROUPS: u32 = 4;

struct Conv1d {
    in_channels: u32,
    out_channels: u32,
    out_samples: u32,
    x_head: u32,
    x_row: u32,
    y_head: u32,
    y_row: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> conv: Conv1d;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;        // [batch, in_channels, x_row / 4] after x_head / 4
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;   // [blocks, in_channels, KERNEL, GROUPS * QUADS]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;     // [blocks, GROUPS * QUADS]
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;  // [batch, out_channels, y_row / 4] after y_head / 4

var<workgroup> tile: array<vec4<f32>, STAGED * TILE_WIDTH>;
var<workgroup> weights: array<vec4<f32>, STAGED * WEIGHTS>;

// Four positions of one channel. The zeros after a row are written with it.
fn store(b: u32, o: u32, t: u32, sum: vec4<f32>) {
    if t >= conv.y_row || o >= conv.out_channels {
        return;
    }
    let rectified = select(sum, max(sum, vec4(0.0)), RELU);
    let inside = vec4(t, t + 1, t + 2, t + 3) < vec4(conv.out_samples);
    y[(conv.y_head + (b * conv.out_channels + o) * conv.y_row + t) / 4] = select(vec4(0.0), rectified, inside);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let lane = index % LANES;
    let channels = index / LANES;
    let b = group.z;
    let start = (conv.x_head + b * conv.in_channels * conv.x_row - PADDING) / 4 + group.x * LANES * STRIDE;
    let quad = (group.y * GROUPS + channels) * QUADS;
    //# declare
    for (var from_channel = 0u; from_channel < conv.in_channels; from_channel += STAGED) {
        workgroupBarrier();
        for (var i = index; i < STAGED * TILE_WIDTH; i += WORKGROUP) {
            tile[i] = x[start + (from_channel + i / TILE_WIDTH) * (conv.x_row / 4) + i % TILE_WIDTH];
        }
        let from_weight = (group.y * conv.in_channels + from_channel) * WEIGHTS;
        for (var i = index; i < STAGED * WEIGHTS; i += WORKGROUP) {
            weights[i] = weight[from_weight + i];
        }
        workgroupBarrier();
        for (var c = 0u; c < min(STAGED, conv.in_channels - from_channel); c++) {
            let first = c * TILE_WIDTH + lane * STRIDE;
            let at = c * WEIGHTS + channels * QUADS;
            //# load
            //# multiply
        }
    }
    let o = quad * 4;
    let t = (group.x * LANES + lane) * 4;
    //# store
}
