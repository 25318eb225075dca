//! EDF, EDF+, BDF and BDF+ files: those of the Python package edfio, our own, and damaged ones.

use std::fs;

use ecgpu::ecg::format::{self, ReadOptions};
use ecgpu::ecg::{Condition, Lead, Unit, synthesize};
use ecgpu::{Hint, Recording, Result};
use ecgpu_testing::python;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::{as_table, assert_says, read_one, write};

/// A file of the library in memory: I and II with 6 samples each at 2 Hz, in 3 records of one second.
struct File(Vec<u8>);

impl File {
    fn new() -> Self {
        let lead = |step: f32| (0..6).map(|n| n as f32 * step).collect::<Vec<f32>>();
        Self::of(&Recording::new("r", 2.0, vec![(Lead::I, lead(0.001)), (Lead::II, lead(-0.002))]).unwrap())
    }

    fn of(recording: &Recording) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("r.edf");
        write(recording, &path, &[]).unwrap();
        Self(fs::read(&path).unwrap())
    }

    /// Replaces the first occurrence of `from`, padded to the same length.
    fn changed(mut self, from: &str, to: &str) -> Self {
        assert!(to.len() <= from.len(), "'{to}' is longer than '{from}'");
        let at = self.0.windows(from.len()).position(|window| window == from.as_bytes());
        let at = at.unwrap_or_else(|| panic!("'{from}' is not in the file"));
        self.0[at..at + from.len()].fill(b' ');
        self.0[at..at + to.len()].copy_from_slice(to.as_bytes());
        self
    }

    fn read(&self) -> Result<Vec<Recording>> {
        format::read_bytes("r.edf", &self.0, &ReadOptions::default())
    }

    fn one(&self) -> Recording {
        self.read().unwrap().remove(0)
    }

    fn error(&self) -> ecgpu::Error {
        self.read().unwrap_err()
    }
}

#[test]
fn edfio_reads_what_is_written() {
    let Some(run) = python("edfio, numpy", "formats/write_edf.py") else { return };
    let folder = TempDir::new().unwrap();
    let [file, table] = ["r.edf", "r.csv"].map(|name| folder.path().join(name));
    for (rate, seconds) in [(100.0, 10.0), (500.0, 10.0), (360.5, 10.0), (250.0, 3.332)] {
        let recording = synthesize(Condition::Norm, 3, rate, seconds).unwrap();
        write(&recording, &file, &["Synthetic \u{b5}"]).unwrap();
        fs::write(&table, as_table(&recording)).unwrap();
        run(&["check".as_ref(), file.as_os_str(), table.as_os_str()]);
    }
}

#[test]
fn a_written_file_is_read_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("again.edf");
    let written = synthesize(Condition::Norm, 1, 500.0, 10.0).unwrap();
    write(&written, &path, &["Synthetic\nno patient"]).unwrap();
    let again = read_one(&path);
    assert_eq!((again.name(), again.sampling_rate(), again.samples()), ("again", 500.0, 5000));
    assert_eq!(again.warnings(), written.warnings());
    for ((lead, x), (other, y)) in written.leads().zip(again.leads()) {
        assert_eq!(lead, other);
        let range = x.iter().fold(0f32, |peak, x| peak.max(x.abs()));
        assert!(x.iter().zip(y).all(|(x, y)| (x - y).abs() <= range / 30_000.0), "lead {lead}");
    }
    let bytes = fs::read(&path).unwrap();
    assert!(bytes[8..].starts_with(b"X X X X   ") && bytes[88..].starts_with(b"Startdate X X X X   "));
    assert!(bytes[168..].starts_with(b"01.01.8500.00.00"));
}

#[test]
fn a_recording_without_whole_records_is_not_written() {
    let folder = TempDir::new().unwrap();
    let recording = Recording::new("r", 29.97, vec![(Lead::I, vec![0.0; 7])]).unwrap();
    let error = write(&recording, &folder.path().join("r.edf"), &[]).unwrap_err();
    assert_says(&error, "7 samples at 29.97 Hz fit no whole records", "resample");
    let missing = folder.path().join("none/r.edf");
    assert_says(&write(&File::new().one(), &missing, &[]).unwrap_err(), "r.edf", "check the path");
}

#[test]
fn a_gap_splits_a_recording() {
    let gap = File::new().changed("+2\u{14}", "+7\u{14}");
    for file in [File(gap.0.clone()), gap.changed("EDF+C", "EDF+D")] {
        let parts = file.read().unwrap();
        let names: Vec<&str> = parts.iter().map(Recording::name).collect();
        assert_eq!(names, ["r[0]", "r[1]"]);
        assert_eq!(parts[1].warnings(), ["part 2 of 2 of a recording with gaps: begins at 7 s"]);
        assert_eq!((parts[0].samples(), parts[1].samples()), (4, 2));
        assert_eq!(parts[1].lead(Lead::I), Some(&[0.004, 0.005][..]));
    }
}

#[test]
fn a_discontinuous_file_without_a_gap_is_one_recording() {
    let file = File::new().changed("EDF+C", "EDF+D");
    assert_eq!(file.one(), File::new().one());
    let error = file.changed("+1\u{14}", "?1\u{14}").error();
    assert_says(&error, "record 2 does not state when it begins", "without gaps");
}

