//! Imports within the library point one way: from a layer to the layers below it, and never in a circle of files.
//!
//! Imports are read from the text: `use` trees and paths that begin with `crate` or `super`. Tests inside the library
//! are left out, as they may use anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The layers from the ground up. A module may import from its own layer and from those before it.
const LAYERS: [&[&str]; 9] = [
    &["error", "random", "files", "search", "text", "checksum", "fetch", "hub"],
    &["worker", "ecg"],
    &["kernels"],
    &["network"],
    &["plan"],
    &["backend"],
    &["verify", "evaluate", "plot"],
    &["classifier", "report"],
    &["dataset", "train", "explain"],
];

/// The modules behind the names that the crate's root exports.
const ROOT_NAMES: [(&str, &str); 13] = [
    ("Error", "error"),
    ("ErrorKind", "error"),
    ("Hint", "error"),
    ("Result", "error"),
    ("Recording", "ecg"),
    ("Weights", "network"),
    ("Device", "backend"),
    ("DeviceInfo", "backend"),
    ("Classifier", "classifier"),
    ("Output", "classifier"),
    ("Prediction", "classifier"),
    ("Report", "report"),
    ("engine", "train"),
];

/// Every source file of the library, by its module path: `["backend", "gpu", "executor"]`.
fn modules() -> BTreeMap<Vec<String>, String> {
    fn visit(folder: &Path, path: &[String], found: &mut BTreeMap<Vec<String>, String>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let stem = entry.file_stem().unwrap().to_string_lossy().into_owned();
            if entry.is_dir() {
                visit(&entry, &[path, &[stem]].concat(), found);
            } else if entry.extension().is_some_and(|extension| extension == "rs") && !stem.contains("tests") {
                let own = if ["mod", "lib"].contains(&stem.as_str()) { Vec::new() } else { vec![stem] };
                found.insert([path, &own].concat(), code(&fs::read_to_string(&entry).unwrap()));
            }
        }
    }
    let mut found = BTreeMap::new();
    visit(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut found);
    found
}

/// A file's text without comments and without what only tests compile.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut lines: Vec<&str> = Vec::new();
    let mut of_tests = false;
    for line in text.lines().map(|line| line.split("//").next().unwrap_or_default()) {
        // The item behind a `cfg(test)`, if it is an import.
        let skipped = of_tests && line.trim_start().starts_with("use ");
        of_tests = line.contains("cfg(test)") || line.contains("cfg(all(test");
        if !skipped {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// The paths that a file names, each as its segments, beginning with `crate` or `super`.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        let mut rest = text;
        while let Some(at) = rest.find(start) {
            let before = rest[..at].chars().next_back();
            let tail = &rest[at..];
            // `super::super::x` is found at its first `super`.
            if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                expand(tail, &[], &mut found);
            }
            rest = &rest[at + start.len()..];
        }
    }
    found
}

/// Adds every path of the tree at the beginning of `text` and returns what follows the tree.
fn expand<'a>(text: &'a str, prefix: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start().trim_start_matches(',').trim_start();
            match rest.strip_prefix('}') {
                Some(after) => return after,
                None if rest.is_empty() => return rest,
                None => {
                    let after = expand(rest, prefix, found);
                    // Something that is no path, such as `as name` or an attribute: nothing more to read.
                    rest = if after.len() == rest.len() {
                        &rest[rest.find([',', '}']).unwrap_or(rest.len())..]
                    } else {
                        after
                    };
                }
            }
        }
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let path = [prefix, &[text[..end].to_string()]].concat();
    match text[end..].strip_prefix("::") {
        Some(rest) if end > 0 => expand(rest, &path, found),
        _ => {
            if end > 0 {
                found.push(path);
            }
            &text[end..]
        }
    }
}

