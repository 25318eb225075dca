//! The process that computes. Threads do not survive a fork, and a child that waits for them would wait forever.

use std::sync::atomic::{AtomicU32, Ordering};

use ecgpu::{Error, ErrorKind, Result};

/// The process that computed first; 0 before.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Checks that this process is the one that computed first.
///
/// # Errors
/// It was forked from that one.
pub fn check() -> Result<()> {
    let own = std::process::id();
    match OWNER.compare_exchange(0, own, Ordering::Relaxed, Ordering::Relaxed) {
        Err(owner) if owner != own => {
            let cause =
                "this process was forked from one in which ecgpu had computed, and threads do not survive a fork";
            let remedy =
                "start workers with multiprocessing's method 'spawn' or 'forkserver', or fork before using ecgpu";
            Err(Error::new(ErrorKind::Usage, cause, remedy))
        }
        _ => Ok(()),
    }
}
