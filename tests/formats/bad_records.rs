//! WFDB records that are refused, with cause and remedy.

use std::fs;

use ecgpu::ecg::format;
use ecgpu::ecg::format::ReadOptions;
use tempfile::TempDir;

use crate::support::{Record, assert_says, data, read, two_leads};

#[test]
fn a_damaged_header_is_explained() {
    let said = |text: &[u8], cause, remedy| assert_says(&two_leads().with_header(text).error(), cause, remedy);
    said(b"", "the header is empty", "give it a record line");
    said(b"\x89PNG\r\n\x1a\n\0\0", "the header is no text", "check that this is a WFDB header");
    said(b"Dear Sir,\nthank you", "line 1: 'Sir,' is no number of signals", "correct this line");
    said(b"r 12 100 3\nr.dat 16 1000 16 0 0 0 0 I", "12 signals are declared and 1 described", "get it again");
    said(&vec![b'#'; 2 << 20], "the header has 2097152 bytes", "check that this is a WFDB header");
}

#[test]
fn a_damaged_signal_line_is_explained() {
    let said = |from, to, cause, remedy| assert_says(&two_leads().changed(from, to).error(), cause, remedy);
    said("/mV", "/mmHg", "lead I is in 'mmHg', which is no unit of voltage", "state the true one");
    said("r.dat 16 ", "r.dat 17 ", "'I' and 'II' share a file in different formats", "correct the header");
    said("r.dat 16 ", "r.dat 16x2 ", "'I' has 2 samples per frame and 'II' 1", "one sampling rate for all leads");
    said("r.dat 16 ", "r.dat 16:7 ", "a recording of zero samples", "at least one sample");
    said("r.dat 16 ", "r.dat 24 ", "'I' and 'II' share a file in different formats", "correct the header");
    said(" 0 II\n", " 0 I\n", "lead I is there twice, with different samples", "keep one of the two");
    said("r 2 ", "r/5 2 ", "5 segments are declared and 2 described", "get it again");
    said("r 2 100 ", "r 2 0 ", "line 1: a sampling rate of 0 Hz", "it must be a positive number");
}

#[test]
fn a_record_without_a_standard_lead_is_refused() {
    let error = Record::of_leads(&["vx", "ABP"]).error();
    assert_says(&error, "none of its 2 signals has the name of a standard lead: 'vx', 'ABP'", "name the lead");
}

#[test]
fn a_signal_file_outside_the_folder_is_refused() {
    for name in ["/etc/passwd", "../r.dat", "a/r.dat", "..", "..\\r.dat", "C:r.dat"] {
        let error = two_leads().changed("r.dat", name).error();
        assert_says(&error, "outside its own folder", "put the file beside its header");
    }
    assert_says(&two_leads().changed("r.dat", "~").error(), "'~' instead of a signal file", "with its signal files");
}

#[test]
fn a_missing_signal_file_is_named_with_its_header() {
    let record = two_leads();
    fs::remove_file(record.folder.path().join("r.dat")).unwrap();
    let error = record.error();
    assert_says(&error, "r.hea: its signal file", "into one folder");
    assert!(error.cause().contains("r.dat"), "{error}");
}

#[test]
fn a_cut_off_signal_file_is_refused_with_its_length() {
    let cut = |bytes: usize| two_leads().with_samples(vec![0; bytes]).error();
    assert_says(&cut(11), "3 samples are declared and r.dat holds 2", "get the record again");
    assert_says(&cut(0), "3 samples are declared and r.dat holds 0", "cut off or empty");
    let error = two_leads().changed("r 2 100 3", "r 2 100 750000000").error();
    assert_says(&error, "750000000 samples are declared and r.dat holds 3", "the header wrong");
    let error = two_leads().changed("r 2 100 3", "r 2 100 18446744073709551615").error();
    assert_says(&error, "18446744073709551615 samples are declared", "the header wrong");
    let error = two_leads().changed("r.dat 16 ", "r.dat 16+99999999999 ").error();
    assert_says(&error, "share a file in different formats", "share format and offset");
}

#[test]
fn impossible_options_are_refused() {
    for rate in [0.0, -100.0, f64::NAN, f64::INFINITY] {
        let options = ReadOptions { sampling_rate: Some(rate), ..Default::default() };
        assert_says(&format::read(&data("format16.hea"), &options).unwrap_err(), "a sampling rate of", "positive");
    }
    let options = ReadOptions { leads: Some(Vec::new()), ..Default::default() };
    assert_says(&format::read(&data("expected.npy"), &options).unwrap_err(), "an empty list of leads", "at least one");
}

#[test]
fn an_unknown_format_is_refused_with_those_that_are_known() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.xyz");
    fs::write(&path, "").unwrap();
    assert_says(
        &read(&path).unwrap_err(),
        "extension 'xyz', and its content is of no known format",
        "WFDB (.hea, .dat, .mat), NumPy (.npy)",
    );
    assert_says(&read(folder.path()).unwrap_err(), "is a folder", "name one of its files");
    for missing in ["a.hea", "a.npy", "a.csv", "a", "b.xyz"] {
        assert_says(&read(&folder.path().join(missing)).unwrap_err(), missing, "check the path");
    }
}
