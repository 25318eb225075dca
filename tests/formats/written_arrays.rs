//! The files that NumPy, SciPy and h5py write (`tests/formats/write_arrays.py`), and damage done to them.

use std::{fs, path::PathBuf, time::Instant};

use ecgpu::{
    Recording, Result,
    ecg::format::{self, ReadOptions},
};

use crate::support::Script;

/// Returns the path of a file that the script wrote; nothing without Python.
pub fn written(name: &str) -> Option<PathBuf> {
    Script::Arrays.folder().map(|folder| folder.join(name))
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
