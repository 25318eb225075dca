//! Statuses and the last error of each thread. No panic crosses into C.

use std::{
    cell::RefCell,
    ffi::{CString, c_char},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::Once,
};

use ecgpu::{Error, ErrorKind};

use crate::caller;

/// Whether a call succeeded, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
#[non_exhaustive]
pub enum EcgpuStatus {
    /// The call succeeded.
    Ok = 0,
    /// A file could not be read.
    File = 1,
    /// A recording is damaged, incomplete or not what its header says.
    Recording = 2,
    /// A weights file is damaged, or its tensors do not fit a known network.
    Weights = 3,
    /// A shape that the network or the device cannot run.
    Shape = 4,
    /// There is no such device, or the device failed.
    Device = 5,
    /// A request that makes no sense: a NULL where an address is needed, a wrong length, an unknown name.
    Usage = 6,
    /// Two backends that must agree do not.
    Parity = 7,
    /// The call was cancelled.
    Cancelled = 8,
    /// A handle that is NULL, closed, or of an object of another kind.
    InvalidHandle = 9,
    /// A fault of ecgpu itself. Report it with what ecgpu_last_error says.
    Internal = 10,
}

/// Why a call failed.
#[derive(Debug, Clone)]
pub struct Failure {
    pub status: EcgpuStatus,
    text: String,
}

/// What the work of a call returns.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// Makes a failure of what happened and what its reader can do about it.
    pub fn new(status: EcgpuStatus, cause: impl AsRef<str>, remedy: &str) -> Self {
        Self { status, text: format!("{}: {remedy}", cause.as_ref()) }
    }

    /// A request that makes no sense.
    pub fn usage(cause: impl AsRef<str>, remedy: &str) -> Self {
        Self::new(EcgpuStatus::Usage, cause, remedy)
    }

    /// A handle that names nothing.
    pub fn handle(cause: impl AsRef<str>) -> Self {
        Self::new(EcgpuStatus::InvalidHandle, cause, "use what was opened and not yet closed")
    }

    /// The text as C reads it.
    pub fn to_c(&self) -> CString {
        text(&self.text)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::File => EcgpuStatus::File,
            ErrorKind::Recording => EcgpuStatus::Recording,
            ErrorKind::Weights => EcgpuStatus::Weights,
            ErrorKind::Shape => EcgpuStatus::Shape,
            ErrorKind::Device => EcgpuStatus::Device,
            ErrorKind::Parity => EcgpuStatus::Parity,
            ErrorKind::Usage => EcgpuStatus::Usage,
            _ => EcgpuStatus::Internal,
        };
        Self { status, text: error.to_string() }
    }
}

/// Makes a text for C, which ends at the first zero.
pub fn text(text: &str) -> CString {
    let before_zero = text.split('\0').next().unwrap_or_default();
    CString::new(before_zero).unwrap_or_default()
}

thread_local! {
    static LAST: RefCell<Option<CString>> = const { RefCell::new(None) };
}

/// Returns what happened in the last call of this thread that failed and what can be done about it, on one line; an empty text if
/// none has failed. It is valid until the next call of this thread that fails.
#[unsafe(no_mangle)]
pub extern "C" fn ecgpu_last_error() -> *const c_char {
    let of_thread = LAST.try_with(|last| last.borrow().as_ref().map(|text| text.as_ptr()));
    of_thread.ok().flatten().unwrap_or(c"".as_ptr())
}

/// Does the work of a call, if its caller may make one. A failure becomes the last error of the thread.
pub fn guard(work: impl FnOnce() -> Outcome<()>) -> EcgpuStatus {
    let outcome = caller::check().and_then(|()| {
        silence_panics();
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            Err(Failure::new(EcgpuStatus::Internal, "a fault of ecgpu", "report what was called; close what was used"))
        })
    });
    match outcome {
        Ok(()) => EcgpuStatus::Ok,
        Err(failure) => {
            let _ = LAST.try_with(|last| *last.borrow_mut() = Some(failure.to_c()));
            failure.status
        }
    }
}

/// Keeps panics from printing. The standard library of the shared and of the static library is their own, so that the hooks of a
/// C program are not touched; a Rust program that links this crate gets this hook.
fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| log::error!("panic: {panic}"))));
}

/// Checks that an address where a result goes is not null, and writes null there: what a failed call leaves is no handle.
///
/// # Safety
/// `out` is null or valid for a write.
pub unsafe fn prepare_out<T>(out: *mut *mut T) -> Outcome<()> {
    if out.is_null() {
        return Err(Failure::usage("the address for the result is NULL", "give one"));
    }
    // SAFETY: the caller's promise.
    unsafe { out.write(ptr::null_mut()) };
    Ok(())
}
