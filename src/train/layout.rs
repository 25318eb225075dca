//! Where the tensors of a network lie in the two flat buffers that training keeps: what is trained, so that the optimiser
//! is one step whatever the network, and the running statistics.

use crate::{
    Error, ErrorKind, Result,
    network::{Layer, NamedLayer, Parameters, Tensor},
    plan::PART_ALIGNMENT,
    random::Random,
};

/// A tensor's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As in a state dict.
    pub name: String,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// Its first number in the flat buffer.
    pub offset: usize,
}

impl Place {
    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds nothing; no layer has such a tensor.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The places of some layers' tensors. The same layers with others behind them have the same places for their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// Weights and biases.
    pub trained: Vec<Place>,
    /// Running means and variances.
    pub running: Vec<Place>,
}

impl Layout {
    /// Lays the tensors out in the order of the layers. What one step reads together lies together: batch norm's weight
    /// and bias, its mean and variance.
    pub fn new(layers: &[NamedLayer]) -> Self {
        let mut layout = Self::default();
        for named in layers {
            let is_norm = matches!(named.layer, Layer::BatchNorm { .. });
            for (tensor, shape) in named.layer.tensors() {
                let is_running = tensor.starts_with("running_");
                let places = if is_running { &mut layout.running } else { &mut layout.trained };
                let end = places.last().map_or(0, |last| last.offset + last.len());
                let follows = is_norm && (tensor == "bias" || tensor == "running_var");
                let offset = if follows { end } else { end.next_multiple_of(PART_ALIGNMENT) };
                places.push(Place { name: format!("{}.{tensor}", named.name), shape, offset });
            }
        }
        layout
    }

    /// Numbers of the flat buffer of what is trained.
    pub fn trained_len(&self) -> usize {
        length(&self.trained)
    }

    /// Numbers of the flat buffer of running statistics.
    pub fn running_len(&self) -> usize {
        length(&self.running)
    }

    /// Where a trained or running tensor begins.
    pub fn offset(&self, name: &str) -> usize {
        let place = self.trained.iter().chain(&self.running).find(|place| place.name == name);
        place.unwrap_or_else(|| unreachable!("{name} is a tensor of the layers that were laid out")).offset
    }

    /// The two flat buffers with these parameters; between the tensors are zeros.
    ///
    /// # Errors
    /// A missing tensor, or one of another shape.
    pub fn flatten(&self, parameters: &Parameters) -> Result<[Vec<f32>; 2]> {
        let mut flat = [vec![0.0; self.trained_len()], vec![0.0; self.running_len()]];
        for (flat, places) in flat.iter_mut().zip([&self.trained, &self.running]) {
            for place in places {
                let values = parameters.values(&place.name)?;
                if values.len() != place.len() {
                    let cause = format!("{} has {} numbers instead of {:?}", place.name, values.len(), place.shape);
                    return Err(Error::new(ErrorKind::Weights, cause, "give the weights of this network"));
                }
                flat[place.offset..][..values.len()].copy_from_slice(values);
            }
        }
        Ok(flat)
    }

    /// The tensors in the two flat buffers.
    pub fn parameters(&self, trained: &[f32], running: &[f32]) -> Parameters {
        let tensors = |places: &[Place], flat: &[f32]| {
            let tensor = |place: &Place| {
                let values = flat[place.offset..][..place.len()].into();
                (place.name.clone(), Tensor { shape: place.shape.clone(), values })
            };
            places.iter().map(tensor).collect::<Vec<_>>()
        };
        Parameters::new([tensors(&self.trained, trained), tensors(&self.running, running)].concat())
    }
}

fn length(places: &[Place]) -> usize {
    places.last().map_or(0, |last| last.offset + last.len()).next_multiple_of(PART_ALIGNMENT)
}

/// Fresh parameters as PyTorch draws them: weights and biases of convolutions and linear layers uniform within
/// ±1/√(inputs of one output) (`kaiming_uniform_` with a = √5), batch norm the identity.
pub fn initial(layers: &[NamedLayer], seed: u64) -> Parameters {
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

/// The stream of random numbers that parameters are drawn from.
const INITIAL_STREAM: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::published::{model_card_55k, training_code_542k};

    #[test]
    fn what_is_laid_out_comes_back_and_every_part_can_be_bound() {
        for network in [training_code_542k(), model_card_55k()] {
            let layout = Layout::new(&network.layers);
            let parameters = initial(&network.layers, 7);
            let [trained, running] = layout.flatten(&parameters).unwrap();
            assert_eq!(layout.parameters(&trained, &running), parameters);
            let elements: usize = layout.trained.iter().chain(&layout.running).map(Place::len).sum();
            let expected: usize = network.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
            assert_eq!(elements, expected);
            let aligned = |place: &&Place| !place.offset.is_multiple_of(PART_ALIGNMENT);
            let beside: Vec<_> = layout.trained.iter().filter(aligned).collect();
            assert!(beside.iter().all(|place| place.name.ends_with(".bias") && place.len() == 32), "{beside:?}");
        }
    }

    #[test]
    fn layers_behind_leave_the_places_as_they_are() {
        let network = training_code_542k();
        let (whole, encoder) = (Layout::new(&network.layers), Layout::new(&network.layers[..19]));
        assert_eq!(whole.trained[..encoder.trained.len()], encoder.trained);
        assert_eq!(whole.running, encoder.running);
    }

    #[test]
    fn fresh_weights_fill_the_bounds_of_their_layer() {
        let parameters = initial(&training_code_542k().layers, 1);
        let weight = parameters.values("encoder.features.0.block.0.weight").unwrap();
        let bound = 1.0 / (12.0f32 * 11.0).sqrt();
        let largest = weight.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        assert!(largest <= bound && largest > 0.99 * bound);
        assert!(parameters.values("encoder.features.0.block.1.weight").unwrap().iter().all(|&gamma| gamma == 1.0));
    }
}
