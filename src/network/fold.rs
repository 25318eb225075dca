//! Folds batch norm into the preceding convolution, in float64, and fuses ReLU with it. Inference runs the result.

use std::sync::Arc;

use super::{BATCH_NORM_EPSILON, Layer, Network, Parameters};
use crate::{Error, ErrorKind, Result};

/// The operation of a folded layer, with its parameters.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the fields have PyTorch's names, and each variant documents its shapes")]
pub enum FoldedOperation {
    /// A convolution, with `relu` followed by a ReLU. `weight` is `[out_channels, in_channels, kernel]`, `bias`
    /// `[out_channels]`.
    Conv1d {
        in_channels: usize,
        out_channels: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        relu: bool,
        weight: Arc<[f32]>,
        bias: Arc<[f32]>,
    },
    /// The maximum of each window of `kernel` samples; windows are `stride` samples apart, without padding.
    MaxPool { kernel: usize, stride: usize },
    /// The mean over the samples of each channel.
    GlobalAveragePool,
    /// A linear map. `weight` is `[out_features, in_features]`, `bias` `[out_features]`.
    Linear { in_features: usize, out_features: usize, weight: Arc<[f32]>, bias: Arc<[f32]> },
}

/// An operation that replaces one or more consecutive layers.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldedLayer {
    /// The name of the first replaced layer.
    pub name: String,
    /// The index of the last replaced layer in the network's layers.
    pub last_layer: usize,
    /// The operation.
    pub operation: FoldedOperation,
}

/// A network that is ready for inference with any batch and number of samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// The network before folding.
    pub network: Network,
    /// The operations in the order of their execution.
    pub layers: Vec<FoldedLayer>,
}

impl Folded {
    /// Folds every Conv1d with the BatchNorm and the ReLU that follow it. Owned parameters are changed in place; of
    /// borrowed ones, the changed tensors are copied.
    ///
    /// # Errors
    /// A tensor is missing, or a BatchNorm or ReLU follows no convolution.
    pub fn new(network: &Network, parameters: impl Into<Parameters>) -> Result<Self> {
        let (mut parameters, mut layers) = (parameters.into(), Vec::new());
        let mut index = 0;
        while index < network.layers.len() {
            let folded = fold_at(network, &mut parameters, index)?;
            index = folded.last_layer + 1;
            layers.push(folded);
        }
        Ok(Self { network: network.clone(), layers })
    }
}

/// Folds the layers from `index` on into one operation.
fn fold_at(network: &Network, parameters: &mut Parameters, index: usize) -> Result<FoldedLayer> {
    let named = &network.layers[index];
    let tensor = |part: &str| format!("{}.{part}", named.name);
    let mut last_layer = index;
    let operation = match named.layer {
        Layer::Conv1d { in_channels, out_channels, kernel, stride, padding, bias } => {
            let (mut weight, mut shift) = (parameters.take(&tensor("weight"))?, vec![0.0; out_channels]);
            if bias {
                shift = parameters.values(&tensor("bias"))?.iter().map(|&value| f64::from(value)).collect();
            }
            if let Some(Layer::BatchNorm { .. }) = network.layers.get(last_layer + 1).map(|next| next.layer) {
                last_layer += 1;
                let name = &network.layers[last_layer].name;
                fold_batch_norm(Arc::make_mut(&mut weight), &mut shift, name, parameters)?;
            }
            let relu = network.layers.get(last_layer + 1).is_some_and(|next| next.layer == Layer::Relu);
            last_layer += usize::from(relu);
            let bias = shift.into_iter().map(|value| value as f32).collect();
            FoldedOperation::Conv1d { in_channels, out_channels, kernel, stride, padding, relu, weight, bias }
        }
        Layer::MaxPool { kernel, stride } => FoldedOperation::MaxPool { kernel, stride },
        Layer::GlobalAveragePool => FoldedOperation::GlobalAveragePool,
        Layer::Linear { in_features, out_features } => {
            let (weight, bias) = (parameters.take(&tensor("weight"))?, parameters.take(&tensor("bias"))?);
            FoldedOperation::Linear { in_features, out_features, weight, bias }
        }
        Layer::BatchNorm { .. } | Layer::Relu => {
            let cause = format!("layer {} follows no convolution", named.name);
            return Err(Error::new(ErrorKind::Shape, cause, "put it right after one: inference joins the two"));
        }
    };
    Ok(FoldedLayer { name: named.name.clone(), last_layer, operation })
}

/// Changes the parameters of a convolution so that it also computes the batch norm after it:
/// γ·(w·x + b − μ)/√(σ² + ε) + β is a convolution with weight w·s and bias β + (b − μ)·s, where s = γ/√(σ² + ε).
fn fold_batch_norm(weight: &mut [f32], bias: &mut [f64], name: &str, parameters: &Parameters) -> Result<()> {
    let tensor = |part: &str| parameters.values(&format!("{name}.{part}"));
    let (gamma, beta) = (tensor("weight")?, tensor("bias")?);
    let (mean, variance) = (tensor("running_mean")?, tensor("running_var")?);
    let weights_per_channel = weight.len() / bias.len();
    for (channel, shift) in bias.iter_mut().enumerate() {
        let scale = f64::from(gamma[channel]) / (f64::from(variance[channel]) + BATCH_NORM_EPSILON).sqrt();
        *shift = f64::from(beta[channel]) + (*shift - f64::from(mean[channel])) * scale;
        weight[channel * weights_per_channel..][..weights_per_channel]
            .iter_mut()
            .for_each(|w| *w = (f64::from(*w) * scale) as f32);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{NamedLayer, Tensor};

    #[test]
    fn folding_a_batch_norm_scales_the_weights_and_shifts_the_bias() {
        let layer = |name: &str, layer| NamedLayer { name: name.into(), layer };
        let conv = Layer::Conv1d { in_channels: 1, out_channels: 1, kernel: 2, stride: 1, padding: 0, bias: true };
        let layers = vec![layer("c", conv), layer("n", Layer::BatchNorm { channels: 1 }), layer("r", Layer::Relu)];
        let network = Network { name: "test".into(), layers, embedding: 2 };
        let parameters = Parameters::new(
            [
                ("c.weight", vec![1, 1, 2], vec![1.0, 2.0]),
                ("c.bias", vec![1], vec![3.0]),
                ("n.weight", vec![1], vec![4.0]),
                ("n.bias", vec![1], vec![5.0]),
                ("n.running_mean", vec![1], vec![1.0]),
                ("n.running_var", vec![1], vec![4.0 - 1e-5]),
            ]
            .map(|(name, shape, values)| (name.to_string(), Tensor { shape, values: values.into() })),
        );
        let folded = Folded::new(&network, &parameters).unwrap();
        assert_eq!(Folded::new(&network, parameters), Ok(folded.clone()), "in place or not");
        assert_eq!(folded.layers.len(), 1);
        let FoldedOperation::Conv1d { relu, weight, bias, .. } = &folded.layers[0].operation else {
            panic!("not a convolution")
        };
        assert!(*relu);
        // s = 4/√4 = 2
        assert_eq!((weight.as_ref(), bias.as_ref()), ([2.0, 4.0].as_slice(), [5.0 + (3.0 - 1.0) * 2.0].as_slice()));
    }
}
