//! `python -m ecgpu`: the command line.

use std::{ffi::OsString, path::PathBuf};

use ecgpu_cli::Program;
use pyo3::prelude::*;

/// Runs a command of the command line and returns the exit code. `start` is what starts this program again, `file` the library
/// with its code. Help, and arguments that are wrong, end the process.
#[pyfunction]
pub fn command_line(py: Python<'_>, start: Vec<OsString>, file: PathBuf, arguments: Vec<OsString>) -> u8 {
    py.detach(|| ecgpu_cli::run(Program { start, file }, arguments))
}
