//! Every shader, with every set of constants that it is built with, is valid WGSL and translates to the languages of
//! Metal and DX12. Needs no GPU.

use std::{collections::BTreeSet, path::Path};

use ecgpu::{
    engine::kernels::{Accelerator, RowLayout, Storage, Variant},
    engine::network::{Folded, Parameters, Tensor, published},
    engine::plan::{FusedPlan, Keep, Plan, Step},
    engine::verify::random_network,
};
use naga::{
    Module, ShaderStage,
    back::{PipelineConstants, hlsl, msl, pipeline_constants::process_overrides},
    front::wgsl,
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};

/// Lists plans of both networks at both usual lengths, and of many random networks.
fn plans() -> Vec<Plan> {
    let fused = |plan: &Plan| {
        let fused_max_pool = FusedPlan::unfused(plan).with_fused_max_pools();
        [fused_max_pool.clone().with_fused_pooled_linear(), Some(fused_max_pool)]
            .into_iter()
            .flatten()
            .map(|fused| fused.plan)
    };
    let published = published::all().into_iter().flat_map(|network| {
        let zeros = |(name, shape): (String, Vec<usize>)| {
            let values = vec![0.0; shape.iter().product()].into();
            (name, Tensor { shape, values })
        };
        let parameters = Parameters::new(network.tensors().into_iter().map(zeros));
        let folded = Folded::new(&network, &parameters).unwrap();
        [(1, 1000), (32, 5000)].map(|(batch, samples)| Plan::new(&folded, batch, samples, Keep::Results).unwrap())
    });
    let random = (0..20).map(|seed| {
        let (folded, batch, samples) = random_network(seed);
        Plan::new(&folded, batch, samples, Keep::Pooled).unwrap()
    });
    let plans = published.chain(random).flat_map(|plan| fused(&plan).chain([plan]));
    #[cfg(feature = "train")]
    let plans = plans.chain(training_plans());
    plans.collect()
}

/// Lists training steps of every objective, and a plan of the operations that none of these has.
#[cfg(feature = "train")]
fn training_plans() -> Vec<Plan> {
    use ecgpu::{
        ecg::Lead,
        engine::kernels::training::{Dropout, LinearInterpolation, Schedule, SupervisedLossKind},
        engine::plan::Builder,
        train::{AugmentationPipeline, Augmentations, Heads, Objective, Optimiser, TrainingStep, augment::Signal},
    };
    let heads = Heads { hidden: 96, out: 32 };
    let objectives = [
        Objective::Supervised { loss: SupervisedLossKind::FOCAL, class_weights: vec![1.0; 5] },
        Objective::SimClr { temperature: 0.07, heads },
        Objective::Byol { heads },
    ];
    let mut plans = Vec::new();
    for network in published::all() {
        for (at, objective) in objectives.iter().enumerate() {
            let optimiser = Optimiser { clip: (at == 0).then_some(1.0), ..Optimiser::default() };
            let parameters = TrainingStep::initial(&network, objective, 1);
            plans.push(TrainingStep::new(&network, objective, &optimiser, &parameters, [8, 1000], None).unwrap().plan);
        }
    }
    let mut builder = Builder::default();
    let x = builder.input("x", [2, 3, 5]).unwrap();
    let schedule = builder.input("schedule", [1, 1, Schedule::LEN]).unwrap();
    let dropout = Dropout { rows: 6, samples: 5, rate: 0.5, seed: 1 };
    let y = builder.step("dropout", dropout, &[x, schedule], [2, 3, 5]).unwrap();
    let sum = builder.state("sum", vec![0.0; 30].into()).unwrap();
    builder.step_into(
        "accumulate",
        LinearInterpolation { length: 30, factors: Schedule::ACCUMULATE },
        &[y, schedule],
        sum,
    );
    plans.push(builder.finish(vec![y]));
    let mut builder = Builder::default();
    let x = builder.input("x", [4, 12, 1000]).unwrap();
    let schedule = builder.input("schedule", [1, 1, Schedule::LEN]).unwrap();
    let labels = builder.input("labels", [4, 5, 1]).unwrap();
    let signal = Signal { leads: Lead::STANDARD.to_vec(), sampling_rate: 100.0, millivolts: 0.235 };
    let augmenting = AugmentationPipeline { augmentations: Augmentations::default(), signal, seed: u64::MAX };
    let augmented = augmenting.add(&mut builder, 2, [x, schedule], Some(labels)).unwrap();
    plans.push(builder.finish(vec![augmented.records]));
    plans
}

/// Lists all variants of a step with this storage, on devices with all features.
fn variants(step: &Step, storage: Storage) -> Vec<Variant> {
    let workgroup_bytes = 16 << 10;
    // Row layouts in which the windows of one kernel begin at a whole vec4 and those of the next inside one, and then
    // the best layout of each.
    let row = |offset, storage| RowLayout { base_offset: 16, offset, pitch: 512, storage };
    let variants = |x: RowLayout, y: RowLayout| {
        let mut rows = vec![x; step.reads.len()];
        rows.push(y);
        // A software adapter with small matrices, and a GPU with large ones.
        let of = |(software, subgroup_size, matrix_side): (bool, usize, usize)| {
            let (subgroup_size, matrix_side) = (Some(subgroup_size), Some(matrix_side));
            let (int64, texture_rows) = (true, 8192);
            let accelerator =
                Accelerator { software, subgroup_size, int64, matrix_side, texture_rows, workgroup_bytes, storage };
            step.kernel.on_gpu().variants(&rows, &accelerator)
        };
        [(true, 8, 8), (false, 32, 16)].into_iter().flat_map(of).collect::<Vec<_>>()
    };
    let first_x = variants(row(0, Storage::F32), row(2, storage));
    let best = row(step.kernel.on_gpu().offset(2), storage);
    // Training operations need equal row layouts.
    let other = [row(0, storage), row(1, storage), row(2, storage), best].map(|x| variants(x, row(2, storage)));
    let features = variants(row(0, storage), RowLayout { pitch: 1, ..row(0, Storage::F32) });
    first_x.into_iter().chain(other.into_iter().flatten()).chain(features).collect()
}

