//! A flag by which another thread, or a handler of a signal, stops a long call.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    EcgpuStatus,
    error::{Failure, Outcome, guard, prepare_out},
    handle::{Table, close},
};

/// A flag that stops the calls that it is given to.
pub struct EcgpuCancel {
    _private: [u8; 0],
}

static FLAGS: Table<AtomicBool> = Table::new("cancel flag");

/// Makes a flag that is not set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_cancel_new(out: *mut *mut EcgpuCancel) -> EcgpuStatus {
    guard(|| {
        // SAFETY: the caller gives a valid address or null.
        unsafe { prepare_out(out)? };
        // SAFETY: `prepare_out` refuses null.
        unsafe { out.write(FLAGS.insert(AtomicBool::new(false))) };
        Ok(())
    })
}

/// Sets a flag, for good. Calls that it was given to end soon with ECGPU_STATUS_CANCELLED, those that begin later at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_cancel_set(cancel: *const EcgpuCancel) -> EcgpuStatus {
    guard(|| {
        FLAGS.get(cancel)?.store(true, Ordering::Relaxed);
        Ok(())
    })
}

/// Closes a flag and sets its handle to NULL. Calls that it was given to go on, and cannot be stopped any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_cancel_close(cancel: *mut *mut EcgpuCancel) -> EcgpuStatus {
    // SAFETY: the caller gives a valid address or null.
    guard(|| unsafe { close(&FLAGS, cancel) })
}

/// Returns a function that fails once the flag is set. A null flag is never set.
pub fn check(cancel: *const EcgpuCancel) -> Outcome<impl Fn() -> Outcome<()>> {
    let flag: Option<Arc<AtomicBool>> = (!cancel.is_null()).then(|| FLAGS.get(cancel)).transpose()?;
    Ok(move || match &flag {
        Some(flag) if flag.load(Ordering::Relaxed) => {
            Err(Failure::new(EcgpuStatus::Cancelled, "the call was cancelled", "call it again with another flag"))
        }
        _ => Ok(()),
    })
}
