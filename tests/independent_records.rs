//! A record's outputs do not depend on the other records of its batch.

use ecgpu::engine::{backend::cpu::Cpu, kernels::VARIANT_NAMES};
use ecgpu_testing::{
    F16_STORAGES, built_in, followed_by_max_pool, gpu, one_convolution,
    records::{depend_on_each_other, outputs, second_output},
};

#[test]
fn a_record_has_the_same_bits_whatever_its_neighbours_are() {
    assert!(!depend_on_each_other(&Cpu::default()));
    for variant in VARIANT_NAMES {
        let Some(gpu) = gpu() else { return };
        let gpu = gpu.with_variant(variant);
        assert!(!depend_on_each_other(&gpu), "{variant}");
        assert_eq!(second_output(&gpu, &built_in(), 333, 0.0), second_output(&gpu, &built_in(), 333, 1e9), "{variant}");
    }
}

/// The neighbours hold 1e9, which is too large for f16.
#[test]
fn in_f16_only_the_records_with_too_large_numbers_become_nan() {
    for storing in F16_STORAGES {
        for variant in VARIANT_NAMES {
            let Some(gpu) = gpu() else { return };
            let gpu = storing(gpu).with_variant(variant);
            assert!(!depend_on_each_other(&gpu), "{variant}");
            for folded in [built_in(), followed_by_max_pool(one_convolution([12, 31], 5, 2, 2, false))] {
                let quiet = second_output(&gpu, &folded, 125, 0.0);
                let [first, second, third] = outputs(&gpu, &folded, 125, 1e9);
                assert_eq!(second, quiet, "{variant}");
                assert!(second.iter().all(|logit| logit.is_finite()), "{variant}");
                assert!(first.iter().chain(&third).all(|logit| logit.is_nan()), "{variant}: {first:?}");
            }
        }
    }
}
