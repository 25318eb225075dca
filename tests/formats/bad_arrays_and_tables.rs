//! NumPy arrays and CSV tables that are refused, with cause and remedy.

use std::fs;

use ecgpu::ecg::format;
use tempfile::TempDir;

use crate::support::{assert_says, data, npy, read, said_of};

#[test]
fn a_damaged_array_is_explained() {
    let said = |contents: &[u8], cause, remedy| {
        for result in said_of(contents) {
            assert_says(&result.unwrap_err(), cause, remedy);
        }
    };
    said(b"", "no NumPy array", "numpy.save");
    said(&npy("<f4", &[12, 1000], 47_999), "[12, 1000] is declared, and 47999 bytes follow", "cut off");
    said(&npy("<f4", &[12, 1 << 30], 100), "is declared, and 100 bytes follow", "cut off");
    said(&npy("<f4", &[12, 1 << 31, 1 << 31], 100), "too large for any computer", "save the array again");
    said(&npy("|b1", &[12, 9], 108), "truth values (an array of type '|b1')", "float32, float64 or int16");
    said(&npy("<U3", &[12, 9], 1296), "strings", "float32, float64 or int16");
    said(&npy("<c8", &[12, 9], 864), "complex numbers (an array of type '<c8')", "the real part");
    said(
        &npy("|O", &[12, 9], 108),
        "a pickled object (an array of type '|O')",
        "a plain array of numbers with numpy.save",
    );
    said(&npy("<f4", &[108], 432), "an array of shape [108]", "give [12, samples]");
    said(&npy("<f4", &[12, 0], 0), "an array of shape [12, 0]", "none of them empty");
    let [recording, raw] = said_of(&npy("<f4", &[2, 2, 12, 9], 1728));
    assert_says(&recording.unwrap_err(), "an array of shape [2, 2, 12, 9]", "with or without a batch");
    assert_says(&raw.unwrap_err(), "an array of shape [2, 2, 12, 9]", "a batch of these");
}

#[test]
fn an_array_of_other_than_twelve_leads_is_refused_without_their_names() {
    for leads in [11, 13] {
        let [recording, raw] = said_of(&npy("<f4", &[leads, 100], leads * 400));
        let error = recording.unwrap_err();
        assert_says(&error, &format!("shape [{leads}, 100], and none of its sides is 12"), "name the");
        assert!(raw.is_ok(), "raw arrays have any number of channels");
    }
    let [recording, _] = said_of(&npy("<i2", &[12, 100], 2400));
    assert_says(&recording.unwrap_err(), "whole numbers without a unit", "such as uV");
}

#[test]
fn a_value_that_is_not_finite_is_refused_with_its_place() {
    let mut contents = npy("<f4", &[12, 1000], 48_000);
    let at = contents.len() - 48_000 + 4 * (1000 + 7);
    contents[at..at + 4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let [recording, raw] = said_of(&contents);
    assert_says(&recording.unwrap_err(), "lead II has inf at sample 7", "interpolate the gap");
    assert_says(&raw.unwrap_err(), "inf at index [1, 7]", "not finite");
}

#[test]
fn a_table_cannot_be_read_raw() {
    let error = format::read_raw(&data("table.csv")).unwrap_err();
    assert_says(&error, "table.csv is no .npy file", "numpy.save");
}

#[test]
fn a_bad_table_is_explained_with_its_line() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.csv");
    let said = |text: &str, cause, remedy| {
        fs::write(&path, text).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.cause().starts_with(&*path.to_string_lossy()), "the file is named first: {error}");
        assert_says(&error, cause, remedy);
    };
    said("", "an empty file", "one column per lead");
    said("I;II\n1;0.5\n1;2\n1;0,5\n", "line 4, column 2 (II): '0,5' is no number", "one decimal mark");
    said("I,II\n1,2\n3\n", "line 3 has 1 columns and line 2 has 2", "same number of columns");
    said("a,b\n1,2\n", "none of its 2 signals has the name of a standard lead: 'a', 'b'", "name the lead of each");
    said("I,II\n1.5,2\n", "1 samples, and the file states no sampling rate", "state the sampling rate");
    said("1,2\n3,4\n", "2 columns without names, and 12 leads are expected", "name the leads");
}

#[test]
#[cfg(target_os = "linux")]
fn a_sparse_file_of_a_huge_array_is_refused_at_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.npy");
    fs::write(&path, npy("<f4", &[12, 5_000_000_000], 0)).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() + 240_000_000_000).unwrap();
    assert_says(&read(&path).unwrap_err(), "over 512 MiB together", "");
    let reader = format::Reader::open(&path, &format::ReadOptions::default()).unwrap();
    let error = reader.read(0).unwrap_err();
    assert_says(&error, "more than 4294967295 numbers at once", "cut it into shorter recordings");
}
