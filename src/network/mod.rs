//! What the network is: layers as data, the published networks, and the weights files that hold them.

mod contract;
mod fold;
mod layer;
mod published;
mod weights;

pub use contract::Contract;
pub(crate) use contract::LARGEST_INPUT;
pub use fold::{Folded, FoldedLayer, FoldedOperation};
pub use layer::{BATCH_NORM_EPSILON, Layer, NamedLayer, Network};
pub use published::{card_55k, full_542k, published};
pub use weights::{Parameters, Tensor, Weights};
