//! Errors of the library as exceptions of the package.

use ecgpu::{Error, ErrorKind, engine::backend};
use pyo3::{prelude::*, types::PyType};

/// Returns the name of the exception for a kind of error.
fn class(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::File => "FileError",
        ErrorKind::Recording => "RecordingError",
        ErrorKind::Dataset => "DatasetError",
        ErrorKind::Download => "DownloadError",
        ErrorKind::Weights => "WeightsError",
        ErrorKind::Shape => "ShapeError",
        ErrorKind::Device | ErrorKind::PipelineCache | ErrorKind::Tuning => "DeviceError",
        ErrorKind::Usage => "UsageError",
        ErrorKind::Parity => "ParityError",
        ErrorKind::Training => "TrainingError",
        _ => "Error",
    }
}

/// Makes the exception of an error, an instance of a class of `ecgpu.errors`.
///
/// # Errors
/// The package cannot be imported.
pub fn exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    let class = py.import("ecgpu.errors")?.getattr(class(error.kind()))?.cast_into::<PyType>()?;
    class.call1((error.to_string(), error.cause(), error.remedy()))
}

/// Makes what Python raises for an error.
pub fn raised(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error).map_or_else(|failed| failed, PyErr::from_value)
}

/// Lets other threads of Python run during some work. A failure of it is raised.
///
/// # Errors
/// Those of the work.
pub fn detached<T: Send>(py: Python<'_>, work: impl Send + FnOnce() -> ecgpu::Result<T>) -> PyResult<T> {
    let work = || if backend::is_forked() { Err(forked()) } else { work() };
    py.detach(work).map_err(|error| raised(py, &error))
}

fn forked() -> Error {
    let cause = "this process was forked from one in which ecgpu had computed, and threads do not survive a fork";
    let remedy = "start workers with multiprocessing's method 'spawn' or 'forkserver', or fork before using ecgpu";
    Error::new(ErrorKind::Usage, cause, remedy)
}