/// The files that each file imports from, both by module path. Where a name is exported by a folder's `mod.rs`, that is
/// the file.
fn imports() -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let modules = modules();
    let resolve = |module: &[String], path: &[String]| -> Option<Vec<String>> {
        let mut from = module.to_vec();
        let supers = path.iter().take_while(|segment| *segment == "super").count();
        if supers > 0 {
            from.truncate(from.len().checked_sub(supers)?);
        } else {
            from.clear();
        }
        let mut target = [&from[..], &path[supers.max(1)..]].concat();
        if let [name, ..] = &target[..]
            && let Some((_, of)) = ROOT_NAMES.iter().find(|(root, _)| supers == 0 && root == name)
        {
            target = vec![of.to_string()];
        }
        // The longest prefix that is a file.
        (1..=target.len()).rev().map(|length| target[..length].to_vec()).find(|prefix| modules.contains_key(prefix))
    };
    let of_module = |(module, text): (&Vec<String>, &String)| {
        let targets =
            paths(text).iter().filter_map(|path| resolve(module, path)).filter(|target| target != module).collect();
        (module.clone(), targets)
    };
    modules.iter().map(of_module).collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn every_module_has_its_layer() {
    let tops: BTreeSet<String> = modules().into_keys().filter_map(|path| path.into_iter().next()).collect();
    for top in tops {
        assert!(layer(&top).is_some(), "src/{top} is in no layer: add it to LAYERS");
    }
}

#[test]
fn no_import_points_up() {
    let mut wrong = Vec::new();
    for (module, targets) in imports() {
        let Some(from) = module.first().and_then(|top| layer(top)) else { continue };
        for target in targets {
            if target.first().and_then(|top| layer(top)).is_some_and(|to| to > from) {
                wrong.push(format!("{} imports {}", module.join("/"), target.join("/")));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point up:\n{}", wrong.join("\n"));
}

/// A file may import what its folder's `mod.rs` shares, and `mod.rs` its files: those are no circle.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let imports = imports();
    let edges: BTreeMap<&Vec<String>, Vec<&Vec<String>>> = imports
        .iter()
        .map(|(module, targets)| {
            let related = |target: &&Vec<String>| target.starts_with(module) || module.starts_with(target);
            (module, targets.iter().filter(|target| !related(target)).collect())
        })
        .collect();
    let reaches = |from: &Vec<String>, to: &Vec<String>| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(module) = open.pop() {
            for next in edges.get(module).into_iter().flatten() {
                if *next == to {
                    return true;
                }
                if seen.insert(*next) {
                    open.push(next);
                }
            }
        }
        false
    };
    let circles: Vec<String> =
        edges.keys().filter(|module| reaches(module, module)).map(|module| module.join("/")).collect();
    assert!(circles.is_empty(), "files in a circle of imports:\n{}", circles.join("\n"));
}

#[test]
fn an_import_is_found_in_every_form() {
    let text =
        "use crate::{Error, kernels::{self, Conv1d}};\nuse super::dispatch::Place;\nlet x = crate::plan::Plan::new();";
    let found: Vec<String> = paths(text).iter().map(|path| path.join("::")).collect();
    let expected = [
        "crate::Error",
        "crate::kernels::self",
        "crate::kernels::Conv1d",
        "crate::plan::Plan::new",
        "super::dispatch::Place",
    ];
    assert_eq!(found, expected);
}

#[test]
fn every_locked_dependency_builds_with_the_stated_rust() {
    let version = |text: &str| -> Vec<u32> { text.split('.').map(|part| part.parse().unwrap()).collect() };
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let stated = version(env!("CARGO_PKG_RUST_VERSION"));
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{} packages", packages.len());
    let needing_more = packages.iter().filter(|package| {
        package["rust_version"].as_str().is_some_and(|needed| version(needed).as_slice() > stated.as_slice())
    });
    let names: Vec<String> =
        needing_more.map(|package| format!("{} needs {}", package["name"], package["rust_version"])).collect();
    assert!(names.is_empty(), "the workspace states Rust {}: {names:?}", env!("CARGO_PKG_RUST_VERSION"));
}
