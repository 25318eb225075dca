//! Faults in the shaders of a training step.

use super::{Sabotage, training};
use crate::training_plans as plans;

/// Gradients, losses and the optimiser have a wrong sign.
pub const WRONG_SIGN: &[Sabotage] = &[
    training(plans::batch_norm, "batch_norm_input_gradient", "(passed - beta_mean", "(passed + beta_mean"),
    training(plans::adam, "adam", "state[w_at] = w - rate", "state[w_at] = w + rate"),
    training(plans::supervised_loss, "supervised_loss", "* vec2(1.0, -1.0)", ""),
    training(plans::cosine_loss, "cosine_loss", "2.0 - 2.0 *", "2.0 + 2.0 *"),
    training(plans::cosine_loss, "cosine_loss_gradient", "-2.0 * slope", "2.0 * slope"),
    training(plans::relu, "relu_gradient", "> vec4(0.0)", "< vec4(0.0)"),
    training(plans::nt_xent, "l2_normalise_gradient", "* along;", "* -along;"),
];

/// Batch norm and its gradient leave out a term.
pub const BATCH_NORM_TERM_LEFT_OUT: &[Sabotage] = &[
    training(plans::batch_norm, "batch_norm_input_gradient", " - normalised * gamma_mean", ""),
    training(plans::batch_norm, "batch_norm_input_gradient", " - beta_mean", ""),
    training(plans::batch_norm, "batch_norm", " + beta;", ";"),
    training(plans::batch_norm, "batch_norm_gradient_sums", "passed * normalised;", "passed;"),
    training(
        plans::batch_norm,
        "batch_statistics",
        "select(vec4(0.0), x[first + i] - mean, inside)",
        "x[first + i] - mean",
    ),
    training(plans::batch_norm, "running_statistics", "select(UNBIASED, 1.0, i < sizes.channels)", "1.0"),
];

/// Batch norm takes the statistics of another group of records.
pub const BATCH_NORM_OF_ANOTHER_GROUP: &[Sabotage] = &[
    training(plans::batch_norm, "batch_statistics", "(g * sizes.batch + b)", "b"),
    training(plans::batch_norm, "batch_norm", "(g * 2 * norm.channels + c)", "c"),
];

/// The contrastive losses compare the wrong pairs. In the published training code the positive of a row of the first
/// half is the row itself.
pub const WRONG_PAIRS: &[Sabotage] = &[
    training(
        plans::nt_xent,
        "nt_xent_loss",
        "let positive = (i + sizes.rows / 2) % sizes.rows;",
        "let positive = select(i - sizes.rows / 2, i, i < sizes.rows / 2);",
    ),
    training(
        plans::nt_xent,
        "nt_xent_gradient",
        "let positive = (i + sizes.rows / 2) % sizes.rows;",
        "let positive = select(i - sizes.rows / 2, i, i < sizes.rows / 2);",
    ),
    training(plans::nt_xent, "nt_xent_gradient", "q(i, j) + q(j, i)", "2.0 * q(i, j)"),
    training(plans::nt_xent, "nt_xent_loss", "j != i", "true"),
    training(plans::nt_xent, "similarity", "/ TEMPERATURE", "* TEMPERATURE"),
    training(plans::cosine_loss, "cosine_loss", "(i + sizes.rows / 2) % sizes.rows", "i"),
];

