//! Networks as data: layers, the published networks, weights files and the input contract.

mod contract;
mod fold;
mod layer;
pub mod published;
mod weights;

pub use contract::Contract;
pub(crate) use contract::LARGEST_INPUT;
pub use fold::{Folded, FoldedLayer, FoldedOperation};
pub use layer::{BATCH_NORM_EPSILON, Layer, NamedLayer, Network};
pub use weights::{Parameters, Tensor, Weights};
