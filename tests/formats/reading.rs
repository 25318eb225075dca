//! Recordings that are read, in every format.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ecgpu::ecg::format::ReadOptions;
use ecgpu::ecg::{Lead, Unit, format};
use ecgpu::{Recording, Result};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::{Record, assert_expected, assert_says, data, microvolts, npy, read, read_one, said_of, two_leads};

/// The rate of the files in `tests/data`, for those of too few samples to tell.
fn at_100_hz() -> ReadOptions {
    ReadOptions { sampling_rate: Some(100.0), ..Default::default() }
}

#[test]
fn a_record_may_be_named_by_its_header_its_signal_file_or_neither() {
    assert_eq!(read_one(&data("format16")), read_one(&data("format16.hea")));
    assert_eq!(read_one(&data("format16.dat")), read_one(&data("format16.hea")));
}

#[test]
fn what_an_array_or_a_table_does_not_state_is_assumed_with_a_warning() {
    // The array states neither unit nor rate. The table has a column of times.
    for (name, assumed) in [("expected.npy", 2), ("table.csv", 1)] {
        let recording = read_one(&data(name));
        assert_expected(&recording);
        assert_eq!(recording.warnings().len(), assumed, "{name}: {:?}", recording.warnings());
    }
}

#[test]
fn an_array_may_have_a_row_per_sample() {
    let recording = format::read(&data("samples_first_f64_big_endian.npy"), &at_100_hz()).unwrap().remove(0);
    assert_eq!(recording.samples(), 250);
    assert_expected(&recording);
}

#[test]
fn a_batch_gives_several_recordings() {
    let recordings = format::read(&data("batch_fortran.npy"), &at_100_hz()).unwrap();
    assert_eq!(recordings.iter().map(Recording::name).collect::<Vec<_>>(), ["batch_fortran[0]", "batch_fortran[1]"]);
    assert_expected(&recordings[0]);
    let [first, second] = [0, 1].map(|index| recordings[index].lead(Lead::V6).unwrap());
    assert!(first.iter().zip(second).all(|(x, y)| *x == -y));
}

#[test]
fn options_override_a_header_with_a_warning() {
    const UNIT_OVERRIDDEN: &str =
        "the header says mV: overridden with uV (I, II, III, aVR, aVL, aVF, V1, V2, V3, V4, V5, V6)";
    let options = ReadOptions { sampling_rate: Some(500.0), leads: Some(vec![Lead::I]), ..microvolts() };
    let recording = format::read(&data("format16.hea"), &options).unwrap().remove(0);
    assert_eq!(recording.sampling_rate(), 500.0);
    let warnings = recording.warnings();
    assert!(warnings.contains(&"the file says 100 Hz: overridden with 500 Hz".into()), "{warnings:?}");
    assert!(warnings.contains(&UNIT_OVERRIDDEN.into()), "{warnings:?}");
    assert!(warnings.iter().any(|text| text.contains("list of leads that was given is ignored")), "{warnings:?}");
    let millivolts = read_one(&data("format16.hea"));
    let [x, y] = [&recording, &millivolts].map(|recording| recording.lead(Lead::V6).unwrap()[40]);
    assert!((x * 1000.0 - y).abs() < 1e-6);
}

#[test]
fn other_leads_are_ignored_with_a_warning() {
    let folder = Record::of_leads(&["I", "vx", "II", "RESP"]);
    let recording = read_one(&folder.header());
    assert_eq!(recording.leads().map(|(lead, _)| lead).collect::<Vec<_>>(), [Lead::I, Lead::II]);
    assert_eq!(recording.warnings(), ["ignored, since no standard lead: vx, RESP"]);
    assert_eq!(recording.lead(Lead::II), Some(&[0.002, 0.006, 0.010][..]));
}

#[test]
fn units_are_converted() {
    for (unit, factor) in [("mV", 1.0), ("uV", 1e-3), ("\u{b5}V", 1e-3), ("V", 1e3), ("nV", 1e-6)] {
        let folder = Record::of_leads(&["I"]).changed("/mV", &format!("/{unit}"));
        let first = read_one(&folder.header()).lead(Lead::I).unwrap()[1];
        assert!((first / factor - 0.001).abs() < 1e-6, "{unit}");
    }
}

#[test]
fn a_header_without_a_length_takes_it_from_the_file() {
    let folder = Record::of_leads(&["I", "II"]).changed("r 2 100 3", "r 2 100");
    assert_eq!(read_one(&folder.header()).samples(), 3);
}

#[test]
fn a_header_without_a_rate_has_wfdbs_default() {
    let recording = read_one(&two_leads().changed("r 2 100 3", "r 2").header());
    assert_eq!(recording.sampling_rate(), 250.0);
    assert_eq!(recording.warnings(), ["the header states no sampling rate: taken as WFDB's default, 250 Hz"]);
}

