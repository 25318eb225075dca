//! Faults in the shaders of a forward pass.

use super::{
    Sabotage, by_a_later_stage, by_other_records, by_stage, fused_max_pool, inference, inference_f16,
    inference_native_f16,
};

/// Convolutions read their windows one or four samples too late.
pub const PADDING_OFF_BY_ONE: &[Sabotage] = &[
    inference("conv1d/plain", "conv.x_pitch - PADDING;", "conv.x_pitch - PADDING + 1;"),
    inference("conv1d/tile", "- WINDOW_OFFSET) / 4", "- WINDOW_OFFSET + 4) / 4"),
    inference("conv1d/subgroups", "- WINDOW_OFFSET) / 4", "- WINDOW_OFFSET + 4) / 4"),
    inference("conv1d/winograd", "/ LOADED + u32(BEGIN);", "/ LOADED + u32(BEGIN) + 1;"),
];

/// Convolutions and linear layers leave out their bias.
pub const BIAS_LEFT_OUT: &[Sabotage] = &[
    inference("conv1d/plain", "var sum0 = bias[group.y];", "var sum0 = 0.0 * bias[group.y];"),
    inference("conv1d/tile", "bias[quad + 1], slice == 0", "bias[quad + 0], slice == 0"),
    inference("conv1d/subgroups", "let biases = bias[", "let biases = 0.0 * bias["),
    inference("conv1d/winograd", "let biases = bias[", "let biases = 0.0 * bias["),
    inference("linear/plain", "var sum = bias[o];", "var sum = 0.0 * bias[o];"),
    inference("linear/slices", "sum = bias[o] +", "sum = 0.0 * bias[o] +"),
];

/// Convolutions leave out their ReLU.
pub const RELU_LEFT_OUT: &[Sabotage] = &[
    inference("conv1d/plain", "select(sum, max(sum, vec4(0.0)), RELU)", "sum"),
    inference("conv1d/tile", "select(sum, max(sum, vec4(0.0)), RELU)", "sum"),
    inference("conv1d/subgroups", "select(sum, max(sum, vec4(0.0)), RELU)", "sum"),
    inference("conv1d/winograd", "select(sum, max(sum, vec4(0.0)), RELU)", "sum"),
];

/// Convolutions and max pools move their windows by another stride.
pub const WRONG_STRIDE: &[Sabotage] = &[
    inference("conv1d/plain", "t * STRIDE + k", "t + k"),
    inference("conv1d/tile", "lane * STRIDE;", "lane;"),
    inference("conv1d/subgroups", "i * STRIDE - WINDOW_OFFSET", "i - WINDOW_OFFSET"),
    inference("conv1d/winograd", "let position = i * STRIDE", "let position = i"),
    inference("max_pool/plain", "t * STRIDE", "t * KERNEL"),
];

/// Convolutions do not write their last output channel.
pub const LAST_CHANNEL_LEFT_OUT: &[Sabotage] = &[
    inference("conv1d/plain", "o >= conv.out_channels", "o + 1 >= conv.out_channels"),
    inference("conv1d/tile", "o >= conv.out_channels", "o + 1 >= conv.out_channels"),
    inference("conv1d/subgroups", "o >= conv.out_channels", "o + 1 >= conv.out_channels"),
    inference("conv1d/winograd", "o >= conv.out_channels", "o + 1 >= conv.out_channels"),
];

/// Convolutions write numbers other than zero beyond the samples. The fault shows in the layer that reads them.
pub const NO_ZEROS_BEHIND_A_ROW: &[Sabotage] = &[
    by_a_later_stage("conv1d/plain", "select(vec4(0.0), rectified, inside)", "rectified"),
    by_a_later_stage("conv1d/tile", "select(vec4(0.0), rectified, inside)", "rectified"),
    by_a_later_stage("conv1d/subgroups", "select(vec4(0.0), rectified, inside)", "rectified"),
    by_a_later_stage("conv1d/winograd", "select(vec4(0.0), rectified, inside)", "rectified"),
];

/// Pools and linear layers add up or choose wrongly.
pub const WRONG_MEAN_MAXIMUM_OR_SUM: &[Sabotage] = &[
    inference("global_average_pool/plain", "/ f32(pool.samples)", "/ f32(pool.samples + 1)"),
    inference("global_average_pool/rows", "t < pool.x_pitch / 4", "t + 1 < pool.x_pitch / 4"),
    inference("max_pool/halves", "max(b.x, b.y)", "b.x"),
    inference("linear/slices", "partial[lane + half]", "partial[lane]"),
    inference("linear/slices", "half >= OUTPUTS", "half > OUTPUTS"),
    inference("max_pool/plain", "largest = max(", "largest = min("),
];

/// The kernel that computes the global average pool and the linear layers after it, which are two or more stages, is
/// wrong.
pub const WRONG_FUSED_POOL_AND_LINEAR_LAYER: &[Sabotage] = &[
    by_stage("pooled_linear", "/ f32(size.samples)", "/ f32(size.samples + 1)", "global average pool"),
    by_stage("pooled_linear", "i < ACROSS", "i + 1 < ACROSS", "global average pool"),
    by_stage("pooled_linear", "sum = bias[o];", "sum = 0.0;", "linear"),
    by_stage("pooled_linear", "slice < SLICES", "slice + 1 < SLICES", "linear"),
];

