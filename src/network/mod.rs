//! Networks as data: layers, the published networks, weights files and the input contract.

mod contract;
mod fold;
mod layer;
#[cfg(any(feature = "all-weights", feature = "hub", feature = "train"))]
mod named;
mod parameters;
pub mod published;
#[cfg(feature = "train")]
mod tensor_file;
mod weights;

pub(crate) use contract::LARGEST_INPUT;
pub use contract::{Contract, DcOffset};
pub use fold::{Folded, FoldedLayer, FoldedOperation};
pub use layer::{BATCH_NORM_EPSILON, Layer, NamedLayer, Network};
#[cfg(feature = "train")]
pub(crate) use named::local_file;
#[cfg(feature = "all-weights")]
pub use named::{WEIGHTS, file_of};
pub use parameters::{Parameters, Tensor};
#[cfg(feature = "train")]
pub(crate) use tensor_file::TensorFile;
#[cfg(feature = "train")]
pub(crate) use weights::WIDEST;
pub use weights::Weights;
