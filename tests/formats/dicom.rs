//! DICOM ECG waveforms: those of the Python package pydicom, and small ones made here that are damaged.

use std::fs;

use ecgpu::ecg::format::{self, ReadOptions};
use ecgpu::ecg::{Lead, Unit};
use ecgpu::{Error, Hint, Recording, Result};
use proptest::prelude::*;

use crate::support::{Script, assert_expected, assert_says, data, read, read_one};

fn assert_whole(recording: &Recording) {
    assert_eq!((recording.sampling_rate(), recording.samples()), (100.0, 1000), "{}", recording.name());
    assert_eq!(recording.leads().len(), 12, "{}", recording.name());
    assert_expected(recording);
}

#[test]
fn what_is_left_out_is_named() {
    let Some(folder) = Script::Dicom.folder() else { return };
    for (name, warning) in [
        ("strip", "ignored beside the rhythm: group 1 (STRIP) has II (1000 samples at 100 Hz from 5 ms)"),
        ("unlabelled_beat", "ignored beside the rhythm: group 2 has I, II, III, aVR"),
        ("skewed", "the file shifts leads in time, which is not corrected: II, aVR"),
        ("padding", "lead III has no value at 50 samples: derived from I and II"),
    ] {
        let recording = read_one(&folder.join(format!("{name}.dcm")));
        assert_whole(&recording);
        let warnings = recording.warnings();
        assert!(warnings.len() == 1 && warnings[0].starts_with(warning), "{name}: {warnings:?}");
    }
}

#[test]
fn samples_of_eight_bits_are_read() {
    let Some(folder) = Script::Dicom.folder() else { return };
    let expected = format::read_raw(&data("expected.npy")).unwrap();
    for name in ["bits8", "bits8_unsigned"] {
        let recording = read_one(&folder.join(format!("{name}.dcm")));
        assert_eq!(recording.samples(), 999, "{name}: an odd number of bytes is padded");
        let lead = recording.lead(Lead::II).unwrap();
        let near = |(x, y): (&f32, &f32)| (x - y.clamp(-0.5, 0.5)).abs() < 1e-6;
        assert!(lead.iter().zip(&expected.values[1000..1999]).all(near), "{name}");
    }
}

#[test]
fn parts_of_different_times_are_several_recordings() {
    let Some(folder) = Script::Dicom.folder() else { return };
    let parts = read(&folder.join("halves.dcm")).unwrap();
    assert_eq!(parts.iter().map(Recording::name).collect::<Vec<_>>(), ["halves[0]", "halves[1]"]);
    assert_eq!(parts[1].warnings(), ["part 2 of 2 of a recording: begins at 7 s"]);
    let expected = format::read_raw(&data("expected.npy")).unwrap();
    let whole: Vec<f32> = parts.iter().flat_map(|part| part.lead(Lead::I).unwrap().iter().copied()).collect();
    assert!(whole.iter().zip(&expected.values[..1000]).all(|(x, y)| (x - y).abs() < 1e-6));
    let rows = read(&folder.join("rows.dcm")).unwrap_err();
    assert_says(&rows, "the leads were not recorded together: group 1 has I, II, III (250 samples", "all leads");
}

#[test]
fn waveforms_that_cannot_be_used_are_explained() {
    let Some(folder) = Script::Dicom.folder() else { return };
    let error = |name: &str| read(&folder.join(name)).unwrap_err();
    assert_says(&error("image.dcm"), "a DICOM object without a waveform: CT Image Storage", "ECG waveform");
    assert_says(&error("only_median.dcm"), "the mean of the beats and not the rhythm", "with its rhythm");
    assert_says(&error("logarithmic.dcm"), "group 1: samples in the logarithmic code of telephones", "linear");
    assert_says(&error("arbitrary.dcm"), "lead I is in '{AU}', which is no unit of voltage", "such as uV");
    assert_says(&error("no_unit.dcm"), "lead I has no unit", "such as uV");
    assert_eq!(error("no_unit.dcm").hint(), Some(Hint::StateUnit));
    let given = ReadOptions { unit: Some(Unit::Microvolt), ..Default::default() };
    assert_whole(&format::read(&folder.join("no_unit.dcm"), &given).unwrap()[0]);
}

