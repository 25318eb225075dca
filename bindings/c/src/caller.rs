//! Calls from where ecgpu cannot work: in a process that was forked from one that uses it, and in a log function.

use std::cell::Cell;

use ecgpu::engine::backend;

use crate::error::{Failure, Outcome};

thread_local! {
    static IN_LOG_FUNCTION: Cell<bool> = const { Cell::new(false) };
}

/// Refuses calls that would wait for ever. It waits for nothing itself: where another thread held a lock when the process was
/// forked, the child finds it locked for good.
///
/// # Errors
/// The process was forked from one that had called ecgpu, or the call is made by a log function.
pub fn check() -> Outcome<()> {
    if backend::is_forked() {
        let cause = "this process was forked from one that had called ecgpu, and has none of its threads and devices";
        return Err(Failure::usage(cause, "fork before the first call, or run a program of its own with exec"));
    }
    if IN_LOG_FUNCTION.get() {
        return Err(Failure::usage("a call from within a log function", "note the message, and call after its return"));
    }
    Ok(())
}

/// Calls the host's log function, within which every other call is refused.
pub fn within_log_function(call: impl FnOnce()) {
    IN_LOG_FUNCTION.set(true);
    call();
    IN_LOG_FUNCTION.set(false);
}
