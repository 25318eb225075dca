//! What goes wrong on a device, turned into errors: wgpu would panic or only call back.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{Error, ErrorKind, Result};

/// The first fault of a device, which is not to be used after it.
#[derive(Default)]
pub(super) struct Faults(Mutex<Option<String>>);

impl Faults {
    /// Listens to a device of our own.
    pub(super) fn watching(device: &wgpu::Device) -> Arc<Self> {
        let faults = Arc::new(Self::default());
        let uncaptured = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error| uncaptured.record(error.to_string())));
        let lost = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            // wgpu also calls back when the device is dropped, which is no fault.
            if reason != wgpu::DeviceLostReason::Destroyed {
                lost.record(format!("the device was lost: {message}"));
            }
        });
        faults
    }

    fn record(&self, what: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }

    /// # Errors
    /// The device has failed before.
    pub(super) fn check(&self) -> Result<()> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_deref() {
            Some(what) => Err(failed(what)),
            None => Ok(()),
        }
    }
}

/// An error of the device, its text on one line.
pub(super) fn failed(what: &str) -> Error {
    let line = what.split_whitespace().collect::<Vec<_>>().join(" ");
    Error::new(ErrorKind::Device, format!("the GPU failed: {line}"), "open the classifier again, or use --device cpu")
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
        Some(wgpu::Error::OutOfMemory { .. }) => {
            let remedy = "give a smaller --batch, shorter recordings, or --device cpu";
            Err(Error::new(ErrorKind::Device, "the GPU is out of memory", remedy))
        }
        Some(error) => Err(failed(&error.to_string())),
        None => result,
    }
}
