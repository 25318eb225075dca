//! XML documents of GE MUSE, HL7 aECG and Philips, which the tests write from the values of `tests/data/expected.npy`.

pub mod aecg;
mod damage;
pub mod muse;
pub mod philips;

use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::STANDARD};
use ecgpu::ecg::Lead;
use ecgpu::ecg::format::{self, ReadOptions};
use ecgpu::{Error, Recording, Result};

use crate::support::data;

/// The leads that devices store; the other four follow from I and II.
pub const STORED: [Lead; 8] = [Lead::I, Lead::II, Lead::V1, Lead::V2, Lead::V3, Lead::V4, Lead::V5, Lead::V6];

fn read_xml(text: &str) -> Result<Vec<Recording>> {
    read_bytes(text.as_bytes())
}

fn read_bytes(bytes: &[u8]) -> Result<Vec<Recording>> {
    format::read_bytes("r.xml", bytes, &ReadOptions::default())
}

fn read_one(text: &str) -> Recording {
    let mut recordings = read_xml(text).unwrap();
    assert_eq!(recordings.len(), 1);
    recordings.remove(0)
}

fn error(text: &str) -> Error {
    let error = read_xml(text).unwrap_err();
    assert!(error.cause().starts_with("r.xml"), "the file is named first: {error}");
    error
}

/// The expected millivolts of a lead, at 100 Hz.
fn expected(lead: Lead) -> Vec<f32> {
    let array = format::read_raw(&data("expected.npy")).unwrap();
    array.values.chunks(1000).nth(lead as usize).unwrap().to_vec()
}

/// A lead with steps of this number of microvolts.
fn steps(lead: Lead, microvolts: f32) -> Vec<i16> {
    expected(lead).iter().map(|x| (x * 1000.0 / microvolts).round() as i16).collect()
}

fn base64_of(samples: &[i16]) -> String {
    let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    // Devices break the text into lines.
    let letters = STANDARD.encode(bytes);
    letters.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>().join("\n")
}

/// Asserts that a recording holds the expected samples of all leads, up to the rounding to steps of `microvolts`.
fn assert_holds(recording: &Recording, microvolts: f32) {
    assert_eq!((recording.samples(), recording.sampling_rate()), (1000, 100.0));
    for (lead, signal) in Lead::STANDARD.iter().zip(recording.in_order(&Lead::STANDARD).unwrap()) {
        let differences = signal.iter().zip(expected(*lead)).map(|(x, y)| (x - y).abs());
        let largest = differences.fold(0f32, f32::max);
        // Leads that follow from two others add up their errors.
        assert!(largest <= 1.1 * microvolts / 1000.0, "lead {lead} differs by {largest} mV");
    }
}

/// A file of the folder of sample files of devices, if it is there.
fn sample_file(name: &str) -> Option<PathBuf> {
    let folder = ecgpu_testing::shared_folder("ECGPU_FORMATS", "shared/formats")?;
    Some(folder.join(name))
}
