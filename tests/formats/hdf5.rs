//! HDF5 files.

use std::fs;

use ecgpu::{
    Recording,
    ecg::{
        Lead,
        format::{self, ReadOptions},
    },
};
use proptest::prelude::*;

use crate::{
    support::{assert_expected, assert_says},
    written_arrays::{assert_robust, read_written, written},
};

#[test]
fn every_recording_of_code_15_is_read_without_its_padding() {
    for name in ["code15", "code15_chunked"] {
        let Some(recordings) = read_written(&format!("{name}.hdf5"), &ReadOptions::default()) else { return };
        let recordings = recordings.unwrap();
        let names: Vec<String> = (0..3).map(|n| format!("{name}[{n}]")).collect();
        assert_eq!(recordings.iter().map(Recording::name).collect::<Vec<_>>(), names);
        assert_expected(&recordings[0]);
        for (recording, factor) in recordings.iter().zip([1.0, 2.0, 3.0]) {
            assert_eq!((recording.sampling_rate(), recording.samples()), (400.0, 2000));
            let [first, own] = [&recordings[0], recording].map(|recording| recording.lead(Lead::V3).unwrap());
            assert!(first.iter().zip(own).all(|(x, y)| (factor * x - y).abs() < 1e-5));
            let warnings = recording.warnings().join("; ");
            assert!(warnings.contains("tracings of 4096 samples with exam_id: taken as CODE-15, 400 Hz"), "{warnings}");
            assert!(warnings.contains("padding was cut, zero in all leads: 1.62 s at the start"), "{warnings}");
        }
    }
}

#[test]
fn half_precision_is_read() {
    let Some(recordings) = read_written("half.h5", &ReadOptions::default()) else { return };
    let expected = read_written("half_as_single.npy", &ReadOptions::default()).unwrap().unwrap();
    assert!(recordings.unwrap()[0].leads().eq(expected[0].leads()));
}

#[test]
fn several_datasets_that_fit_are_listed() {
    let Some(result) = read_written("ambiguous.h5", &ReadOptions::default()) else { return };
    assert_says(&result.unwrap_err(), "several of its arrays may be the ECG: a [12, 1000]", "keep one of them");
}

#[test]
fn a_file_in_memory_is_the_file_on_disk() {
    let Some(path) = written("code15_chunked.hdf5") else { return };
    let bytes = fs::read(&path).unwrap();
    let in_memory = format::read_bytes("code15_chunked.hdf5", &bytes, &ReadOptions::default()).unwrap();
    assert_eq!(in_memory, format::read(&path, &ReadOptions::default()).unwrap());
}

#[test]
fn damaged_files_never_panic() {
    assert_robust("stated.h5", &ReadOptions::default());
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>) {
        let file = [b"\x89HDF\r\n\x1a\n", &bytes[..]].concat();
        prop_assert!(format::read_bytes("r.h5", &file, &ReadOptions::default()).is_err());
    }
}
