//! What is written is read again, by the library and by PhysioNet's `wfdb` package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ecgpu::Recording;
use ecgpu::ecg::{Condition, Lead, format, synthesize};
use tempfile::TempDir;

use crate::support::{as_table, assert_says, data, read_one};

#[test]
fn a_written_record_is_read_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("norm-1_a.hea");
    let written = synthesize(Condition::Norm, 1, 100.0, 10.0).unwrap();
    format::write_wfdb(&written, &path, &["Synthetic\nno patient".into()]).unwrap();
    let header = fs::read_to_string(&path).unwrap();
    assert!(header.starts_with("norm-1_a 12 100 1000\nnorm-1_a.dat 16 1000(0)/mV 16 0 "), "{header}");
    assert!(header.ends_with(" 0 V6\n# Synthetic\n# no patient\n"), "{header}");
    let again = read_one(&path);
    assert_eq!((again.name(), again.warnings()), ("norm-1_a", written.warnings()));
    for ((lead, x), (other, y)) in written.leads().zip(again.leads()) {
        assert_eq!(lead, other);
        assert!(x.iter().zip(y).all(|(x, y)| (x - y).abs() <= 0.000_501), "lead {lead}");
    }
}

/// Returns a function that runs `tests/wfdb_package.py` with `PYTHON`, or else python3. Without the package it says
/// that the test is skipped.
fn wfdb_package() -> Option<impl Fn(&str, &[&Path])> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let has_it = Command::new(&python).args(["-c", "import wfdb"]).output().is_ok_and(|output| output.status.success());
    if !has_it {
        ecgpu_testing::skip("no Python with PhysioNet's package: pip install wfdb, and set PYTHON if need be");
        return None;
    }
    Some(move |mode: &str, paths: &[&Path]| {
        let status = Command::new(&python).args(["tests/wfdb_package.py", mode]).args(paths).status().unwrap();
        assert!(status.success(), "{mode} {paths:?}");
    })
}

#[test]
fn the_wfdb_package_reads_a_written_record() {
    let Some(wfdb_package) = wfdb_package() else { return };
    let folder = TempDir::new().unwrap();
    let [header, table] = ["r.hea", "r.csv"].map(|name| folder.path().join(name));
    for condition in Condition::ALL {
        let recording = synthesize(condition, 3, 100.0, 10.0).unwrap();
        format::write_wfdb(&recording, &header, &["Synthetic".into()]).unwrap();
        fs::write(&table, as_table(&recording)).unwrap();
        wfdb_package("check", &[&header, &table]);
    }
}

#[test]
fn the_wfdb_package_writes_the_files_of_tests_data_bit_for_bit() {
    let Some(wfdb_package) = wfdb_package() else { return };
    let folder = TempDir::new().unwrap();
    wfdb_package("write", &[folder.path()]);
    let written: Vec<PathBuf> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(written.len() > 5, "{written:?}");
    for path in written {
        let kept = data(path.file_name().unwrap().to_str().unwrap());
        assert!(fs::read(&path).unwrap() == fs::read(&kept).unwrap(), "{}", kept.display());
    }
}

#[test]
fn a_large_amplitude_is_written_in_coarser_steps() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("large.hea");
    let write = |peak: f32| {
        let recording = Recording::new("r", 360.5, vec![(Lead::I, vec![-peak, peak])]).unwrap();
        format::write_wfdb(&recording, &path, &[])
    };
    for (peak, gain) in [(32.767, 1000), (32.768, 500), (600.0, 50), (32_767.0, 1)] {
        write(peak).unwrap();
        let header = fs::read_to_string(&path).unwrap();
        assert!(header.starts_with(&format!("large 1 360.5 2\nlarge.dat 16 {gain}(0)/mV ")), "{header}");
        assert!((read_one(&path).lead(Lead::I).unwrap()[0] + peak).abs() < peak / 1000.0);
    }
    assert!(write(40_000.0).unwrap_err().cause().contains("which 16 bits cannot hold"));
}

#[test]
fn a_records_name_must_be_valid() {
    let recording = synthesize(Condition::Norm, 1, 100.0, 1.0).unwrap();
    let write = |name: &str| format::write_wfdb(&recording, Path::new(name), &[]).unwrap_err();
    assert_says(&write("a b.hea"), "'a b' cannot be a WFDB record's name", "use letters, digits, _ and - only");
    assert_says(&write("a.dat"), "a.dat does not end in .hea", "name the header of the record");
    assert_says(&write("/no/such/folder/a.hea"), "/no/such/folder/a.dat", "check the path");
}
