//! Tests of tuning files: what is written can be read, and every invalid file is refused with an error of one line.

use proptest::prelude::*;

use super::*;
use crate::{
    kernels::{Accelerator, Conv1d, Kernel, Linear, RowLayout, Storage},
    random::Random,
};

fn machine() -> Machine {
    let [adapter, backend, driver, driver_info] = ["A GPU", "vulkan", "maker", "1.2"].map(String::from);
    Machine { adapter, backend, driver, driver_info }
}

fn accelerator() -> Accelerator {
    Accelerator {
        software: false,
        subgroup_size: None,
        int64: false,
        matrix_side: None,
        texture_rows: 8192,
        workgroup_bytes: 16 << 10,
        storage: Storage::F32,
    }
}

fn variants(shape: &StepShape) -> Vec<Variant> {
    let accelerator = Accelerator { storage: shape.storage, ..accelerator() };
    shape.kernel.on_gpu().variants(&[shape.x, shape.y], &accelerator)
}

fn tuning() -> Tuning {
    let conv = Conv1d {
        batch: 1,
        in_channels: 12,
        in_samples: 1000,
        out_channels: 64,
        out_samples: 500,
        kernel: 11,
        stride: 2,
        padding: 5,
        relu: true,
        fused_max_pool: false,
    };
    let row = |pitch| RowLayout { base_offset: 8, offset: 0, pitch, storage: Storage::F32 };
    let step = |kernel, x, y| StepShape { kernel, x: row(x), y: row(y), storage: Storage::F32 };
    let conv = step(Kernel::Conv1d(conv), 1008, 504);
    let linear = step(Kernel::Linear(Linear { batch: 1, in_features: 256, out_features: 5 }), 1, 1);
    let shaders = hash([&conv, &linear].into_iter(), variants, order);
    Tuning::new(machine(), shaders, vec![(conv, "tile 4".into()), (linear, "plain".into())])
}

/// Returns the error of one line with which a file is refused when it is read or checked.
fn refused(text: &str) -> String {
    let checked =
        Tuning::from_bytes(text.as_bytes()).and_then(|tuning| tuning.check(&machine(), Storage::F32, variants));
    let error = checked.expect_err(text);
    assert_eq!(error.kind(), ErrorKind::Tuning);
    let line = error.to_string();
    assert!(!line.contains('\n') && matches!(error.hint(), Some(Hint::Retune | Hint::MatchPrecision)), "{line}");
    line
}

/// Checks that the file of [`tuning`] is refused if `from` is replaced by `to`, and that the error contains `part`.
fn changed(from: &str, to: &str, part: &str) {
    let text = tuning().to_string();
    assert!(text.contains(from), "'{from}' is not in {text}");
    let line = refused(&text.replace(from, to));
    assert!(line.contains(part), "'{part}' is not in: {line}");
}

#[test]
fn a_written_file_is_read_back_with_its_choices() {
    let tuning = tuning();
    let read = Tuning::from_bytes(tuning.to_string().as_bytes()).unwrap();
    assert_eq!(read, tuning);
    read.check(&machine(), Storage::F32, variants).unwrap();
    let (conv, _) = &tuning.choices[0];
    assert_eq!(read.variant(conv), Some("tile 4"));
    assert_eq!(read.variant(&StepShape { x: RowLayout { base_offset: 12, ..conv.x }, ..conv.clone() }), None);
}

#[test]
fn a_tuning_of_another_machine_is_refused() {
    changed("A GPU", "B GPU", "was made for B GPU (vulkan, maker 1.2), and this is A GPU");
    changed("backend: vulkan", "backend: dx12", "dx12");
    changed("driver: maker", "driver: other", "other");
    changed("driver_info: 1.2", "driver_info: 1.3", "maker 1.3), and this is");
}

#[test]
fn a_tuning_of_other_shaders_is_refused() {
    let other = Tuning { shaders: tuning().shaders ^ 1, ..tuning() };
    assert!(refused(&other.to_string()).contains("is stale"));
    changed("in_samples=1000", "in_samples=1001", "is stale");
    let edited = |shape: &StepShape| {
        let mut variants = variants(shape);
        variants[0].shader.source = format!("{}//", variants[0].shader.source).into();
        variants
    };
    assert!(tuning().check(&machine(), Storage::F32, edited).unwrap_err().cause().contains("is stale"));
}

#[test]
fn a_tuning_of_another_packing_is_refused() {
    let tuning = tuning();
    let shapes = || tuning.choices.iter().map(|(shape, _)| shape);
    let swapped = |kernel: &Kernel, variant: &Variant| {
        let mut constants = order(kernel, variant);
        // Swaps two weights of the last variant.
        if let Some(weights) = constants.first_mut().filter(|_| variant.name == "tile 4 sliced") {
            weights.swap(100, 101);
        }
        constants
    };
    assert_eq!(hash(shapes(), variants, order), tuning.shaders);
    assert_ne!(hash(shapes(), variants, swapped), tuning.shaders);
}

