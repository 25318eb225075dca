//! The program as a person or a script runs it: what goes to standard output, what to standard error, and the exit code.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use ecgpu::{
    Recording,
    ecg::{Condition, Lead, format, synthesize},
    engine::network::published::{model_card_55k, training_code_542k},
};
use ecgpu_testing::{StoredTensor, WeightsFile, has_gpu, npy, skip};
use safetensors::Dtype;
use serde_json::Value;
use tempfile::TempDir;

// How the program is run.

struct Outcome {
    stdout: String,
    stderr: String,
    code: i32,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecgpu"));
    command.args(arguments).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).env_remove("CLICOLOR_FORCE");
    // As in a container, where a driver's layer would complain on standard error.
    command.env_remove("XDG_RUNTIME_DIR");
    command
}

fn outcome(command: &mut Command) -> Outcome {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8 alone is written");
    let outcome = Outcome {
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        code: output.status.code().expect("no signal ends the program"),
    };
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    assert!(!outcome.stdout.contains('\u{1b}') && !outcome.stderr.contains('\u{1b}'), "a pipe gets no colours");
    outcome
}

fn run(arguments: &[&str]) -> Outcome {
    outcome(&mut command(arguments))
}

/// What is printed where all goes well, and nothing on standard error.
fn printed(arguments: &[&str]) -> String {
    let Outcome { stdout, stderr, code } = run(arguments);
    assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}");
    stdout
}

fn objects(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The objects of `classify … --json`.
fn classified(arguments: &[&str]) -> Vec<Value> {
    objects(&printed(&[&["classify", "--json"], arguments].concat()))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().expect("a number that is finite")).collect()
}

fn assert_same_logits(a: &[Value], b: &[Value], tolerance: f64) {
    assert!(!a.is_empty() && a.len() == b.len(), "{} and {} results", a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        let (x, y) = (numbers(&a["logits"]), numbers(&b["logits"]));
        assert_eq!((x.len(), y.len()), (5, 5));
        assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() <= tolerance), "{x:?} and {y:?}");
    }
}

/// One line on standard error, `error: cause: remedy`, and nothing else but the exit code.
fn assert_one_line(outcome: &Outcome, code: i32, part: &str) {
    let Outcome { stdout, stderr, .. } = outcome;
    assert_eq!((outcome.code, stdout.as_str()), (code, ""), "{stderr}");
    let lines = stderr.lines().count();
    assert!(
        lines == 1 && stderr.starts_with("error: ") && stderr.matches(": ").count() >= 2,
        "{lines} lines: {stderr}"
    );
    assert!(stderr.contains(part), "'{part}' is not in: {stderr}");
}

/// Options that clap refuses: its own lines, and the exit code 2.
fn assert_usage(arguments: &[&str], part: &str) {
    let Outcome { stdout, stderr, code } = run(arguments);
    assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
    assert!(stderr.starts_with("error: ") && stderr.contains(part), "{arguments:?}: {stderr}");
}

// What the program is given.

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_string()
    }

    fn with(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), contents).unwrap();
        self.path(name)
    }

    /// Writes a recording as a WFDB record and returns its header.
    fn record(&self, name: &str, recording: &Recording) -> String {
        let path = self.path(name);
        format::write_wfdb(recording, Path::new(&path), &[]).unwrap();
        path
    }

    /// A short record whose header is changed, and its samples too.
    fn damaged_record(&self, from: &str, to: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let header = self.record("r.hea", &norm(100.0));
        let text = fs::read_to_string(&header).unwrap();
        assert!(text.contains(from), "'{from}' is not in {text}");
        fs::write(&header, text.replace(from, to)).unwrap();
        let mut samples = fs::read(self.path("r.dat")).unwrap();
        change(&mut samples);
        self.with("r.dat", samples);
        header
    }
}

fn data(name: &str) -> String {
    format!("tests/data/{name}")
}

