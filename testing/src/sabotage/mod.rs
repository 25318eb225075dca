//! Deliberate faults in shaders, and which comparison must notice each.
//!
//! `tests/sabotage.rs` runs every group of this table. `tests/tuning.rs` has the faults that the tuner must notice, as
//! their shader depends on the device.

pub mod inference;
pub mod training;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ecgpu::engine::{
    backend::gpu::Gpu,
    verify::{LARGEST_NMSE, StageReport, compare, random_network, verify},
};

use crate::{
    F16_STORAGES, followed_by_max_pool, gpu, one_convolution, records, skip,
    training_plan::error,
    training_plans::{BuildPlan, SEEDS},
};

/// A deliberate fault in one shader, and the comparison that must notice it.
pub struct Sabotage {
    /// The shader's name under `shaders/`. The name of a variant may follow after a space, where the shader serves
    /// several.
    shader: &'static str,
    right: &'static str,
    wrong: &'static str,
    noticed_by: Comparison,
}

/// What must notice a fault.
enum Comparison {
    /// `verify`, whose first failed stage begins with the name of an operation. Without a name any stage may fail
    /// first.
    Stages { storage: Storage, first: Option<&'static str> },
    /// The stages of a convolution fused with a max pool, in every variant that contains the text.
    FusedMaxPool,
    /// The comparison of a record's outputs beside quiet and beside loud records.
    OtherRecords,
    /// The comparison of one training operation with the reference.
    Training(BuildPlan),
}

/// How the GPU stores numbers.
#[derive(Clone, Copy)]
enum Storage {
    F32,
    /// Both ways of [`F16_STORAGES`].
    F16,
    /// The first of [`F16_STORAGES`] alone.
    NativeF16,
}

const fn stages(
    shader: &'static str,
    right: &'static str,
    wrong: &'static str,
    storage: Storage,
    first: Option<&'static str>,
) -> Sabotage {
    Sabotage { shader, right, wrong, noticed_by: Comparison::Stages { storage, first } }
}

/// A fault that the stage of the shader's own operation shows.
const fn inference(shader: &'static str, right: &'static str, wrong: &'static str) -> Sabotage {
    stages(shader, right, wrong, Storage::F32, Some(operation(shader)))
}

/// A fault that the stage of the shader's own operation shows in both ways of storing f16.
const fn inference_f16(shader: &'static str, right: &'static str, wrong: &'static str) -> Sabotage {
    stages(shader, right, wrong, Storage::F16, Some(operation(shader)))
}

/// A fault that the stage of the shader's own operation shows where the device computes in f16.
const fn inference_native_f16(shader: &'static str, right: &'static str, wrong: &'static str) -> Sabotage {
    stages(shader, right, wrong, Storage::NativeF16, Some(operation(shader)))
}

/// A fault of which the stage of operation `first` is the first to show it.
const fn by_stage(shader: &'static str, right: &'static str, wrong: &'static str, first: &'static str) -> Sabotage {
    stages(shader, right, wrong, Storage::F32, Some(first))
}

/// A fault that a stage after the shader's own may be the first to show.
const fn by_a_later_stage(shader: &'static str, right: &'static str, wrong: &'static str) -> Sabotage {
    stages(shader, right, wrong, Storage::F32, None)
}

/// A fault in the lines that a convolution has where it is fused with a max pool.
const fn fused_max_pool(right: &'static str, wrong: &'static str) -> Sabotage {
    Sabotage { shader: "", right, wrong, noticed_by: Comparison::FusedMaxPool }
}

/// A fault that lets a record's outputs depend on its neighbours.
const fn by_other_records(shader: &'static str, right: &'static str, wrong: &'static str) -> Sabotage {
    Sabotage { shader, right, wrong, noticed_by: Comparison::OtherRecords }
}

/// A fault in a shader under `shaders/training`.
const fn training(plan: BuildPlan, shader: &'static str, right: &'static str, wrong: &'static str) -> Sabotage {
    Sabotage { shader, right, wrong, noticed_by: Comparison::Training(plan) }
}

/// The name that reports give to the operation of a shader.
const fn operation(shader: &str) -> &'static str {
    match shader.as_bytes() {
        [b'c', b'o', b'n', b'v', ..] => "conv",
        [b'm', b'a', b'x', ..] => "max pool",
        [b'g', b'l', b'o', ..] => "global average pool",
        [b'l', b'i', b'n', ..] => "linear",
        _ => panic!("name the operation of this shader here"),
    }
}

/// The line that is in the source of a convolution where it is fused with a max pool. Such sources write other lines,
/// so that not every fault applies to them.
const FUSED: &str = "const POOLED: u32 = 2;";

/// The variants of the convolution that can be fused with a max pool.
const FUSED_VARIANTS: [&str; 7] =
    ["plain", "tile 8", "tile 4", "tile 4 sliced", "subgroups", "winograd", "winograd texture"];

/// Fails unless every fault of a group is noticed. Says that a fault is skipped where the device cannot run its shader.
pub fn must_be_noticed(group: &[Sabotage]) {
    let counts: Vec<Option<usize>> = group.iter().map(Sabotage::must_be_noticed_in).collect();
    let fused: Vec<usize> = counts.into_iter().flatten().collect();
    let known = fused.iter().sum::<usize>() >= 2 * fused.len();
    assert!(known, "the shaders of fused convolutions have changed: change the faults in the table");
}

