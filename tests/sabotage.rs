//! Every deliberate fault of the table in `testing/src/sabotage` is noticed.

use ecgpu_testing::sabotage::{inference, must_be_noticed, training};

/// Makes one test per group of faults, named like the group.
macro_rules! noticed {
    ($test:ident, $group:expr) => {
        #[test]
        fn $test() {
            must_be_noticed($group);
        }
    };
}

mod is_noticed {
    use super::*;

    noticed!(padding_off_by_one, inference::PADDING_OFF_BY_ONE);
    noticed!(bias_left_out, inference::BIAS_LEFT_OUT);
    noticed!(relu_left_out, inference::RELU_LEFT_OUT);
    noticed!(wrong_stride, inference::WRONG_STRIDE);
    noticed!(last_channel_left_out, inference::LAST_CHANNEL_LEFT_OUT);
    noticed!(no_zeros_behind_a_row, inference::NO_ZEROS_BEHIND_A_ROW);
    noticed!(wrong_mean_maximum_or_sum, inference::WRONG_MEAN_MAXIMUM_OR_SUM);
    noticed!(wrong_fused_pool_and_linear_layer, inference::WRONG_FUSED_POOL_AND_LINEAR_LAYER);
    noticed!(weights_off_by_a_ten_thousandth, inference::WEIGHTS_OFF_BY_A_TEN_THOUSANDTH);
    noticed!(windows_cut_off_at_a_tile, inference::WINDOWS_CUT_OFF_AT_A_TILE);
    noticed!(wrong_texel, inference::WRONG_TEXEL);
    noticed!(wrong_winograd_transform, inference::WRONG_WINOGRAD_TRANSFORM);
    noticed!(faults_in_f16, inference::FAULTS_IN_F16);
    noticed!(sum_in_f16, inference::SUM_IN_F16);
    noticed!(wrong_matrices, inference::WRONG_MATRICES);
    noticed!(wrong_fused_max_pool, inference::WRONG_FUSED_MAX_POOL);
    noticed!(reads_the_next_record, inference::READS_THE_NEXT_RECORD);

    noticed!(wrong_sign, training::WRONG_SIGN);
    noticed!(batch_norm_term_left_out, training::BATCH_NORM_TERM_LEFT_OUT);
    noticed!(batch_norm_of_another_group, training::BATCH_NORM_OF_ANOTHER_GROUP);
    noticed!(wrong_pairs, training::WRONG_PAIRS);
    noticed!(weight_gradient_off_by_one, training::WEIGHT_GRADIENT_OFF_BY_ONE);
    noticed!(no_zeros_behind_a_training_row, training::NO_ZEROS_BEHIND_A_TRAINING_ROW);
    noticed!(wrong_random_numbers, training::WRONG_RANDOM_NUMBERS);
    noticed!(wrong_augmentation, training::WRONG_AUGMENTATION);
    noticed!(wrong_training_operation, training::WRONG_TRAINING_OPERATION);
}

#[test]
fn every_group_of_the_table_has_a_test() {
    let tables =
        [include_str!("../testing/src/sabotage/inference.rs"), include_str!("../testing/src/sabotage/training.rs")];
    let tests = include_str!("sabotage.rs");
    for line in tables.iter().flat_map(|table| table.lines()) {
        let Some((group, _)) = line.strip_prefix("pub const ").and_then(|rest| rest.split_once(':')) else { continue };
        assert!(tests.contains(&format!("::{group});")), "{group} has no test here");
    }
}
