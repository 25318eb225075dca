//! What an ECG is: its leads, a recording, its formats, resampling, quality, and a synthetic model.

mod lead;
mod recording;
mod resample;

pub use lead::Lead;
pub use recording::{Recording, Unit};
