//! What goes wrong on a device, turned into errors: wgpu would panic or only call back.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{Error, ErrorKind, Hint, Result};

/// The first fault of a device, which is not to be used after it.
#[derive(Default)]
pub(super) struct Faults {
    first: Mutex<Option<Error>>,
    /// Whether wgpu reports to it what no scope catches.
    watching: bool,
}

impl Faults {
    /// Listens to a device of our own.
    pub(super) fn watching(device: &wgpu::Device) -> Arc<Self> {
        let faults = Arc::new(Self { first: Mutex::default(), watching: true });
        let uncaptured = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error| {
            uncaptured.record(of_wgpu(&error));
        }));
        let lost = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            // wgpu also calls back when the device is dropped, which is no fault.
            if reason != wgpu::DeviceLostReason::Destroyed {
                lost.record(failed(&format!("the device was lost: {message}")));
            }
        });
        faults
    }

    /// Keeps an error unless there is an earlier one, and returns the one that is kept.
    fn record(&self, error: Error) -> Error {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error).clone()
    }

    /// # Errors
    /// The device has failed before.
    pub(super) fn check(&self) -> Result<()> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }

    /// Runs a part of a forward. What goes wrong in it is the device's end: all that comes after is refused by the same
    /// error, as nothing is known of what the device still does.
    ///
    /// A device of our own needs no scopes, which take some allocations each, because it reports here.
    pub(super) fn guard<T>(&self, device: &wgpu::Device, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.check()?;
        let result = if self.watching { work() } else { scoped(device, work) };
        // Why the device failed says more than what failed by it.
        let value = result.map_err(|error| self.record(error))?;
        self.check().map(|()| value)
    }
}

/// An error of the device, its text on one line.
pub(super) fn failed(what: &str) -> Error {
    let line = what.split_whitespace().collect::<Vec<_>>().join(" ");
    Error::new(ErrorKind::Device, format!("the GPU failed: {line}"), "open the classifier again, or use the CPU")
        .with_hint(Hint::UseCpu)
}

fn of_wgpu(error: &wgpu::Error) -> Error {
    match error {
        wgpu::Error::OutOfMemory { .. } => {
            let remedy = "give fewer records at once, shorter recordings, or use the CPU";
            Error::new(ErrorKind::Device, "the GPU is out of memory", remedy).with_hint(Hint::SmallerBatch)
        }
        error => failed(&error.to_string()),
    }
}

/// Runs `work` and returns whatever wgpu found wrong with it.
pub(super) fn scoped<T>(device: &wgpu::Device, work: impl FnOnce() -> Result<T>) -> Result<T> {
    use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
    let scopes = [Validation, Internal, OutOfMemory].map(|filter| device.push_error_scope(filter));
    let result = work();
    // Each must be popped, the last first, also when an earlier one has found the error.
    let mut fault = None;
    for scope in scopes.into_iter().rev() {
        fault = pollster::block_on(scope.pop()).or(fault);
    }
    match fault {
        Some(error) => Err(of_wgpu(&error)),
        None => result,
    }
}
