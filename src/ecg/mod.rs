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

mod dc_offset;
mod electrodes;
#[cfg(feature = "formats")]
pub mod format;
mod lead;
pub mod quality;
mod recording;
mod resample;
mod synthetic;

pub(crate) use dc_offset::dc_offset;
#[cfg(feature = "train")]
pub(crate) use dc_offset::remove_dc_offset;
pub use lead::Lead;
pub use recording::{Recording, Unit};
pub use synthetic::{Condition, synthesize};
