//! What an ECG is: its leads, a recording, its formats, resampling, quality, and a synthetic model.

#[cfg(feature = "formats")]
pub mod format;
mod lead;
pub mod quality;
mod recording;
mod resample;
mod synthetic;

pub use lead::Lead;
pub use recording::{Recording, Unit};
pub use synthetic::{Condition, synthesize};
