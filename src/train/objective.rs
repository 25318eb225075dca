//! What a network is trained for, and the layers that an objective adds to the encoder.

use crate::{
    Error, ErrorKind, Result,
    kernels::training::SupervisedLossKind,
    network::{Layer, NamedLayer, Network},
};

/// What is to be made small.
#[derive(Debug, Clone, PartialEq)]
pub enum Objective {
    /// The loss of the logits beside labels.
    Supervised {
        /// Which loss.
        loss: SupervisedLossKind,
        /// A weight for each class.
        class_weights: Vec<f32>,
    },
    /// SimCLR: the two views of a record find each other among the batch.
    SimClr {
        /// τ of NT-Xent, above 0.
        temperature: f32,
        /// The projection.
        heads: Heads,
    },
    /// BYOL: a prediction from one view meets a slowly moving network's projection of the other.
    Byol {
        /// Projector and predictor.
        heads: Heads,
    },
}

/// Sizes of the layers between the embedding and a self-supervised loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Features of the layer between.
    pub hidden: usize,
    /// Features that are compared.
    pub out: usize,
}

impl Objective {
    /// Views of each record that pass side by side.
    pub fn views(&self) -> usize {
        match self {
            Objective::Supervised { .. } => 1,
            Objective::SimClr { .. } | Objective::Byol { .. } => 2,
        }
    }

    /// The trained layers: the network's own, or its encoder's with the heads behind it.
    pub fn layers(&self, network: &Network) -> Vec<NamedLayer> {
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

    /// How many of [`Objective::layers`] the target network has too.
    pub fn target_layers(&self, network: &Network) -> usize {
        match self {
            Objective::Byol { .. } => network.embedding + 1 + HEAD_LAYERS,
            _ => 0,
        }
    }

    /// What the mean of the losses is multiplied by to give the loss of the batch.
    pub fn loss_scale(&self) -> f64 {
        match self {
            // The sum over both views' rows, divided by the records.
            Objective::Byol { .. } => 2.0,
            _ => 1.0,
        }
    }

    /// Checks that the objective makes sense for the network and a batch of so many records.
    ///
    /// # Errors
    /// Class weights that do not fit the network, a temperature that is no positive number, or a batch too small to
    /// compare anything in.
    pub fn check(&self, network: &Network, records: usize) -> Result<()> {
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

/// Linear, batch norm, ReLU, linear.
const HEAD_LAYERS: usize = 4;

impl Heads {
    fn linears(self, features: usize) -> [Layer; 2] {
        let Self { hidden, out } = self;
        [
            Layer::Linear { in_features: features, out_features: hidden },
            Layer::Linear { in_features: hidden, out_features: out },
        ]
    }

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

/// Features of a network's embedding.
fn embedding_features(network: &Network) -> usize {
    let sized = network.layers[..=network.embedding].iter().rev().find_map(|named| match named.layer {
        Layer::Conv1d { out_channels, .. } => Some(out_channels),
        Layer::Linear { out_features, .. } => Some(out_features),
        _ => None,
    });
    sized.unwrap_or_else(|| network.in_channels())
}
