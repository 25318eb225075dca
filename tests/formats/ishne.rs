//! ISHNE Holter recordings, one of which the package `ishneholterlib` wrote (`write_ishne.py`).

use std::fs;

use ecgpu::{
    Recording, Result,
    ecg::{
        Lead,
        format::{self, ReadOptions},
    },
};
use proptest::prelude::*;

use crate::support::{assert_expected, assert_says, data, read_one};

fn read_bytes(bytes: &[u8]) -> Result<Vec<Recording>> {
    format::read_bytes("r.ecg", bytes, &ReadOptions::default())
}

/// The error of a recording that was altered.
fn error(bytes: &[u8]) -> ecgpu::Error {
    read_bytes(bytes).unwrap_err()
}

/// Makes a recording at 200 Hz in steps of 1 µV: a code for each lead, and the samples of all leads for each time.
fn holter(codes: &[i16], samples: &[i16]) -> Vec<u8> {
    let mut header = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at - 10..at - 10 + bytes.len()].copy_from_slice(bytes);
    put(14, &(samples.len() as u32 / codes.len() as u32).to_le_bytes());
    put(18, &522u32.to_le_bytes());
    put(22, &522u32.to_le_bytes());
    put(156, &(codes.len() as i16).to_le_bytes());
    for (index, code) in codes.iter().enumerate() {
        put(158 + 2 * index, &code.to_le_bytes());
        put(206 + 2 * index, &1000i16.to_le_bytes());
    }
    put(272, &200i16.to_le_bytes());
    let samples: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let step = |crc: u16| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
    let crc = header.iter().fold(0xFFFF, |crc, byte| (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| step(crc)));
    [b"ISHNE1.0", &crc.to_le_bytes()[..], &header, &samples].concat()
}

/// Returns a recording with other bytes at a place.
fn with(mut bytes: Vec<u8>, at: usize, other: &[u8]) -> Vec<u8> {
    bytes[at..at + other.len()].copy_from_slice(other);
    bytes
}

#[test]
fn the_patients_name_is_not_kept() {
    let recording = read_one(&data("holter.ecg"));
    assert!(!format!("{recording:?}").contains("Sando"));
}

#[test]
fn the_number_of_samples_is_that_of_one_lead_or_of_all() {
    let bytes = holter(&[5, 6, 7], &[7; 30]);
    for (declared, samples) in [(10u32, 10), (30, 10), (0, 10), (4, 4)] {
        let recording = read_bytes(&with(bytes.clone(), 14, &declared.to_le_bytes())).unwrap().remove(0);
        assert_eq!(recording.samples(), samples, "{declared} declared");
    }
    for (declared, said) in [(11u32, "11 samples"), (100, "100 samples"), (u32::MAX, "4294967295 samples")] {
        let error = error(&with(bytes.clone(), 14, &declared.to_le_bytes()));
        assert_says(&error, &format!("{said} are declared, and the file holds 10 of each of 3 leads"), "cut off");
    }
}

#[test]
fn leads_of_no_particular_place_are_named_by_the_options() {
    let bytes = holter(&[0, 1, 99], &[1, 2, 3, 1, 2, 3]);
    assert_says(
        &error(&bytes),
        "none of its 3 signals has the name of a standard lead: '', '', 'lead of code 99'",
        "name",
    );
    let options = ReadOptions { leads: Some(vec![Lead::I, Lead::II, Lead::V1]), ..Default::default() };
    let recording = format::read_bytes("r.ecg", &bytes, &options).unwrap().remove(0);
    assert_eq!(recording.lead(Lead::V1).unwrap(), [0.003; 2]);
    let frank = read_bytes(&holter(&[2, 5, 17], &[1; 6])).unwrap().remove(0);
    assert_eq!(frank.warnings(), ["ignored, since no standard lead: X, ES"]);
}

#[test]
fn a_lead_that_failed_has_no_value() {
    let mut samples = vec![4; 200];
    samples[50..60].fill(i16::MIN);
    // The mark of a missing field of the header is a sample like any other.
    samples[100] = -9;
    let recording = read_bytes(&holter(&[5], &samples)).unwrap().remove(0);
    assert_eq!(recording.warnings(), ["lead I has no value at 10 samples: interpolated"]);
    let signal = recording.lead(Lead::I).unwrap();
    assert_eq!((signal[55], signal[100]), (0.004, -0.009));
    samples[50..150].fill(i16::MIN);
    assert_says(&error(&holter(&[5], &samples)), "lead I has no value from 0.250 s to 0.750 s", "cut");
}

#[test]
fn an_altered_header_is_a_warning() {
    let bytes = with(fs::read(data("holter.ecg")).unwrap(), 28, b"-----");
    let recording = read_bytes(&bytes).unwrap().remove(0);
    assert_expected(&recording);
    let said = "the header does not match its checksum: was it altered, such as to make it anonymous?";
    assert_eq!(recording.warnings(), [said]);
}

#[test]
fn a_damaged_header_is_explained() {
    let bytes = holter(&[5], &[1; 10]);
    for (at, value, cause) in [
        (0, 0x4E41i16, "no ISHNE 1.0 file: it begins with 'ANHNE1.0'"),
        (156, 0, "0 leads are declared"),
        (156, 13, "13 leads are declared"),
        (156, -9, "-9 leads are declared"),
        (206, -9, "lead 1 has steps of -9 nV"),
        (272, 0, "a sampling rate of 0 Hz"),
        (22, 521, "the samples are said to begin at byte 521"),
        (24, 0x7FFF, "the samples are said to begin at byte"),
        (22, 542, "10 samples are declared, and the file holds 0"),
    ] {
        assert_says(&error(&with(bytes.clone(), at, &value.to_le_bytes())), cause, "export");
    }
    assert_says(&error(&bytes[..521]), "a header of 521 bytes instead of 522", "again");
    assert_says(&error(&bytes[..540]), "10 samples are declared, and the file holds 9 of each of 1 leads", "cut off");
    assert_says(&error(b""), "no ISHNE 1.0 file: it begins with ''", "can be read");
}

#[test]
fn a_recording_is_recognised_by_its_content() {
    let bytes = fs::read(data("holter.ecg")).unwrap();
    for (name, warnings) in [("r", 0), ("r.ECG", 0), ("r.csv", 1)] {
        let recording = format::read_bytes(name, &bytes, &ReadOptions::default()).unwrap().remove(0);
        assert_eq!(recording.warnings().len(), warnings, "{name}: {:?}", recording.warnings());
    }
}

/// Reads damaged bytes. An error has a remedy.
fn survives(bytes: &[u8]) {
    if let Err(error) = read_bytes(bytes) {
        assert!(!error.remedy().is_empty(), "{error}");
    }
}

#[test]
fn truncated_and_altered_recordings_never_panic() {
    let bytes = fs::read(data("holter.ecg")).unwrap();
    (0..bytes.len()).step_by(97).for_each(|length| assert!(read_bytes(&bytes[..length]).is_err(), "{length} bytes"));
    for at in 0..600 {
        let mut altered = bytes.clone();
        altered[at] ^= 1 << (at % 8);
        survives(&altered);
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>, header in prop::collection::vec(any::<u8>(), 514..700)) {
        survives(&bytes);
        survives(&[b"ISHNE1.0", &header[..]].concat());
    }
}
