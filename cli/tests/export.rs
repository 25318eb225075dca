//! Weights in the formats of other programs, read by those.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use ecgpu::{Classifier, Device, Weights};
use ecgpu_testing::python;
use serde_json::Value;
use tempfile::TempDir;

/// Runs the program. Returns whether it succeeded, and what it prints on standard error.
fn run(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ecgpu")).args(arguments).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!error.contains("panicked"), "{error}");
    (output.status.success(), error)
}

fn export(arguments: &[&str]) {
    let (succeeded, error) = run(&[&["export"], arguments].concat());
    assert!(succeeded, "{arguments:?}: {error}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap() as f32],
    }
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Writes an input `[2, 12, samples]` in the network's own scale, and returns it.
fn input(path: &Path, samples: usize) -> Vec<f32> {
    let wave = |n: usize| ((n * n % 977) as f32 / 488.0 - 1.0) * 2.0;
    let values: Vec<f32> = (0..2 * 12 * samples).map(wave).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(path, ecgpu_testing::npy("<f4", &[2, 12, samples], &bytes)).unwrap();
    values
}

#[test]
fn onnx_runtime_gives_the_same_logits() {
    let Some(run) = python("onnx, onnxruntime", "onnx_runtime.py") else { return };
    let folder = TempDir::new().unwrap();
    let [model, array] = ["model.onnx", "input.npy"].map(|name| folder.path().join(name));
    for (name, samples) in [("542k", 1000), ("542k", 333), ("55k", 1000)] {
        export(&[name, "--onnx", text(&model), "--force"]);
        let values = input(&array, samples);
        let found: Value = serde_json::from_str(&run(&[model.as_ref(), array.as_ref()])).unwrap();
        let classifier = Classifier::open(Weights::open(name).unwrap(), Device::Reference).unwrap();
        let output = classifier.run(&values, 2, samples).unwrap();
        let probabilities: Vec<f32> =
            output.logits.iter().map(|&logit| classifier.contract().probability(logit) as f32).collect();
        for (part, expected) in
            [("logits", &output.logits), ("probabilities", &probabilities), ("embedding", &output.embedding)]
        {
            let difference = largest_difference(&numbers(&found[part]), expected);
            assert!(difference <= 1e-5, "{name}, {samples} samples, {part}: {difference}");
        }
        assert_eq!(found["opset"], serde_json::json!([17]));
        assert_eq!(found["metadata"]["classes"], "NORM,MI,STTC,HYP,CD");
        assert_eq!(found["metadata"]["network"], name);
    }
}

#[test]
fn weights_in_f16_have_half_the_size_and_nearly_the_same_logits() {
    let folder = TempDir::new().unwrap();
    let half: PathBuf = folder.path().join("half.safetensors");
    export(&["542k", "--f16", text(&half)]);
    let size = half.metadata().unwrap().len() as usize;
    assert!(size < Weights::built_in_file().len() / 2 + 4096, "{size} bytes");
    let weights = [Weights::built_in().unwrap(), Weights::from_path(&half).unwrap()];
    assert_eq!(weights[1].stored_as, "F16");
    assert_eq!(weights[0].contract, weights[1].contract);
    let values = input(&folder.path().join("input.npy"), 1000);
    let [full, half] = weights.map(|weights| {
        let classifier = Classifier::open(weights, Device::Reference).unwrap();
        classifier.run(&values, 2, 1000).unwrap().logits
    });
    let difference = largest_difference(&full, &half);
    assert!(difference > 0.0 && difference < 0.02, "{difference}");
}

#[test]
fn a_request_that_cannot_be_met_is_refused() {
    let folder = TempDir::new().unwrap();
    let there = folder.path().join("there.onnx");
    std::fs::write(&there, "mine").unwrap();
    let missing = folder.path().join("missing/a.onnx");
    for (arguments, named) in [
        (vec!["542k"], "required"),
        (vec!["542k", "--onnx", text(&there)], "is there already"),
        (vec!["542k", "--onnx", text(&missing)], "folder must exist"),
        (vec!["542k", "--onnx", text(&missing), "--f16", text(&missing)], "the same file"),
        (vec!["543k", "--f16", text(&missing)], "543k"),
    ] {
        let (succeeded, error) = run(&[&["export"], &arguments[..]].concat());
        assert!(!succeeded && error.contains(named), "{arguments:?}: {error}");
    }
    assert_eq!(std::fs::read_to_string(&there).unwrap(), "mine");
}
