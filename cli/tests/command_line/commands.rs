//! Verifying, synthesising, inspecting and timing, and the help.

use std::path::Path;
use std::process::Stdio;

use ecgpu::{ecg::format, engine::network::published::model_card_55k};
use ecgpu_testing::{WeightsFile, has_gpu};
use serde_json::Value;

use crate::support::{Folder, assert_one_line, assert_usage, classified, command, objects, printed, run};

#[test]
fn a_synthetic_record_is_written_and_classified() {
    let folder = Folder::new();
    let path = folder.path("rbbb.hea");
    let synth = ["synth", "--condition", "cd-rbbb", "--seed", "7", "--sampling-rate", "360", "--out", &path];
    assert_eq!(printed(&synth), format!("{path}: synthetic ECG, cd-rbbb, 10.0 s at 360 Hz\n"));
    let result = &classified(&[&path])[0];
    assert_eq!(result["record"], "rbbb");
    assert_eq!(result["warnings"], serde_json::json!(["a synthetic signal, not a patient's"]));
    assert_one_line(&run(&synth), 2, "rbbb.hea is there already: choose another name, or add --force");
    printed(&[&synth[..], &["--force"]].concat());
    let out = folder.path("a.hea");
    for (option, value) in
        [("--seconds", "0"), ("--seconds", "-1"), ("--sampling-rate", "NaN"), ("--sampling-rate", "0")]
    {
        let refused = run(&["synth", "--out", &out, option, value]);
        assert_one_line(&refused, refused.code.clamp(1, 2), "");
    }
    assert_usage(&["synth", "--condition", "flu", "--out", &out], "flu");
    assert!(!Path::new(&out).exists(), "what is refused writes nothing");
}

#[test]
fn every_stage_is_verified() {
    let reports = objects(&printed(&["verify", "--networks", "2", "--json", "--device", "cpu"]));
    assert!(reports.len() > 9 && reports.iter().all(|report| report["passed"] == true), "{reports:?}");
    if has_gpu() {
        assert!(printed(&["verify", "--networks", "1", "--device", "gpu"]).contains("stages agree"));
    }
}

#[test]
fn weights_are_inspected() {
    assert!(printed(&["inspect"]).contains("Network 542k, 541701 elements"));
    let folder = Folder::new();
    let file =
        WeightsFile::random(&model_card_55k()).stating("training", "none").stating("unit", "uV").stating("std", "235");
    let path = folder.with("card.safetensors", file.to_bytes());
    let text = printed(&["inspect", &path]);
    for part in ["Network 55k", "stored as F32", "uV", "235", "none", "linear 128→5"] {
        assert!(text.contains(part), "'{part}' is not in {text}");
    }
    let object: Value = serde_json::from_str(&printed(&["inspect", "--json", &path])).unwrap();
    assert_eq!((&object["network"], &object["contract"]["unit"]), (&"55k".into(), &"uV".into()));
    let bare = WeightsFile { metadata: Default::default(), ..file };
    let outcome = run(&["inspect", &folder.with("bare.safetensors", bare.to_bytes())]);
    assert!(outcome.code == 0 && outcome.stderr.starts_with("note: the weights file does not state leads"));
    assert_eq!(outcome.stderr.lines().count(), 1);
}

#[test]
fn bench_prints_the_times_and_the_case() {
    let case = ["bench", "--device", "cpu", "--network", "55k", "--samples", "250", "--seconds", "1", "--json"];
    let object: Value = serde_json::from_str(printed(&case).trim()).unwrap();
    assert_eq!((object["network"].as_str(), object["samples"].as_u64()), (Some("55k"), Some(250)));
    let [median, p95] = ["median_ms", "p95_ms"].map(|key| object[key].as_f64().unwrap());
    assert!(median > 0.0 && p95 >= median, "{object}");
}

#[test]
fn help_shows_examples() {
    for name in
        ["classify", "devices", "verify", "tune", "inspect", "synth", "plot", "convert", "serve", "export", "card"]
    {
        let help = printed(&[name, "--help"]);
        assert!(help.contains("Examples:") && help.contains(&format!("ecgpu {name}")), "{help}");
    }
    assert!(printed(&["--help"]).contains("not a medical device"));
    for name in ["classify", "augment", "plot", "convert"] {
        let help = printed(&[name, "--help"]);
        assert!(help.contains(&format::names()), "the formats are not in {help}");
    }
}

#[test]
fn a_closed_pipe_causes_no_panic() {
    for arguments in [&["classify", "--json"][..], &["verify", "--device", "cpu", "--networks", "0"], &["devices"]] {
        let mut child = command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{arguments:?}");
    }
    let mut child = command(&["classify", "none.hea"]).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(1), "an error whose message is not read is still an error");
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_on_a_full_disk_is_an_error() {
    for arguments in [&["classify", "--json"][..], &["inspect"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(arguments).stdout(full).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("error: standard output cannot be written: ") && text.lines().count() == 1, "{text}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn without_threads_the_program_works_alone_or_says_so() {
    use std::os::unix::{fs::MetadataExt, process::CommandExt};
    let synthetic = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/expected.npy");
    for arguments in [&["classify", "--device", "cpu"][..], &["classify", "--device", "cpu", synthetic]] {
        let limited = "ulimit -u 1; exec \"$0\" \"$@\"";
        let mut command = std::process::Command::new("bash");
        command.args(["-c", limited, env!("CARGO_BIN_EXE_ecgpu")]).args(arguments);
        // The limit does not hold for an administrator.
        if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
            command.uid(65534).gid(65534);
        }
        let output = command.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!error.contains("panicked"), "{error}");
        let said = error.contains("thread") && output.status.code() == Some(1);
        assert!(output.status.success() || said, "{:?}: {error}", output.status);
    }
}
