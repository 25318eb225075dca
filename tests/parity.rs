//! The GPU, in every variant and every way of storing numbers, and the CPU compute what the float64 reference computes.

use std::sync::Arc;

use ecgpu::{
    Device, ErrorKind,
    engine::backend::{
        self, Backend, Precision,
        cpu::Cpu,
        gpu::{Gpu, adapters},
        reference::Reference,
    },
    engine::kernels::{Accelerator, RowLayout, Storage, VARIANT_NAMES},
    engine::network::Folded,
    engine::plan::{Keep, Plan},
    engine::verify::{StageReport, compare, random_network, verify},
};
use ecgpu_testing::{F16_STORAGES, built_in, followed_by_max_pool, gpu, one_convolution, skip};
use proptest::prelude::*;

fn assert_passed(reports: &[StageReport]) {
    assert!(!reports.is_empty());
    if let Some(failed) = reports.iter().find(|report| !report.passed) {
        panic!("{failed:?}");
    }
}

#[test]
fn the_gpu_agrees_on_the_built_in_weights_and_forty_random_networks() {
    let Some(gpu) = gpu() else { return };
    assert_passed(&verify(&gpu, &built_in(), 40).unwrap());
}

#[test]
fn every_variant_agrees_on_the_built_in_weights_and_random_networks() {
    for variant in VARIANT_NAMES {
        let Some(gpu) = gpu() else { return };
        assert_passed(&verify(&gpu.with_variant(variant), &built_in(), 10).unwrap());
    }
}

#[test]
fn every_variant_agrees_in_f16() {
    let agree = |gpu: Gpu| {
        assert_passed(&compare(&gpu, &built_in(), 2, 333, 1).unwrap());
        for seed in 0..5 {
            let (folded, batch, samples) = random_network(seed);
            assert_passed(&compare(&gpu, &folded, batch, samples, seed).unwrap());
        }
    };
    for storing in F16_STORAGES {
        for variant in VARIANT_NAMES {
            let Some(gpu) = gpu().map(storing) else { return };
            agree(gpu.with_variant(variant));
        }
        let Some(gpu) = gpu().map(storing) else { return };
        agree(gpu.without_subgroups());
    }
}

#[test]
fn the_gpu_agrees_in_f16_on_the_built_in_weights_and_ten_random_networks() {
    for storing in F16_STORAGES {
        let Some(gpu) = gpu().map(storing) else { return };
        assert_passed(&verify(&gpu, &built_in(), 10).unwrap());
    }
}

#[test]
fn f16_is_packed_in_pairs_where_shaders_lack_the_type() {
    let Some(gpu) = gpu() else { return };
    let native = adapters()[0].features().contains(&("shader_f16", true));
    let stored = |gpu: &Gpu| gpu.info().storage;
    assert_eq!(stored(&gpu), Storage::F32);
    let gpu = gpu.with_precision(Precision::F16);
    assert_eq!(stored(&gpu), if native { Storage::F16 } else { Storage::PackedF16 });
    assert_eq!(stored(&gpu.with_packed_f16()), Storage::PackedF16);
}

#[test]
fn a_gpu_without_subgroups_agrees() {
    let Some(gpu) = gpu() else { return };
    assert_passed(&verify(&gpu.without_subgroups(), &built_in(), 10).unwrap());
}

/// The variant for software adapters is chosen by the size of subgroups that the driver reports. Without it they are
/// slow.
#[test]
fn a_software_adapter_with_subgroups_of_eight_lanes_uses_them_by_default() {
    let Some(gpu) = gpu() else { return };
    let Accelerator { software, subgroup_size, .. } = gpu.accelerator();
    let plan = Plan::new(&built_in(), 1, 1000, Keep::Results).unwrap();
    let row = RowLayout { base_offset: 8, offset: 0, pitch: 512, storage: Storage::F32 };
    let variants = plan.steps[0].kernel.on_gpu().variants(&[row, row], &gpu.accelerator());
    assert_eq!(variants[0].subgroups, software && subgroup_size == Some(8), "{:?}", gpu.accelerator());
    assert!(variants.iter().any(|variant| variant.name == "plain"));
}

