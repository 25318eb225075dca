//! The GPU and the CPU compute what the float64 reference computes, and the check that says so notices a wrong shader.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ecgpu::{
    Device, ErrorKind, Weights,
    engine::backend::{
        self, Backend, Precision,
        cpu::Cpu,
        gpu::{Gpu, Tuned, Tuning, adapters, tune},
        reference::Reference,
    },
    engine::kernels::{Accelerator, RowLayout, Storage},
    engine::network::{Folded, FoldedLayer, FoldedOperation, Layer, NamedLayer, Network},
    engine::plan::{Keep, Plan},
    engine::verify::{StageReport, compare, random_network, verify},
};
use ecgpu_testing::skip;
use proptest::prelude::*;

fn gpu() -> Option<Gpu> {
    match adapters().first() {
        Some(adapter) => Some(Gpu::open(adapter).unwrap()),
        None => {
            skip("no Vulkan, Metal or DX12 adapter");
            None
        }
    }
}

/// The two ways to store f16, the first of which is packed as well where a device has no other.
const F16: [fn(Gpu) -> Gpu; 2] = [|gpu| gpu.with_precision(Precision::F16), |gpu| gpu.with_packed_f16()];

fn built_in() -> Folded {
    let weights = Weights::built_in().unwrap();
    Folded::new(&weights.network, &weights.parameters).unwrap()
}

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

/// Every way to run an operation of a forward pass on a GPU.
const VARIANTS: [&str; 14] = [
    "plain",
    "tile 8",
    "tile 4",
    "tile 4 sliced",
    "subgroups",
    "winograd",
    "winograd texture",
    "matrices 8",
    "matrices 16",
    "fused 256",
    "fused 8",
    "rows",
    "halves",
    "slices",
];

#[test]
fn every_variant_agrees_on_the_built_in_weights_and_random_networks() {
    for variant in VARIANTS {
        let Some(gpu) = gpu() else { return };
        assert_passed(&verify(&gpu.with_variant(variant), &built_in(), 10).unwrap());
    }
}

/// With subgroups where the device has them, and without.
#[test]
fn every_variant_agrees_in_f16() {
    let agree = |gpu: Gpu| {
        assert_passed(&compare(&gpu, &built_in(), 2, 333, 1).unwrap());
        for seed in 0..5 {
            let (folded, batch, samples) = random_network(seed);
            assert_passed(&compare(&gpu, &folded, batch, samples, seed).unwrap());
        }
    };
    for storing in F16 {
        for variant in VARIANTS {
            let Some(gpu) = gpu().map(storing) else { return };
            agree(gpu.with_variant(variant));
        }
        let Some(gpu) = gpu().map(storing) else { return };
        agree(gpu.without_subgroups());
    }
}

#[test]
fn the_gpu_agrees_in_f16_on_the_built_in_weights_and_ten_random_networks() {
    for storing in F16 {
        let Some(gpu) = gpu().map(storing) else { return };
        assert_passed(&verify(&gpu, &built_in(), 10).unwrap());
    }
}

