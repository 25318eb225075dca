//! MATLAB files.

use ecgpu::ecg::format::{self, ReadOptions};
use proptest::prelude::*;

use crate::{
    support::{assert_expected, assert_says, microvolts},
    written_arrays::{assert_robust, assert_withstands_damage, read_written},
};

#[test]
fn whole_numbers_need_a_unit() {
    for name in ["level4.mat", "level5_compressed.mat"] {
        let Some(result) = read_written(name, &ReadOptions::default()) else { return };
        assert_says(&result.unwrap_err(), "whole numbers without a unit", "such as uV");
    }
}

#[test]
fn the_structure_of_cpsc_2018_has_its_rate_and_unit() {
    let Some(recordings) = read_written("cpsc.mat", &ReadOptions::default()) else { return };
    let recording = recordings.unwrap().remove(0);
    assert_eq!(recording.sampling_rate(), 500.0);
    let said = "a structure ECG of sex, age and data: taken as CPSC 2018, in mV at 500 Hz";
    assert_eq!(recording.warnings(), [said]);
    assert_expected(&recording);
}

#[test]
fn several_matrices_that_fit_are_listed() {
    let Some(result) = read_written("ambiguous.mat", &ReadOptions::default()) else { return };
    assert_says(&result.unwrap_err(), "several of its arrays may be the ECG: a [12, 1000], b [12, 1000]", "keep one");
}

/// Builds a matrix of level 4 (MathWorks' "MAT-File Format", "Level 4 MAT-File Format").
fn level_4(mopt: u32, rows: u32, columns: u32, values: &[u8]) -> Vec<u8> {
    let word = |number: u32| if mopt >= 1000 { number.to_be_bytes() } else { number.to_le_bytes() };
    let header: Vec<u8> = [mopt, rows, columns, 0, 4].into_iter().flat_map(word).collect();
    [&header[..], b"val\0", values].concat()
}

#[test]
fn every_type_of_level_4_is_read_in_both_byte_orders() {
    let value = |at: usize| (at % 50) as u8;
    for big_endian in [false, true] {
        for precision in 0..6 {
            let encode = |at: usize| {
                let value = value(at);
                let mut bytes = match precision {
                    0 => f64::from(value).to_le_bytes().to_vec(),
                    1 => f32::from(value).to_le_bytes().to_vec(),
                    2 => i32::from(value).to_le_bytes().to_vec(),
                    3 => i16::from(value).to_le_bytes().to_vec(),
                    4 => u16::from(value).to_le_bytes().to_vec(),
                    _ => vec![value],
                };
                if big_endian {
                    bytes.reverse();
                }
                bytes
            };
            let values: Vec<u8> = (0..12_000).flat_map(encode).collect();
            let file = level_4(if big_endian { 1000 } else { 0 } + 10 * precision, 12, 1000, &values);
            let recording = format::read_bytes("r", &file, &microvolts()).unwrap().remove(0);
            let second = recording.leads().nth(1).unwrap().1;
            let expected: Vec<f32> = (0..1000).map(|at| f32::from(value(1 + 12 * at)) / 1000.0).collect();
            assert!(second.iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-6), "precision {precision}");
        }
    }
}

#[test]
fn a_matrix_that_is_cut_off_or_too_large_is_refused() {
    let said = |file: &[u8], cause| {
        let error = format::read_bytes("r.mat", file, &microvolts()).unwrap_err();
        assert_says(&error, cause, "get the file again");
    };
    said(&level_4(30, 12, 1000, &[0; 100]), "the file ends within variable val");
    said(&level_4(30, i32::MAX as u32, i32::MAX as u32, &[0; 100]), "the file ends within variable val");
    said(&[&level_4(30, 12, 4, &[0; 96])[..], b"more"].concat(), "the file ends within variable 2");
}

#[test]
fn damaged_files_never_panic() {
    let options = ReadOptions { sampling_rate: Some(100.0), ..microvolts() };
    assert_withstands_damage("r.mat", &level_4(30, 12, 100, &[7; 2400]), &options);
    for name in ["level5_compressed.mat", "cpsc.mat"] {
        assert_robust(name, &options);
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>) {
        let _ = format::read_bytes("r.mat", &bytes, &microvolts());
        let _ = format::read_bytes("r.mat", &level_4(30, 12, 2, &bytes), &microvolts());
    }
}
