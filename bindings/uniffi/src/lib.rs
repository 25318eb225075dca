//! The engine for Swift and Kotlin. UniFFI's bindgen reads from the compiled library what is exported here, and writes the
//! Swift, Kotlin or Python that calls it; documentation comes along.
//!
//! Everything computes at once on the caller's thread: an app calls it from a thread of its own, any number at the same time.

mod classifier;
mod error;
mod prediction;

pub use classifier::{Classifier, Lead, VoltageUnit};
pub use error::EcgpuError;
pub use prediction::Prediction;

uniffi::setup_scaffolding!("ecgpu");

/// Returns the version of the engine, such as "0.1.0".
#[uniffi::export]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}
