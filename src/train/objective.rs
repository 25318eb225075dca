//! Training objectives, and the layers that they add to the encoder.

use crate::{
    Error, ErrorKind, Result,
    kernels::training::SupervisedLossKind,
    network::{Layer, NamedLayer, Network},
};

/// A training objective.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Objective {
    /// Minimises a loss between logits and labels.
    Supervised {
        /// The loss.
        loss: SupervisedLossKind,
        /// The weight of each class.
        class_weights: Vec<f32>,
    },
    /// SimCLR (Chen et al. 2020): each view of a record must be most similar to the other view, among the whole batch.
    SimClr {
        /// The temperature τ of the NT-Xent loss, above 0.
        temperature: f32,
        /// The sizes of the projection head.
        heads: Heads,
    },
    /// BYOL (Grill et al. 2020): one view must predict the projection of the other by a target network, which follows the
    /// trained network slowly.
    Byol {
        /// The sizes of projector and predictor.
        heads: Heads,
    },
}

/// The sizes of the layers between the embedding and a self-supervised loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// The features of the hidden layer.
    pub hidden: usize,
    /// The features of the output, which the loss compares.
    pub out: usize,
}

impl Objective {
    /// Returns whether the objective needs labels.
    pub(super) fn is_supervised(&self) -> bool {
        matches!(self, Objective::Supervised { .. })
    }

    /// Returns the number of views of each record in a batch.
    pub fn views(&self) -> usize {
        match self {
            Objective::Supervised { .. } => 1,
            Objective::SimClr { .. } | Objective::Byol { .. } => 2,
        }
    }

    /// Returns the trained layers: those of the network, or those of its encoder followed by the heads.
    pub(super) fn layers(&self, network: &Network) -> Vec<NamedLayer> {
        let encoder = &network.layers[..=network.embedding];
        let features = embedding_features(network);
        match self {
            Objective::Supervised { .. } => network.layers.clone(),
            Objective::SimClr { heads, .. } => {
                let [first, last] = heads.linears(features);
                let name = |part: usize| format!("projection_head.net.{part}");
                let head = [(name(0), first), (name(1), Layer::Relu), (name(2), last)];
                encoder.iter().cloned().chain(head.map(|(name, layer)| NamedLayer { name, layer })).collect()
            }
            Objective::Byol { heads } => {
                let projector = heads.normalised("projector", features);
                encoder.iter().cloned().chain(projector).chain(heads.normalised("predictor", heads.out)).collect()
            }
        }
    }

    /// Returns how many of the trained layers BYOL's target network has, from the first one; 0 for other objectives.
    pub(super) fn target_layers(&self, network: &Network) -> usize {
        match self {
            Objective::Byol { .. } => network.embedding + 1 + HEAD_LAYERS,
            _ => 0,
        }
    }

    /// Returns the factor between the mean of the losses and the loss of the batch.
    pub fn loss_scale(&self) -> f64 {
        match self {
            // BYOL sums over the rows of both views and divides by the number of records.
            Objective::Byol { .. } => 2.0,
            _ => 1.0,
        }
    }

    /// Checks that the objective fits the network and a batch of this number of records.
    ///
    /// # Errors
    /// The class weights do not fit the network, the temperature is not a positive number, or the batch is too small to
    /// compare records.
    pub(super) fn check(&self, network: &Network, records: usize) -> Result<()> {
        let usage = |cause: String, remedy: &str| Err(Error::new(ErrorKind::Usage, cause, remedy));
        match self {
            Objective::Supervised { class_weights, .. } => {
                let classes = network.classes();
                if class_weights.len() != classes || !class_weights.iter().all(|w| w.is_finite() && *w >= 0.0) {
                    let cause = format!("class weights {class_weights:?} for a network of {classes} classes");
                    return usage(cause, "give each class a finite weight that is not negative");
                }
            }
            Objective::SimClr { temperature, .. } => {
                if !(temperature.is_finite() && *temperature > 0.0) {
                    return usage(format!("a temperature of {temperature}"), "use a number above 0, such as 0.07");
                }
                if records < 2 {
                    let cause = format!("NT-Xent with {records} record in a batch: there is none to tell it from");
                    return usage(cause, "use a batch of two or more");
                }
            }
            Objective::Byol { .. } => {}
        }
        Ok(())
    }
}

/// The number of layers of BYOL's heads: linear, batch norm, ReLU, linear.
const HEAD_LAYERS: usize = 4;

impl Heads {
    /// Returns the two linear layers of a head for this number of input features.
    fn linears(self, features: usize) -> [Layer; 2] {
        let Self { hidden, out } = self;
        [
            Layer::Linear { in_features: features, out_features: hidden },
            Layer::Linear { in_features: hidden, out_features: out },
        ]
    }

    /// Returns the layers of a head with batch norm.
    fn normalised(self, name: &str, features: usize) -> [NamedLayer; HEAD_LAYERS] {
        let [first, last] = self.linears(features);
        let layers = [first, Layer::BatchNorm { channels: self.hidden }, Layer::Relu, last];
        let mut part = 0;
        layers.map(|layer| {
            part += 1;
            NamedLayer { name: format!("{name}.{}", part - 1), layer }
        })
    }
}

/// Returns the number of features of a network's embedding.
fn embedding_features(network: &Network) -> usize {
    let sized = network.layers[..=network.embedding].iter().rev().find_map(|named| match named.layer {
        Layer::Conv1d { out_channels, .. } => Some(out_channels),
        Layer::Linear { out_features, .. } => Some(out_features),
        _ => None,
    });
    sized.unwrap_or_else(|| network.in_channels())
}
