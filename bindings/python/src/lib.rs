//! The native part of the Python package `ecgpu`: what computes. Everything that can be said in Python is: conversions of
//! arrays, records and frames are in `python/ecgpu`.
//!
//! Every function that computes lets other threads of Python run, and looks for Ctrl-C at least once per batch.

mod classifier;
mod command_line;
mod devices;
mod error;
mod evaluate;
mod outcome;
mod reading;
mod stream;
mod train;

use pyo3::prelude::*;

/// The native part of ecgpu. Its names are private: use those of the package.
#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::{
        classifier::Classifier, command_line::command_line, devices::devices, evaluate::evaluate, stream::Stream,
        train::train,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
