//! Where the tensors of a network are stored in the two flat buffers of a training plan: one with everything that is
//! trained, so that the optimiser is a single step for any network, and one with the running statistics.

use std::ops::Range;

use crate::{
    Error, ErrorKind, Result,
    network::{Layer, NamedLayer, Parameters, Tensor},
    plan::PART_ALIGNMENT,
    random::Random,
};

/// The location of a tensor in a flat buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorLocation {
    /// The name of the tensor in the state dict.
    pub name: String,
    /// The sizes of the dimensions, outermost first.
    pub shape: Vec<usize>,
    /// The index of the tensor's first element in the flat buffer.
    pub(crate) offset: usize,
}

impl TensorLocation {
    /// Returns the number of elements.
    pub(super) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns the range of the tensor in the flat buffer.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.elements()
    }
}

/// The locations of all tensors of some layers. Layers that are appended do not move the tensors of those before them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParameterLayout {
    /// The locations of weights and biases in the buffer of trained numbers.
    pub trained: Vec<TensorLocation>,
    /// The locations of running means and variances in the buffer of running statistics.
    pub running: Vec<TensorLocation>,
}

impl ParameterLayout {
    /// Lays out the tensors in the order of the layers. Tensors that one step reads together are adjacent: batch norm's
    /// weight and bias, and its mean and variance.
    pub(super) fn new(layers: &[NamedLayer]) -> Self {
        let mut layout = Self::default();
        for named in layers {
            let is_norm = matches!(named.layer, Layer::BatchNorm { .. });
            for (tensor, shape) in named.layer.tensors() {
                let is_running = tensor.starts_with("running_");
                let tensors = if is_running { &mut layout.running } else { &mut layout.trained };
                let end = tensors.last().map_or(0, |last| last.range().end);
                let is_adjacent = is_norm && (tensor == "bias" || tensor == "running_var");
                let offset = if is_adjacent { end } else { end.next_multiple_of(PART_ALIGNMENT) };
                tensors.push(TensorLocation { name: format!("{}.{tensor}", named.name), shape, offset });
            }
        }
        layout
    }

    /// Returns the length of the buffer of trained numbers.
    pub(super) fn trained_len(&self) -> usize {
        length(&self.trained)
    }

    /// Returns the length of the buffer of running statistics.
    pub(super) fn running_len(&self) -> usize {
        length(&self.running)
    }

    /// Returns the offset of a tensor in its buffer.
    pub(super) fn offset(&self, name: &str) -> usize {
        let tensor = self.trained.iter().chain(&self.running).find(|tensor| tensor.name == name);
        tensor.unwrap_or_else(|| unreachable!("{name} is a tensor of the layers that were laid out")).offset
    }

    /// Copies parameters into the two flat buffers. Gaps between tensors are zero.
    ///
    /// # Errors
    /// A tensor is missing or has another number of elements.
    pub(super) fn flatten(&self, parameters: &Parameters) -> Result<[Vec<f32>; 2]> {
        let mut flat = [vec![0.0; self.trained_len()], vec![0.0; self.running_len()]];
        for (flat, tensors) in flat.iter_mut().zip([&self.trained, &self.running]) {
            for tensor in tensors {
                let values = parameters.values(&tensor.name)?;
                if values.len() != tensor.elements() {
                    let cause = format!("{} has {} numbers instead of {:?}", tensor.name, values.len(), tensor.shape);
                    return Err(Error::new(ErrorKind::Weights, cause, "give the weights of this network"));
                }
                flat[tensor.range()].copy_from_slice(values);
            }
        }
        Ok(flat)
    }

    /// Copies the tensors out of the two flat buffers.
    pub(crate) fn parameters(&self, trained: &[f32], running: &[f32]) -> Parameters {
        let copy = |tensors: &[TensorLocation], flat: &[f32]| {
            let tensor = |tensor: &TensorLocation| {
                let values = flat[tensor.range()].into();
                (tensor.name.clone(), Tensor { shape: tensor.shape.clone(), values })
            };
            tensors.iter().map(tensor).collect::<Vec<_>>()
        };
        Parameters::new([copy(&self.trained, trained), copy(&self.running, running)].concat())
    }
}

/// Returns the length of a buffer with these tensors.
fn length(tensors: &[TensorLocation]) -> usize {
    tensors.last().map_or(0, |last| last.range().end).next_multiple_of(PART_ALIGNMENT)
}

/// Draws initial parameters as PyTorch does: weights and biases of convolutions and linear layers uniformly within
/// ±1/√(inputs per output) (`kaiming_uniform_` with a = √5); batch norm is the identity.
pub(super) fn initial(layers: &[NamedLayer], seed: u64) -> Parameters {
    let mut random = Random::new(seed, INITIAL_STREAM);
    let mut tensors = Vec::new();
    for named in layers {
        let inputs = named.layer.tensors().first().map_or(1, |(_, shape)| shape[1..].iter().product::<usize>());
        let bound = 1.0 / (inputs as f64).sqrt();
        for (tensor, shape) in named.layer.tensors() {
            let is_norm = matches!(named.layer, Layer::BatchNorm { .. });
            let draw = |_| match (is_norm, tensor) {
                (false, _) => random.between(-bound, bound) as f32,
                (true, "weight" | "running_var") => 1.0,
                (true, _) => 0.0,
            };
            let values = (0..shape.iter().product()).map(draw).collect();
            tensors.push((format!("{}.{tensor}", named.name), Tensor { shape, values }));
        }
    }
    Parameters::new(tensors)
}

/// The random stream of initial parameters.
const INITIAL_STREAM: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::published::{model_card_55k, training_code_542k};

    #[test]
    fn parameters_survive_flattening_and_every_part_is_aligned() {
        for network in [training_code_542k(), model_card_55k()] {
            let layout = ParameterLayout::new(&network.layers);
            let parameters = initial(&network.layers, 7);
            let [trained, running] = layout.flatten(&parameters).unwrap();
            assert_eq!(layout.parameters(&trained, &running), parameters);
            let elements: usize = layout.trained.iter().chain(&layout.running).map(TensorLocation::elements).sum();
            let expected: usize = network.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
            assert_eq!(elements, expected);
            let is_unaligned = |tensor: &&TensorLocation| !tensor.offset.is_multiple_of(PART_ALIGNMENT);
            let beside: Vec<_> = layout.trained.iter().filter(is_unaligned).collect();
            assert!(beside.iter().all(|it| it.name.ends_with(".bias") && it.elements() == 32), "{beside:?}");
        }
    }

    #[test]
    fn appended_layers_do_not_move_the_tensors_before_them() {
        let network = training_code_542k();
        let (whole, encoder) = (ParameterLayout::new(&network.layers), ParameterLayout::new(&network.layers[..19]));
        assert_eq!(whole.trained[..encoder.trained.len()], encoder.trained);
        assert_eq!(whole.running, encoder.running);
    }

    #[test]
    fn initial_weights_fill_the_bounds_of_their_layer() {
        let parameters = initial(&training_code_542k().layers, 1);
        let weight = parameters.values("encoder.features.0.block.0.weight").unwrap();
        let bound = 1.0 / (12.0f32 * 11.0).sqrt();
        let largest = weight.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        assert!(largest <= bound && largest > 0.99 * bound);
        assert!(parameters.values("encoder.features.0.block.1.weight").unwrap().iter().all(|&gamma| gamma == 1.0));
    }
}