#[test]
fn the_hashed_order_differs_between_packings() {
    let (conv, _) = &tuning().choices[0];
    // The second tap of the first channel follows the first taps of all channels that are packed side by side.
    let accelerator = Accelerator { subgroup_size: Some(8), ..accelerator() };
    let variants = conv.kernel.on_gpu().variants(&[conv.x, conv.y], &accelerator);
    let named = |name: &str| variants.iter().find(|variant| variant.name == name).unwrap();
    let second = |name: &str| order(&conv.kernel, named(name))[0].iter().position(|&number| number == 2.0);
    assert_eq!(["plain", "tile 8", "tile 4", "subgroups"].map(second), [68, 32, 16, 1].map(Some));
    let Kernel::Conv1d(sizes) = &conv.kernel else { panic!("the first step is a convolution") };
    let huge = Conv1d { in_channels: 1 << 31, out_channels: 1 << 31, kernel: 1 << 31, ..sizes.clone() };
    let weights: usize = order(&Kernel::Conv1d(huge), named("plain"))[0].len();
    assert!(weights < 1 << 12, "a damaged file must not ask for {weights} numbers");
}

#[test]
fn a_tuning_of_another_precision_is_refused() {
    let refused = tuning().check(&machine(), Storage::F16, variants).unwrap_err();
    assert!(refused.cause().contains("made for weights in f32, and here they are in f16"), "{refused}");
    assert!(refused.hint() == Some(Hint::MatchPrecision), "{refused}");
    changed("y=f32", "y=f16", "is stale");
    changed("y=f32", "y=f64", "line 8 is no step");
    changed("weights=f32 -> tile", "weights=packed-f16 -> tile", "made for weights in packed-f16, and here");
}

#[test]
fn a_variant_that_the_device_cannot_run_is_refused() {
    changed("tile 4", "subgroups", "this device runs conv1d as tile 4");
    changed("tile 4", "subgroups", "plain and not as 'subgroups'");
    changed("-> plain", "-> tile 4", "runs linear as slices, plain and not as 'tile 4'");
    changed("tile 4", "", "not as ''");
}

#[test]
fn damaged_lines_are_refused() {
    changed("conv1d", "conv2d", "line 8 is no step");
    changed("kernel=11", "kernel=0", "line 8 is no step");
    changed("kernel=11", "kernel=+11", "line 8 is no step");
    changed("kernel=11", "kernel=99999999999", "line 8 is no step");
    changed("kernel=11 stride=2", "stride=2 kernel=11", "line 8 is no step");
    changed("relu=1", "relu=2", "line 8 is no step");
    changed("batch=1", "batch=4000000000", "line 8 is no step");
    changed(" -> ", " ", "line 8 is no step");
    changed("shaders: ", "shaders: x", "no hash of shaders");
    changed("steps: 2", "steps: two", "'two' is no number of steps");
    changed("driver: maker\n", "", "line 4 is 'driver_info: 1.2', not 'driver'");
    let text = tuning().to_string();
    let last = text.lines().last().unwrap();
    assert!(refused(&format!("{text}{last}\n")).contains("line 10 has a step a second time"));
}

#[test]
fn a_file_that_is_cut_short_anywhere_is_refused() {
    let text = tuning().to_string();
    for end in 0..text.len() {
        refused(&text[..end]);
    }
    assert!(refused(text.trim_end()).contains("the last line is cut short"));
    let steps: usize = text.lines().take(8).map(|line| line.len() + 1).sum();
    assert!(refused(&text[..steps]).contains("2 steps are declared and 1 are there"));
}

#[test]
fn a_file_of_another_kind_is_refused() {
    assert!(refused("").contains("no tuning file"));
    assert!(refused("{}").contains("no tuning file"));
    changed("tuning 4", "tuning 3", "'ecgpu tuning 3' where this build reads 'ecgpu tuning 4'");
    assert!(refused(&" ".repeat(LARGEST + 1)).contains("too large"));
    assert!(Tuning::from_bytes(&[0xff, 0xfe]).is_err());
    assert!(Tuning::from_path("/dev/null/none").is_err());
}

#[test]
fn names_of_several_lines_become_one_line() {
    assert_eq!(one_line(" a\n\tb\u{1b}[0m "), "a b [0m");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Tuning::from_bytes(&bytes);
    }

    #[test]
    fn random_damage_never_panics(seed in any::<u64>(), edits in 1usize..6) {
        let mut text = tuning().to_string().into_bytes();
        let mut random = Random::new(seed, 0);
        for _ in 0..edits {
            let at = random.below(text.len());
            text[at] = b"0123456789=-> \nax\xff"[random.below(18)];
        }
        if let Ok(tuning) = Tuning::from_bytes(&text) {
            let _ = tuning.check(&machine(), Storage::F32, variants);
        }
    }

    #[test]
    fn any_sizes_are_read_or_refused_without_a_panic(sizes in prop::collection::vec(any::<u32>(), 14)) {
        let sizes: Vec<String> = sizes.iter().map(|size| (size >> (size % 32)).to_string()).collect();
        let text = tuning().to_string();
        let (head, step) = text.split_once("conv1d").unwrap();
        let names = step.lines().next().unwrap().split_once(" ->").unwrap().0.split_whitespace();
        let names = names.map(|word| word.split_once('=').unwrap().0);
        let words: Vec<String> = names.zip(&sizes).map(|(name, size)| format!("{name}={size}")).collect();
        let head = head.replace("steps: 2", "steps: 1");
        let text = format!("{head}conv1d {} y_pitch=504 x=f32 y=f32 weights=f32 -> plain\n", words.join(" "));
        if let Ok(tuning) = Tuning::from_bytes(text.as_bytes()) {
            let _ = tuning.check(&machine(), Storage::F32, variants);
        }
    }
}