/// Weight gradients read or add up one term too many, too few, or at another place.
pub const WEIGHT_GRADIENT_OFF_BY_ONE: &[Sabotage] = &[
    training(plans::weight_gradient, "conv1d_weight_gradient/plain", "% KERNEL - PADDING;", "% KERNEL - PADDING + 1;"),
    training(
        plans::weight_gradient,
        "conv1d_weight_gradient/plain",
        "t < sizes.out_samples",
        "t + 1 < sizes.out_samples",
    ),
    training(plans::long_weight_gradient, "conv1d_weight_gradient/plain", "part * RECORDS;", "part * (RECORDS - 1);"),
    training(
        plans::weight_gradient,
        "conv1d_weight_gradient/subgroups",
        "- WINDOW_OFFSET) / 4",
        "- WINDOW_OFFSET + 4) / 4",
    ),
    training(plans::weight_gradient, "conv1d_weight_gradient/subgroups", "< quads);", "< 2 * quads);"),
    training(
        plans::weight_gradient,
        "conv1d_weight_gradient/subgroups",
        "o < sizes.out_channels &&",
        "o + 1 < sizes.out_channels &&",
    ),
    training(plans::weight_gradient, "conv1d_weight_gradient/tile", "- WINDOW_OFFSET) / 4", "- WINDOW_OFFSET + 4) / 4"),
    training(plans::weight_gradient, "conv1d_weight_gradient/tile", "< vec4(sizes.terms)", "< vec4(2 * sizes.terms)"),
    training(plans::weight_gradient, "conv1d_weight_gradient/tile", "tap < taps", "tap + 1 < taps"),
    training(plans::weight_gradient, "conv1d_weight_gradient/tile", "row % 4 * LANES", "row % 4"),
    training(plans::long_weight_gradient, "conv1d_weight_gradient/tile", "from_quad * STRIDE +", ""),
    training(plans::weight_gradient, "conv1d_weight_gradient/tile", "+ q * STRIDE;", "+ q;"),
    training(
        plans::long_weight_gradient,
        "conv1d_weight_gradient/tile",
        "part * STRETCHES;",
        "part * (STRETCHES - 1);",
    ),
    training(plans::wide_weight_gradient, "conv1d_weight_gradient/tile", "group.y * OUT_CHANNELS;", "0u;"),
    training(
        plans::wide_weight_gradient,
        "conv1d_weight_gradient/tile",
        "< vec4(sizes.terms)",
        "< vec4(sizes.terms + 1)",
    ),
];

/// Operations write numbers other than zero beyond the samples.
pub const NO_ZEROS_BEHIND_A_TRAINING_ROW: &[Sabotage] = &[
    training(plans::batch_norm, "batch_norm", "select(vec4(0.0), rectified, inside)", "rectified"),
    training(plans::batch_norm, "batch_norm_input_gradient", "select(vec4(0.0), value, inside)", "value"),
    training(
        plans::pool_gradients,
        "global_average_pool_gradient",
        "select(vec4(0.0), vec4(value), inside)",
        "vec4(value)",
    ),
    training(plans::depth_to_space, "depth_to_space", "if t < sizes.out_samples {", "if true {"),
    training(plans::gather, "gather", "var value = 0.0;", "var value = select(1.0, 0.0, i < gather.length);"),
    training(plans::dropout, "dropout", "if t < dropout.samples {", "if true {"),
    training(
        plans::nt_xent,
        "nt_xent_loss",
        "loss[sizes.loss_base_offset + at] = 0.0;",
        "loss[sizes.loss_base_offset + at] = 1.0;",
    ),
];

/// Dropout draws other random numbers.
pub const WRONG_RANDOM_NUMBERS: &[Sabotage] = &[
    training(plans::dropout, "dropout", " + (other >> 16), a * b", ", a * b"),
    training(plans::dropout, "dropout", "KEY_0, KEY_1", "KEY_1, KEY_0"),
    training(plans::dropout, "dropout", "words[i % 4]", "words.x"),
    training(plans::dropout, "dropout", "schedule[dropout.schedule_first + STEP]", "0.0"),
];

