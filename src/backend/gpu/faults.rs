//! Turns the failures of a device into errors. wgpu itself panics or calls a handler.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{Error, ErrorKind, Hint, Result};

/// The first failure of a device, after which the device is not used any more.
#[derive(Default)]
pub(super) struct Faults {
    first: Mutex<Option<Error>>,
    /// Whether wgpu reports errors here that no error scope catches.
    watching: bool,
}

impl Faults {
    /// Sets the error handlers of a device that this crate opened.
    pub(super) fn watching(device: &wgpu::Device) -> Arc<Self> {
        let faults = Arc::new(Self { first: Mutex::default(), watching: true });
        let uncaptured = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error| {
            uncaptured.record(of_wgpu(&error));
        }));
        let lost = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            // wgpu also calls back when the device is dropped, which is no failure.
            if reason != wgpu::DeviceLostReason::Destroyed {
                lost.record(failed(&format!("the device was lost: {message}")));
            }
        });
        faults
    }

    /// Keeps an error unless an earlier one is kept, and returns the kept one.
    fn record(&self, error: Error) -> Error {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error).clone()
    }

    /// Returns the first failure as an error.
    ///
    /// # Errors
    /// The device has failed.
    pub(super) fn check(&self) -> Result<()> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }

    /// Runs a part of a run. If it fails, every later call returns the same error, because the state of the device is
    /// unknown from then on.
    ///
    /// A device that this crate opened needs no error scopes, which cost some allocations each, because its handlers report
    /// here.
    ///
    /// # Errors
    /// The device has failed, now or earlier.
    pub(super) fn guard<T>(&self, device: &wgpu::Device, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.check()?;
        let result = if self.watching { work() } else { scoped(device, work) };
        // The first failure is the cause of later ones.
        let value = result.map_err(|error| self.record(error))?;
        self.check().map(|()| value)
    }
}

/// Makes an error of a failure of the device, with its text on one line.
pub(super) fn failed(what: &str) -> Error {
    let line = what.split_whitespace().collect::<Vec<_>>().join(" ");
    Error::new(ErrorKind::Device, format!("the GPU failed: {line}"), "open the classifier again, or use the CPU")
        .with_hint(Hint::UseCpu)
}

/// Polls a device. Returns whether it has finished within the timeout of `how`. A device that is lost makes wgpu panic, which
/// is caught here; a program that aborts on panics ends.
///
/// # Errors
/// The device is lost.
pub(super) fn poll(device: &wgpu::Device, how: wgpu::PollType) -> Result<bool> {
    // wgpu's locks are not poisoned by a panic, and a device that has failed is not used any more.
    match catch_unwind(AssertUnwindSafe(|| device.poll(how))) {
        Ok(Ok(_)) => Ok(true),
        Ok(Err(wgpu::PollError::Timeout)) => Ok(false),
        Ok(Err(error)) => Err(failed(&error.to_string())),
        Err(panic) => Err(failed(&message(panic.as_ref()))),
    }
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("wgpu panicked").into()
}

/// Whether the device had no memory, which may be different at the next attempt.
pub(super) fn is_out_of_memory(error: &Error) -> bool {
    error.hint() == Some(Hint::SmallerBatch)
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

/// Runs `work` within error scopes, so that errors of wgpu are returned.
///
/// # Errors
/// `work` failed, or wgpu reported an error. In WebAssembly `work` is refused: a browser reports errors and results only
/// after the program has returned to it.
pub(super) fn scoped<T>(device: &wgpu::Device, work: impl FnOnce() -> Result<T>) -> Result<T> {
    if cfg!(target_family = "wasm") {
        let error = Error::new(ErrorKind::Device, "WebAssembly cannot wait for a GPU", "use the CPU");
        return Err(error.with_hint(Hint::UseCpu));
    }
    use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
    let scopes = [Validation, Internal, OutOfMemory].map(|filter| device.push_error_scope(filter));
    let result = work();
    // All scopes must be popped, the innermost first, even if one has already caught the error.
    let mut fault = None;
    for scope in scopes.into_iter().rev() {
        fault = pollster::block_on(scope.pop()).or(fault);
    }
    match fault {
        Some(error) => Err(of_wgpu(&error)),
        None => result,
    }
}
