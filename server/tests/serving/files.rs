//! Files as bodies and in forms.

use std::fs;

use ecgpu::ecg::{
    Unit,
    format::{self, ReadOptions},
};
use serde_json::json;

use crate::support::{Request, classifier, data, norm, numbers, server};

/// The files of `tests/data` that hold recordings; a header with its signal files.
const FILES: [&[&str]; 13] = [
    &["format16.hea", "format16.dat"],
    &["format212.dat", "format212.hea"],
    &["flac.hea", "flac.dat"],
    &["permuted.hea", "permuted_chest.dat", "permuted_limb.dat"],
    &["batch_fortran.npy"],
    &["expected.npy"],
    &["microvolts_i16_fortran.npy"],
    &["samples_first_f64_big_endian.npy"],
    &["table.csv"],
    &["compressed.scp"],
    &["huffman.scp"],
    &["holter.ecg"],
    &["format16.hea", "format16.dat", "format212.dat"],
];

#[test]
fn every_file_that_classify_reads_is_answered_alike() {
    let (server, classifier) = (server(), classifier());
    let options = ReadOptions { sampling_rate: Some(100.0), unit: Some(Unit::Millivolt), leads: None };
    let mut refused = 0;
    for names in FILES {
        let bytes: Vec<Vec<u8>> = names.iter().map(|name| fs::read(data(name)).unwrap()).collect();
        let parts: Vec<(&str, &[u8])> =
            names.iter().zip(&bytes).map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        let response = server.send(&Request::form(&parts, &[("sampling_rate_hz", "100"), ("unit", "mV")]));
        let recordings = format::read_parts(&parts, &options).unwrap();
        if let Err(error) = classifier.classify(&recordings[0]) {
            response.assert_error(422, error.cause());
            refused += 1;
            continue;
        }
        let predictions = response.predictions();
        assert_eq!(predictions.len(), recordings.len(), "{names:?}");
        for (prediction, recording) in predictions.iter().zip(&recordings) {
            let expected = classifier.classify(recording).unwrap();
            assert_eq!(numbers(&prediction["logits"]), expected.logits, "{names:?}");
            assert_eq!(prediction["warnings"], json!(expected.warnings), "{names:?}");
            assert_eq!(prediction["record"], recording.name());
        }
        if let [(name, bytes)] = parts[..] {
            let path = format!("/api/predict?sampling_rate_hz=100&unit=mV&name={name}");
            let alone = server.send(&Request::post(&path, "application/octet-stream", bytes));
            assert_eq!(alone.predictions(), predictions, "{name}");
        }
    }
    assert_eq!(refused, 2, "two files have three leads");
}

#[test]
fn a_file_is_named_by_a_header_or_by_its_type() {
    let server = server();
    let table = fs::read(data("table.csv")).unwrap();
    let path = "/api/predict?sampling_rate_hz=100&unit=mV";
    let named = Request::post(path, "application/octet-stream", &table)
        .header("content-disposition", "attachment; filename=\"bed 4.csv\"");
    assert_eq!(server.send(&named).predictions()[0]["record"], "bed 4");
    for kind in ["text/csv; charset=utf-8", "", "application/x-www-form-urlencoded"] {
        assert_eq!(server.send(&Request::post(path, kind, &table)).predictions()[0]["record"], "recording", "{kind}");
    }
}

#[test]
fn raw_arrays_are_files_too() {
    let (server, recording) = (server(), norm(1, 100.0));
    let values: Vec<f32> = recording.leads().flat_map(|(_, samples)| samples.to_vec()).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let file = ecgpu_testing::npy("<f4", &[1, 12, 1000], &bytes);
    let prediction = server.send(&Request::post("/api/predict?raw=true", "application/x-npy", &file));
    let expected = classifier().run(&values, 1, 1000).unwrap().logits;
    assert_eq!(numbers(&prediction.predictions()[0]["logits"]), expected);
}