#[test]
fn every_shader_is_valid_and_translates_to_metal_and_hlsl_with_all_its_constants() {
    let mut seen = BTreeSet::new();
    let mut validated = BTreeSet::new();
    let plans = plans();
    let steps = || plans.iter().flat_map(|plan| &plan.steps);
    let of_storage =
        |storage| steps().flat_map(move |step| variants(step, storage)).map(move |variant| (variant, storage));
    let all = [Storage::F32, Storage::F16, Storage::PackedF16].into_iter().flat_map(of_storage);
    for (Variant { shader, subgroups, .. }, storage) in all {
        if !validated.insert(format!("{} {:?} {}", shader.name, shader.constants, shader.source)) {
            continue;
        }
        seen.insert(format!("{}.wgsl", shader.name));
        let (name, source) = (shader.name, &shader.source);
        let module = wgsl::parse_str(source).unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)));
        // Capabilities of every adapter, and subgroups only for the variants that need them.
        let capabilities =
            if subgroups { Capabilities::SUBGROUP | Capabilities::SHADER_INT64 } else { Capabilities::empty() };
        let capabilities = match name {
            "conv1d/matrices" => capabilities | Capabilities::COOPERATIVE_MATRIX,
            _ => capabilities,
        };
        let capabilities = capabilities
            | match storage {
                Storage::F32 => Capabilities::empty(),
                Storage::F16 => Capabilities::SHADER_FLOAT16,
                Storage::PackedF16 => Capabilities::SHADER_FLOAT16_IN_FLOAT32,
            };
        let mut validator = Validator::new(ValidationFlags::all(), capabilities);
        validator.subgroup_stages(naga::valid::ShaderStages::COMPUTE);
        validator.subgroup_operations(naga::valid::SubgroupOperationSet::all());
        let info =
            validator.validate(&module).unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(source)));
        let constants: PipelineConstants =
            shader.constants.iter().map(|(key, value)| (key.to_string(), *value)).collect();
        let (module, info) = process_overrides(&module, &info, Some((ShaderStage::Compute, "main")), &constants)
            .unwrap_or_else(|error| panic!("{name} with {constants:?}: {error}"));
        let [in_metal, in_dx12] = translations(&module, &info, capabilities);
        in_metal.unwrap_or_else(|error| panic!("{name} with {constants:?} in Metal's language: {error}"));
        match name {
            // wgpu has no cooperative matrices on DX12, where this variant is not offered.
            "conv1d/matrices" => assert!(in_dx12.is_err()),
            _ => in_dx12.unwrap_or_else(|error| panic!("{name} with {constants:?} in DX12's language: {error}")),
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let mut files = files_below(&folder, "");
    files.retain(|file| cfg!(feature = "train") || !file.starts_with("training/"));
    // Files that several shaders include are part of their text.
    let shared = |file: &&String| {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        validated.iter().any(|shader| shader.contains(text.trim_end()))
    };
    seen.extend(files.iter().filter(shared).cloned());
    assert_eq!(seen, files, "every file in shaders/ is used by a kernel, and the other way round");
    assert!(validated.len() > 50, "only {} specialisations", validated.len());
}

/// Translates a shader to the languages of Metal and DX12, in the oldest version that wgpu accepts, or in the oldest
/// that has the features that the shader uses.
fn translations(module: &Module, info: &ModuleInfo, capabilities: Capabilities) -> [Result<(), String>; 2] {
    let everywhere = capabilities.is_empty();
    let (lang_version, shader_model) =
        if everywhere { ((1, 0), hlsl::ShaderModel::V5_1) } else { ((2, 4), hlsl::ShaderModel::V6_2) };
    let options = msl::Options { lang_version, ..msl::Options::default() };
    let in_metal = msl::write_string(module, info, &options, &msl::PipelineOptions::default());
    let options = hlsl::Options { shader_model, ..hlsl::Options::default() };
    let (mut text, pipeline) = (String::new(), hlsl::PipelineOptions::default());
    let in_dx12 = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None);
    [
        in_metal.map_err(text_of).and_then(|(_, info)| named(info.entry_point_names)),
        in_dx12.map_err(text_of).and_then(|info| named(info.entry_point_names)),
    ]
}

/// Says whether the one entry point was translated.
fn named(names: Vec<Result<String, impl std::error::Error>>) -> Result<(), String> {
    names.into_iter().try_for_each(|name| name.map(drop).map_err(text_of))
}

fn text_of(error: impl std::error::Error) -> String {
    error.to_string()
}

/// Lists the names of all files below `folder`, each after `prefix`.
fn files_below(folder: &Path, prefix: &str) -> BTreeSet<String> {
    let names = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().display());
        if path.is_dir() { files_below(&path, &format!("{name}/")) } else { BTreeSet::from([name]) }
    };
    std::fs::read_dir(folder).unwrap().flat_map(names).collect()
}

#[test]
fn a_broken_shader_is_not_valid() {
    assert!(wgsl::parse_str("@compute @workgroup_size(64) fn main() { let x: u32 = 1.5; }").is_err());
}