/// Augmentations draw, filter, mix or fill in wrongly.
pub const WRONG_AUGMENTATION: &[Sabotage] = &[
    training(plans::augmentations, "augment/draw", "row, domain));", "row, domain + 1));"),
    training(plans::augmentations, "augment/draw", "amount(7, gain, 1, gain.y, 1.0)", "1.0"),
    training(plans::augmentations, "augment/scale_leads", "LEADS: u32 = 12;", "LEADS: u32 = 13;"),
    training(plans::augmentations, "augment/scale_leads", "select(draws[drawn + GAIN], 0.0,", "select(1.0, 0.0,"),
    training(plans::augmentations, "augment/scale_leads", "if t < sizes.samples {", "if true {"),
    training(plans::augmentations, "augment/draw", "record + 1 + below", "record + below"),
    training(plans::augmentations, "augment/draw", "unit(words.x) < setting", "unit(words.x) <= 0.9 * setting"),
    training(plans::augmentations, "augment/time_warp", "if t < sizes.samples {", "if true {"),
    training(plans::augmentations, "augment/time_warp", "max(at, 1) - 1", "at"),
    training(
        plans::augmentations,
        "augment/time_warp",
        "let row = channel / sizes.leads",
        "let row = channel % sizes.leads",
    ),
    training(plans::augmentations, "augment/band_pass", "select(t, last - t, backward)", "t"),
    training(plans::augmentations, "augment/band_pass", "left[stretch] + keep * state", "left[stretch] + state"),
    training(plans::augmentations, "augment/band_pass", "i < before + sizes.samples", "i + 1 < before + sizes.samples"),
    training(plans::augmentations, "augment/band_pass", "var value = 0.0;", "var value = 1.0;"),
    training(plans::augmentations, "augment/mix", "if t < sizes.samples {", "if true {"),
    training(plans::augmentations, "augment/mix", "- value);", "+ value);"),
    training(plans::augmentations, "augment/mix_labels", "value += replaced", "value += 0.5 * replaced"),
    training(plans::augmentations, "augment/mix_labels", "if t == 0 {", "if true {"),
    training(plans::augmentations, "augment/wander_and_noise", "y[row + t] = 0.0;", "y[row + t] = 1.0;"),
    training(plans::augmentations, "augment/wander_and_noise", "NOISE_DOMAIN: u32 = 9;", "NOISE_DOMAIN: u32 = 10;"),
    training(plans::augmentations, "augment/wander_and_noise", "radius.xxyy", "radius.xyxy"),
    training(plans::augmentations, "augment/wander_and_noise", "weight * wander", "wander"),
    training(plans::augmentations, "augment/temporal_dropout", "f32(t + 1 - start)", "f32(t - start)"),
    training(plans::augmentations, "augment/temporal_dropout", "var value = 0.0;", "var value = 1.0;"),
];

/// Other operations of training compute something else.
pub const WRONG_TRAINING_OPERATION: &[Sabotage] = &[
    training(plans::adam, "adam", "return select(1.0, LARGEST_NORM / norm, norm > LARGEST_NORM);", "return 1.0;"),
    training(plans::adam, "adam", "!is_finite(stored)", "false"),
    training(plans::adam, "squared_sums", "sum += value * value;", "sum += value;"),
    training(plans::squared_sums, "squared_sums", "(s + 1) * sizes.stretch", "(s + 1) * sizes.stretch - 1"),
    training(plans::supervised_loss, "supervised_loss", "factor *= wrong;", "factor *= right;"),
    training(plans::pool_gradients, "max_pool_gradient", "other > value", "other >= value || i % 2 == 1"),
    training(plans::depth_to_space, "depth_to_space", " + t % FACTOR)", ")"),
    training(plans::channel_sum, "channel_sum/plain", "lane < half", "lane + 1 < half"),
    training(plans::channel_sum, "channel_sum/columns", "b < sizes.batch", "b < 1"),
    training(plans::channel_sum, "channel_sum/slices", "b += SLICES", "b += 2 * SLICES"),
    training(plans::channel_sum, "channel_sum/slices", "half >= CHANNELS", "half > CHANNELS"),
    training(plans::linear_interpolation, "linear_interpolation", "share * x", "kept * x"),
    training(
        plans::linear_interpolation,
        "linear_interpolation",
        "select(kept * state[at], 0.0, kept == 0.0)",
        "kept * state[at]",
    ),
    training(plans::gather, "gather", "place - 1", "place"),
    training(plans::relu, "relu", "max(x[relu.first + i], vec4(0.0))", "x[relu.first + i]"),
    training(plans::nt_xent, "l2_normalise", "max(sqrt(partial[0]), SMALLEST_NORM)", "partial[0]"),
];
