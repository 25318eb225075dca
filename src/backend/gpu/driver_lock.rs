//! Lets one thread at a time open a device or compile, because some drivers crash where two threads do so at once.

use std::sync::{Mutex, MutexGuard, PoisonError};

static DRIVER: Mutex<()> = Mutex::new(());

/// Waits until no other thread opens a device or compiles on one.
pub(super) fn lock_driver() -> MutexGuard<'static, ()> {
    DRIVER.lock().unwrap_or_else(PoisonError::into_inner)
}
