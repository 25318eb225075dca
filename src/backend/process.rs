//! The process that computes. Threads and devices do not survive a fork.

use std::sync::atomic::{AtomicU32, Ordering};

/// The process that asked first; 0 before.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Returns whether this process was forked from one in which this was called before: what that one has opened waits here for ever.
/// It waits for nothing itself, as a lock may have been held when the process was forked.
pub fn is_forked() -> bool {
    let own = std::process::id();
    OWNER.compare_exchange(0, own, Ordering::Relaxed, Ordering::Relaxed).is_err_and(|owner| owner != own)
}