#[test]
fn nothing_of_the_patient_is_kept() {
    let Some(folder) = Script::Dicom.folder() else { return };
    for entry in fs::read_dir(folder).unwrap() {
        let said = match read(&entry.unwrap().path()) {
            Ok(recordings) => format!("{recordings:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!said.contains("ecret") && !said.contains("1950"), "{said}");
    }
}

/// An element in explicit VR little endian.
fn element(group: u16, number: u16, representation: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = [group.to_le_bytes(), number.to_le_bytes()].concat();
    bytes.extend(representation.as_bytes());
    match representation {
        "OB" | "OW" | "SQ" | "UN" => {
            bytes.extend([0, 0]);
            bytes.extend((value.len() as u32).to_le_bytes());
        }
        _ => bytes.extend((value.len() as u16).to_le_bytes()),
    }
    [&bytes, value].concat()
}

fn text(group: u16, number: u16, representation: &str, value: &str) -> Vec<u8> {
    let padding = if value.len() % 2 == 1 { " " } else { "" };
    element(group, number, representation, format!("{value}{padding}").as_bytes())
}

fn sequence(group: u16, number: u16, items: &[Vec<u8>]) -> Vec<u8> {
    let item = |item: &Vec<u8>| [&[0xfe, 0xff, 0, 0xe0][..], &(item.len() as u32).to_le_bytes(), item].concat();
    element(group, number, "SQ", &items.iter().flat_map(item).collect::<Vec<_>>())
}

/// A small file of leads I and II with three samples each: the elements of its only group.
struct Small {
    channels: u16,
    samples: u32,
    bits: u16,
    rate: &'static str,
    sensitivity: &'static str,
    data: Vec<u8>,
}

impl Default for Small {
    fn default() -> Self {
        let data = (0i16..6).flat_map(i16::to_le_bytes).collect();
        Self { channels: 2, samples: 3, bits: 16, rate: "100", sensitivity: "2.5", data }
    }
}

impl Small {
    fn bytes(&self) -> Vec<u8> {
        let channel = |lead: &str| {
            let code = [text(8, 0x100, "SH", lead), text(8, 0x102, "SH", "MDC")].concat();
            let unit = text(8, 0x100, "SH", "uV");
            let source = sequence(0x3a, 0x208, &[code]);
            let sensitivity = text(0x3a, 0x210, "DS", self.sensitivity);
            [source, sensitivity, sequence(0x3a, 0x211, &[unit]), text(0x3a, 0x213, "DS", "10")].concat()
        };
        let group = [
            text(0x3a, 4, "CS", "ORIGINAL"),
            element(0x3a, 5, "US", &self.channels.to_le_bytes()),
            element(0x3a, 0x10, "UL", &self.samples.to_le_bytes()),
            text(0x3a, 0x1a, "DS", self.rate),
            sequence(0x3a, 0x200, &[channel("2:1"), channel("2:2")]),
            element(0x5400, 0x1004, "US", &self.bits.to_le_bytes()),
            text(0x5400, 0x1006, "CS", "SS"),
            element(0x5400, 0x1010, "OW", &self.data),
        ]
        .concat();
        object(&sequence(0x5400, 0x100, &[group]))
    }

    fn error(&self) -> Error {
        read_small(&self.bytes()).unwrap_err()
    }
}

/// A file whose object has the class of 12-lead ECGs and further elements.
fn object(elements: &[u8]) -> Vec<u8> {
    let class = "1.2.840.10008.5.1.4.1.1.9.1.1";
    let meta = [text(2, 2, "UI", class), text(2, 0x10, "UI", "1.2.840.10008.1.2.1")].concat();
    [&[0; 128][..], b"DICM", &meta, &text(8, 0x16, "UI", class), elements].concat()
}

fn read_small(bytes: &[u8]) -> Result<Vec<Recording>> {
    format::read_bytes("a.dcm", bytes, &ReadOptions::default())
}

#[test]
fn a_sample_is_scaled_and_shifted() {
    let recording = read_small(&Small::default().bytes()).unwrap().remove(0);
    assert_eq!(recording.lead(Lead::I), Some(&[0.010, 0.015, 0.020][..]));
    assert_eq!(recording.lead(Lead::II), Some(&[0.0125, 0.0175, 0.0225][..]));
}

#[test]
fn a_damaged_group_is_explained() {
    let small = Small::default;
    let said = |small: Small, cause| assert_says(&small.error(), cause, "again");
    said(Small { channels: 3, ..small() }, "group 1: 3 channels are declared and 2 described");
    said(Small { samples: 4, ..small() }, "4 samples of 2 channels in 2 bytes each are declared, and the data have 12");
    said(Small { samples: u32::MAX, ..small() }, "4294967295 samples of 2 channels");
    said(Small { samples: 0, data: Vec::new(), ..small() }, "0 samples of 2 channels");
    said(Small { bits: 32, ..small() }, "samples of type 'SS' in 32 bits");
    said(Small { rate: "0", ..small() }, "a sampling rate of 0 Hz");
    said(Small { rate: "fast", ..small() }, "the element (003A,001A) is 'fast', which is no number");
    said(Small { sensitivity: "0", ..small() }, "lead I has a sensitivity of 0");
    said(Small { sensitivity: "1e999", ..small() }, "is '1e999', which is no number");
}

#[test]
fn a_length_that_lies_is_refused_without_memory_for_it() {
    let mut bytes = object(&[]);
    bytes.extend([0x00, 0x54, 0x00, 0x01, b'S', b'Q', 0, 0, 0xfe, 0xff, 0xff, 0xff]);
    assert_says(&read_small(&bytes).unwrap_err(), "the element (5400,0100) ends behind the end", "cut off");
    let bomb = object(&sequence(0x5400, 0x100, &vec![Vec::new(); 5000]));
    assert_says(&read_small(&bomb).unwrap_err(), "the sequence (5400,0100) has more than 1024 items", "damaged");
}

#[test]
fn sequences_of_any_depth_do_not_overflow_the_stack() {
    let open =
        [0x00, 0x54, 0x00, 0x01, b'S', b'Q', 0, 0, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0, 0xe0, 0xff, 0xff, 0xff, 0xff];
    let close = [0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0, 0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];
    let deep = object(&[open.repeat(100_000), close.repeat(100_000)].concat());
    assert_says(&read_small(&deep).unwrap_err(), "group 1: an unknown number of channels", "damaged");
    assert_says(&read_small(&object(&open.repeat(100_000))).unwrap_err(), "ends behind the end", "cut off");
}

/// The start of a deflate stream of zeros. Every further byte of 0 inflates to about a thousand zeros.
const DEFLATED_ZEROS: [u8; 14] = [0xec, 0xc1, 1, 1, 0, 0, 0, 0x80, 0x90, 0xfe, 0xaf, 0xee, 8, 0x0a];

#[test]
fn deflated_data_that_inflate_too_far_are_refused() {
    let class = "1.2.840.10008.5.1.4.1.1.9.1.1";
    let meta = [text(2, 2, "UI", class), text(2, 0x10, "UI", "1.2.840.10008.1.2.1.99")].concat();
    let start = [&[0; 128][..], b"DICM", &meta].concat();
    let damaged = read_small(&[&start[..], &[0xff; 50]].concat()).unwrap_err();
    assert_says(&damaged, "its deflated data cannot be inflated", "get the file again");
    let bomb = [&start[..], &DEFLATED_ZEROS, &vec![0; 90_000]].concat();
    let refused = read_small(&bomb).unwrap_err();
    assert_says(&refused, "it inflates to over 67108864 bytes", "shorter recordings");
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    let bytes = Small::default().bytes();
    for length in 0..bytes.len() {
        let error = read_small(&bytes[..length]).unwrap_err();
        assert!(error.cause().starts_with("a.dcm: ") && !error.remedy().is_empty(), "{length}: {error}");
    }
}

#[test]
fn a_flipped_bit_never_panics() {
    let bytes = Small::default().bytes();
    for at in 128..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            if let Err(error) = read_small(&flipped) {
                assert!(!error.remedy().is_empty(), "byte {at}, bit {bit}: {error}");
            }
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(at in 128usize..700, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut file = Small::default().bytes();
        file.truncate(at);
        file.extend(bytes);
        let _ = read_small(&file);
    }
}
