//! The parameters of a network: named tensors.

use std::{collections::BTreeMap, sync::Arc};

use crate::{Error, ErrorKind, Result};

/// A tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The sizes of the dimensions, outermost first.
    pub shape: Vec<usize>,
    /// The elements; their number is the product of the shape.
    pub values: Arc<[f32]>,
}

/// The tensors of a network by name. Batch norm is not folded, so the network can be trained further.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parameters(BTreeMap<String, Tensor>);

impl Parameters {
    /// Collects named tensors.
    pub fn new(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Self {
        Self(tensors.into_iter().collect())
    }

    /// Returns the values of a tensor.
    ///
    /// # Errors
    /// There is no tensor of this name.
    pub fn values(&self, name: &str) -> Result<&[f32]> {
        let missing = || Error::new(ErrorKind::Weights, format!("tensor {name} is missing"), "use a complete file");
        self.0.get(name).map(|tensor| &*tensor.values).ok_or_else(missing)
    }

    /// Removes a tensor and returns its values, which can be changed in place if they have no other owner.
    ///
    /// # Errors
    /// There is no tensor of this name.
    pub(super) fn take(&mut self, name: &str) -> Result<Arc<[f32]>> {
        self.values(name)?;
        Ok(self.0.remove(name).map(|tensor| tensor.values).unwrap_or_default())
    }

    /// Iterates over all tensors with their names, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}

impl From<&Parameters> for Parameters {
    /// Shares the tensors instead of copying them.
    fn from(parameters: &Parameters) -> Self {
        parameters.clone()
    }
}
