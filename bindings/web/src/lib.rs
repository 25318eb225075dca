//! The engine in WebAssembly. `js/ecgpu.js` is the surface that JavaScript sees: it calls what is exported here, and turns
//! errors, which are thrown as JSON, into exceptions.
//!
//! Texts and numbers cross as they are, results as JSON, signals as arrays in millivolts. Everything computes at once, but
//! what a GPU has to be waited for: that returns a promise.

mod classifier;
mod error;
mod gpu;
mod recording;

use std::{
    panic::PanicHookInfo,
    sync::{Mutex, PoisonError},
};

use wasm_bindgen::prelude::wasm_bindgen;

pub use classifier::Classifier;
pub use recording::{Recording, formats, read, synthesize};

/// Where the module has panicked.
static PANICKED: Mutex<Option<String>> = Mutex::new(None);

/// Notes where a panic happens, when the module is loaded. The message is left out: it may quote a file.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo| {
        *PANICKED.lock().unwrap_or_else(PoisonError::into_inner) = panic.location().map(ToString::to_string);
    }));
}

/// Returns the place in the source of the panic that stopped the module; none if it was stopped by something else, such as a
/// lack of memory.
#[wasm_bindgen]
pub fn panicked() -> Option<String> {
    PANICKED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