#[test]
fn reversed_ranges_turn_the_signal_over() {
    let physical = "-32768  -32768  -1      32767   32767   1       ";
    let file = File::new().changed(physical, "32767   32767   -1      -32768  -32768  1       ");
    assert_eq!(file.one().lead(Lead::I), Some(&[-0.001, -0.002, -0.003, -0.004, -0.005, -0.006][..]));
    assert!(file.one().warnings().join("; ").contains("a negative gain, which turns leads upside down"));
    let digital = "-32768  -32768  -32768  32767   32767   32767   ";
    let both = file.changed(digital, "32767   32767   -32768  -32768  -32768  32767   ");
    assert_eq!(both.one(), File::new().one());
}

#[test]
fn a_range_without_an_extent_is_refused() {
    let error = File::new().changed("-32768  -32768  -32768  ", "32767   -32768  -32768  ").error();
    assert_says(&error, "the digital minimum and maximum of signal 'ECG I' are equal", "correct the header");
}

#[test]
fn a_unit_that_is_none_of_voltage_must_be_stated() {
    let file = File::new().changed("uV      uV      ", "mmHg    uV      ");
    assert_says(&file.error(), "lead I is in 'mmHg', which is no unit of voltage", "state the unit");
    assert_eq!(file.error().hint(), Some(Hint::StateUnit));
    let given = ReadOptions { unit: Some(Unit::Microvolt), ..Default::default() };
    let recording = format::read_bytes("r.edf", &file.0, &given).unwrap().remove(0);
    assert_eq!(recording.leads().collect::<Vec<_>>(), File::new().one().leads().collect::<Vec<_>>());
    let mut latin_1 = File::new();
    let at = latin_1.0.windows(2).position(|window| window == b"uV").unwrap();
    latin_1.0[at] = 0xb5;
    assert_eq!(latin_1.one(), File::new().one());
}

#[test]
fn leads_of_different_rates_are_refused() {
    let error = File::new().changed("2       2       ", "2       1       ").error();
    assert_says(&error, "'ECG I' has 2 Hz and 'ECG II' 1 Hz", "resample");
}

#[test]
fn signals_with_other_names_take_the_leads_that_are_given() {
    let file = File::new().changed("ECG II", "ECG B ").changed("ECG I", "ECG A");
    assert_says(&file.error(), "none of its 2 signals has the name of a standard lead: 'ECG A', 'ECG B'", "name");
    let given = ReadOptions { leads: Some(vec![Lead::V1, Lead::V2]), ..Default::default() };
    let recording = format::read_bytes("r.edf", &file.0, &given).unwrap().remove(0);
    assert_eq!(recording.lead(Lead::V1), File::new().one().lead(Lead::I));
}

#[test]
fn the_number_of_records_is_checked_against_the_file() {
    let more = File::new().changed("3       1       3   ", "8       1       3   ").error();
    assert_says(&more, "8 records are declared, and the file holds 3", "get it again");
    let unknown = File::new().changed("3       1       3   ", "-1      1       3   ").one();
    assert_eq!(unknown.warnings(), ["the recording was not closed: the file holds 3 records"]);
    assert_eq!(unknown.samples(), 6);
    let mut longer = File::new();
    longer.0.extend([0; 5]);
    assert_eq!(longer.one().warnings(), ["5 bytes behind the last record are ignored"]);
    let empty = File::new().changed("3       1       3   ", "0       1       3   ").error();
    assert_says(&empty, "0 records are declared", "cut off or empty");
}

#[test]
fn a_damaged_header_is_explained() {
    let said = |from: &str, to: &str, cause: &str| assert_says(&File::new().changed(from, to).error(), cause, "");
    said("0       X", "1       X", "does not begin as an EDF or BDF file does");
    said("1024    EDF", "768     EDF", "a header of 768 bytes is declared, and 3 signals need 1024");
    said("3       1       3   ", "3       x       3   ", "the duration of a record is no number");
    said("3       1       3   ", "3       0       3   ", "2 samples in a record of 0 s");
    said("3       1       3   ", "3       1       0   ", "an impossible number of signals");
    said("2       2       ", "-2      2       ", "signal 'ECG I' has a negative number of samples");
    said("2       2       ", "99999999999999  ", "");
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    let file = File::new();
    for length in (0..file.0.len()).filter(|length| length % 97 == 0 || *length > 1000) {
        let error = format::read_bytes("r.edf", &file.0[..length], &ReadOptions::default()).unwrap_err();
        assert!(error.cause().starts_with("r.edf: ") && !error.remedy().is_empty(), "{length}: {error}");
    }
}

#[test]
fn a_flipped_bit_never_panics() {
    let file = File::new();
    for at in 0..file.0.len() {
        for bit in [0, 3, 6, 7] {
            let mut bytes = file.0.clone();
            bytes[at] ^= 1 << bit;
            if let Err(error) = format::read_bytes("r.edf", &bytes, &ReadOptions::default()) {
                assert!(!error.remedy().is_empty(), "byte {at}, bit {bit}: {error}");
            }
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_behind_a_valid_start_never_panic(at in 8usize..1100, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut file = File::new().0;
        for (target, byte) in file.iter_mut().skip(at).zip(bytes) {
            *target = byte;
        }
        let _ = format::read_bytes("r.edf", &file, &ReadOptions::default());
    }
}