/// Convolutions multiply one weight in some by 1.0001.
pub const WEIGHTS_OFF_BY_A_TEN_THOUSANDTH: &[Sabotage] = &[
    inference("conv1d/plain", "let w = weight_at(", "let w = 1.0001 * weight_at("),
    inference("conv1d/tile", "weights[i] = weight_at(", "weights[i] = 1.0001 * weight_at("),
    inference("conv1d/subgroups", "let weights0 = weight_at(", "let weights0 = 1.0001 * weight_at("),
    // One of several sums, so that three times the fault has about the same effect.
    inference("conv1d/winograd", "let v0 = ", "let v0 = 1.0003 * "),
];

/// The Winograd convolution misses samples that two tiles share.
pub const WINDOWS_CUT_OFF_AT_A_TILE: &[Sabotage] = &[
    inference("conv1d/winograd", "lane == LANES - 1;", "lane == LANES;"),
    inference("conv1d/winograd", "let rows = LANES * row;", "let rows = row;"),
    inference("conv1d/winograd", "(lane + 1) % LANES", "lane"),
];

/// The Winograd convolution reads its textures at another place.
pub const WRONG_TEXEL: &[Sabotage] = &[
    inference(
        "conv1d/winograd",
        "vec2(texel % TEXTURE_WIDTH, texel / TEXTURE_WIDTH)",
        "vec2(texel / TEXTURE_WIDTH, texel % TEXTURE_WIDTH)",
    ),
    inference("conv1d/winograd texture", "texel_at(2 * i + 1)", "texel_at(2 * i)"),
];

/// The Winograd convolution transforms its inputs or outputs with another factor.
pub const WRONG_WINOGRAD_TRANSFORM: &[Sabotage] = &[
    inference("conv1d/winograd", "- 5.0 *", "- 4.0 *"),
    inference("conv1d/winograd", "+ 8.0 *", "+ 4.0 *"),
    inference("conv1d/winograd", "* (1.0 / 24.0)", "* (1.0 / 25.0)"),
];

/// Faults of the groups above, which the wider bounds of f16 do not hide.
pub const FAULTS_IN_F16: &[Sabotage] = &[
    inference_f16("conv1d/plain", "position + STRIDE)", "position)"),
    inference_f16("conv1d/plain", "var sum0 = bias[group.y];", "var sum0 = 0.0 * bias[group.y];"),
    inference_f16("conv1d/tile", "- WINDOW_OFFSET) / 4", "- WINDOW_OFFSET + 4) / 4"),
    inference_f16("conv1d/tile", "weights[i] = weight_at(", "weights[i] = 1.01 * weight_at("),
    inference_f16("conv1d/subgroups", "let weights0 = weight_at(", "let weights0 = 1.01 * weight_at("),
    inference_f16("max_pool/halves", "max(b.x, b.y)", "b.x"),
    inference_f16("global_average_pool/rows", "t < pool.x_pitch / 4", "t + 1 < pool.x_pitch / 4"),
    inference_f16("linear/plain", "var sum = bias[o];", "var sum = 0.0 * bias[o];"),
];

/// A convolution keeps its sum in f16, which loses the last digits of each term. Not by a conversion to f16 and back,
/// which Mesa 26 leaves out.
pub const SUM_IN_F16: &[Sabotage] =
    &[inference_f16("conv1d/plain", "sum0 += w * x_at(position);", "sum0 = quantizeToF16(sum0 + w * x_at(position));")];

/// The convolution by cooperative matrices, on devices that have them, is wrong.
pub const WRONG_MATRICES: &[Sabotage] = &[
    inference_native_f16("conv1d/matrices", "- WINDOW_OFFSET / 4;", "- WINDOW_OFFSET / 4 + 1;"),
    inference_native_f16("conv1d/matrices", "+ SHIFT + k) * SIDE", "+ SHIFT) * SIDE"),
    inference_native_f16("conv1d/matrices", "(s * WINDOW", "(0 * WINDOW"),
    inference_native_f16("conv1d/matrices", "coopLoadT<", "coopLoad<"),
    inference_native_f16("conv1d/matrices", " + bias[o]", ""),
    inference_native_f16("conv1d/matrices", "select(sum, max(sum, vec4(0.0)), RELU)", "sum"),
    inference_native_f16("conv1d/matrices", "o >= conv.out_channels", "o + 1 >= conv.out_channels"),
];

/// Convolutions fused with a max pool keep the smaller of two outputs, keep one of four twice, or begin a row
/// elsewhere.
pub const WRONG_FUSED_MAX_POOL: &[Sabotage] = &[
    fused_max_pool("larger = max(sum.xz, sum.yw)", "larger = min(sum.xz, sum.yw)"),
    fused_max_pool("larger = max(sum.xz, sum.yw)", "larger = max(sum.xx, sum.yy)"),
    fused_max_pool("i = position / POOLED", "i = position / POOLED + 2"),
    fused_max_pool("max(y0_0_0, y0_0_1)", "min(y0_0_0, y0_0_1)"),
    fused_max_pool("to = i / POOLED", "to = i / POOLED + 8"),
];

/// The Winograd convolution reads beyond the end of a record.
pub const READS_THE_NEXT_RECORD: &[Sabotage] = &[by_other_records("conv1d/winograd", "< row)", "< 2 * row)")];