#[test]
fn the_cpu_agrees_on_the_built_in_weights_and_two_hundred_random_networks() {
    assert_passed(&verify(&Cpu::default(), &built_in(), 200).unwrap());
}

/// Generates a convolution of any size that has an output, followed by a max pool of 2 where it has at least two.
/// Returns it with a batch and a number of samples.
fn convolution() -> impl Strategy<Value = (Folded, usize, usize)> {
    let channels = || prop::sample::select(vec![1usize, 3, 7, 12, 31]);
    let sizes = (channels(), channels(), 1usize..=12, 1usize..=4, 0usize..=12, any::<bool>());
    (sizes, prop::sample::select(vec![1usize, 2, 33]), 1usize..=150)
        // With fewer outputs all of them may be near zero, where a relative error means nothing.
        .prop_filter("eight outputs", |((_, channels, kernel, stride, padding, _), batch, samples)| {
            let last = (samples + 2 * padding).checked_sub(*kernel);
            last.is_some_and(|last| batch * channels * (last / stride + 1) >= 8)
        })
        .prop_map(|((in_channels, out_channels, kernel, stride, padding, relu), batch, samples)| {
            let alone = one_convolution([in_channels, out_channels], kernel, stride, padding, relu);
            let pools = (samples + 2 * padding - kernel) / stride > 0;
            (if pools { followed_by_max_pool(alone) } else { alone }, batch, samples)
        })
}

#[test]
fn a_convolution_of_any_size_agrees_on_cpu_and_gpu() {
    let gpu = gpu();
    let cpu = Cpu::default();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(32));
    runner
        .run(&convolution(), |(folded, batch, samples)| {
            let backends = [Some(&cpu as &dyn Backend), gpu.as_ref().map(|gpu| gpu as &dyn Backend)];
            for backend in backends.into_iter().flatten() {
                for report in compare(backend, &folded, batch, samples, 5).unwrap() {
                    // Judged as a stage and not as logits, as all outputs of a single convolution may be near zero.
                    prop_assert!(report.nmse <= 1e-10, "{:?} {report:?}", backend.info());
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_shader_that_does_not_compile_is_an_error_and_not_a_panic() {
    let Some(gpu) = gpu() else { return };
    let broken = gpu.with_edited_shaders(Arc::new(|_, source| source.replace("fn main", "fn other")));
    let error = verify(&broken, &built_in(), 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Device);
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[test]
fn a_recording_too_long_for_the_adapter_is_refused_before_anything_runs() {
    let Some(gpu) = gpu() else { return };
    let plan = Plan::new(&built_in(), 1, 60_000_000, Keep::Results).unwrap();
    let error = gpu.largest_batch(&plan).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert!(error.cause().contains("bytes, and"), "{error}");
}

#[test]
fn a_plan_of_more_numbers_than_32_bits_count_is_refused() {
    let error = Plan::new(&built_in(), 1 << 20, 5000, Keep::Results).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
}

#[test]
fn the_reference_agrees_with_itself() {
    let (folded, batch, samples) = random_network(3);
    assert_passed(&compare(&Reference, &folded, batch, samples, 3).unwrap());
}

#[test]
fn a_second_run_gives_the_same_bits() {
    for device in [Device::Cpu, Device::Gpu] {
        let Ok(backend) = backend::open(&device, None) else { return skip("no adapter") };
        let plan = Plan::new(&built_in(), 2, 333, Keep::Results).unwrap();
        let input: Vec<f32> = (0..2 * 12 * 333).map(|i| (i as f32 * 0.1).sin()).collect();
        let mut runs = [Vec::new(), Vec::new(), Vec::new()];
        let mut executor = backend.prepare(&plan).unwrap();
        for run in &mut runs[..2] {
            executor.run(&input, run).unwrap();
        }
        backend.prepare(&plan).unwrap().run(&input, &mut runs[2]).unwrap();
        assert!(runs[0] == runs[1] && runs[0] == runs[2], "{device}");
    }
}
