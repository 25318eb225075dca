//! Every shader, with every set of constants that it is built with, is valid WGSL and translates to the languages of
//! Vulkan, Metal and DX12. Needs no GPU.
//!
//! With a folder in the variable ECGPU_SHADERS, the translations are also written there, for tests/on_shader_compilers.sh.

mod finite_math;
mod plans;
mod translations;

use std::{collections::BTreeSet, env, path::Path};

use ecgpu::engine::{
    kernels::{Accelerator, RowLayout, Storage, Variant},
    plan::Step,
};
use naga::front::wgsl;
use translations::{Folder, Translations};

/// Lists all variants of a step with this storage, on devices with all features, each with whether a browser on the same
/// device is offered it.
fn variants(step: &Step, storage: Storage) -> Vec<(Variant, bool)> {
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
            let operation = step.kernel.on_gpu();
            let in_browser = operation.variants(&rows, &accelerator.in_browser());
            let and_whether_offered = move |variant: Variant| {
                let offered = in_browser.iter().any(|other| other.name == variant.name);
                (variant, offered)
            };
            operation.variants(&rows, &accelerator).into_iter().map(and_whether_offered)
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
fn every_shader_is_valid_and_translates_to_the_languages_of_all_backends_with_all_its_constants() {
    let mut seen = BTreeSet::new();
    let mut validated = BTreeSet::new();
    let mut folder = env::var_os("ECGPU_SHADERS").map(|folder| Folder::new(folder.into()));
    let plans = [("usual", plans::usual()), ("random", plans::random())];
    let steps = plans.iter().flat_map(|(kind, plans)| plans.iter().flat_map(|plan| &plan.steps).map(|it| (*kind, it)));
    let storages = [Storage::F32, Storage::F16, Storage::PackedF16];
    for ((kind, step), storage) in steps.flat_map(|step| storages.map(|storage| (step, storage))) {
        for (Variant { shader, subgroups, .. }, in_browser) in variants(step, storage) {
            if !validated.insert(format!("{} {:?} {}", shader.name, shader.constants, shader.source)) {
                continue;
            }
            seen.insert(format!("{}.wgsl", shader.name));
            let translations = Translations::new(&shader, subgroups, storage)
                .unwrap_or_else(|error| panic!("{} with {:?}: {error}", shader.name, shader.constants));
            let module = wgsl::parse_str(&shader.source).unwrap();
            let question = finite_math::question(shader.name, &shader.source, &module);
            assert_eq!(question, None, "{} asks for NaN or infinity", shader.name);
            if let Some(folder) = &mut folder {
                folder.write(kind, &shader, in_browser, translations);
            }
        }
    }
    if let Some(folder) = folder {
        folder.finish();
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

#[test]
fn a_question_for_nan_or_infinity_is_noticed() {
    let question = |line: &str| {
        let source = format!(
            "@group(0) @binding(0) var<storage, read_write> x: array<f32>; \
             @compute @workgroup_size(64) fn main() {{ var y = x[3]; {line} }}"
        );
        finite_math::question("any", &source, &wgsl::parse_str(&source).unwrap())
    };
    for line in ["if y != y { y = 0.0; }", "x[1] = select(1.0, 0.0, x[2] == x[2]);", "if !(y == y) { y = 0.0; }"] {
        assert!(question(line).is_some(), "{line}");
    }
    assert!(question("let bits = bitcast<u32>(y) & 0x7F800000u;").is_some());
    for line in ["if y != x[3] + 1.0 { y = 0.0; }", "x[1] = select(1.0, 0.0, x[2] == x[1]);", "y = max(y, 0.0);"] {
        assert_eq!(question(line), None, "{line}");
    }
}

/// Without a mark that wgpu 30 does not write, Vulkan leaves it to the device whether a barrier shows one invocation's
/// writes in a buffer to another. Atomics need no mark.
#[test]
fn values_pass_between_invocations_through_buffers_in_atomics_alone() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let mut passing = Vec::new();
    for file in files_below(&folder, "") {
        let text = std::fs::read_to_string(folder.join(&file)).unwrap();
        if !text.contains("storageBarrier") {
            continue;
        }
        let written: Vec<&str> = text.lines().filter(|line| line.contains("var<storage, read_write>")).collect();
        assert!(written.iter().all(|line| line.contains(": array<atomic<u32>>;")), "{file}: {written:?}");
        passing.push(file);
    }
    assert_eq!(passing, ["training/augment/band_pass.wgsl"]);
}
