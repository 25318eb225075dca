// Convolution along the samples, with bias and ReLU, on cooperative matrices of SIDE × SIDE numbers: f16 multiplied, f32
// added. Counterpart: src/kernels/conv1d/matrices.rs, which generates the lines `//#`.
//
// y[b, o, t] = bias[o] + sum over c and k of weight[o, c, k] * x[b, c, t * STRIDE + k - PADDING]
//
// A workgroup of four subgroups computes 4 * SIDE channels at POSITIONS positions; a subgroup two matrices of channels by
// four of positions. For each tap the sum over SIDE input channels is one product of matrices: the weights are stored
// in the order in which they are loaded, and x is staged with its channels contiguous, so that the next tap is SIDE numbers
// further.

enable wgpu_cooperative_matrix;

//# storage

//# constants

override WINDOW_OFFSET: u32;  // numbers from the start of a row back to its first window, in whole vec4s
override RELU: bool;

const SUBGROUPS: u32 = 4;
const WORKGROUP: u32 = SUBGROUPS * LANES;
const MATRIX: u32 = SIDE * SIDE;
const ROWS: u32 = 2;     // matrices of channels per subgroup
const COLUMNS: u32 = 4;  // matrices of positions per subgroup
const POSITIONS: u32 = 2 * COLUMNS * SIDE;

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
@group(0) @binding(1) var<storage, read> x: array<X>;             // vec4s [batch, in_channels, x_pitch / 4] after x_base_offset / 4
@group(0) @binding(2) var<storage, read> weight: array<f16>;      // [matrices of channels, of in_channels, KERNEL, MATRIX]
@group(0) @binding(3) var<storage, read> bias: array<f32>;        // out_channels in whole workgroups
@group(0) @binding(4) var<storage, read_write> y: array<Y>;       // [batch, out_channels, y_pitch] after y_base_offset

var<workgroup> window: array<f16, STAGED * WINDOW * SIDE>;  // [STAGED, WINDOW, SIDE channels]
var<workgroup> sums: array<f32, SUBGROUPS * MATRIX>;

//# staged

//# write

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let b = group.z;
    let row = conv.x_pitch / 4;
    let record = conv.x_base_offset / 4 + b * conv.in_channels * row;
    // The index in the row; a large number before it, by wraparound.
    let start = group.x * POSITIONS * STRIDE / 4 - WINDOW_OFFSET / 4;
    let blocks = (conv.in_channels + SIDE - 1) / SIDE;
    let channels = group.y * SUBGROUPS + subgroup / 2 * ROWS;
    let position = subgroup % 2 * COLUMNS * SIDE;
    //# declare
    for (var from_block = 0u; from_block < blocks; from_block += STAGED) {
        workgroupBarrier();
        for (var i = index; i < STAGED * SIDE * (WINDOW / 4); i += WORKGROUP) {
            let c = i % (STAGED * SIDE);
            let p = i / (STAGED * SIDE);
            let channel = from_block * SIDE + c;
            // Numbers of other rows are never read: they may be too large even for weights of zero.
            var four = vec4<f16>();
            if channel < conv.in_channels && start + p < row {
                four = staged(record + channel * row + start + p);
            }
            let at = (c / SIDE * WINDOW + p * 4) * SIDE + c % SIDE;
            window[at] = four.x;
            window[at + SIDE] = four.y;
            window[at + 2 * SIDE] = four.z;
            window[at + 3 * SIDE] = four.w;
        }
        workgroupBarrier();
        for (var s = 0u; s < min(STAGED, blocks - from_block); s++) {
            for (var k = 0u; k < KERNEL; k++) {
                let from_weight = ((channels * blocks + from_block + s) * KERNEL + k) * MATRIX;
                let from_window = (s * WINDOW + position * STRIDE + SHIFT + k) * SIDE;
                //# multiply
            }
        }
    }
    let from_sum = subgroup * MATRIX;
    //# store
    note_overflow(b);
}
