//! NumPy arrays of every type and shape that people save.

use std::fs;

use ecgpu::{
    Recording,
    ecg::{
        Lead,
        format::{self, ReadOptions},
    },
};
use tempfile::TempDir;

use crate::{
    support::{assert_says, microvolts, npy, read},
    written_arrays::{read_written, written},
};

#[test]
fn whole_numbers_need_a_unit() {
    for name in ["int16.npy", "big_i8.npy"] {
        let Some(result) = read_written(name, &ReadOptions::default()) else { return };
        assert_says(&result.unwrap_err(), "whole numbers without a unit", "such as uV");
    }
}

#[test]
fn half_precision_is_read_exactly() {
    let Some(half) = written("half.npy") else { return };
    let single = format::read_raw(&written("half_as_single.npy").unwrap()).unwrap();
    assert_eq!(format::read_raw(&half).unwrap(), single);
    let recordings = [half, written("half_as_single.npy").unwrap()].map(|path| read(&path).unwrap().remove(0));
    assert!(recordings[0].leads().eq(recordings[1].leads()));
}

/// Reads an array of 12 leads of 1000 samples, of which `change` changes the values.
fn changed(change: impl Fn(&mut [Vec<f32>])) -> ecgpu::Result<Recording> {
    let mut leads: Vec<Vec<f32>> =
        (0..12).map(|lead| (0..1000).map(|at| ((lead * 31 + at) % 17) as f32 * 0.013 - 0.1).collect()).collect();
    change(&mut leads);
    let bytes: Vec<u8> = leads.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    let contents = ecgpu_testing::npy("<f4", &[12, 1000], &bytes);
    format::read_bytes("a.npy", &contents, &ReadOptions::default()).map(|mut recordings| recordings.remove(0))
}

#[test]
fn a_few_samples_without_a_value_are_filled() {
    let recording = changed(|leads| {
        leads[6][100..110].fill(f32::NAN);
        leads[2].fill(f32::NAN);
    });
    let recording = recording.unwrap();
    for expected in [
        "lead III has no value at 1000 samples: derived from I and II",
        "lead V1 has no value at 10 samples: interpolated",
    ] {
        assert!(recording.warnings().iter().any(|warning| warning == expected), "{:?}", recording.warnings());
    }
    let error = changed(|leads| leads[6][100..200].fill(f32::NAN)).unwrap_err();
    assert_says(&error, "lead V1 has no value from 1.000 s to 2.000 s", "cut the recording there");
}

#[test]
fn the_least_number_of_16_bits_is_a_missing_sample() {
    let contents = |at: usize| {
        let sample = |n: usize| if n == at { i16::MIN } else { (n % 7) as i16 * 10 };
        let bytes: Vec<u8> = (0..12_000).flat_map(|n| sample(n).to_le_bytes()).collect();
        ecgpu_testing::npy("<i2", &[12, 1000], &bytes)
    };
    let recording = format::read_bytes("a.npy", &contents(1005), &microvolts()).unwrap().remove(0);
    assert!(recording.lead(Lead::II).unwrap().iter().all(|sample| (0.0..0.07).contains(sample)));
    assert!(recording.warnings().contains(&"lead II has no value at 1 sample: interpolated".to_string()));
    let raw = format::read_raw_bytes("a.npy", &contents(1005)).unwrap();
    assert_eq!(raw.values[1005], -32768.0, "a raw array is not interpreted");
}

#[test]
fn zeros_around_all_leads_are_cut() {
    let recording = changed(|leads| {
        leads.iter_mut().for_each(|lead| {
            lead[..150].fill(0.0);
            lead[900..].fill(0.0);
        });
        leads.iter_mut().for_each(|lead| lead[150] = 0.5);
        leads[3][899] = 0.5;
    });
    let recording = recording.unwrap();
    assert_eq!((recording.samples(), recording.sampling_rate()), (750, 100.0), "the padded length tells the rate");
    let said = "padding was cut, zero in all leads: 1.50 s at the start and 1.00 s at the end";
    assert!(recording.warnings().iter().any(|warning| warning == said), "{:?}", recording.warnings());
    let flat = changed(|leads| leads.iter_mut().for_each(|lead| lead.fill(0.0))).unwrap();
    assert_eq!(flat.samples(), 1000, "nothing would remain");
}

#[test]
fn one_lead_may_be_an_array_of_one_dimension() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.npy");
    fs::write(&path, npy("<f4", &[1000], 4000)).unwrap();
    assert_says(&read(&path).unwrap_err(), "an array of shape [1000]", "give [12, samples] or [samples, 12]");
    let options = ReadOptions { leads: Some(vec![Lead::II]), ..Default::default() };
    assert_eq!(format::read(&path, &options).unwrap()[0].samples(), 1000);
}

#[test]
fn large_whole_numbers_that_differ_too_little_are_refused() {
    let bytes: Vec<u8> = (0..12_000i64).flat_map(|n| ((1 << 40) + n % 1000).to_le_bytes()).collect();
    let error = format::read_bytes("a.npy", &ecgpu_testing::npy("<i8", &[12, 1000], &bytes), &microvolts());
    assert_says(&error.unwrap_err(), "which differ too little for their size", "subtract the offset");
}
