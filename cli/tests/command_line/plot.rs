//! Drawings of ECGs.

use std::fs;

use ecgpu::Recording;
use ecgpu::ecg::Lead;

use crate::support::{Folder, Outcome, array, assert_one_line, assert_usage, data, norm, printed, run, zeros};

/// A folder with a record, and the path of a drawing in it.
fn record(recording: &Recording) -> (Folder, String, String) {
    let folder = Folder::new();
    let (record, drawing) = (folder.record("bed4.hea", recording), folder.path("ecg.svg"));
    (folder, record, drawing)
}

#[test]
fn a_user_draws_a_record_and_sees_name_scale_rate_and_leads() {
    let (_folder, record, drawing) = record(&norm(500.0));
    let stdout = printed(&["plot", &record, "--out", &drawing]);
    assert_eq!(stdout, format!("{drawing}: bed4, 10.0 s at 500 Hz\n"));
    let svg = fs::read_to_string(&drawing).unwrap();
    for lead in Lead::STANDARD {
        assert!(svg.contains(&format!(">{lead}</text>")), "{lead}");
    }
    for part in ["width=\"297mm\" height=\"210mm\"", ">25 mm/s   10 mm/mV ", ">bed4   500 Hz   10.0 s</text>"] {
        assert!(svg.contains(part), "{part}");
    }
}

#[test]
fn a_synthetic_record_is_marked_and_its_warning_shown() {
    let folder = Folder::new();
    let [record, drawing] = ["mi.hea", "mi.svg"].map(|name| folder.path(name));
    printed(&["synth", "--condition", "mi", "--out", &record]);
    let Outcome { code, stderr, .. } = run(&["plot", &record, "--out", &drawing]);
    assert_eq!((code, stderr.as_str()), (0, "warning: a synthetic signal, not a patient's\n"));
    assert!(fs::read_to_string(&drawing).unwrap().contains(">synthetic, not a patient's ECG</text>"));
}

#[test]
fn a_png_has_its_true_size_and_may_be_finer() {
    let (folder, record, _) = record(&norm(100.0));
    let drawing = folder.path("ecg.PNG");
    let size = |more: &[&str]| {
        printed(&[&["plot", &record, "--out", &drawing, "--force"], more].concat());
        let bytes = fs::read(&drawing).unwrap();
        assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
        [16, 20].map(|at| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()))
    };
    assert_eq!(size(&[]), [2970, 2100]);
    assert_eq!(size(&["--dpi", "100"]), [1169, 827]);
}

#[test]
fn the_part_and_the_recording_are_chosen() {
    let (folder, record, drawing) = record(&norm(100.0));
    let svg = |arguments: &[&str]| {
        let outcome = run(&[&["plot", "--out", &drawing, "--force"], arguments].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        (fs::read_to_string(&drawing).unwrap(), outcome.stderr)
    };
    assert!(svg(&[&record, "--start", "4"]).0.contains("10.0 s, of which 4.0 s to 10.0 s<"));
    let batch = folder.with("batch.npy", zeros(&[3, 12, 1000]));
    let (first, note) = svg(&[&batch]);
    assert!(first.contains(">batch[0]<"), "{note}");
    assert!(
        note.contains("batch.npy holds 3 recordings, of which the first is taken; --record chooses another"),
        "{note}"
    );
    let (last, no_note) = svg(&[&batch, "--record", "2"]);
    assert!(last.contains(">batch[2]<") && !no_note.contains("holds 3"), "{no_note}");
}

#[test]
fn eight_leads_are_completed_and_the_derived_ones_marked() {
    let folder = Folder::new();
    let eight: Vec<Lead> = Lead::STANDARD.into_iter().filter(|lead| !(Lead::III..=Lead::AVF).contains(lead)).collect();
    let file = folder.with("eight.npy", array(&norm(250.0), &eight, 1000.0));
    let drawing = folder.path("eight.svg");
    let stated = ["--sampling-rate", "250", "--unit", "uV", "--leads", "I,II,V1,V2,V3,V4,V5,V6"];
    printed(&[&["plot", &file, "--out", &drawing], &stated[..]].concat());
    let svg = fs::read_to_string(&drawing).unwrap();
    assert!(svg.contains(">aVR*<") && svg.contains(">* derived from I and II: III, aVR, aVL, aVF<"));
}

#[test]
fn what_cannot_be_drawn_is_explained_and_nothing_is_written() {
    let (folder, record, drawing) = record(&norm(100.0));
    let refused = |arguments: &[&str], code: i32, part: &str| {
        assert_one_line(&run(&[&["plot", &record], arguments].concat()), code, part);
    };
    refused(&["--out", &folder.path("ecg.pdf")], 2, "ecg.pdf ends in neither .svg nor .png");
    refused(&["--out", &drawing, "--dpi", "300"], 2, "--dpi has no meaning for SVG");
    refused(&["--out", &drawing, "--start", "10"], 2, "10 s is not within the 10.0 s of the recording");
    refused(&["--out", &drawing, "--start", "-1"], 2, "-1 s is not within");
    refused(&["--out", &drawing, "--record", "1"], 2, "give a number from 0 to 0");
    refused(&["--out", &folder.path("no/ecg.svg")], 1, "its folder must exist");
    assert_one_line(&run(&["plot", "missing.hea", "--out", &drawing]), 1, "check the path");
    assert_usage(&["plot", &record, "--out", &drawing, "--dpi", "0"], "--dpi");
    assert_usage(&["plot", &record], "--out");
    assert!(fs::read(&drawing).is_err());
    fs::write(&drawing, "precious").unwrap();
    refused(&["--out", &drawing], 2, "is there already: choose another name, or add --force");
    assert_eq!(fs::read(&drawing).unwrap(), b"precious");
}

#[test]
fn the_example_of_the_documentation_works() {
    let folder = Folder::new();
    assert_eq!(run(&["plot", &data("format16.hea"), "--out", &folder.path("ecg.png")]).code, 0);
}
