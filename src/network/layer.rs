//! Networks as lists of named layers. A layer states all its sizes except the batch and the number of samples.

use std::fmt;

use crate::{Error, ErrorKind, Result};

/// Batch norm's ε, which is added to the variance. It is PyTorch's default, and all published networks use it.
pub const BATCH_NORM_EPSILON: f64 = 1e-5;

/// One layer. Activations are `[batch, channels, samples]`, after [`Layer::GlobalAveragePool`] `[batch, features]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields have PyTorch's names, and each variant documents its shapes")]
pub enum Layer {
    /// Cross-correlation along the samples. Tensors: `weight` `[out_channels, in_channels, kernel]` and, with `bias`,
    /// `bias` `[out_channels]`. `padding` zeros are added before the first and after the last sample.
    Conv1d { in_channels: usize, out_channels: usize, kernel: usize, stride: usize, padding: usize, bias: bool },
    /// Batch normalisation by running statistics. Tensors: `weight`, `bias`, `running_mean` and `running_var`, each
    /// `[channels]`.
    BatchNorm { channels: usize },
    /// Replaces negative numbers by 0.
    Relu,
    /// The maximum of each window of `kernel` samples; windows are `stride` samples apart, without padding.
    MaxPool { kernel: usize, stride: usize },
    /// The mean over the samples of each channel.
    GlobalAveragePool,
    /// A linear map with bias. Tensors: `weight` `[out_features, in_features]` and `bias` `[out_features]`.
    Linear { in_features: usize, out_features: usize },
}

/// A layer with its name in the state dict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedLayer {
    /// The name without the tensor's own, such as `encoder.features.0.block.0`.
    pub name: String,
    /// The layer.
    pub layer: Layer,
}

/// A chain of layers from the input to the logits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The name of the network, such as `542k`.
    pub name: String,
    /// The layers in the order of their execution.
    pub layers: Vec<NamedLayer>,
    /// The index of the layer whose output is the embedding.
    pub embedding: usize,
}

impl Layer {
    /// Returns the names and shapes of the layer's tensors, without batch norm's step counter.
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

    /// Returns the layer's output shape `[channels, samples]` for an input shape.
    ///
    /// # Errors
    /// The number of channels does not fit, a size is zero, or the output would have no samples.
    pub(crate) fn output(&self, [channels, samples]: [usize; 2]) -> Result<[usize; 2]> {
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

/// Returns how many windows of `kernel` samples, `stride` samples apart, fit into `samples`.
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
    /// Returns the number of leads that the network takes.
    pub fn in_channels(&self) -> usize {
        let sized = self.layers.iter().find_map(|named| match named.layer {
            Layer::Conv1d { in_channels, .. } => Some(in_channels),
            Layer::BatchNorm { channels } => Some(channels),
            Layer::Linear { in_features, .. } => Some(in_features),
            _ => None,
        });
        sized.unwrap_or(1)
    }

    /// Returns the names and shapes of all tensors, in the order of the layers.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let of_layer = |named: &NamedLayer| {
            let name = named.name.clone();
            named.layer.tensors().into_iter().map(move |(tensor, shape)| (format!("{name}.{tensor}"), shape))
        };
        self.layers.iter().flat_map(of_layer).collect()
    }

    /// Returns the output shape `[channels, samples]` of every layer for an input of `samples` samples per lead.
    ///
    /// # Errors
    /// `samples` is zero, or the output of a layer would be empty; the error names the layer.
    pub fn shapes(&self, samples: usize) -> Result<Vec<[usize; 2]>> {
        if samples == 0 {
            return Err(Error::new(ErrorKind::Shape, "zero samples", "give at least one sample per lead"));
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

    /// Returns the number of logits, or 0 if the last layer is not linear.
    pub fn classes(&self) -> usize {
        match self.layers.last().map(|last| last.layer) {
            Some(Layer::Linear { out_features, .. }) => out_features,
            _ => 0,
        }
    }

    /// Returns the network with this number of logits.
    pub fn with_classes(mut self, classes: usize) -> Self {
        if let Some(Layer::Linear { out_features, .. }) = self.layers.last_mut().map(|last| &mut last.layer) {
            *out_features = classes;
        }
        self
    }

    /// Returns the network with `factor` times as many channels and features between the input and the logits.
    pub fn widened(mut self, factor: usize) -> Self {
        let last = self.layers.len().saturating_sub(1);
        let mut is_first = true;
        for (at, named) in self.layers.iter_mut().enumerate() {
            let input = if is_first { 1 } else { factor };
            match &mut named.layer {
                Layer::Conv1d { in_channels, out_channels, .. } => {
                    *in_channels *= input;
                    *out_channels *= factor;
                }
                Layer::Linear { in_features, out_features } => {
                    *in_features *= input;
                    *out_features *= if at == last { 1 } else { factor };
                }
                Layer::BatchNorm { channels } => *channels *= factor,
                Layer::Relu | Layer::MaxPool { .. } | Layer::GlobalAveragePool => continue,
            }
            is_first = false;
        }
        self
    }

    /// Returns the network up to and including the layer of the embedding.
    pub fn encoder(&self) -> Network {
        Network { layers: self.layers[..=self.embedding].to_vec(), ..self.clone() }
    }

    /// Returns the network up to and including the last layer called `stage` or `stage.…`, to inspect intermediate
    /// activations; `None` if there is no such layer.
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
    fn output_shapes_follow_kernel_stride_and_padding() {
        let conv = Layer::Conv1d { in_channels: 12, out_channels: 64, kernel: 11, stride: 2, padding: 5, bias: false };
        assert_eq!(conv.output([12, 1000]), Ok([64, 500]));
        assert_eq!(conv.output([12, 1]), Ok([64, 1]));
        assert!(conv.output([11, 1000]).unwrap_err().cause().contains("11 channels where 12 are expected"));
        let pool = Layer::MaxPool { kernel: 2, stride: 2 };
        assert_eq!(pool.output([3, 5]), Ok([3, 2]));
        assert!(pool.output([3, 1]).unwrap_err().cause().contains("no output"));
    }
}
