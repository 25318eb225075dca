//! A network as a list of named layers, each with every size it has apart from batch and length.

use std::fmt;

use crate::{Error, ErrorKind, Result};

/// Added to the variance before its root is taken; PyTorch's default, which both published networks use.
pub const BATCH_NORM_EPSILON: f64 = 1e-5;

/// One layer. Activations are `[batch, channels, samples]`, after [`Layer::GlobalAveragePool`] `[batch, features]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the field's own terms, their shapes stand with each variant")]
pub enum Layer {
    /// Cross-correlation along the samples; tensor `weight` `[out_channels, in_channels, kernel]` and, with `bias`,
    /// `bias` `[out_channels]`. `padding` zeros stand before and after the samples.
    Conv1d { in_channels: usize, out_channels: usize, kernel: usize, stride: usize, padding: usize, bias: bool },
    /// Batch normalisation by running statistics; tensors `weight`, `bias`, `running_mean`, `running_var` `[channels]`.
    BatchNorm { channels: usize },
    /// max(0, x).
    Relu,
    /// The largest of `kernel` samples, every `stride` samples, without padding.
    MaxPool { kernel: usize, stride: usize },
    /// The mean over the samples of every channel.
    GlobalAveragePool,
    /// Tensors `weight` `[out_features, in_features]` and `bias` `[out_features]`.
    Linear { in_features: usize, out_features: usize },
}

/// A layer under the name that its tensors carry in a state dict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedLayer {
    /// As in `encoder.features.0.block.0`.
    pub name: String,
    /// What it does.
    pub layer: Layer,
}

/// A chain of layers from the input to the logits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// What the network is called: `542k`, `55k`.
    pub name: String,
    /// In the order in which they run.
    pub layers: Vec<NamedLayer>,
    /// The layer whose output is the embedding.
    pub embedding: usize,
}

impl Layer {
    /// The tensors that hold the layer's state, with their shapes; the batch-norm counter is not one of them.
    pub fn tensors(&self) -> Vec<(&'static str, Vec<usize>)> {
        match *self {
            Layer::Conv1d { in_channels, out_channels, kernel, bias, .. } => {
                let weight = ("weight", vec![out_channels, in_channels, kernel]);
                if bias { vec![weight, ("bias", vec![out_channels])] } else { vec![weight] }
            }
            Layer::BatchNorm { channels } => {
                ["weight", "bias", "running_mean", "running_var"].map(|tensor| (tensor, vec![channels])).to_vec()
            }
            Layer::Linear { in_features, out_features } => {
                vec![("weight", vec![out_features, in_features]), ("bias", vec![out_features])]
            }
            Layer::Relu | Layer::MaxPool { .. } | Layer::GlobalAveragePool => Vec::new(),
        }
    }

    /// Channels and samples after the layer, from those before it.
    ///
    /// # Errors
    /// Channels that do not fit, a size of zero, or an output without samples.
    pub fn output(&self, [channels, samples]: [usize; 2]) -> Result<[usize; 2]> {
        let fits = |expected: usize| {
            if channels == expected {
                return Ok(());
            }
            let cause = format!("{channels} channels where {expected} are expected");
            Err(Error::new(ErrorKind::Shape, cause, "make each layer take what the one before it gives"))
        };
        match *self {
            Layer::Conv1d { in_channels, out_channels, kernel, stride, padding, .. } => {
                fits(in_channels)?;
                Ok([out_channels, windows(samples.saturating_add(2 * padding), kernel, stride)?])
            }
            Layer::BatchNorm { channels: expected } => fits(expected).map(|()| [channels, samples]),
            Layer::Relu => Ok([channels, samples]),
            Layer::MaxPool { kernel, stride } => Ok([channels, windows(samples, kernel, stride)?]),
            Layer::GlobalAveragePool => Ok([channels, 1]),
            Layer::Linear { in_features, out_features } => fits(in_features).map(|()| [out_features, 1]),
        }
    }
}

