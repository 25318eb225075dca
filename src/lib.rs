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
//! The names at this level are what an application needs. [`engine`] has the parts that they are made of, for tools and
//! for training; its items may change in any release. Not a medical device.
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `gpu` | yes | the GPU backend, through wgpu |
//! | `formats` | yes | reading and writing WFDB, NumPy and text files |
//! | `all-formats` | no | reading DICOM, EDF, SCP-ECG, ISHNE, XML of GE, HL7 and Philips, MATLAB, HDF5, FLAC, gzip and zip |
//! | `threads` | yes | the CPU backend on all cores |
//! | `half-weights` | no | the built-in weights in F16, of half the size |
//! | `json` | no | a [`Report`] as JSON |
//! | `evaluate` | no | metrics of a classifier |
//! | `plot` | no | curves, and ECGs on paper, as SVG |
//! | `png` | no | the same as PNG |
//! | `train` | no | training, and PTB-XL as a data set |
//! | `explain` | no | explanations of a classification, as numbers and, with `plot`, as a drawing |
//! | `gradients` | no | what `train` and `explain` share; nothing by itself |
//! | `download` | no | PTB-XL from PhysioNet |
//! | `hub` | no | weights by name, from the Hugging Face Hub and its cache |

mod backend;
#[cfg(any(feature = "hub", feature = "train"))]
mod checksum;
mod classifier;
#[cfg(feature = "train")]
pub mod dataset;
pub mod ecg;
mod error;
#[cfg(feature = "evaluate")]
pub mod evaluate;
#[cfg(feature = "explain")]
pub mod explain;
#[cfg(any(feature = "download", feature = "hub"))]
mod fetch;
mod files;
#[cfg(feature = "hub")]
pub mod hub;
mod kernels;
mod network;
mod plan;
#[cfg(feature = "plot")]
pub mod plot;
mod random;
mod report;
mod search;
mod text;
#[cfg(feature = "train")]
pub mod train;
mod verify;
mod worker;

pub use backend::{Device, DeviceInfo};
#[cfg(feature = "formats")]
pub use classifier::{Classified, Piece};
pub use classifier::{Classifier, Output, Prediction, Prepared};
pub use ecg::Recording;
pub use error::{Error, ErrorKind, Hint, Result};
pub use network::Weights;
pub use report::{ClassReport, Report, class_in_words};

/// The engine's parts: operations, plans, backends, networks, and the comparison of a backend with the reference.
///
/// Unstable: these items may change or disappear in any release, without a major version.
pub mod engine {
    /// What executes plans: the CPU, GPUs, and the float64 reference.
    pub mod backend {
        pub use crate::backend::*;
    }
    /// Files that are replaced atomically.
    pub mod files {
        pub use crate::files::*;
    }
    /// The operations that plans are made of.
    pub mod kernels {
        pub use crate::kernels::*;
    }
    /// Networks, their weights files and their input contracts.
    pub mod network {
        pub use crate::network::*;
    }
    /// Plans: what has to run, step by step, as pure data.
    pub mod plan {
        pub use crate::plan::*;
    }
    /// A counter-based generator of random numbers.
    pub mod random {
        pub use crate::random::*;
    }
    /// Text from files, made safe to be shown.
    pub mod text {
        pub use crate::text::*;
    }
    /// The comparison of a backend with the float64 reference, stage by stage.
    pub mod verify {
        pub use crate::verify::*;
    }
}
