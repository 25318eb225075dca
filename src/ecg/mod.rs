//! ECGs: leads, recordings, file formats, resampling, signal quality, a synthetic model.
//!
//! A [`Recording`] holds named [`Lead`]s in millivolts at one sampling rate. It comes from a file (`format::read`, with
//! the feature `formats`) or from a model ([`synthesize`]). [`Recording::resampled`] converts it to another sampling rate,
//! and [`quality::warnings`] lists what is doubtful about it.
//!
//! ```
//! use ecgpu::ecg::{Condition, Lead, quality, synthesize};
//!
//! let ecg = synthesize(Condition::Norm, 1, 500.0, 10.0)?.resampled(100.0)?;
//! assert_eq!(ecg.samples(), 1000);
//! assert!(ecg.lead(Lead::V1).is_some());
//! assert!(quality::warnings(&ecg).is_empty());
//! # Ok::<(), ecgpu::Error>(())
//! ```

mod condition;
mod electrodes;
#[cfg(feature = "formats")]
pub mod format;
mod lead;
pub mod quality;
mod recording;
mod resample;
mod statistics;
mod synthetic;

pub use condition::Condition;
pub use lead::Lead;
pub(crate) use recording::check_sampling_rate;
pub use recording::{Filled, Recording, Unit};
pub(crate) use statistics::mean;
pub use synthetic::{is_synthetic, synthesize};
