//! Classifies 12-lead ECGs on any GPU: hand-written compute shaders run the whole network through wgpu on Vulkan, Metal
//! or DX12, and a plain CPU reference proves every stage.
//!
//! ```
//! use ecgpu::{Classifier, Device, Weights, ecg};
//!
//! let classifier = Classifier::open(Weights::built_in()?, Device::Auto)?;
//! let recording = ecg::synthesize(ecg::Condition::Norm, 1, 500.0, 10.0)?;
//! let prediction = classifier.classify(&recording)?;
//! println!("{:?}", prediction.labels);
//! # Ok::<(), ecgpu::Error>(())
//! ```
//!
//! Arrows go down: [`Classifier`] opens a [`backend`], which runs a [`plan`] made of [`kernels`] for a [`network`];
//! [`ecg`] and [`Error`] stand at the ground. Not a medical device.

#![warn(missing_docs)]

pub mod backend;
mod classifier;
#[cfg(feature = "train")]
pub mod dataset;
pub mod ecg;
mod error;
#[cfg(feature = "train")]
pub mod evaluate;
pub mod kernels;
pub mod network;
pub mod plan;
#[cfg(feature = "train")]
pub mod plot;
pub mod random;
#[cfg(feature = "train")]
pub mod train;
pub mod verify;
mod worker;

pub use backend::Device;
pub use classifier::{Classifier, Output, Prediction};
pub use ecg::Recording;
pub use error::{Error, ErrorKind, Result};
pub use network::Weights;
