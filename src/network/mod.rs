//! Networks as data: layers, the published networks, weights files and the input contract.

mod contract;
mod fold;
mod layer;
mod parameters;
pub mod published;
#[cfg(feature = "train")]
mod tensor_file;
mod weights;

pub(crate) use contract::LARGEST_INPUT;
pub use contract::{Contract, DcOffset};
pub use fold::{Folded, FoldedLayer, FoldedOperation};
pub use layer::{BATCH_NORM_EPSILON, Layer, NamedLayer, Network};
pub use parameters::{Parameters, Tensor};
#[cfg(feature = "train")]
pub(crate) use tensor_file::TensorFile;
#[cfg(feature = "all-weights")]
pub use weights::WEIGHTS;
#[cfg(feature = "train")]
pub(crate) use weights::WIDEST;
pub use weights::Weights;