fn norm(sampling_rate: f64) -> Recording {
    synthesize(Condition::Norm, 1, sampling_rate, 10.0).unwrap()
}

/// Some leads of a recording, times `factor`, as an array [leads, samples].
fn array(recording: &Recording, leads: &[Lead], factor: f32) -> Vec<u8> {
    let values = leads.iter().flat_map(|&lead| recording.lead(lead).unwrap()).map(|x| x * factor);
    npy("<f4", &[leads.len(), recording.samples()], &values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
}

fn zeros(shape: &[usize]) -> Vec<u8> {
    npy("<f4", shape, &vec![0; 4 * shape.iter().product::<usize>()])
}

/// A table of leads with the same samples in each column.
fn table(leads: &[&str], samples: &[&str]) -> String {
    let rows: Vec<String> = samples.iter().map(|sample| vec![*sample; leads.len()].join(",")).collect();
    format!("{}\n{}\n", leads.join(","), rows.join("\n"))
}

fn names() -> Vec<&'static str> {
    Lead::STANDARD.iter().map(|lead| lead.name()).collect()
}

// Classifying.

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
    let results = classified(&[&format16, &data("batch_fortran.npy"), &expected]);
    let records: Vec<&str> = results.iter().map(|result| result["record"].as_str().unwrap()).collect();
    assert_eq!(records, ["format16", "batch_fortran[0]", "batch_fortran[1]", "expected"]);
    for result in &results {
        let keys: Vec<&String> = result.as_object().unwrap().keys().collect();
        let expected =
            ["source", "record", "device", "backend", "precision", "logits", "probabilities", "labels", "warnings"];
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
fn a_bad_file_does_not_keep_the_others_from_being_classified() {
    let folder = Folder::new();
    folder.record("a.hea", &norm(100.0));
    folder.with("b.csv", "no lead at all\n1\n");
    folder.with("c.npy", zeros(&[12, 100]));
    fs::create_dir(folder.path("sub")).unwrap();
    folder.record("sub/d.hea", &norm(500.0));
    let Outcome { stdout, stderr, code } = run(&["classify", "--json", folder.0.path().to_str().unwrap()]);
    let results = objects(&stdout);
    let records: Vec<&str> = results.iter().map(|result| result["record"].as_str().unwrap()).collect();
    assert_eq!((code, records), (1, vec!["a", "c", "d"]));
    assert!(
        stderr.starts_with(&format!("error: {}: ", folder.path("b.csv"))) && stderr.lines().count() == 1,
        "{stderr}"
    );
}

#[test]
fn a_raw_array_goes_straight_into_the_network() {
    let folder = Folder::new();
    let recording = norm(100.0);
    let scaled = array(&recording, &Lead::STANDARD, 1.0 / 0.235);
    let raw = classified(&["--raw", &folder.with("raw.npy", scaled)]);
    let read = classified(&[&folder.with("read.npy", array(&recording, &Lead::STANDARD, 1.0)), "--unit", "mV"]);
    assert_same_logits(&raw, &read, 1e-4);
    let batch = classified(&["--raw", &folder.with("batch.npy", zeros(&[3, 12, 50]))]);
    assert_eq!(batch.len(), 3);
    assert_eq!(batch[2]["record"], "batch[2]");
}

#[test]
fn the_embedding_is_added_when_asked_for() {
    assert_eq!(numbers(&classified(&["--embedding"])[0]["embedding"]).len(), 256);
    assert_usage(&["classify", "--embedding"], "--json");
}

#[test]
fn the_batch_changes_no_result() {
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
fn eight_leads_are_enough() {
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
fn the_sampling_rate_hardly_changes_the_result() {
    let folder = Folder::new();
    let [fast, slow] = [500.0, 100.0].map(|rate| classified(&[&folder.record("r.hea", &norm(rate))]));
    assert_same_logits(&fast, &slow, 0.5);
    assert_eq!(fast[0]["labels"], slow[0]["labels"]);
}

#[test]
fn an_altered_sample_is_a_warning() {
    let folder = Folder::new();
    let results = classified(&[&folder.damaged_record("r", "r", |samples| samples[100] ^= 1)]);
    assert!(results[0]["warnings"].to_string().contains("was it altered?"), "{}", results[0]);
}

#[test]
fn a_reader_that_leaves_early_is_no_reason_to_panic() {
    for arguments in [&["classify", "--json"][..], &["verify", "--device", "cpu", "--networks", "0"], &["devices"]] {
        let mut child = command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{arguments:?}");
    }
    let mut child = command(&["classify", "none.hea"]).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(1), "an error that nobody reads is still an error");
}

// The other commands.

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
fn the_devices_are_listed() {
    let text = printed(&["devices"]);
    assert!(text.contains("\ncpu  ") || text.starts_with("cpu  "), "{text}");
    let devices = objects(&printed(&["devices", "--json"]));
    let [.., cpu, reference] = &devices[..] else { panic!("{devices:?}") };
    assert_eq!((&cpu["device"], &reference["device"]), (&"cpu".into(), &"reference".into()));
    for (index, gpu) in devices[..devices.len() - 2].iter().enumerate() {
        assert_eq!(gpu["device"], format!("gpu:{index}"));
        assert!(gpu["limits"]["max_storage_buffer_binding_size"].as_u64().unwrap() > 0, "{gpu}");
    }
}

#[test]
fn the_devices_are_measured_when_asked_for() {
    let devices = objects(&printed(&["devices", "--measure", "--json"]));
    let [measured @ .., reference] = &devices[..] else { panic!("{devices:?}") };
    assert!(reference.get("measured").is_none() && devices.len() > 1, "{reference}");
    let points: Vec<&Value> = measured.iter().flat_map(|device| device["measured"].as_array().unwrap()).collect();
    for batch in [1, 8, 32, 128] {
        let of_batch: Vec<_> = points.iter().filter(|point| point["batch"] == batch).collect();
        let time = |point: &Value| point["median_ms"].as_f64().unwrap();
        let least = of_batch.iter().map(|point| time(point)).fold(f64::INFINITY, f64::min);
        for point in of_batch {
            assert_eq!(point["fastest"], time(point) == least, "{point}");
            let per_second = f64::from(batch) / time(point) * 1e3;
            assert!((point["records_per_s"].as_f64().unwrap() / per_second - 1.0).abs() < 1e-9, "{point}");
        }
    }
    assert!(points.iter().filter(|point| point["fastest"] == true).count() >= 2, "{points:?}");
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
fn f16_gives_almost_the_same_logits_and_says_that_it_was_f16() {
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
    assert!(verified.contains("stages agree (bounds: NMSE 1e-6 a stage alone"), "{verified}");
}

#[test]
fn a_tuning_in_f16_is_for_f16_alone() {
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
    assert_one_line(&refused, 1, "f16, and here they are in f32: give the --precision that it was made with");
}

/// `tune` for the 55k network at 250 samples, and the arguments that classify such an array with the tuning.
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
fn a_tuning_that_does_not_hold_here_is_explained() {
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
    refused(&with("driver_info: ", "driver_info: older "), "make it anew with `ecgpu tune`");
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
fn help_shows_examples() {
    for name in ["classify", "devices", "verify", "tune", "inspect", "synth"] {
        let help = printed(&[name, "--help"]);
        assert!(help.contains("Examples:") && help.contains(&format!("ecgpu {name}")), "{help}");
    }
    assert!(printed(&["--help"]).contains("not a medical device"));
}

// Recordings that cannot be classified: one line, exit code 1.

fn assert_refused(path: &str, part: &str) {
    assert_one_line(&run(&["classify", "--device", "cpu", path]), 1, part);
}

#[test]
fn a_damaged_record_is_explained() {
    let folder = Folder::new();
    let refused = |from: &str, to: &str, change: fn(&mut Vec<u8>), part: &str| {
        assert_refused(&folder.damaged_record(from, to, change), part);
    };
    let as_it_is = |_: &mut Vec<u8>| ();
    refused("r", "r", |samples| samples.truncate(samples.len() - 1), "1000 samples are declared and r.dat holds 999");
    refused("r", "r", Vec::clear, "r.dat holds 0");
    refused("r.dat", "none.dat", as_it_is, "none.dat");
    refused("r.dat", "../r.dat", as_it_is, "outside its own folder");
    refused("r 12 100 1000", "r 12 100 130000000", as_it_is, "130000000 samples are declared");
    refused("r 12 100 1000", "r 12 100 0", Vec::clear, "samples");
    refused("r 12 100 1000", "r 12 -5 1000", as_it_is, "line 1");
    refused("r 12 100 1000", "r 11 100 1000", as_it_is, "11 signals are declared and 12 described");
    refused("r 12 100 1000", "r 13 100 1000", as_it_is, "13 signals are declared and 12 described");
    refused(" V6", " V5", as_it_is, "lead V5 is there twice");
    refused(" V6", " vx", as_it_is, "lead V6 is missing");
}

#[test]
fn a_damaged_array_is_explained() {
    let folder = Folder::new();
    let mut not_finite = zeros(&[12, 100]);
    let end = not_finite.len();
    not_finite[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    for (contents, part) in [
        (not_finite.clone(), "lead V6 has inf at sample 99"),
        (zeros(&[11, 100]), "shape [11, 100]"),
        (zeros(&[13, 100]), "shape [13, 100]"),
        (zeros(&[12, 0]), "shape [12, 0]"),
        (npy("<f4", &[12, 65_000_000], &[0; 1000]), "1000 bytes follow"),
        (npy("<f4", &[12, 100], &[0xfe; 4800]), "too large"),
        (Vec::new(), "no NumPy array"),
    ] {
        assert_refused(&folder.with("a.npy", contents), part);
    }
    let raw = |contents: Vec<u8>, part| {
        assert_one_line(&run(&["classify", "--device", "cpu", "--raw", &folder.with("a.npy", contents)]), 1, part);
    };
    raw(not_finite, "inf at index");
    raw(zeros(&[2, 11, 100]), "an array [2, 11, 100] where [batch, 12, samples] is expected");
    raw(npy("<f4", &[1, 12, 100], &[0xfe; 4800]), "give numbers up to 1e18");
    assert_one_line(&run(&["classify", "--raw", &data("table.csv")]), 1, "is no .npy file");
}

#[test]
fn a_damaged_table_is_explained() {
    let folder = Folder::new();
    let all = names();
    for (contents, part) in [
        (table(&all, &["0", "NaN", "1"]), "NaN"),
        (table(&all, &["0", "inf", "1"]), "inf"),
        (table(&all[..11], &["0", "1"]), "lead V6 is missing"),
        (table(&[&all[..], &["V6"]].concat(), &["0", "1"]), "V6"),
        (table(&all, &[]), "zero samples"),
        (String::new(), "an empty file"),
    ] {
        assert_refused(&folder.with("a.csv", contents), part);
    }
}

#[test]
fn a_path_that_leads_nowhere_is_explained() {
    let folder = Folder::new();
    let none = folder.path("none");
    for extension in ["", ".hea", ".npy", ".csv", ".edf", "\nname.hea"] {
        assert_refused(&format!("{none}{extension}"), "check the path");
    }
    assert_refused(&folder.with("a.edf", "EDF"), "give a .hea or .dat (WFDB), .npy or .csv file");
    let empty = folder.path("empty");
    fs::create_dir(&empty).unwrap();
    assert_refused(&empty, "no recording in this folder");
}

#[test]
fn too_short_an_input_is_explained() {
    let folder = Folder::new();
    let weights = folder.with("card.safetensors", WeightsFile::random(&model_card_55k()).to_bytes());
    let input = folder.with("a.npy", zeros(&[1, 12, 3]));
    let outcome = run(&["classify", "--device", "cpu", "--raw", &input, "--weights", &weights]);
    assert_one_line(&outcome, 1, "layer encoder.7, input of 3 samples: no output");
}

/// The first convolution gives 64 channels of half the samples, 154 MB; Mesa's software adapter binds 128 MiB.
#[test]
fn an_input_beyond_the_gpus_limits_is_explained() {
    const SAMPLES: usize = 1_200_000;
    let binding = |device: &Value| device["limits"]["max_storage_buffer_binding_size"].as_u64();
    let largest = objects(&printed(&["devices", "--json"])).iter().filter_map(binding).max().unwrap_or(u64::MAX);
    if largest >= 64 * SAMPLES as u64 / 2 * 4 {
        return skip("no GPU, or one that takes more than the test gives");
    }
    let folder = Folder::new();
    let header = npy("<f4", &[1, 12, SAMPLES], &[]);
    let path = folder.with("long.npy", &header);
    fs::File::options().write(true).open(&path).unwrap().set_len((header.len() + 12 * SAMPLES * 4) as u64).unwrap();
    let outcome = run(&["classify", "--device", "gpu", "--raw", &path]);
    assert_one_line(&outcome, 1, "cut the recording into shorter ones or use --device cpu");
}

// Weights that do not fit.

#[test]
fn weights_that_do_not_fit_are_explained() {
    const WEIGHT: &str = "head.weight";
    let folder = Folder::new();
    let file = WeightsFile::random(&training_code_542k());
    let changed = |change: fn(&mut WeightsFile)| {
        let mut file = file.clone();
        change(&mut file);
        folder.with("a.safetensors", file.to_bytes())
    };
    let refused = |path: &str, part: &str| {
        assert_one_line(&run(&["classify", "--device", "cpu", "--weights", path]), 1, part);
        assert_one_line(&run(&["inspect", path]), 1, part);
    };
    refused(
        &changed(|file| file.tensors.retain(|tensor| tensor.name != WEIGHT)),
        "head.weight of shape [5, 256]: it is",
    );
    refused(&changed(|file| file.tensor(WEIGHT).shape = vec![256, 5]), "the file has shape [256, 5]");
    refused(
        &changed(|file| {
            let tensor = file.tensor(WEIGHT);
            (tensor.kind, tensor.bytes) = (Dtype::I64, vec![0; 5 * 256 * 8]);
        }),
        "stored as I64",
    );
    refused(&changed(|file| file.tensors.push(StoredTensor::new("a", &[1], &[0.0]))), "tensor a is not part of");
    let with_value = |name: &str, value: f32| {
        folder.with("a.safetensors", file.clone().with_values(name, |values| values[0] = value).to_bytes())
    };
    refused(&with_value(WEIGHT, f32::NAN), "element 0 is NaN");
    refused(&with_value("encoder.features.0.block.1.running_var", -1.0), "a variance is never negative");
}

#[test]
fn what_is_no_weights_file_is_explained() {
    let folder = Folder::new();
    let header = r#"{"a":{"dtype":"F32","shape":[750000000],"data_offsets":[0,3000000000]}}"#;
    let large = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 1000]].concat();
    let not_one = "not a readable safetensors file";
    for (path, part) in [
        (folder.with("a", "PK\x03\x04 a PyTorch file"), not_one),
        (folder.with("b", ""), not_one),
        (folder.with("c", large), not_one),
        (folder.path("none"), "check the path"),
        (folder.path(""), "name a file, not a folder"),
    ] {
        assert_one_line(&run(&["classify", "--weights", &path]), 1, part);
    }
}

// Devices that are not there.

#[test]
fn a_device_that_is_not_there_is_explained() {
    assert_one_line(&run(&["classify", "--device", "no such device"]), 1, "there is no device 'no such device'");
    assert_one_line(&run(&["verify", "--device", "gpu:99"]), 1, "there is no gpu:99");
    assert_usage(&["classify", "--device", "gpu:x"], "'gpu:x' names no device: use a number, as in gpu:0");
    assert_usage(&["classify", "--device", ""], "an empty device name: use auto");
}

/// Without a driver, and without so much as the library that finds one.
#[test]
#[cfg(target_os = "linux")]
fn without_a_driver_the_cpu_is_used() {
    let folder = Folder::new();
    for name in ["libvulkan.so", "libvulkan.so.1"] {
        folder.with(name, "");
    }
    let libraries = folder.path("");
    for (variable, value) in [("VK_DRIVER_FILES", "/nonexistent"), ("LD_LIBRARY_PATH", &libraries)] {
        let on = |device: &str| outcome(command(&["classify", "--json", "--device", device]).env(variable, value));
        assert_one_line(&on("gpu"), 1, "no Vulkan, Metal or DX12 driver offers an adapter: install one");
        let auto = on("auto");
        assert_eq!((auto.code, auto.stderr.as_str()), (0, ""));
        assert_eq!(objects(&auto.stdout)[0]["backend"], "cpu");
        let devices = outcome(command(&["devices"]).env(variable, value));
        assert!(devices.code == 0 && devices.stderr.starts_with("note: no GPU"), "{}", devices.stderr);
    }
}

// Requests that make no sense: exit code 2.

#[test]
fn an_option_that_makes_no_sense_is_explained() {
    let path = data("expected.npy");
    for rate in ["0", "-100", "NaN", "inf"] {
        let outcome = run(&["classify", &path, "--sampling-rate", rate]);
        assert_one_line(&outcome, 2, "Hz: give a positive number of Hz");
    }
    for (arguments, part) in [
        (&["classify", &path, "--unit", "furlong"][..], "unknown unit 'furlong': use mV, uV or V"),
        (&["classify", &path, "--leads", "I,V9"], "'V9' is not a lead of the 12-lead ECG"),
        (&["classify", &path, "--batch", "0"], "0 is not in 1.."),
        (&["classify", &path, "--raw", "--unit", "mV"], "cannot be used with"),
        (&["classify", "--sampling-rate", "100"], "PATH"),
        (&["classify", "--no-such-option"], "unexpected argument '--no-such-option'"),
        (&["no-such-command"], "unrecognized subcommand"),
    ] {
        assert_usage(arguments, part);
    }
    assert_one_line(&run(&["classify", &path, "--leads", "I,II,V1"]), 1, "--leads");
}

#[test]
fn any_number_of_threads_gives_the_same_bits_and_none_is_refused() {
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
fn bench_times_a_case_and_says_on_what() {
    let case = ["bench", "--device", "cpu", "--network", "55k", "--samples", "250", "--seconds", "1", "--json"];
    let object: Value = serde_json::from_str(printed(&case).trim()).unwrap();
    assert_eq!((object["network"].as_str(), object["samples"].as_u64()), (Some("55k"), Some(250)));
    let [median, p95] = ["median_ms", "p95_ms"].map(|key| object[key].as_f64().unwrap());
    assert!(median > 0.0 && p95 >= median, "{object}");
}

// Augmentations, drawn.

mod augment {
    use super::*;

    const TITLES: [&str; 7] = [
        "Frequency warping",
        "Mixup",
        "Band-pass variation",
        "Segment CutMix",
        "Motion artefacts",
        "Per-lead noise",
        "Temporal dropout",
    ];

    /// A folder with a record of 500 Hz in it, and the path of a drawing to be.
    fn record() -> (TempDir, String, String) {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (record, drawing) = (path("record.hea"), path("drawing.svg"));
        printed(&["synth", "--condition", "hyp", "--out", &record]);
        (folder, record, drawing)
    }

    #[test]
    fn every_augmentation_is_drawn_with_its_name_and_amounts() {
        let (_folder, record, drawing) = record();
        let stdout = printed(&["augment", &record, "--out", &drawing]);
        assert!(stdout.ends_with("drawing.svg: 7 augmentations of record\n"), "{stdout}");
        let svg = fs::read_to_string(&drawing).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        for title in TITLES {
            assert_eq!(svg.matches(&format!(">{title}</text>")).count(), 1, "{title}");
        }
        for amount in ["heart rate", " Hz to ", "% of the record", "from synthetic-cd-lbbb-1", " µV", "change in II ×"]
        {
            assert!(svg.contains(amount), "{amount}");
        }
        // Two leads before and after, and the difference, each of 5000 samples.
        let curves = svg.lines().filter(|line| line.starts_with("<polyline") && line.matches(',').count() == 5000);
        assert_eq!(curves.count(), 7 * 5);
    }

    #[test]
    fn a_drawing_follows_from_its_seed_and_is_not_written_over() {
        let (_folder, record, drawing) = record();
        let draw = |more: &[&str]| run(&[&["augment", &record, "--out", &drawing], more].concat());
        assert_eq!(draw(&[]).code, 0);
        let first = fs::read(&drawing).unwrap();
        let refused = draw(&["--seed", "2"]);
        assert!(refused.code == 2 && refused.stderr.contains("is there already"), "{}", refused.stderr);
        assert_eq!(fs::read(&drawing).unwrap(), first);
        assert_eq!(draw(&["--force"]).code, 0);
        assert_eq!(fs::read(&drawing).unwrap(), first);
        assert_eq!(draw(&["--force", "--seed", "2"]).code, 0);
        assert_ne!(fs::read(&drawing).unwrap(), first);
    }

    #[test]
    fn a_list_chooses_and_a_second_file_is_the_partner() {
        let (folder, record, drawing) = record();
        let partner = folder.path().join("partner.hea").display().to_string();
        printed(&["synth", "--condition", "sttc", "--sampling-rate", "250", "--out", &partner]);
        let drawn = |list: &str| {
            printed(&["augment", &record, &partner, "--augment", list, "--out", &drawing, "--force"]);
            let svg = fs::read_to_string(&drawing).unwrap();
            let there = TITLES.map(|title| svg.contains(&format!(">{title}<")));
            (svg, there)
        };
        let (svg, there) = drawn("mixup,cutmix");
        assert_eq!(there, [false, true, false, true, false, false, false]);
        assert_eq!(svg.matches(">from partner<").count(), 2);
        assert_eq!(drawn("-warp").1, [false, true, true, true, true, true, true]);
    }

    #[test]
    fn what_cannot_be_drawn_is_one_line_with_a_remedy() {
        let (_folder, record, drawing) = record();
        for (arguments, code, text) in [
            (vec!["missing.hea"], 1, "check the path"),
            (vec![&record, "--augment", "none"], 2, "no augmentation to draw"),
            (vec![&record, "--augment", "nois"], 2, "there is no augmentation 'nois'"),
            (vec![&record, "missing.hea"], 1, "check the path"),
        ] {
            let outcome = run(&[&["augment", "--out", &drawing], arguments.as_slice()].concat());
            assert!(outcome.code == code && outcome.stderr.contains(text), "{arguments:?}: {}", outcome.stderr);
            assert!(!Path::new(&drawing).exists());
        }
    }

    #[test]
    fn at_100_hz_it_is_said_that_the_band_ends_earlier() {
        let (folder, _, drawing) = record();
        let slow = folder.path().join("slow.hea").display().to_string();
        printed(&["synth", "--sampling-rate", "100", "--seconds", "12", "--out", &slow]);
        let outcome = run(&["augment", &slow, "--out", &drawing]);
        assert_eq!(outcome.code, 0);
        assert!(outcome.stderr.contains("between 40 and 45 Hz"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("the first 10.0 s of 12.0 s"), "{}", outcome.stderr);
    }
}