impl Sabotage {
    /// Fails unless the comparison notices the fault. Returns in how many fused variants it was noticed, or none for a
    /// fault of other shaders.
    fn must_be_noticed_in(&self) -> Option<usize> {
        match &self.noticed_by {
            Comparison::Stages { storage, first } => {
                let storages: &[fn(Gpu) -> Gpu] = match storage {
                    Storage::F32 => &[|gpu| gpu],
                    Storage::F16 => &F16_STORAGES,
                    Storage::NativeF16 => &F16_STORAGES[..1],
                };
                for storing in storages {
                    let Some(report) = self.first_failed_stage(*storing) else { continue };
                    let named = first.is_none_or(|first| report.operation.starts_with(first));
                    assert!(named, "{} is wrong, and {report:?} is named", self.shader);
                }
            }
            Comparison::FusedMaxPool => return self.must_fail_where_fused(),
            Comparison::OtherRecords => {
                let gpu = self.edited(gpu())?;
                assert!(records::depend_on_each_other(&gpu), "a record depends on the others unnoticed");
            }
            Comparison::Training(plan) => {
                let gpu = self.edited(gpu())?;
                let noticed = (0..SEEDS).any(|seed| error(&gpu, plan(seed)) > LARGEST_NMSE);
                assert!(noticed, "{} with `{}` passed unnoticed", self.shader, self.wrong);
            }
        }
        None
    }

    /// The GPU with the fault in the variant that runs it, or none where it has no such variant.
    fn edited(&self, gpu: Option<Gpu>) -> Option<Gpu> {
        let gpu = gpu?;
        let variant = self.variant(&gpu)?;
        let training = matches!(self.noticed_by, Comparison::Training(_));
        let file = self.shader.split(' ').next().unwrap();
        let file = if training { format!("training/{file}") } else { file.to_string() };
        let (right, wrong) = (self.right, self.wrong);
        let edit = move |shader: &str, source: &str| {
            if shader != file {
                return source.to_string();
            }
            let known = source.contains(right) || source.contains(FUSED);
            assert!(known, "shaders/{file}.wgsl no longer has `{right}`: change this fault in the table");
            source.replace(right, wrong)
        };
        Some(gpu.with_variant(variant).with_edited_shaders(Arc::new(edit)))
    }

    /// The variant that runs the shader, or none, said aloud, where the device cannot run it.
    fn variant(&self, gpu: &Gpu) -> Option<&'static str> {
        let accelerator = gpu.accelerator();
        let variant = match (self.shader.split_once('/'), accelerator.matrix_side) {
            (Some(("augment", _)), _) => "plain",
            (None, _) if self.shader == "pooled_linear" => "fused 256",
            (None, _) => "plain",
            (Some(("conv1d", "tile")), _) => "tile 8",
            // Seldom offered by software adapters; by Mesa's since version 26.
            (Some((_, "matrices")), None) => return None,
            (Some((_, "matrices")), Some(8)) => "matrices 8",
            (Some((_, "matrices")), Some(_)) => "matrices 16",
            (Some((_, variant)), _) => variant,
        };
        let winograd = variant.starts_with("winograd");
        if (variant == "subgroups" || winograd) && accelerator.subgroup_size != Some(8) {
            skip("subgroups are not of eight lanes");
            return None;
        }
        if winograd && !accelerator.int64 {
            skip("no 64-bit integers");
            return None;
        }
        Some(variant)
    }

    fn first_failed_stage(&self, storing: fn(Gpu) -> Gpu) -> Option<StageReport> {
        let gpu = self.edited(gpu().map(storing))?;
        let (small, _, _) = random_network(0);
        let first = verify(&gpu, &small, 12).unwrap().into_iter().find(|report| !report.passed);
        Some(first.unwrap_or_else(|| panic!("{} with `{}` passed unnoticed", self.shader, self.wrong)))
    }

    /// Fails unless the fused stage, and no other, fails in every variant that contains the text. A variant without it
    /// must pass. Returns how many contain it.
    fn must_fail_where_fused(&self) -> Option<usize> {
        let folded = followed_by_max_pool(one_convolution([3, 19], 3, 1, 1, true));
        let mut noticed = 0;
        for variant in FUSED_VARIANTS {
            let gpu = gpu()?;
            let applies = Arc::new(AtomicBool::new(false));
            let (seen, right, wrong) = (applies.clone(), self.right, self.wrong);
            let edit = move |_: &str, source: &str| {
                // Other comparisons cover convolutions that are not fused.
                let fused = source.contains(FUSED) && source.contains(right);
                seen.fetch_or(fused, Ordering::Relaxed);
                if fused { source.replace(right, wrong) } else { source.to_string() }
            };
            let gpu = gpu.with_variant(variant).with_edited_shaders(Arc::new(edit));
            let reports = compare(&gpu, &folded, 3, 83, 1).unwrap();
            let failed: Vec<&str> = reports.iter().filter(|report| !report.passed).map(|r| r.stage.as_str()).collect();
            let expected = if applies.load(Ordering::Relaxed) { vec!["conv + pool"] } else { vec![] };
            assert_eq!(failed, expected, "{variant} with `{wrong}`");
            noticed += expected.len();
        }
        Some(noticed)
    }
}
