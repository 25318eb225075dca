//! Conversions between file formats.

use std::fs;
use std::path::Path;

use ecgpu::Recording;
use ecgpu::ecg::format::{self, ReadOptions};
use serde_json::json;

use crate::support::{Folder, array, assert_one_line, assert_usage, norm, objects, printed, run, zeros};

fn read(path: &str) -> Recording {
    let mut recordings = format::read(Path::new(path), &ReadOptions::default()).unwrap();
    assert_eq!(recordings.len(), 1);
    recordings.remove(0)
}

#[test]
fn a_record_goes_to_a_table_and_back_without_loss() {
    let folder = Folder::new();
    let header = folder.record("a.hea", &norm(500.0));
    let [table, again] = ["b.csv", "c.hea"].map(|name| folder.path(name));
    assert_eq!(printed(&["convert", &header, &table]), format!("{table}: a, 12 leads, 10.0 s at 500 Hz\n"));
    assert_eq!(printed(&["convert", &table, &again]), format!("{again}: b, 12 leads, 10.0 s at 500 Hz\n"));
    assert_eq!(fs::read(folder.path("a.dat")).unwrap(), fs::read(folder.path("c.dat")).unwrap());
    let (first, last) = (read(&header), read(&again));
    assert!(first.leads().eq(last.leads()) && last.warnings().is_empty());
}

#[test]
fn an_array_is_written_with_a_note_on_how_to_read_it() {
    let folder = Folder::new();
    let header = folder.record("a.hea", &norm(250.0));
    let npy = folder.path("a.npy");
    let outcome = run(&["convert", &header, &npy]);
    let note = "note: the format does not state everything: read it with --sampling-rate 250 --unit mV\n";
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, note));
    let back = folder.path("b.hea");
    printed(&["convert", &npy, &back, "--sampling-rate", "250", "--unit", "mV"]);
    assert!(read(&header).leads().eq(read(&back).leads()));
    let two = folder.with("two.csv", "time (s),aVR (mV),II (mV)\n0,1,2\n0.002,3,4\n");
    let outcome = run(&["convert", &two, &npy, "--force"]);
    assert!(outcome.stderr.ends_with("--sampling-rate 500 --unit mV --leads II,aVR\n"), "{}", outcome.stderr);
}

#[test]
fn a_synthetic_record_stays_synthetic_and_is_resampled_on_request() {
    let folder = Folder::new();
    let [first, second] = ["a.hea", "b.hea"].map(|name| folder.path(name));
    printed(&["synth", "--out", &first]);
    let outcome = run(&["convert", &first, &second, "--resample", "100", "--json"]);
    let warning = "a synthetic signal, not a patient's";
    assert_eq!((outcome.code, outcome.stderr), (0, format!("warning: {warning}\n")));
    let leads = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"];
    let expected = json!({
        "source": first, "record": "a", "file": second, "leads": leads, "samples": 1000, "sampling_rate_hz": 100.0,
        "unit": "mV", "warnings": [warning],
    });
    assert_eq!(objects(&outcome.stdout), [expected]);
    assert_eq!(read(&second).warnings(), [warning]);
}

#[test]
fn several_recordings_become_several_files_or_one_that_is_chosen() {
    let folder = Folder::new();
    let leads = ecgpu::ecg::Lead::STANDARD;
    let mut batch = array(&norm(100.0), &leads, 1.0);
    let values = batch.split_off(batch.len() - 4 * 12 * 1000);
    let twice = ecgpu_testing::npy("<f4", &[2, 12, 1000], &[values.clone(), values].concat());
    let batch = folder.with("batch.npy", twice);
    let stated = ["--sampling-rate", "100", "--unit", "mV"];
    let out = folder.path("ecg.csv");
    let stdout = printed(&[&["convert", &batch, &out], &stated[..]].concat());
    assert_eq!(stdout.lines().count(), 2);
    let [zero, one] = ["ecg_0.csv", "ecg_1.csv"].map(|name| fs::read(folder.path(name)).unwrap());
    assert_eq!(zero, one);
    fs::remove_file(folder.path("ecg_0.csv")).unwrap();
    let again = run(&[&["convert", &batch, &out], &stated[..]].concat());
    assert_one_line(&again, 2, "ecg_1.csv is there already");
    assert!(fs::metadata(folder.path("ecg_0.csv")).is_err(), "what is refused writes nothing");
    printed(&[&["convert", &batch, &out, "--record", "1"], &stated[..]].concat());
    assert_eq!(fs::read(&out).unwrap(), one);
}

#[test]
fn what_cannot_be_converted_is_explained_and_no_file_is_overwritten() {
    let folder = Folder::new();
    let header = folder.record("a.hea", &norm(100.0));
    let refused = |arguments: &[&str], code: i32, part: &str| {
        assert_one_line(&run(&[&["convert"], arguments].concat()), code, part);
    };
    refused(&[&header, &folder.path("b.pdf")], 2, "write WFDB (.hea), NumPy (.npy)");
    refused(&[&header, &folder.path("b")], 2, "its extension is none that can be written");
    refused(&[&header, &folder.path("b c.hea")], 2, "use letters, digits, _ and - only");
    refused(&[&header, &folder.path("no/b.csv")], 1, "its folder must exist");
    refused(&[&header, &folder.path("b.csv"), "--resample", "0"], 1, "a sampling rate of 0 Hz");
    refused(&[&header, &folder.path("b.csv"), "--record", "1"], 2, "a.hea has no recording number 1");
    refused(&["missing.hea", &folder.path("b.csv")], 1, "check the path");
    let zeros = folder.with("z.npy", zeros(&[12, 77]));
    refused(&[&zeros, &folder.path("b.csv")], 1, "state the sampling rate (--sampling-rate)");
    assert_usage(&["convert", &header], "OUT");
    // The samples beside a header are a file of their own.
    folder.with("b.dat", "precious");
    refused(&[&header, &folder.path("b.hea")], 2, "b.dat is there already: choose another name, or add --force");
    assert_eq!(fs::read(folder.path("b.dat")).unwrap(), b"precious");
    printed(&["convert", &header, &folder.path("b.hea"), "--force"]);
    assert_eq!(fs::read(folder.path("b.dat")).unwrap(), fs::read(folder.path("a.dat")).unwrap());
}
