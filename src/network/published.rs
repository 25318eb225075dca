//! The two networks that were published under one name.

use super::{Layer, NamedLayer, Network};

/// Every network that a weights file is matched against.
pub fn published() -> [Network; 2] {
    [full_542k(), card_55k()]
}

/// The network of the published training code: six Conv-BatchNorm-ReLU blocks, global average, one linear layer.
/// 541,707 elements with the batch-norm counters; the embedding is the pooled `[batch, 256]`.
pub fn full_542k() -> Network {
    // in, out, kernel, stride
    const BLOCKS: [[usize; 4]; 6] =
        [[12, 64, 11, 2], [64, 64, 7, 1], [64, 128, 7, 2], [128, 128, 5, 1], [128, 256, 5, 2], [256, 256, 3, 1]];
    let mut layers = Vec::new();
    for (block, [in_channels, out_channels, kernel, stride]) in BLOCKS.into_iter().enumerate() {
        let name = |part: usize| format!("encoder.features.{block}.block.{part}");
        let padding = kernel / 2;
        let conv = Layer::Conv1d { in_channels, out_channels, kernel, stride, padding, bias: false };
        layers.push(NamedLayer { name: name(0), layer: conv });
        layers.push(NamedLayer { name: name(1), layer: Layer::BatchNorm { channels: out_channels } });
        layers.push(NamedLayer { name: name(2), layer: Layer::Relu });
    }
    let embedding = layers.len();
    layers.push(NamedLayer { name: "pool".into(), layer: Layer::GlobalAveragePool });
    layers.push(NamedLayer { name: "head".into(), layer: Layer::Linear { in_features: 256, out_features: 5 } });
    Network { name: "542k".into(), layers, embedding }
}

/// The network of the published model card: three Conv-BatchNorm-ReLU, the first two followed by a max pool, global
/// average, two linear layers. 55,784 elements with the counters; the embedding is the first one's `[batch, 128]`.
pub fn card_55k() -> Network {
    let conv = |in_channels, out_channels, kernel| Layer::Conv1d {
        in_channels,
        out_channels,
        kernel,
        stride: 1,
        padding: kernel / 2,
        bias: true,
    };
    let halve = Layer::MaxPool { kernel: 2, stride: 2 };
    let encoder = [
        (0, conv(12, 32, 7)),
        (1, Layer::BatchNorm { channels: 32 }),
        (2, Layer::Relu),
        (3, halve),
        (4, conv(32, 64, 5)),
        (5, Layer::BatchNorm { channels: 64 }),
        (6, Layer::Relu),
        (7, halve),
        (8, conv(64, 128, 3)),
        (9, Layer::BatchNorm { channels: 128 }),
        (10, Layer::Relu),
        (11, Layer::GlobalAveragePool),
        // 12 is PyTorch's Flatten, which moves nothing.
        (13, Layer::Linear { in_features: 128, out_features: 128 }),
    ];
    let mut layers: Vec<_> =
        encoder.map(|(index, layer)| NamedLayer { name: format!("encoder.{index}"), layer }).to_vec();
    let embedding = layers.len() - 1;
    layers.push(NamedLayer { name: "classifier".into(), layer: Layer::Linear { in_features: 128, out_features: 5 } });
    Network { name: "55k".into(), layers, embedding }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_networks_have_the_published_number_of_elements() {
        for (network, elements, counters) in [(full_542k(), 541_707, 6), (card_55k(), 55_784, 3)] {
            let sum: usize = network.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
            assert_eq!(sum + counters, elements, "{}", network.name);
        }
    }

    #[test]
    fn ten_seconds_keep_a_shape_to_the_end_and_one_sample_runs_where_no_pool_stands() {
        assert_eq!(full_542k().shapes(1000).unwrap()[17], [256, 125]);
        assert_eq!(full_542k().shapes(1).unwrap().last(), Some(&[5, 1]));
        assert_eq!(card_55k().shapes(4).unwrap().last(), Some(&[5, 1]));
        let error = card_55k().shapes(3).unwrap_err().to_string();
        assert!(error.contains("network 55k, layer encoder.7, input of 3 samples: no output"), "{error}");
        assert!(full_542k().shapes(0).is_err());
    }
}
