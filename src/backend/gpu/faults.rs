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
        #[cfg(not(target_family = "wasm"))]
        device.on_uncaptured_error(Arc::new(move |error| {
            uncaptured.record(of_wgpu(&error));
        }));
        #[cfg(target_family = "wasm")]
        super::browser::on_uncaptured_error(device, move |message| {
            uncaptured.record(failed(message));
        });
        let lost = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            // wgpu also calls back when the device is dropped, which is no failure. In a browser a page may destroy it.
            if reason != wgpu::DeviceLostReason::Destroyed || cfg!(target_family = "wasm") {
                lost.record(failed(&format!("the device was lost: {message}")));
            }
        });
        faults
    }

    /// Whether the device was opened by this crate.
    pub(super) fn are_watched(&self) -> bool {
        self.watching
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
    pub(super) async fn guard<T>(&self, device: &wgpu::Device, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.check()?;
        let result = if self.watching { work() } else { scoped(device, work).await };
        self.settle(result)
    }

    /// Returns the result of a part of a run, or the first failure of the device. A failed part is a failure of the device.
    ///
    /// # Errors
    /// The part or the device has failed.
    pub(super) fn settle<T>(&self, result: Result<T>) -> Result<T> {
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

/// The errors that scopes catch.
#[cfg(not(target_family = "wasm"))]
const CAUGHT: [wgpu::ErrorFilter; 3] =
    [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory];
/// The errors that scopes catch. In a browser wgpu 30 panics where a scope catches an internal error; it is left to the
/// device's handler.
#[cfg(target_family = "wasm")]
const CAUGHT: [wgpu::ErrorFilter; 2] = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory];

/// Runs `work` within error scopes, so that errors of wgpu are returned. `work` is done when this returns, and the future
/// waits for the device's verdict. No scope is open while it waits, because another request may open its own meanwhile.
///
/// # Errors
/// `work` failed, or wgpu reported an error.
pub(super) fn scoped<T>(device: &wgpu::Device, work: impl FnOnce() -> Result<T>) -> impl Future<Output = Result<T>> {
    let mut scopes = CAUGHT.map(|filter| device.push_error_scope(filter));
    let result = work();
    // The innermost first.
    scopes.reverse();
    let caught = scopes.map(wgpu::ErrorScopeGuard::pop);
    async {
        let mut fault = None;
        for caught in caught {
            fault = caught.await.or(fault);
        }
        match fault {
            Some(error) => Err(of_wgpu(&error)),
            None => result,
        }
    }
}
