//! Folded networks that many tests run.

use ecgpu::{
    Weights,
    engine::network::{
        Folded, FoldedLayer, FoldedOperation, Layer, NamedLayer, Network, Parameters, Tensor, published,
    },
};

/// Folds the network that the library carries.
pub fn built_in() -> Folded {
    let weights = Weights::built_in().unwrap();
    Folded::new(&weights.network, &weights.parameters).unwrap()
}

/// Folds the published networks with parameters of zero, for tests that look at shaders alone.
pub fn published_with_zeros() -> Vec<Folded> {
    let zeros = |(name, shape): (String, Vec<usize>)| {
        let values = vec![0.0; shape.iter().product()].into();
        (name, Tensor { shape, values })
    };
    let fold = |network: Network| {
        let parameters = Parameters::new(network.tensors().into_iter().map(zeros));
        Folded::new(&network, &parameters).unwrap()
    };
    published::all().into_iter().map(fold).collect()
}

/// Builds a network of one convolution from `channels[0]` to `channels[1]` channels, with weights between -1 and 1.
pub fn one_convolution(channels: [usize; 2], kernel: usize, stride: usize, padding: usize, relu: bool) -> Folded {
    let [in_channels, out_channels] = channels;
    let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 50.0;
    let weight = (0..out_channels * in_channels * kernel).map(value).collect();
    let bias = (0..out_channels).map(|i| value(i + 13)).collect();
    let layer = Layer::Conv1d { in_channels, out_channels, kernel, stride, padding, bias: true };
    let operation = FoldedOperation::Conv1d { in_channels, out_channels, kernel, stride, padding, relu, weight, bias };
    let layers = vec![NamedLayer { name: "conv".into(), layer }];
    let network = Network { name: "one convolution".into(), layers, embedding: 0 };
    Folded { network, layers: vec![FoldedLayer { name: "conv".into(), last_layer: 0, operation }] }
}

/// Appends a max pool of kernel and stride 2, which a GPU fuses with the convolution before it.
pub fn followed_by_max_pool(mut folded: Folded) -> Folded {
    let (kernel, stride, last_layer) = (2, 2, folded.network.layers.len());
    folded.network.layers.push(NamedLayer { name: "pool".into(), layer: Layer::MaxPool { kernel, stride } });
    let operation = FoldedOperation::MaxPool { kernel, stride };
    folded.layers.push(FoldedLayer { name: "pool".into(), last_layer, operation });
    folded.network.embedding = last_layer;
    folded
}
