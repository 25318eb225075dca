//! Names on the Hub as options of the program, and several processes with one cache.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use ecgpu_testing::{hub_site::sha256, ptb_xl::PtbXl, site::Fault};
use serde_json::Value;

use crate::support::{FIRST, Place, SECOND, files_in, weights};

/// Runs the program, which must succeed. Returns standard output and standard error.
fn succeeds(place: &Place, arguments: &[&str], environment: &[(&str, &str)]) -> (String, String) {
    let output = place.command(arguments).envs(environment.iter().copied()).output().unwrap();
    let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{arguments:?}: {error}");
    (out, error)
}

#[test]
fn every_command_takes_weights_by_name() {
    let (place, record) = (Place::new(), "tests/data/format16.hea");
    let folder = place.folder.path().to_str().unwrap();
    let file = place.folder.path().join("w.safetensors");
    fs::write(&file, weights("0")).unwrap();
    let classify = |name: &str| -> Value {
        let arguments = ["classify", record, "--json", "--device", "cpu", "--weights", name];
        serde_json::from_str(&succeeds(&place, &arguments, &[]).0).unwrap()
    };
    assert_eq!(classify("hf:o/n")["logits"], classify(file.to_str().unwrap())["logits"]);
    for (arguments, written) in [
        (&["score", record, "--out", "OUT/s.csv", "--weights", "hf:o/n", "--device", "cpu"][..], "s.csv"),
        (&["export", "hf:o/n", "--onnx", "OUT/e.onnx"], "e.onnx"),
        (
            &["explain", record, "--class", "MI", "--out", "OUT/x.svg", "--weights", "hf:o/n", "--device", "cpu"],
            "x.svg",
        ),
    ] {
        let arguments: Vec<String> = arguments.iter().map(|text| text.replace("OUT", folder)).collect();
        succeeds(&place, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        assert!(place.folder.path().join(written).is_file(), "{written}");
    }
    let metadata = fs::read_to_string(place.folder.path().join("s.metadata.json")).unwrap();
    assert!(metadata.contains(&sha256(&weights("0"))), "{metadata}");
    assert_eq!(place.site.contents.requests().len(), 1);
}

#[test]
fn the_environment_is_that_of_other_tools() {
    let place = Place::new();
    place.site.demand("hf_secret");
    fs::write(place.folder.path().join("token"), "hf_secret\n").unwrap();
    succeeds(&place, &["inspect", "hf:o/n"], &[]);
    place.site.requests();
    let (_, error) = succeeds(&place, &["inspect", "hf:o/n"], &[("HF_HUB_OFFLINE", "1")]);
    assert_eq!((error.as_str(), place.site.requests().len()), ("", 0));
    let unreachable = [("HF_ENDPOINT", "http://127.0.0.1:9")];
    let (_, error) = succeeds(&place, &["inspect", "hf:o/n"], &unreachable);
    let note = format!("the model is taken from the cache: hf:o/n@{FIRST}/model.safetensors\n");
    assert!(error.starts_with("note: http://127.0.0.1:9/") && error.ends_with(&note), "{error}");
    let other = place.folder.path().join("other");
    let output =
        place.command(&["inspect", "hf:o/n"]).env("HF_HUB_CACHE", &other).env("HF_TOKEN", "hf_wrong").output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && error.contains("the token has no access"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    let (code, error) = {
        let output = place.command(&["inspect", "hf:o/n/pytorch_model.bin"]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(code == Some(2) && error.starts_with("error: hf:o/n/pytorch_model.bin: a pickle"), "{error}");
}

#[test]
fn two_processes_at_once_fetch_a_model_once() {
    let (place, bytes) = (Place::new(), weights("0"));
    place.site.contents.faults(&format!("/{}?signed=yes", sha256(&bytes)), &[Fault::Slow(Duration::from_secs(2))]);
    let start = || place.command(&["inspect", "hf:o/n"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    let children: Vec<_> = (0..3).map(|_| start()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(place.site.contents.requests().len(), 1);
    let mut left =
        files_in(&place.cache()).into_iter().map(|path| path.file_name().unwrap().to_owned()).collect::<Vec<_>>();
    left.sort();
    let blob = sha256(&bytes);
    assert_eq!(left, [blob.as_str(), &format!("{blob}.lock"), "main", "model.safetensors"]);
}

#[test]
fn a_killed_download_resumes_without_loss() {
    let (place, bytes) = (Place::new(), weights("0"));
    place.site.contents.faults(&format!("/{}?signed=yes", sha256(&bytes)), &[Fault::Stall(9000)]);
    let mut child = place.command(&["inspect", "hf:o/n"]).spawn().unwrap();
    let part = place.cached(&format!("blobs/{}.incomplete", sha256(&bytes)));
    let start = Instant::now();
    while part.metadata().map_or(0, |part| part.len()) < 9000 {
        assert!(start.elapsed() < Duration::from_secs(60), "the part never came");
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (_, error) = succeeds(&place, &["inspect", "hf:o/n"], &[]);
    assert_eq!(error, "");
    let starts: Vec<usize> = place.site.contents.requests().iter().map(|request| request.start).collect();
    assert_eq!(starts, [0, 9000]);
}

#[test]
fn a_run_keeps_the_commit_that_it_began_with() {
    let (place, data) = (Place::new(), PtbXl::new(260));
    let path = |name: &str| place.folder.path().join(name).to_str().unwrap().to_string();
    let (out, data) = (path("out.safetensors"), data.path().to_str().unwrap().to_string());
    let quick = ["--network", "55k", "--crop", "1", "--batch", "64", "--device", "cpu", "--epochs", "1"];
    let arguments = [&["finetune", "--data", &data, "--from", "hf:o/n", "--out", &out][..], &quick].concat();
    succeeds(&place, &arguments, &[]);
    let settings = fs::read_to_string(path("out.run/config.toml")).unwrap();
    assert!(settings.contains(&format!("from = \"hf:o/n@{FIRST}/model.safetensors\"")), "{settings}");
    place.publish(SECOND, &[("model.safetensors", &weights("0.5"))]);
    place.site.requests();
    succeeds(&place, &["finetune", "--resume", &path("out.run")], &[("HF_HUB_OFFLINE", "1")]);
    assert_eq!(place.site.requests(), Vec::<String>::new());
}
