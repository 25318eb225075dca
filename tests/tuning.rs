//! The tuner chooses variants that compute the right numbers, and a tuning is used only where it was made.

use std::sync::Arc;

use ecgpu::{
    ErrorKind,
    engine::backend::gpu::{Gpu, Tuned, Tuning, tune},
    engine::kernels::{RowLayout, Storage},
    engine::plan::{Keep, Plan},
    engine::verify::{StageReport, compare},
};
use ecgpu_testing::{built_in, gpu};

fn assert_passed(reports: &[StageReport]) {
    assert!(!reports.is_empty());
    if let Some(failed) = reports.iter().find(|report| !report.passed) {
        panic!("{failed:?}");
    }
}

/// Tunes the built-in network for a batch on a GPU on which `wrong` replaces `right` in all shaders whose names begin
/// with `name`.
fn tuned_with(gpu: Gpu, batch: usize, name: &'static str, right: &'static str, wrong: String) -> Tuned {
    let edit = move |shader: &str, source: &str| {
        if !shader.starts_with(name) {
            return source.to_string();
        }
        assert!(source.contains(right), "shaders/{shader}.wgsl no longer has `{right}`: change this fault");
        source.replace(right, &wrong)
    };
    let plan = Plan::new(&built_in(), batch, 100, Keep::Results).unwrap();
    tune(&gpu.with_edited_shaders(Arc::new(edit)), &[("built-in".into(), plan)], |_, _| ()).unwrap()
}

/// Returns the shader of the first convolution's default variant.
fn default_shader(gpu: &Gpu) -> &'static str {
    let plan = Plan::new(&built_in(), 1, 100, Keep::Results).unwrap();
    let operation = plan.steps[0].kernel.on_gpu();
    let row = |offset| RowLayout { base_offset: 16, offset, pitch: 64, storage: Storage::F32 };
    operation.variants(&[row(operation.offset(0)), row(0)], &gpu.accelerator())[0].shader.name
}

/// The default variant is made slightly wrong, wrong only beyond its samples, and impossible to compile.
#[test]
fn the_tuner_never_chooses_a_variant_that_is_wrong_or_does_not_compile() {
    let right = "select(vec4(0.0), rectified, inside)";
    for wrong in ["1.0001 * RIGHT", "rectified", "nonsense"] {
        let Some(gpu) = gpu() else { return };
        let shader = default_shader(&gpu);
        let Tuned { steps, tuning } = tuned_with(gpu, 1, shader, right, wrong.replace("RIGHT", right));
        assert!(tuning.is_some(), "the other variants are right");
        for step in steps.iter().filter(|step| step.shape.operation() == "conv1d") {
            let default = &step.candidates[0];
            assert!(default.fault.is_some() && default.time.is_none(), "{}: {default:?}", step.step);
            let chosen = &step.candidates[step.chosen.unwrap()];
            assert!(chosen.fault.is_none() && chosen.variant != default.variant, "{}: {chosen:?}", step.step);
        }
    }
}

/// All variants are wrong in every record, or from the ninth record on, which reads the first.
#[test]
fn where_all_variants_are_wrong_the_tuner_chooses_none() {
    for (batch, right, wrong) in
        [(1, "sum = bias[o]", "sum = 0.0 * bias[o]"), (9, "(b * CHANNELS + c) * row", "(b % 8u * CHANNELS + c) * row")]
    {
        let Some(gpu) = gpu() else { return };
        let Tuned { steps, tuning } = tuned_with(gpu, batch, "pooled_linear", right, wrong.into());
        assert!(tuning.is_none());
        let none_right = steps.iter().filter(|step| step.chosen.is_none()).map(|step| step.shape.operation());
        assert_eq!(none_right.collect::<Vec<_>>(), ["pooled_linear"]);
    }
}

#[test]
fn a_tuned_gpu_agrees_and_another_build_refuses_its_tuning() {
    let plan = Plan::new(&built_in(), 2, 333, Keep::Results).unwrap();
    let Some(gpu) = gpu() else { return };
    let Tuned { tuning, .. } = tune(&gpu, &[("built-in".into(), plan)], |_, _| ()).unwrap();
    let tuning = tuning.unwrap();
    let tuned = gpu.with_tuning(tuning.clone()).unwrap();
    assert_passed(&compare(&tuned, &built_in(), 2, 333, 1).unwrap());
    assert_passed(&compare(&tuned, &built_in(), 1, 100, 1).unwrap());
    let Some(gpu) = ecgpu_testing::gpu() else { return };
    let edited = gpu.with_edited_shaders(Arc::new(|_, source| format!("{source}// edited\n")));
    let error = edited.with_tuning(tuning).err().unwrap();
    assert!(error.kind() == ErrorKind::Tuning && error.cause().contains("stale"), "{error}");
}

#[test]
fn a_fused_pool_and_linear_layer_are_tuned_as_one_step() {
    let Some(gpu) = gpu() else { return };
    let plan = Plan::new(&built_in(), 2, 100, Keep::Results).unwrap();
    let Tuned { steps, tuning } = tune(&gpu, &[("built-in".into(), plan)], |_, _| ()).unwrap();
    let last = steps.last().unwrap();
    assert_eq!((last.shape.operation(), last.chosen.is_some()), ("pooled_linear", true), "{last:?}");
    let read = Tuning::from_bytes(tuning.unwrap().to_string().as_bytes()).unwrap();
    let tuned = gpu.with_tuning(read).unwrap();
    assert_passed(&compare(&tuned, &built_in(), 2, 100, 1).unwrap());
}