#[test]
fn f16_is_packed_where_shaders_do_not_have_the_type() {
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

/// Software Vulkan is slow without its own variant, whose choice hangs on what the driver says of its subgroups.
#[test]
fn subgroups_are_used_where_all_have_eight_lanes() {
    let Some(gpu) = gpu() else { return };
    let Accelerator { software, subgroup_size, .. } = gpu.accelerator();
    let plan = Plan::new(&built_in(), 1, 1000, Keep::Results).unwrap();
    let row = RowLayout { base_offset: 8, offset: 0, pitch: 512, storage: Storage::F32 };
    let variants = plan.steps[0].kernel.operation().variants(&[row, row], &gpu.accelerator());
    assert_eq!(variants[0].subgroups, software && subgroup_size == Some(8), "{:?}", gpu.accelerator());
    assert!(variants.iter().any(|variant| variant.name == "plain"));
}

/// What comes out for each of three records, with all but the second multiplied by `scale`.
fn records(backend: &dyn Backend, folded: &Folded, samples: usize, scale: f32) -> [Vec<f32>; 3] {
    let plan = Plan::new(folded, 3, samples, Keep::Results).unwrap();
    let record = plan.buffers[plan.input()].len() / 3;
    let scale_of = |i: usize| if i / record == 1 { 1.0 } else { scale };
    let input: Vec<f32> = (0..3 * record).map(|i| scale_of(i) * ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
    let mut outputs = Vec::new();
    backend.prepare(&plan).unwrap().run(&input, &mut outputs).unwrap();
    let record = |at: usize| outputs.iter().flat_map(move |output| output.chunks(output.len() / 3).nth(at).unwrap());
    [0, 1, 2].map(|at| record(at).copied().collect())
}

/// Those of the second.
fn beside(backend: &dyn Backend, folded: &Folded, samples: usize, scale: f32) -> Vec<f32> {
    let [_, second, _] = records(backend, folded, samples, scale);
    second
}

/// Whether a record's bits depend on those beside it. Without padding no zeros lie between one row and the next.
fn depends_on_others(backend: &dyn Backend) -> bool {
    let sizes = [(7, 3, 1, 0, 16), (7, 5, 1, 0, 32), (3, 7, 2, 0, 40), (12, 5, 2, 2, 125)];
    sizes.into_iter().any(|(channels, kernel, stride, padding, samples)| {
        let folded = one_convolution([channels, 31], kernel, stride, padding, false);
        let networks = [folded.clone(), fused_max_pool(folded)];
        networks.iter().any(|folded| beside(backend, folded, samples, 0.0) != beside(backend, folded, samples, 1e9))
    })
}

#[test]
fn a_record_has_the_same_bits_whatever_lies_beside_it() {
    assert!(!depends_on_others(&Cpu::default()));
    for variant in VARIANTS {
        let Some(gpu) = gpu() else { return };
        let gpu = gpu.with_variant(variant);
        assert!(!depends_on_others(&gpu), "{variant}");
        assert_eq!(beside(&gpu, &built_in(), 333, 0.0), beside(&gpu, &built_in(), 333, 1e9), "{variant}");
    }
}

/// 1e9 is too large for f16.
#[test]
fn in_f16_too_and_only_a_record_with_numbers_too_large_is_lost() {
    for storing in F16 {
        for variant in VARIANTS {
            let Some(gpu) = gpu() else { return };
            let gpu = storing(gpu).with_variant(variant);
            assert!(!depends_on_others(&gpu), "{variant}");
            for folded in [built_in(), fused_max_pool(one_convolution([12, 31], 5, 2, 2, false))] {
                let quiet = beside(&gpu, &folded, 125, 0.0);
                let [first, second, third] = records(&gpu, &folded, 125, 1e9);
                assert_eq!(second, quiet, "{variant}");
                assert!(second.iter().all(|logit| logit.is_finite()), "{variant}");
                assert!(first.iter().chain(&third).all(|logit| logit.is_nan()), "{variant}: {first:?}");
            }
        }
    }
}

#[test]
fn a_window_into_the_next_record_is_caught() {
    let Some(gpu) = gpu() else { return };
    if default_shader(&gpu) != "conv1d/winograd" {
        return skip("only Winograd lets inputs count that its outputs do not need");
    }
    let edit = |_: &str, source: &str| source.replace("< row)", "< 2 * row)");
    assert!(depends_on_others(&gpu.with_edited_shaders(Arc::new(edit))), "records saw each other unnoticed");
}

#[test]
fn the_cpu_agrees_on_the_built_in_weights_and_two_hundred_random_networks() {
    assert_passed(&verify(&Cpu::default(), &built_in(), 200).unwrap());
}

/// A network of one convolution, with weights between -1 and 1.
fn one_convolution(channels: [usize; 2], kernel: usize, stride: usize, padding: usize, relu: bool) -> Folded {
    let [in_channels, out_channels] = channels;
    let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 50.0;
    let weight = (0..out_channels * in_channels * kernel).map(value).collect();
    let bias = (0..out_channels).map(|i| value(i + 13)).collect();
    let layer = Layer::Conv1d { in_channels, out_channels, kernel, stride, padding, bias: true };
    let operation = FoldedOperation::Conv1d { in_channels, out_channels, kernel, stride, padding, relu, weight, bias };
    let layers = vec![NamedLayer { name: "conv".into(), layer }];
    let network = Network { name: "one convolution".into(), layers, embedding: 0 };
    Folded { network, layers: vec![FoldedLayer { name: "conv".into(), last_layer: 0, operation }] }
}

/// The same network with a max pool of two behind it.
fn fused_max_pool(mut folded: Folded) -> Folded {
    let (kernel, stride, last_layer) = (2, 2, folded.network.layers.len());
    folded.network.layers.push(NamedLayer { name: "pool".into(), layer: Layer::MaxPool { kernel, stride } });
    let operation = FoldedOperation::MaxPool { kernel, stride };
    folded.layers.push(FoldedLayer { name: "pool".into(), last_layer, operation });
    folded.network.embedding = last_layer;
    folded
}

/// One convolution of any size, wherever it has an output, and a max pool of two where it has two.
fn convolution() -> impl Strategy<Value = (Folded, usize, usize)> {
    let channels = || prop::sample::select(vec![1usize, 3, 7, 12, 31]);
    let sizes = (channels(), channels(), 1usize..=12, 1usize..=4, 0usize..=12, any::<bool>());
    (sizes, prop::sample::select(vec![1usize, 2, 33]), 1usize..=150)
        // With a handful of outputs all might lie near zero, where a relative error means nothing.
        .prop_filter("eight outputs", |((_, channels, kernel, stride, padding, _), batch, samples)| {
            let last = (samples + 2 * padding).checked_sub(*kernel);
            last.is_some_and(|last| batch * channels * (last / stride + 1) >= 8)
        })
        .prop_map(|((in_channels, out_channels, kernel, stride, padding, relu), batch, samples)| {
            let alone = one_convolution([in_channels, out_channels], kernel, stride, padding, relu);
            let pools = (samples + 2 * padding - kernel) / stride > 0;
            (if pools { fused_max_pool(alone) } else { alone }, batch, samples)
        })
}

#[test]
fn a_convolution_of_any_size_agrees_on_both() {
    let gpu = gpu();
    let cpu = Cpu::default();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(32));
    runner
        .run(&convolution(), |(folded, batch, samples)| {
            let backends = [Some(&cpu as &dyn Backend), gpu.as_ref().map(|gpu| gpu as &dyn Backend)];
            for backend in backends.into_iter().flatten() {
                for report in compare(backend, &folded, batch, samples, 5).unwrap() {
                    // A lone convolution's output may be near zero everywhere, so it is judged as a stage, not as logits.
                    prop_assert!(report.nmse <= 1e-10, "{:?} {report:?}", backend.info());
                }
            }
            Ok(())
        })
        .unwrap();
}

/// In every variant the smaller of each two is kept, one of each four outputs is kept twice, and a row begins elsewhere.
#[test]
fn a_wrong_half_is_caught() {
    let folded = fused_max_pool(one_convolution([3, 19], 3, 1, 1, true));
    let mut bites = 0;
    for variant in ["plain", "tile 8", "tile 4", "tile 4 sliced", "subgroups", "winograd", "winograd texture"] {
        for (right, wrong) in [
            ("larger = max(sum.xz, sum.yw)", "larger = min(sum.xz, sum.yw)"),
            ("larger = max(sum.xz, sum.yw)", "larger = max(sum.xx, sum.yy)"),
            ("i = position / POOLED", "i = position / POOLED + 2"),
            ("max(y0_0_0, y0_0_1)", "min(y0_0_0, y0_0_1)"),
            ("to = i / POOLED", "to = i / POOLED + 8"),
        ] {
            let Some(gpu) = gpu() else { return };
            let applies = Arc::new(AtomicBool::new(false));
            let seen = applies.clone();
            let edit = move |_: &str, source: &str| {
                // Halved alone: what is not has been compared before.
                let fused_max_pool = source.contains(HALVES) && source.contains(right);
                seen.fetch_or(fused_max_pool, Ordering::Relaxed);
                if fused_max_pool { source.replace(right, wrong) } else { source.to_string() }
            };
            let gpu = gpu.with_variant(variant).with_edited_shaders(Arc::new(edit));
            let reports = compare(&gpu, &folded, 3, 83, 1).unwrap();
            let failed: Vec<&str> = reports.iter().filter(|report| !report.passed).map(|r| r.stage.as_str()).collect();
            let expected = if applies.load(Ordering::Relaxed) { vec!["conv + pool"] } else { vec![] };
            assert_eq!(failed, expected, "{variant} with `{wrong}`");
            bites += expected.len();
        }
    }
    assert!(bites >= 5 * 2, "the shaders have changed: sabotage them anew");
}

/// What the shader of a convolution has that halves its outputs, which it writes in lines of its own.
const HALVES: &str = "const POOLED: u32 = 2;";

/// The shaders of the convolution.
const CONVOLUTIONS: [&str; 4] = ["conv1d/plain", "conv1d/tile", "conv1d/subgroups", "conv1d/winograd"];

/// The first stage that the check that `verify` uses finds wrong on a GPU whose shader `name` has `wrong` in place of
/// `right`. None where it cannot be tried.
fn first_wrong(name: &'static str, right: &'static str, wrong: &'static str) -> Option<StageReport> {
    first_wrong_on(|gpu| gpu, name, right, wrong)
}

/// As [`first_wrong`], storing as `storing` says.
fn first_wrong_on(
    storing: fn(Gpu) -> Gpu,
    name: &'static str,
    right: &'static str,
    wrong: &'static str,
) -> Option<StageReport> {
    let gpu = storing(gpu()?);
    let file = name.split(' ').next();
    let edit = move |shader: &str, source: &str| {
        if file != Some(shader) {
            return source.to_string();
        }
        let known = source.contains(right) || source.contains(HALVES);
        assert!(known, "shaders/{name}.wgsl no longer has `{right}`: sabotage it anew");
        source.replace(right, wrong)
    };
    let alone = if name == "pooled_linear" { "fused 256" } else { "plain" };
    let (_, variant) = name.split_once('/').unwrap_or((name, alone));
    let variant = match (variant, gpu.accelerator().matrix_side) {
        ("tile", _) => "tile 8",
        // Drivers that software offers today seldom have them; Mesa's has since version 26.
        ("matrices", None) => return None,
        ("matrices", Some(8)) => "matrices 8",
        ("matrices", Some(_)) => "matrices 16",
        (variant, _) => variant,
    };
    let winograd = variant.starts_with("winograd");
    if (variant == "subgroups" || winograd) && gpu.accelerator().subgroup_size != Some(8) {
        skip("subgroups are not of eight lanes");
        return None;
    }
    if winograd && !gpu.accelerator().int64 {
        skip("no 64-bit integers");
        return None;
    }
    let sabotaged = gpu.with_variant(variant).with_edited_shaders(Arc::new(edit));
    let (small, _, _) = random_network(0);
    let reports = verify(&sabotaged, &small, 12).unwrap();
    let first = reports.into_iter().find(|report| !report.passed);
    Some(first.unwrap_or_else(|| panic!("{name} with `{wrong}` passed unnoticed")))
}

/// As [`first_wrong`], and the stage is one that the shader computes.
fn caught(name: &'static str, right: &'static str, wrong: &'static str) {
    caught_on(|gpu| gpu, name, right, wrong);
}

/// As [`caught`], storing f16 as the device does best, and packed.
fn caught_in_f16(name: &'static str, right: &'static str, wrong: &'static str) {
    for storing in F16 {
        caught_on(storing, name, right, wrong);
    }
}

fn caught_on(storing: fn(Gpu) -> Gpu, name: &'static str, right: &'static str, wrong: &'static str) {
    let Some(first) = first_wrong_on(storing, name, right, wrong) else { return };
    let (operation, _) = name.split_once('/').unwrap_or((name, ""));
    let operation = operation.trim_end_matches("1d").replace('_', " ");
    assert!(first.operation.starts_with(&operation), "{name} is wrong, and {first:?} is named");
}

/// What the tuner finds for a batch of the built-in weights on a GPU whose shaders with a name that begins so have `wrong` in
/// place of `right`.
fn tuned_with(gpu: Gpu, batch: usize, name: &'static str, right: &'static str, wrong: String) -> Tuned {
    let edit = move |shader: &str, source: &str| {
        if !shader.starts_with(name) {
            return source.to_string();
        }
        assert!(source.contains(right), "shaders/{shader}.wgsl no longer has `{right}`: sabotage it anew");
        source.replace(right, &wrong)
    };
    let plan = Plan::new(&built_in(), batch, 100, Keep::Results).unwrap();
    tune(&gpu.with_edited_shaders(Arc::new(edit)), &[("built-in".into(), plan)], |_, _| ()).unwrap()
}

/// The shader of the first convolution's default variant.
fn default_shader(gpu: &Gpu) -> &'static str {
    let plan = Plan::new(&built_in(), 1, 100, Keep::Results).unwrap();
    let operation = plan.steps[0].kernel.operation();
    let row = |offset| RowLayout { base_offset: 16, offset, pitch: 64, storage: Storage::F32 };
    operation.variants(&[row(operation.offset(0)), row(0)], &gpu.accelerator())[0].shader.name
}

