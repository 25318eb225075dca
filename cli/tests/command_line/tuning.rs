//! Choosing variants by measurement, and keeping compiled shaders.

use std::fs;

use ecgpu::engine::network::published::model_card_55k;
use ecgpu_testing::{WeightsFile, has_gpu, npy};
use serde_json::Value;

use crate::support::{
    Folder, Outcome, assert_one_line, assert_same_logits, assert_usage, classified, objects, printed, run,
};

#[test]
fn a_tuning_made_in_f16_is_refused_in_f32() {
    if !has_gpu() {
        return;
    }
    let folder = Folder::new();
    let file = folder.path("f16.tuning");
    let of = ["--device", "gpu", "--network", "55k"];
    let tune = ["tune", "--samples", "250", "--precision", "f16", "--out", &file];
    assert!(printed(&[&tune, &of[..]].concat()).contains("for --tuning with --device gpu --precision f16"));
    let bench = ["bench", "--seconds", "1", "--samples", "250", "--tuning", &file];
    printed(&[&bench, &of[..], &["--precision", "f16"]].concat());
    let refused = run(&[&bench, &of[..]].concat());
    assert_one_line(
        &refused,
        1,
        "f16, and here they are in f32: use the precision that it was made with, or tune again (--precision)",
    );
}

/// Tunes network 55k for 250 samples. Returns the tuning's file, the objects that `tune` printed, and the arguments
/// that classify an array of this shape.
fn tuned(folder: &Folder) -> (String, Vec<Value>, Vec<String>) {
    let file = folder.path("gpu.tuning");
    let arguments =
        ["--device", "gpu", "--network", "55k", "--samples", "250", "--batch", "1", "--out", &file, "--json"];
    let found = objects(&printed(&[&["tune"], &arguments[..]].concat()));
    let weights = folder.with("card.safetensors", WeightsFile::random(&model_card_55k()).to_bytes());
    let samples = (0..12 * 250).flat_map(|at| (at as f32 * 0.01).sin().to_le_bytes());
    let input = folder.with("a.npy", npy("<f4", &[1, 12, 250], &samples.collect::<Vec<u8>>()));
    let classify = ["--raw", &input, "--weights", &weights, "--device", "gpu"];
    (file, found, classify.map(String::from).to_vec())
}

#[test]
fn a_tuning_is_made_and_gives_the_same_logits() {
    if !has_gpu() {
        return;
    }
    let folder = Folder::new();
    let (file, found, classify) = tuned(&folder);
    assert!(found.iter().all(|object| object["passed"] == true && object["us"].as_f64().unwrap() >= 0.0), "{found:?}");
    let chosen = found.iter().filter(|object| object["chosen"] == true);
    let written = fs::read_to_string(&file).unwrap();
    assert!(chosen.clone().count() == 6 && written.contains(&format!("\nsteps: {}\n", chosen.clone().count())));
    for object in chosen {
        let line = format!("{} -> {}\n", object["sizes"].as_str().unwrap(), object["variant"].as_str().unwrap());
        assert!(written.contains(&line), "{line} is not in {written}");
    }
    let mut classify: Vec<&str> = classify.iter().map(String::as_str).collect();
    let default = classified(&classify);
    classify.extend(["--tuning", &file]);
    assert_same_logits(&classified(&classify), &default, 1e-4);
    assert!(printed(&["verify", "--networks", "0", "--device", "gpu", "--tuning", &file]).contains("stages agree"));
    assert_one_line(&run(&["tune", "--out", &file]), 2, "choose another name, or add --force");
}

#[test]
fn a_pipeline_cache_changes_nothing_but_the_time() {
    assert_one_line(&run(&["bench", "--device", "cpu", "--pipeline-cache", "a"]), 2, "--pipeline-cache is for a GPU");
    if !has_gpu() {
        return;
    }
    let folder = Folder::new();
    let file = folder.path("gpu.pipelines");
    let without = classified(&["--device", "gpu"]);
    for _ in 0..2 {
        assert_eq!(classified(&["--device", "gpu", "--pipeline-cache", &file])[0]["logits"], without[0]["logits"]);
    }
    fs::write(&file, &fs::read(&file).unwrap()[..50]).unwrap();
    for place in [&file, &folder.path("none/gpu.pipelines")] {
        let Outcome { stdout, stderr, code } =
            run(&["classify", "--json", "--device", "gpu", "--pipeline-cache", place]);
        assert_eq!((code, &objects(&stdout)[0]["logits"]), (0, &without[0]["logits"]));
        assert!(stderr.starts_with("note: ") && stderr.lines().count() == 1 && stderr.contains(place), "{stderr}");
    }
}

#[test]
fn a_tuning_of_another_machine_or_build_is_explained() {
    if !has_gpu() {
        return;
    }
    let folder = Folder::new();
    let (file, _, classify) = tuned(&folder);
    let text = fs::read_to_string(&file).unwrap();
    let refused = |contents: &[u8], part: &str| {
        let bad = folder.with("bad.tuning", contents);
        let classify = classify.iter().map(String::as_str).chain(["--tuning", &bad]);
        assert_one_line(&run(&[&["classify"], &classify.collect::<Vec<_>>()[..]].concat()), 1, part);
    };
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "'{from}' is not in {text}");
        text.replacen(from, to, 1).into_bytes()
    };
    refused(&with("adapter: ", "adapter: another "), "was made for another ");
    refused(&with("driver_info: ", "driver_info: older "), "`ecgpu tune` makes one");
    refused(&with("shaders: ", "shaders: 0123456789abcdef\nshaders: "), "not 'steps'");
    refused(&with("in_samples=250", "in_samples=251"), "is stale");
    refused(&with("linear", "conv1d"), "is no step with a variant");
    refused(&with("-> plain", "-> fast"), "and not as 'fast'");
    refused(&text.as_bytes()[..text.len() - 3], "the last line is cut short");
    refused(&text.as_bytes()[..text.len() / 2], "tuning");
    refused(b"\xff\x00", "no tuning file");
    refused(&vec![b' '; 3 << 20], "too large");
    assert_one_line(&run(&["classify", "--device", "gpu", "--tuning", &folder.path("none")]), 1, "check the path");
    assert_one_line(&run(&["bench", "--device", "cpu", "--tuning", &file]), 2, "--tuning is for a GPU");
    assert_one_line(&run(&["tune", "--device", "cpu", "--out", &folder.path("a")]), 2, "only a GPU is tuned");
    assert_one_line(&run(&["tune", "--out", &folder.path("none/a")]), 1, "name a file in a folder that is there");
    assert_usage(&["tune"], "--out");
}
