//! The files that NumPy, SciPy and h5py write (`tests/formats/write_arrays.py`), and damage done to them.

use std::{fs, path::PathBuf, process::Command, sync::OnceLock, time::Instant};

use ecgpu::{
    Recording, Result,
    ecg::format::{self, ReadOptions},
};
use tempfile::TempDir;

/// Writes the files once, with `PYTHON`, or else python3. Without the packages it says that the test is skipped.
pub fn written(name: &str) -> Option<PathBuf> {
    static FOLDER: OnceLock<Option<TempDir>> = OnceLock::new();
    let write = || {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let packages = Command::new(&python).args(["-c", "import numpy, scipy.io, h5py"]).output();
        if !packages.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats/write_arrays.py");
        let status = Command::new(&python).arg(script).arg(folder.path()).status().unwrap();
        assert!(status.success(), "{script}");
        Some(folder)
    };
    let folder = FOLDER.get_or_init(write);
    if folder.is_none() {
        ecgpu_testing::skip("no Python with NumPy, SciPy and h5py: install them, and set PYTHON if need be");
    }
    folder.as_ref().map(|folder| folder.path().join(name))
}

/// Reads a written file; nothing if there is no Python.
pub fn read_written(name: &str, options: &ReadOptions) -> Option<Result<Vec<Recording>>> {
    written(name).map(|path| format::read(&path, options))
}

/// Asserts that a written file withstands damage.
pub fn assert_robust(name: &str, options: &ReadOptions) {
    if let Some(path) = written(name) {
        assert_withstands_damage(name, &fs::read(path).unwrap(), options);
    }
}

/// Asserts that a file that is cut off, or of which one bit is changed, at every 97th byte is read or refused with a
/// remedy, quickly and without a panic.
pub fn assert_withstands_damage(name: &str, bytes: &[u8], options: &ReadOptions) {
    let check = |changed: &[u8]| {
        let start = Instant::now();
        if let Err(error) = format::read_bytes(name, changed, options) {
            assert!(!error.remedy().is_empty(), "{error}");
        }
        assert!(start.elapsed().as_secs() < 5, "{name}");
    };
    for at in (0..bytes.len()).step_by(97) {
        check(&bytes[..at]);
        let mut changed = bytes.to_vec();
        changed[at] ^= 1 << (at % 8);
        check(&changed);
    }
}
