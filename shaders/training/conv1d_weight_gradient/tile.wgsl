// The gradient of a convolution by its weights, in tiles of workgroup memory. Counterpart:
// src/kernels/training/conv1d_weight_gradient/tile.rs, which generates the lines `//#`.
//
// dw[o, c, k] = sum over b and t of dy[b, o, t] * x[b, c, t * STRIDE + k - PADDING]
//
// A workgroup computes all taps of IN_CHANNELS by OUT_CHANNELS channels over one part of the terms: LANES invocations of
// four output channels each, LANES apart, by GROUPS of CHANNELS input channels. It stages a stretch of QUADS vec4s of dy
// and the part of x that belongs to it, and adds up the stretches in order, so that the result has the same bits every time. Around
// the samples dy is 0, so that the numbers around those of x do not matter.
//
// The terms of a linear layer are its records, four of which make a vec4.

//# constants

override WINDOW_OFFSET: u32;       // numbers from the start of a row back to its first window, in whole vec4s
override STRETCHES: u32;  // per part

const WORKGROUP: u32 = LANES * GROUPS;
const IN_CHANNELS: u32 = GROUPS * CHANNELS;
const OUT_CHANNELS: u32 = 4 * LANES;
const DY_WIDTH: u32 = QUADS + 1; // odd, so that neighbours access different banks
const COLUMNS: u32 = IN_CHANNELS * KERNEL;
const HANDED_OVER: u32 = LANES / 4;

struct Conv1dWeightGradient {
    in_channels: u32,
    out_channels: u32,
    terms: u32, // of a row of dy with the zeros around its samples, or of a linear layer
    stretches: u32,
    x_first: u32,
    x_pitch: u32,
    dy_first: u32,
    dy_pitch: u32,
    dw_first: u32,
}

@group(0) @binding(0) var<uniform> sizes: Conv1dWeightGradient;
@group(0) @binding(1) var<storage, read> x: array<Stored>;      // [batch, in_channels, x_pitch] after x_first, in floats
@group(0) @binding(2) var<storage, read> dy: array<Stored>;     // [batch, out_channels, dy_pitch] after dy_first
@group(0) @binding(3) var<storage, read_write> dw: array<f32>;  // [parts, out_channels, in_channels, KERNEL] after dw_first

var<workgroup> dy_tile: array<vec4<f32>, OUT_CHANNELS * DY_WIDTH>;
var<workgroup> x_tile: array<vec4<f32>, IN_CHANNELS * X_WIDTH>;

//# read

// The next row follows a row of dy.
fn dy_inside(b: u32, o: u32, i: u32) -> vec4<f32> {
    let term = 4 * i;
    return select(vec4(0.0), dy_quad(b, o, i), vec4(term, term + 1, term + 2, term + 3) < vec4(sizes.terms));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let lane = index % LANES;
    let channels = index / LANES;
    let from_channel = group.x * IN_CHANNELS;
    let from_output = group.y * OUT_CHANNELS;
    let part = group.z;
    let of_row = (sizes.terms + 4 * QUADS - 1) / (4 * QUADS);
    //# declare
    for (var at = part * STRETCHES; at < min((part + 1) * STRETCHES, sizes.stretches); at++) {
        let b = at / of_row;
        let from_quad = at % of_row * QUADS;
        workgroupBarrier();
        for (var i = index; i < OUT_CHANNELS * QUADS; i += WORKGROUP) {
            dy_tile[i / QUADS * DY_WIDTH + i % QUADS] = dy_inside(b, from_output + i / QUADS, from_quad + i % QUADS);
        }
        for (var i = index; i < IN_CHANNELS * X_WIDTH; i += WORKGROUP) {
            x_tile[i] = x_quad(b, from_channel + i / X_WIDTH, from_quad * STRIDE + i % X_WIDTH);
        }
        workgroupBarrier();
        for (var q = 0u; q < QUADS; q++) {
            let dy_first = lane * DY_WIDTH + q;
            let window = channels * CHANNELS * X_WIDTH + q * STRIDE;
            //# load
            //# multiply
        }
    }

    // A quarter of the lanes at a time hands its sums over, and all invocations store them contiguously.
    let taps = sizes.in_channels * KERNEL;
    let from_tap = from_channel * KERNEL;
    for (var from_lane = 0u; from_lane < LANES; from_lane += HANDED_OVER) {
        workgroupBarrier();
        if lane / HANDED_OVER * HANDED_OVER == from_lane {
            let first = (lane - from_lane) * COLUMNS + channels * CHANNELS * KERNEL;
            //# give
        }
        workgroupBarrier();
        for (var i = index; i < OUT_CHANNELS / 4 * COLUMNS; i += WORKGROUP) {
            let row = i / COLUMNS;
            let o = from_output + from_lane + row / 4 + row % 4 * LANES;
            let tap = from_tap + i % COLUMNS;
            if o < sizes.out_channels && tap < taps {
                dw[sizes.dw_first + (part * sizes.out_channels + o) * taps + tap] =
                    dy_tile[row / 4 * COLUMNS + i % COLUMNS][row % 4];
            }
        }
    }
}