#[test]
fn an_array_of_5000_or_1000_samples_is_taken_for_ten_seconds() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.npy");
    for (samples, rate) in [(5000, 500.0), (1000, 100.0)] {
        fs::write(&path, npy("<f4", &[12, samples], 12 * samples * 4)).unwrap();
        let recording = read_one(&path);
        assert_eq!(recording.sampling_rate(), rate);
        assert!(recording.warnings().iter().any(|text| text.contains("the file states no sampling rate")));
    }
    fs::write(&path, npy("<f4", &[12, 5001], 12 * 5001 * 4)).unwrap();
    let error = read(&path).unwrap_err();
    assert_says(&error, "5001 samples, and the file states no sampling rate", "state the sampling rate");
    assert_eq!(error.hint(), Some(ecgpu::Hint::StateSamplingRate));
}

#[test]
fn a_raw_array_is_not_converted() {
    let raw = format::read_raw(&data("samples_first_f64_big_endian.npy")).unwrap();
    assert_eq!(raw.shape, [1, 250, 12]);
    let raw = format::read_raw(&data("microvolts_i16_fortran.npy")).unwrap();
    let expected = format::read_raw(&data("expected.npy")).unwrap();
    assert_eq!(raw.shape, expected.shape);
    assert!(raw.values.iter().zip(expected.values).all(|(x, y)| (x / 1000.0 - y).abs() < 1e-6));
    assert_eq!(format::read_raw(&data("batch_fortran.npy")).unwrap().shape, [2, 12, 200]);
}

/// Finds the files at a path with the default options.
fn find(path: &Path) -> Result<Vec<PathBuf>> {
    format::find(path, &ReadOptions::default()).map(|found| found.files)
}

#[test]
fn the_recordings_of_a_folder_are_found_in_order() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("b/c")).unwrap();
    for name in ["z.hea", "z.dat", "a.bin", "a.hea"] {
        fs::write(at(name), "").unwrap();
    }
    fs::copy(data("expected.npy"), at("b/c/y.NPY")).unwrap();
    fs::copy(data("table.csv"), at("b/x.csv")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path(), at("b/circle")).unwrap();
    assert_eq!(find(folder.path()).unwrap(), ["a.hea", "b/c/y.NPY", "b/x.csv", "z.hea"].map(at));
    assert_eq!(find(&at("a.bin")).unwrap(), [at("a.bin")]);
    assert_eq!(find(&at("a")).unwrap(), [at("a")], "a record's name");
    assert_says(&find(&at("none")).unwrap_err(), "none: ", "check the path");
    let empty = TempDir::new().unwrap();
    assert_says(
        &find(empty.path()).unwrap_err(),
        "no recording in this folder",
        "name a folder with files that end in .hea",
    );
}

#[test]
fn files_that_hold_no_ecg_are_left_out_of_a_folder() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("r.hea"), "").unwrap();
    fs::write(at("exams.csv"), "exam_id,age\n1,60\n2,61\n").unwrap();
    fs::write(at("labels.npy"), npy("<i8", &[5], 40)).unwrap();
    fs::write(at("readme.txt"), "Twelve leads at 500 Hz.\n").unwrap();
    let found = format::find(folder.path(), &ReadOptions::default()).unwrap();
    assert_eq!(found.files, [at("r.hea")]);
    assert_eq!(found.skipped, ["exams.csv", "labels.npy", "readme.txt"].map(at));
    fs::remove_file(at("r.hea")).unwrap();
    assert_says(&find(folder.path()).unwrap_err(), "no ECG in ", "name a folder");
}

#[test]
#[cfg(unix)]
fn a_link_to_nothing_is_found_so_that_its_error_is_reported() {
    use std::os::unix::fs::symlink;
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["annexed.hea", "annexed.dat", "annexed.npy", "annexed.txt.gone"] {
        symlink("/nowhere/at/all", at(name)).unwrap();
    }
    assert_eq!(find(folder.path()).unwrap(), ["annexed.hea", "annexed.npy"].map(at));
    assert!(read(&at("annexed.hea")).is_err());
}

#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_cannot_be_read_leaves_the_others() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("r.hea"), "").unwrap();
    fs::create_dir(at("locked")).unwrap();
    fs::set_permissions(at("locked"), fs::Permissions::from_mode(0o000)).unwrap();
    let found = format::find(folder.path(), &ReadOptions::default()).unwrap();
    assert_eq!(found.files, [at("r.hea")]);
    // An administrator may read every folder.
    if fs::read_dir(at("locked")).is_err() {
        assert!(found.failed.len() == 1 && found.failed[0].cause().contains("locked: "), "{:?}", found.failed);
        fs::remove_file(at("r.hea")).unwrap();
        assert_says(&find(folder.path()).unwrap_err(), "locked: ", "check the permissions");
    }
    fs::set_permissions(at("locked"), fs::Permissions::from_mode(0o700)).unwrap();
}

