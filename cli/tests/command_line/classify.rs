//! Classifying recordings: what is printed, and which options give the same result.

use std::fs;

use ecgpu::{
    Recording,
    ecg::{Condition, Lead, synthesize},
};
use ecgpu_testing::has_gpu;
use serde_json::Value;

use crate::support::{
    Folder, Outcome, array, assert_one_line, assert_same_logits, assert_usage, classified, data, norm, numbers,
    objects, printed, run, zeros,
};

#[test]
fn without_arguments_a_synthetic_sample_is_classified() {
    let text = printed(&["classify"]);
    for part in ["NORM", "synthetic", "not a medical device", "Network 542k", "1 recording in "] {
        assert!(text.contains(part), "'{part}' is not in {text}");
    }
}

#[test]
fn each_line_of_json_is_a_result() {
    let [format16, expected] = ["format16.hea", "expected.npy"].map(data);
    let results = classified(&[&format16, &data("batch_fortran.npy"), &expected, "--sampling-rate", "100"]);
    let records: Vec<&str> = results.iter().map(|result| result["record"].as_str().unwrap()).collect();
    assert_eq!(records, ["format16", "batch_fortran[0]", "batch_fortran[1]", "expected"]);
    for result in &results {
        let keys: Vec<&String> = result.as_object().unwrap().keys().collect();
        let expected = [
            "source",
            "record",
            "device",
            "backend",
            "precision",
            "logits",
            "probabilities",
            "thresholds",
            "labels",
            "warnings",
        ];
        assert_eq!(keys, expected);
        assert_eq!(numbers(&result["logits"]).len(), 5);
        let probabilities = result["probabilities"].as_object().unwrap();
        assert_eq!(probabilities.keys().collect::<Vec<_>>(), ["NORM", "MI", "STTC", "HYP", "CD"]);
        assert!(probabilities.values().all(|p| (0.0..=1.0).contains(&p.as_f64().unwrap())));
        assert!(result["labels"].is_array() && result["warnings"].is_array());
    }
    assert_eq!(results[0]["source"], format16.as_str());
    assert_same_logits(&results[..1], &results[3..], 1e-3);
}

#[test]
fn every_device_gives_the_same_logits() {
    let on = |device: &str| classified(&[&data("format212.hea"), "--device", device]);
    let reference = on("reference");
    assert_eq!(reference[0]["backend"], "reference");
    assert_same_logits(&on("cpu"), &reference, 1e-4);
    assert_same_logits(&on("auto"), &reference, 1e-4);
    if has_gpu() {
        assert_same_logits(&on("gpu"), &reference, 1e-4);
        assert_same_logits(&on("gpu:0"), &reference, 1e-4);
    }
}

#[test]
fn a_bad_file_is_reported_and_the_others_are_classified() {
    let folder = Folder::new();
    folder.record("a.hea", &norm(100.0));
    folder.with("b.hea", "no header at all\n");
    folder.with("labels.csv", "exam,age\n7,60\n8,61\n");
    folder.with("c.npy", zeros(&[12, 1000]));
    fs::create_dir(folder.path("sub")).unwrap();
    folder.record("sub/d.hea", &norm(500.0));
    let Outcome { stdout, stderr, code } = run(&["classify", "--json", folder.0.path().to_str().unwrap()]);
    let results = objects(&stdout);
    let records: Vec<&str> = results.iter().map(|result| result["record"].as_str().unwrap()).collect();
    assert_eq!((code, records), (1, vec!["a", "c", "d"]));
    assert!(stderr.contains(&format!("error: {}: ", folder.path("b.hea"))) && stderr.lines().count() == 2, "{stderr}");
    let note = format!("1 file that holds no ECG is skipped: {}", folder.path("labels.csv"));
    assert!(stderr.contains(&note), "{stderr}");
}

#[test]
fn a_raw_array_goes_straight_into_the_network() {
    let folder = Folder::new();
    let recording = norm(100.0);
    // The built-in weights' contract, done by hand: without DC offsets, divided by 0.235 mV.
    let without_offset = |(lead, signal): (Lead, &[f32])| {
        let mean = signal.iter().sum::<f32>() / signal.len() as f32;
        (lead, signal.iter().map(|sample| sample - mean).collect())
    };
    let without_offsets = Recording::new("r", 100.0, recording.leads().map(without_offset).collect()).unwrap();
    let scaled = array(&without_offsets, &Lead::STANDARD, 1.0 / 0.235);
    let raw = classified(&["--raw", &folder.with("raw.npy", scaled)]);
    let read = classified(&[&folder.with("read.npy", array(&recording, &Lead::STANDARD, 1.0)), "--unit", "mV"]);
    assert_same_logits(&raw, &read, 1e-4);
    let batch = classified(&["--raw", &folder.with("batch.npy", zeros(&[3, 12, 50]))]);
    assert_eq!(batch.len(), 3);
    assert_eq!(batch[2]["record"], "batch[2]");
}

#[test]
fn embedding_adds_the_features_to_the_json() {
    assert_eq!(numbers(&classified(&["--embedding"])[0]["embedding"]).len(), 256);
    assert_usage(&["classify", "--embedding"], "--json");
}