/// How many windows of `kernel` samples lie in `samples` when every `stride`-th is taken.
fn windows(samples: usize, kernel: usize, stride: usize) -> Result<usize> {
    if kernel == 0 || stride == 0 {
        return Err(Error::new(ErrorKind::Shape, "a kernel or a stride of 0", "use 1 or more"));
    }
    if samples < kernel {
        let cause = format!("no output: {samples} samples with padding, under a kernel of {kernel}");
        return Err(Error::new(ErrorKind::Shape, cause, "give a longer recording"));
    }
    Ok((samples - kernel) / stride + 1)
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Layer::Conv1d { in_channels, out_channels, kernel, stride, padding, bias } => {
                let bias = if *bias { ", bias" } else { "" };
                write!(
                    f,
                    "conv {in_channels}→{out_channels}, kernel {kernel}, stride {stride}, padding {padding}{bias}"
                )
            }
            Layer::BatchNorm { .. } => f.write_str("batch norm"),
            Layer::Relu => f.write_str("ReLU"),
            Layer::MaxPool { kernel, stride } => write!(f, "max pool, kernel {kernel}, stride {stride}"),
            Layer::GlobalAveragePool => f.write_str("global average pool"),
            Layer::Linear { in_features, out_features } => write!(f, "linear {in_features}→{out_features}"),
        }
    }
}

impl Network {
    /// Leads that the network takes.
    pub fn in_channels(&self) -> usize {
        let sized = self.layers.iter().find_map(|named| match named.layer {
            Layer::Conv1d { in_channels, .. } => Some(in_channels),
            Layer::BatchNorm { channels } => Some(channels),
            Layer::Linear { in_features, .. } => Some(in_features),
            _ => None,
        });
        sized.unwrap_or(1)
    }

    /// Every tensor's name and shape, in the order of the layers.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let of_layer = |named: &NamedLayer| {
            let name = named.name.clone();
            named.layer.tensors().into_iter().map(move |(tensor, shape)| (format!("{name}.{tensor}"), shape))
        };
        self.layers.iter().flat_map(of_layer).collect()
    }

    /// Channels and samples after every layer, for `samples` samples a lead.
    ///
    /// # Errors
    /// Zero samples, or a layer whose output would be empty; the error names it.
    pub fn shapes(&self, samples: usize) -> Result<Vec<[usize; 2]>> {
        if samples == 0 {
            return Err(Error::new(ErrorKind::Shape, "zero samples", "give at least one sample a lead"));
        }
        let mut shape = [self.in_channels(), samples];
        let mut shapes = Vec::with_capacity(self.layers.len());
        for named in &self.layers {
            shape = named.layer.output(shape).map_err(|error| {
                error.at(format!("network {}, layer {}, input of {samples} samples", self.name, named.name))
            })?;
            shapes.push(shape);
        }
        Ok(shapes)
    }

    /// Logits that the network gives; 0 where the last layer is not linear.
    pub fn classes(&self) -> usize {
        match self.layers.last().map(|last| last.layer) {
            Some(Layer::Linear { out_features, .. }) => out_features,
            _ => 0,
        }
    }

    /// The layers up to the embedding.
    pub fn encoder(&self) -> Network {
        Network { layers: self.layers[..=self.embedding].to_vec(), ..self.clone() }
    }

    /// The network up to and including the layers called `stage` or `stage.something`, for a look inside.
    pub fn until(&self, stage: &str) -> Option<Network> {
        let within = |name: &str| name.strip_prefix(stage).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let last = self.layers.iter().rposition(|named| within(&named.name))?;
        let layers = self.layers[..=last].to_vec();
        Some(Network { name: self.name.clone(), layers, embedding: self.embedding.min(last) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_says_what_comes_out_of_it() {
        let conv = Layer::Conv1d { in_channels: 12, out_channels: 64, kernel: 11, stride: 2, padding: 5, bias: false };
        assert_eq!(conv.output([12, 1000]), Ok([64, 500]));
        assert_eq!(conv.output([12, 1]), Ok([64, 1]));
        assert!(conv.output([11, 1000]).unwrap_err().cause().contains("11 channels where 12 are expected"));
        let pool = Layer::MaxPool { kernel: 2, stride: 2 };
        assert_eq!(pool.output([3, 5]), Ok([3, 2]));
        assert!(pool.output([3, 1]).unwrap_err().cause().contains("no output"));
    }
}
