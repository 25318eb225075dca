//! The C interface of ecgpu, `libecgpu`. `include/ecgpu.h`, made by cbindgen of what is documented here, is what C sees.
//!
//! Each function checks what it is given, does its work behind `error::guard`, and returns a status. Objects are kept in
//! tables and named by handles (`handle::Table`).

#![allow(clippy::missing_safety_doc, reason = "the header states what every function demands of its arguments")]

mod argument;
mod caller;
mod cancel;
mod classifier;
mod devices;
mod error;
mod handle;
mod logging;
mod predictions;
mod recordings;
mod verify;

use std::ffi::c_char;

pub use cancel::*;
pub use classifier::*;
pub use devices::*;
pub use error::{EcgpuStatus, ecgpu_last_error};
pub use logging::*;
pub use predictions::*;
pub use recordings::*;
pub use verify::*;

/// The version with a zero behind it.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");

/// Returns the version of the library, such as "0.1.0". It is valid as long as the library is loaded.
#[unsafe(no_mangle)]
pub extern "C" fn ecgpu_version() -> *const c_char {
    VERSION.as_ptr().cast()
}
