//! Recordings that cannot be classified: one line with cause and remedy, and the exit code 1.

use std::fs;

use ecgpu::engine::network::published::model_card_55k;
use ecgpu_testing::{WeightsFile, npy, skip};
use serde_json::Value;

use crate::support::{Folder, assert_one_line, data, names, objects, printed, run, table, zeros};

fn assert_refused(path: &str, part: &str) {
    assert_one_line(&run(&["classify", "--device", "cpu", path]), 1, part);
}

#[test]
fn a_damaged_record_is_explained() {
    let folder = Folder::new();
    let refused = |from: &str, to: &str, change: fn(&mut Vec<u8>), part: &str| {
        assert_refused(&folder.damaged_record(from, to, change), part);
    };
    let as_it_is = |_: &mut Vec<u8>| ();
    refused("r", "r", |samples| samples.truncate(samples.len() - 1), "1000 samples are declared and r.dat holds 999");
    refused("r", "r", Vec::clear, "r.dat holds 0");
    refused("r.dat", "none.dat", as_it_is, "none.dat");
    refused("r.dat", "../r.dat", as_it_is, "outside its own folder");
    refused("r 12 100 1000", "r 12 100 130000000", as_it_is, "130000000 samples are declared");
    refused("r 12 100 1000", "r 12 100 0", Vec::clear, "samples");
    refused("r 12 100 1000", "r 12 -5 1000", as_it_is, "line 1");
    refused("r 12 100 1000", "r 11 100 1000", as_it_is, "11 signals are declared and 12 described");
    refused("r 12 100 1000", "r 13 100 1000", as_it_is, "13 signals are declared and 12 described");
    refused(" V6", " V5", as_it_is, "lead V5 is there twice");
    refused(" V6", " vx", as_it_is, "lead V6 is missing");
}

#[test]
fn a_damaged_array_is_explained() {
    let folder = Folder::new();
    let mut not_finite = zeros(&[12, 1000]);
    let end = not_finite.len();
    not_finite[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    for (contents, part) in [
        (not_finite.clone(), "lead V6 has inf at sample 999"),
        (zeros(&[11, 100]), "shape [11, 100]"),
        (zeros(&[13, 100]), "shape [13, 100]"),
        (zeros(&[12, 0]), "shape [12, 0]"),
        (npy("<f4", &[12, 65_000_000], &[0; 1000]), "1000 bytes follow"),
        (npy("<f4", &[12, 1000], &[0xfe; 48_000]), "too large"),
        (Vec::new(), "no NumPy array"),
    ] {
        assert_refused(&folder.with("a.npy", contents), part);
    }
    let raw = |contents: Vec<u8>, part| {
        assert_one_line(&run(&["classify", "--device", "cpu", "--raw", &folder.with("a.npy", contents)]), 1, part);
    };
    raw(not_finite, "inf at index");
    raw(zeros(&[2, 11, 100]), "an array [2, 11, 100] where [batch, 12, samples] is expected");
    raw(npy("<f4", &[1, 12, 100], &[0xfe; 4800]), "give numbers up to 1e18");
    assert_one_line(&run(&["classify", "--raw", &data("table.csv")]), 1, "is no .npy file");
}

#[test]
fn a_damaged_table_is_explained() {
    let folder = Folder::new();
    let all = names();
    for (contents, part) in [
        (table(&all, &["NaN"; 1000]), "without a line of two numbers"),
        (table(&all, &[&["0.5"; 900][..], &["NaN"; 100]].concat()), "lead I has no value from 9.000 s to 10.000 s"),
        (table(&all, &[&["0.5"; 999][..], &["inf"]].concat()), "inf"),
        (table(&all, &["0.5"; 999]), "999 samples, and the file states no sampling rate"),
        (table(&all[..11], &["0.5"; 1000]), "lead V6 is missing"),
        (table(&all, &[]), "without a line of two numbers"),
        (String::new(), "an empty file"),
    ] {
        assert_refused(&folder.with("a.csv", contents), part);
    }
}

#[test]
fn a_path_that_does_not_exist_is_explained() {
    let folder = Folder::new();
    let none = folder.path("none");
    for extension in ["", ".hea", ".npy", ".csv", ".edf", "\nname.hea"] {
        assert_refused(&format!("{none}{extension}"), "check the path");
    }
    assert_refused(&folder.with("a.xyz", "EDF"), "give a file of WFDB (.hea, .dat, .mat), NumPy (.npy)");
    let empty = folder.path("empty");
    fs::create_dir(&empty).unwrap();
    assert_refused(&empty, "no recording in this folder");
}

#[test]
fn too_short_an_input_is_explained() {
    let folder = Folder::new();
    let weights = folder.with("card.safetensors", WeightsFile::random(&model_card_55k()).to_bytes());
    let input = folder.with("a.npy", zeros(&[1, 12, 3]));
    let outcome = run(&["classify", "--device", "cpu", "--raw", &input, "--weights", &weights]);
    assert_one_line(&outcome, 1, "layer encoder.7, input of 3 samples: no output");
}

/// The first convolution's output of 64 channels and half of the samples has 154 MB. Mesa's software adapter binds 128
/// MiB.
#[test]
fn an_input_beyond_the_gpus_limits_is_explained() {
    const SAMPLES: usize = 1_200_000;
    let binding = |device: &Value| device["limits"]["max_storage_buffer_binding_size"].as_u64();
    let largest = objects(&printed(&["devices", "--json"])).iter().filter_map(binding).max().unwrap_or(u64::MAX);
    if largest >= 64 * SAMPLES as u64 / 2 * 4 {
        return skip("no GPU, or one that takes more than the test gives");
    }
    let folder = Folder::new();
    let header = npy("<f4", &[1, 12, SAMPLES], &[]);
    let path = folder.with("long.npy", &header);
    fs::File::options().write(true).open(&path).unwrap().set_len((header.len() + 12 * SAMPLES * 4) as u64).unwrap();
    let outcome = run(&["classify", "--device", "gpu", "--raw", &path]);
    assert_one_line(&outcome, 1, "cut the recording into shorter ones or use the CPU (--device cpu)");
}
