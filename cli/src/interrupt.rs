//! Ctrl-C in long runs.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ecgpu::{Error, ErrorKind, Result};

/// Exit code after Ctrl-C, as in shells: 128 plus the signal's number.
pub const EXIT_CODE: u8 = 130;

/// Returns a flag that the first Ctrl-C sets. The second ends the program at once, which loses what was not saved.
///
/// # Errors
/// Ctrl-C cannot be caught.
pub fn flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    let handler = move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(EXIT_CODE));
        }
    };
    ctrlc::set_handler(handler).map_err(|error| {
        Error::new(ErrorKind::Device, format!("Ctrl-C cannot be caught: {error}"), "start the program from a shell")
    })?;
    Ok(stop)
}
