//! Classifies 12-lead ECGs on any GPU.

pub mod ecg;
mod error;
pub mod random;

pub use ecg::Recording;
pub use error::{Error, ErrorKind, Result};