/// Returns `bytes` after some changes.
fn damaged(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    bytes
}

proptest! {
    #[test]
    fn damaged_files_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), 0..128u8), 1..6)) {
        let record = two_leads();
        let header = fs::read(record.header()).unwrap();
        let _ = read(&record.with_header(damaged(header, &changes)).header());
        let _ = said_of(&damaged(npy("<f4", &[2, 12, 5], 480), &changes));
    }
}

#[test]
fn altered_samples_give_a_warning() {
    // Zero as first value or checksum means that the writer did not fill it in.
    let record = two_leads()
        .changed(" 0 0 6 0 I\n", " 0 1 6 0 I\n")
        .with_samples([9i16, 1, 2, 3, 4, 5].into_iter().flat_map(i16::to_le_bytes).collect());
    assert_eq!(
        read_one(&record.header()).warnings(),
        [
            "lead I begins with 9, not with 1 as the header says: was it altered?",
            "lead I has checksum 15, not 6 as the header says: was it altered?"
        ]
    );
}

#[test]
fn a_first_value_and_a_checksum_of_zero_were_not_filled_in() {
    let record = two_leads().changed(" 0 0 6 0 I\n", " 0 0 0 0 I\n").changed(" 0 1 9 0 II", " 0 0 0 0 II");
    assert!(read_one(&record.header()).warnings().is_empty());
}

#[test]
fn a_missing_gain_is_assumed_with_a_warning() {
    let recording = read_one(&two_leads().changed("1000(0)/mV", "0").header());
    assert_eq!(recording.warnings(), ["the header states no gain: taken as WFDB's default, 200 adu a unit (I)"]);
    assert_eq!(recording.lead(Lead::I), Some(&[0.0, 0.01, 0.02][..]));
}

#[test]
fn an_array_of_named_leads_is_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.npy");
    fs::write(&path, npy("<f4", &[100, 2], 800)).unwrap();
    let options = ReadOptions { leads: Some(vec![Lead::II, Lead::V5]), ..at_100_hz() };
    let recording = format::read(&path, &options).unwrap().remove(0);
    assert_eq!((recording.samples(), recording.lead(Lead::V5).is_some()), (100, true));
}

#[test]
fn a_square_array_is_taken_as_leads_by_samples() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.npy");
    fs::write(&path, npy("<f4", &[12, 12], 576)).unwrap();
    let warnings = format::read(&path, &at_100_hz()).unwrap()[0].warnings().to_vec();
    assert!(warnings.contains(&"as many samples as leads: taken as [12 leads, 12 samples]".into()), "{warnings:?}");
}

#[test]
fn a_recording_in_memory_is_the_recording_on_disk() {
    let options = ReadOptions { sampling_rate: Some(100.0), unit: Some(Unit::Millivolt), leads: None };
    let bytes = |name: &str| fs::read(data(name)).unwrap();
    for name in ["expected.npy", "table.csv"] {
        let in_memory = format::read_bytes(name, &bytes(name), &options).unwrap();
        assert_eq!(in_memory, format::read(&data(name), &options).unwrap(), "{name}");
    }
    let (header, samples) = (bytes("format16.hea"), bytes("format16.dat"));
    let parts = [("format16.hea", &header[..]), ("format16.dat", &samples[..])];
    let in_memory = format::read_parts(&parts, &ReadOptions::default()).unwrap();
    assert_eq!(in_memory, read(&data("format16.hea")).unwrap());
    let error = format::read_bytes("format16.hea", &header, &ReadOptions::default()).unwrap_err();
    assert_says(&error, "its signal file format16.dat was not given", "into one folder");
}

#[test]
fn a_file_without_a_known_extension_is_recognised_by_its_content() {
    let folder = TempDir::new().unwrap();
    let options = ReadOptions { sampling_rate: Some(100.0), unit: Some(Unit::Millivolt), leads: None };
    for name in ["expected.npy", "table.csv"] {
        let path = folder.path().join(name).with_extension("bin");
        fs::copy(data(name), &path).unwrap();
        let expected = format::read(&data(name), &options).unwrap();
        let found = format::read(&path, &options).unwrap();
        assert_eq!(found.len(), expected.len(), "{name}");
        assert!(found.iter().zip(&expected).all(|(a, b)| a.leads().eq(b.leads())), "{name}");
    }
}