#[test]
fn the_size_of_a_batch_changes_no_result() {
    let folder = Folder::new();
    for seed in 0..9 {
        let seconds = [4.0, 2.0, 3.0][seed as usize % 3];
        let recording = synthesize(Condition::Hyp, seed, 250.0, seconds).unwrap();
        folder.record(&format!("r{seed}.hea"), &recording);
    }
    let devices = if has_gpu() { vec!["cpu", "gpu"] } else { vec!["cpu"] };
    for device in devices {
        let folder = folder.0.path().to_str().unwrap();
        let default = classified(&[folder, "--device", device]);
        assert_eq!(default.len(), 9);
        for batch in ["1", "7"] {
            assert_eq!(classified(&[folder, "--device", device, "--batch", batch]), default, "{batch} on {device}");
        }
    }
}

#[test]
fn eight_leads_give_the_result_of_twelve() {
    let folder = Folder::new();
    let recording = norm(100.0);
    let eight = [Lead::I, Lead::II, Lead::V1, Lead::V2, Lead::V3, Lead::V4, Lead::V5, Lead::V6];
    let path = folder.with("eight.npy", array(&recording, &eight, 1.0));
    let results = classified(&[&path, "--leads", "I,II,V1,V2,V3,V4,V5,V6", "--sampling-rate", "100", "--unit", "mV"]);
    assert_same_logits(&results, &classified(&[&folder.record("twelve.hea", &recording)]), 1e-2);
}

#[test]
fn the_unit_of_an_array_can_be_stated() {
    let folder = Folder::new();
    let recording = norm(100.0);
    let with = |unit: &str, factor: f32| {
        let path = folder.with("a.npy", array(&recording, &Lead::STANDARD, factor));
        classified(&[&path, "--unit", unit])
    };
    let millivolts = with("mV", 1.0);
    assert_same_logits(&with("uV", 1000.0), &millivolts, 1e-4);
    assert_same_logits(&with("V", 0.001), &millivolts, 1e-4);
}

#[test]
fn a_record_at_500_hz_gives_the_result_of_one_at_100_hz() {
    let folder = Folder::new();
    let [fast, slow] = [500.0, 100.0].map(|rate| classified(&[&folder.record("r.hea", &norm(rate))]));
    assert_same_logits(&fast, &slow, 0.5);
    assert_eq!(fast[0]["labels"], slow[0]["labels"]);
}

#[test]
fn an_altered_sample_gives_a_warning() {
    let folder = Folder::new();
    let results = classified(&[&folder.damaged_record("r", "r", |samples| samples[100] ^= 1)]);
    assert!(results[0]["warnings"].to_string().contains("was it altered?"), "{}", results[0]);
}

#[test]
fn any_number_of_threads_gives_the_same_bits_and_zero_is_refused() {
    let classify = ["classify", "tests/data/format16.hea", "--json", "--device", "cpu", "--threads"];
    let with = |threads| run(&[&classify[..], &[threads]].concat());
    let logits = |threads| {
        let object: Value = serde_json::from_str(with(threads).stdout.trim()).unwrap();
        object["logits"].clone()
    };
    assert_eq!(logits("1"), logits("2"));
    assert_eq!(logits("1"), logits("5"));
    let none = with("0");
    assert_eq!(none.code, 2, "{}", none.stderr);
    assert!(none.stderr.contains("zero threads"), "{}", none.stderr);
}

#[test]
fn f16_gives_almost_the_same_logits_and_is_named_in_the_output() {
    for device in ["cpu", "reference"] {
        let refused = run(&["classify", "--device", device, "--precision", "f16"]);
        assert_one_line(&refused, 2, "--precision f16 is for a GPU: give --device gpu, or leave --precision f16 out");
    }
    assert_usage(&["classify", "--precision", "f8"], "'f8' is no precision: use f32 or f16");
    if !has_gpu() {
        return;
    }
    let classify = ["tests/data/format16.hea", "--device", "gpu", "--precision"];
    let [f32, f16] = ["f32", "f16"].map(|precision| classified(&[&classify[..], &[precision]].concat()));
    assert_same_logits(&f16, &f32, 1e-2);
    assert_ne!(f16[0]["logits"], f32[0]["logits"], "f16 has fewer digits");
    assert_eq!(f32[0]["precision"], "f32");
    let stored = f16[0]["precision"].as_str().unwrap();
    assert!(["f16", "packed-f16"].contains(&stored), "{stored}");
    let shown = stored.replace('-', " ");
    for command in [&["bench", "--seconds", "1", "--network", "55k", "--samples", "250"][..], &["classify"]] {
        let text = printed(&[command, &["--device", "gpu", "--precision", "f16"]].concat());
        assert!(text.contains(&format!(", {shown})")), "{shown} is not in {text}");
    }
    let verified = printed(&["verify", "--networks", "1", "--device", "gpu", "--precision", "f16"]);
    assert!(verified.contains("stages agree (bounds: NMSE 1e-6 per stage alone"), "{verified}");
}