/// The default is made slightly wrong, wrong beyond its samples alone, and impossible to compile.
#[test]
fn a_sabotaged_variant_is_never_chosen_by_the_tuner() {
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

/// Wrong in every record, and from the ninth on, which reads the first.
#[test]
fn where_no_variant_is_right_nothing_is_chosen() {
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
    let Some(gpu) = self::gpu() else { return };
    let edited = gpu.with_edited_shaders(Arc::new(|_, source| format!("{source}// edited\n")));
    let error = edited.with_tuning(tuning).err().unwrap();
    assert!(error.kind() == ErrorKind::Tuning && error.cause().contains("stale"), "{error}");
}

#[test]
fn an_off_by_one_in_the_padding_is_caught() {
    caught("conv1d/plain", "conv.x_pitch - PADDING;", "conv.x_pitch - PADDING + 1;");
    caught("conv1d/tile", "- WINDOW_OFFSET) / 4", "- WINDOW_OFFSET + 4) / 4");
    caught("conv1d/subgroups", "- WINDOW_OFFSET) / 4", "- WINDOW_OFFSET + 4) / 4");
    caught("conv1d/winograd", "/ LOADED + u32(BEGIN);", "/ LOADED + u32(BEGIN) + 1;");
}

#[test]
fn a_dropped_bias_is_caught() {
    caught("conv1d/plain", "var sum0 = bias[group.y];", "var sum0 = 0.0 * bias[group.y];");
    caught("conv1d/tile", "bias[quad + 1], slice == 0", "bias[quad + 0], slice == 0");
    caught("conv1d/subgroups", "let biases = bias[", "let biases = 0.0 * bias[");
    caught("conv1d/winograd", "let biases = bias[", "let biases = 0.0 * bias[");
    caught("linear/plain", "var sum = bias[o];", "var sum = 0.0 * bias[o];");
    caught("linear/slices", "sum = bias[o] +", "sum = 0.0 * bias[o] +");
}

#[test]
fn a_skipped_relu_is_caught() {
    for name in CONVOLUTIONS {
        caught(name, "select(sum, max(sum, vec4(0.0)), RELU)", "sum");
    }
}

#[test]
fn a_swapped_stride_is_caught() {
    caught("conv1d/plain", "t * STRIDE + k", "t + k");
    caught("conv1d/tile", "lane * STRIDE;", "lane;");
    caught("conv1d/subgroups", "i * STRIDE - WINDOW_OFFSET", "i - WINDOW_OFFSET");
    caught("conv1d/winograd", "let position = i * STRIDE", "let position = i");
    caught("max_pool/plain", "t * STRIDE", "t * KERNEL");
}

#[test]
fn a_last_channel_that_is_not_written_is_caught() {
    for name in CONVOLUTIONS {
        caught(name, "o >= conv.out_channels", "o + 1 >= conv.out_channels");
    }
}

/// Whoever reads the row next is named, as what is wrong is no sample.
#[test]
fn a_row_that_does_not_end_in_zeros_is_caught() {
    for name in CONVOLUTIONS {
        first_wrong(name, "select(vec4(0.0), rectified, inside)", "rectified");
    }
}

#[test]
fn a_wrong_mean_a_wrong_maximum_and_a_wrong_sum_are_caught() {
    caught("global_average_pool/plain", "/ f32(pool.samples)", "/ f32(pool.samples + 1)");
    caught("global_average_pool/rows", "t < pool.x_pitch / 4", "t + 1 < pool.x_pitch / 4");
    caught("max_pool/halves", "max(b.x, b.y)", "b.x");
    caught("linear/slices", "partial[lane + half]", "partial[lane]");
    caught("linear/slices", "half >= OUTPUTS", "half > OUTPUTS");
    caught("max_pool/plain", "largest = max(", "largest = min(");
}

/// The pool and the linear layer are one step then, and two stages.
#[test]
fn what_is_wrong_with_a_pool_and_a_linear_layer_in_one_is_caught() {
    let caught = |right, wrong, stage: &str| {
        let Some(first) = first_wrong("pooled_linear", right, wrong) else { return };
        assert!(first.operation.starts_with(stage), "{first:?} is named");
    };
    caught("/ f32(size.samples)", "/ f32(size.samples + 1)", "global average pool");
    caught("i < ACROSS", "i + 1 < ACROSS", "global average pool");
    caught("sum = bias[o];", "sum = 0.0;", "linear");
    caught("slice < SLICES", "slice + 1 < SLICES", "linear");
}

#[test]
fn a_pool_and_a_linear_layer_in_one_are_tuned_as_one_step() {
    let Some(gpu) = gpu() else { return };
    let plan = Plan::new(&built_in(), 2, 100, Keep::Results).unwrap();
    let Tuned { steps, tuning } = tune(&gpu, &[("built-in".into(), plan)], |_, _| ()).unwrap();
    let last = steps.last().unwrap();
    assert_eq!((last.shape.operation(), last.chosen.is_some()), ("pooled_linear", true), "{last:?}");
    let read = Tuning::from_bytes(tuning.unwrap().to_string().as_bytes()).unwrap();
    let tuned = gpu.with_tuning(read).unwrap();
    assert_passed(&compare(&tuned, &built_in(), 2, 100, 1).unwrap());
}

#[test]
fn a_slightly_wrong_weight_is_caught() {
    caught("conv1d/plain", "let w = weight_at(", "let w = 1.0001 * weight_at(");
    caught("conv1d/tile", "weights[i] = weight_at(", "weights[i] = 1.0001 * weight_at(");
    caught("conv1d/subgroups", "let weights0 = weight_at(", "let weights0 = 1.0001 * weight_at(");
    caught("conv1d/winograd", "let v0 = ", "let v0 = 1.0001 * ");
}

#[test]
fn a_window_that_is_cut_off_at_the_end_of_a_tile_is_caught() {
    caught("conv1d/winograd", "lane == LANES - 1;", "lane == LANES;");
    caught("conv1d/winograd", "let rows = LANES * row;", "let rows = row;");
    caught("conv1d/winograd", "(lane + 1) % LANES", "lane");
}

#[test]
fn a_texture_that_is_read_wrongly_is_caught() {
    caught(
        "conv1d/winograd",
        "vec2(texel % TEXTURE_WIDTH, texel / TEXTURE_WIDTH)",
        "vec2(texel / TEXTURE_WIDTH, texel % TEXTURE_WIDTH)",
    );
    caught("conv1d/winograd texture", "texel_at(2 * i + 1)", "texel_at(2 * i)");
}

#[test]
fn a_wrong_transform_of_minimal_filtering_is_caught() {
    caught("conv1d/winograd", "- 5.0 *", "- 4.0 *");
    caught("conv1d/winograd", "+ 8.0 *", "+ 4.0 *");
    caught("conv1d/winograd", "* (1.0 / 24.0)", "* (1.0 / 25.0)");
}

#[test]
fn what_is_wrong_is_caught_in_f16_too() {
    caught_in_f16("conv1d/plain", "position + STRIDE)", "position)");
    caught_in_f16("conv1d/plain", "var sum0 = bias[group.y];", "var sum0 = 0.0 * bias[group.y];");
    caught_in_f16("conv1d/tile", "- WINDOW_OFFSET) / 4", "- WINDOW_OFFSET + 4) / 4");
    caught_in_f16("conv1d/tile", "weights[i] = weight_at(", "weights[i] = 1.01 * weight_at(");
    caught_in_f16("conv1d/subgroups", "let weights0 = weight_at(", "let weights0 = 1.01 * weight_at(");
    caught_in_f16("max_pool/halves", "max(b.x, b.y)", "b.x");
    caught_in_f16("global_average_pool/rows", "t < pool.x_pitch / 4", "t + 1 < pool.x_pitch / 4");
    caught_in_f16("linear/plain", "var sum = bias[o];", "var sum = 0.0 * bias[o];");
}

/// Where the device multiplies matrices.
#[test]
fn what_is_wrong_with_matrices_is_caught() {
    let caught = |right, wrong| caught_on(F16[0], "conv1d/matrices", right, wrong);
    caught("- WINDOW_OFFSET / 4;", "- WINDOW_OFFSET / 4 + 1;");
    caught("+ SHIFT + k) * SIDE", "+ SHIFT) * SIDE");
    caught("(s * WINDOW", "(0 * WINDOW");
    caught("coopLoadT<", "coopLoad<");
    caught(" + bias[o]", "");
    caught("select(sum, max(sum, vec4(0.0)), RELU)", "sum");
    caught("o >= conv.out_channels", "o + 1 >= conv.out_channels");
}

/// The sum is kept in f16: the last digits of each term are lost.
#[test]
fn adding_in_f16_is_caught() {
    // Not by a conversion there and back, which Mesa 26 leaves out.
    let right = "sum0 += w * x_at(position);";
    caught_in_f16("conv1d/plain", right, "sum0 = quantizeToF16(sum0 + w * x_at(position));");
}

#[test]
fn a_shader_that_does_not_compile_is_an_error_and_not_a_panic() {
    let Some(gpu) = gpu() else { return };
    let broken = gpu.with_edited_shaders(Arc::new(|_, source| source.replace("fn main", "fn nobody")));
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
fn the_reference_agrees_with_itself_and_the_same_bits_come_twice() {
    let (folded, batch, samples) = random_network(3);
    assert_passed(&compare(&Reference, &folded, batch, samples, 3).unwrap());
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
