//! How the host waits for a device: a thread of a native program blocks, and a browser awaits, because it reports errors and
//! results only after the program has returned to it.

use std::future::Future;

use crate::Result;

/// Returns the result of a future of the device. A native program blocks until it is ready.
///
/// # Errors
/// The future fails. In WebAssembly one that waits for the device is refused.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    if cfg!(target_family = "wasm") { crate::worker::at_once(future) } else { pollster::block_on(future) }
}
