//! The weight-randomisation check (Adebayo et al. 2018, "Sanity checks for saliency maps", arXiv 1810.03292): a map that says
//! something about what a network has learned must change when the network's weights become random.

use super::{
    Map, Method, Signal,
    maps::maps,
    ranks::rank_correlation,
    runner::{Progress, Runner},
};
use crate::{
    Result,
    backend::Backend,
    network::{Folded, FoldedOperation},
    random::Random,
};

/// The largest rank correlation of the map with that of the network whose weights are all random. Above 0.7, the root of one
/// half, more than half of the variance of the map's ranks is there without anything that was learned. `docs/explanations.md`
/// has the correlations that were measured.
pub const LARGEST_CORRELATION: f64 = 0.7;

/// The weight-randomisation check of a map: the layers become random from the last to the first, in three stages.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Randomisation {
    /// The stages, ending with the network whose weights are all random.
    pub stages: Vec<RandomisationStage>,
    /// Whether the last stage's larger correlation is at most [`LARGEST_CORRELATION`].
    pub passed: bool,
}

/// A stage of a weight-randomisation check.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RandomisationStage {
    /// How many layers with weights are random, from the last on.
    pub layers: usize,
    /// How many random networks the map was compared with. The correlations are the means over them.
    pub networks: usize,
    /// Spearman's rank correlation of the magnitudes of the map's numbers with those of the map of a random network: whether
    /// the same places stand out.
    pub magnitudes: f64,
    /// The same of the numbers with their signs: whether the same places speak for the class.
    pub signed: f64,
}

impl RandomisationStage {
    /// Returns the larger of the two correlations.
    pub fn correlation(&self) -> f64 {
        self.magnitudes.max(self.signed)
    }
}

/// The random networks of each stage. The last stage decides, and with one network alone chance has a large part in it:
/// correlations of Grad-CAM with single random networks are between −0.7 and 0.9 (docs/measurements/explanations.md).
const NETWORKS: [usize; 3] = [1, 1, 3];

/// Returns the number of random networks of all stages.
pub(super) fn networks() -> usize {
    NETWORKS.iter().sum()
}

/// Returns how many of the last layers are random in each stage: one, half of them, all.
fn stages(folded: &Folded) -> [usize; 3] {
    let layers = folded.layers.iter().filter(|layer| has_weights(&layer.operation)).count();
    [1, layers.div_ceil(2), layers]
}

fn has_weights(operation: &FoldedOperation) -> bool {
    matches!(operation, FoldedOperation::Conv1d { .. } | FoldedOperation::Linear { .. })
}

/// Puts the weights of each of the last `count` layers with weights in random order, and so their biases. A random order keeps
/// the distribution of the weights, and with it the scale of the activations, and forgets what was learned. `network` tells several random networks of one seed apart.
fn randomised(folded: &Folded, count: usize, seed: u64, network: usize) -> Folded {
    let (mut folded, folded_layers) = (folded.clone(), folded.layers.len());
    let with_weights = folded.layers.iter_mut().enumerate().filter(|(_, layer)| has_weights(&layer.operation));
    for (at, layer) in with_weights.rev().take(count) {
        if let FoldedOperation::Conv1d { weight, bias, .. } | FoldedOperation::Linear { weight, bias, .. } =
            &mut layer.operation
        {
            let mut random = Random::new(seed, (network * folded_layers + at) as u64);
            for tensor in [weight, bias] {
                let mut values = tensor.to_vec();
                shuffle(&mut values, &mut random);
                *tensor = values.into();
            }
        }
    }
    folded
}

/// Puts numbers in a random order (Fisher and Yates).
pub(super) fn shuffle<T>(values: &mut [T], random: &mut Random) {
    for end in (1..values.len()).rev() {
        values.swap(end, random.below(end + 1));
    }
}

/// Checks the maps of a class, one for each of `methods`.
///
/// # Errors
/// The device fails.
pub(super) fn check(
    (backend, folded): (&dyn Backend, &Folded),
    signal: &Signal,
    (class, maps_of_class): (usize, &[Map]),
    seed: u64,
    progress: &Progress,
) -> Result<Vec<Randomisation>> {
    let methods: Vec<Method> = maps_of_class.iter().map(|map| map.method).collect();
    let mut checks = vec![Vec::new(); methods.len()];
    for (layers, networks) in stages(folded).into_iter().zip(NETWORKS) {
        let stage = RandomisationStage { layers, networks, magnitudes: 0.0, signed: 0.0 };
        checks.iter_mut().for_each(|check| check.push(stage));
        for network in 0..networks {
            let random = randomised(folded, layers, seed, network);
            let mut runner = Runner::new(backend, random, signal.windows.samples, progress)?;
            let random = maps(&mut runner, signal, &[class], &methods, false)?.remove(0);
            for ((check, map), random) in checks.iter_mut().zip(maps_of_class).zip(&random) {
                let Some(stage) = check.last_mut() else { continue };
                let [map, random] = [map, random].map(Map::before_relu);
                let magnitudes = |values: &[f64]| values.iter().map(|value| value.abs()).collect::<Vec<f64>>();
                stage.magnitudes += rank_correlation(&magnitudes(map), &magnitudes(random)) / networks as f64;
                stage.signed += rank_correlation(map, random) / networks as f64;
            }
        }
    }
    let passed =
        |stages: &[RandomisationStage]| stages.last().is_some_and(|stage| stage.correlation() <= LARGEST_CORRELATION);
    Ok(checks.into_iter().map(|stages| Randomisation { passed: passed(&stages), stages }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Weights;

    #[test]
    fn random_weights_are_those_of_the_network_in_another_order_from_the_last_layer_on() {
        let weights = Weights::built_in().unwrap();
        let folded = Folded::new(&weights.network, weights.parameters).unwrap();
        assert_eq!(stages(&folded), [1, 4, 7]);
        let random = randomised(&folded, 2, 1, 0);
        assert_eq!(random, randomised(&folded, 2, 1, 0));
        assert_ne!(random, randomised(&folded, 2, 2, 0));
        assert_ne!(random, randomised(&folded, 2, 1, 1));
        let changed = folded.layers.iter().zip(&random.layers).map(|(before, after)| before != after);
        assert_eq!(changed.collect::<Vec<_>>(), [false, false, false, false, false, true, false, true]);
        let sorted = |folded: &Folded| {
            let Some(FoldedOperation::Linear { weight, .. }) = folded.layers.last().map(|last| &last.operation) else {
                panic!("the last layer is linear")
            };
            let mut values = weight.to_vec();
            values.sort_unstable_by(f32::total_cmp);
            values
        };
        assert_eq!(sorted(&folded), sorted(&random));
    }
}
