//! The networks that a weights file can hold. Two were published under one name; each function says which one it is.
//!
//! A new network is one more function here and one more line in the table: see `docs/adding-a-network.md`.

use super::{Layer, NamedLayer, Network};

/// The name of a network and the function that builds it.
type Entry = (&'static str, fn() -> Network);

/// All networks.
const NETWORKS: [Entry; 2] = [("542k", training_code_542k), ("55k", model_card_55k)];

/// The names of all networks.
pub const NAMES: [&str; NETWORKS.len()] = {
    let mut names = [""; NETWORKS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = NETWORKS[at].0;
        at += 1;
    }
    names
};

/// Returns every network. A weights file is recognised as one of them by the names and shapes of its tensors.
pub fn all() -> Vec<Network> {
    NETWORKS.iter().map(|(_, build)| build()).collect()
}

/// Returns the network with this name, such as `542k`.
pub fn by_name(name: &str) -> Option<Network> {
    NETWORKS.iter().find(|(known, _)| *known == name).map(|(_, build)| build())
}

/// Lists the names of all networks for a message, such as `542k or 55k`.
pub(crate) fn list_of_names() -> String {
    NAMES.join(" or ")
}

/// Builds network 542k, that of the published training code: six Conv1d-BatchNorm-ReLU blocks, a global average pool and
/// one linear layer. It has 541,707 elements including the batch norm counters. The embedding is the output of the
/// average pool, `[batch, 256]`.
pub fn training_code_542k() -> Network {
    // Input channels, output channels, kernel, stride.
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

/// Builds network 55k, that of the published model card: three Conv1d-BatchNorm-ReLU blocks, of which the first two are
/// followed by a max pool, a global average pool and two linear layers. It has 55,784 elements including the batch norm
/// counters. The embedding is the output of the first linear layer, `[batch, 128]`.
pub fn model_card_55k() -> Network {
    let conv = |in_channels, out_channels, kernel| Layer::Conv1d {
        in_channels,
        out_channels,
        kernel,
        stride: 1,
        padding: kernel / 2,
        bias: true,
    };
    let max_pool = Layer::MaxPool { kernel: 2, stride: 2 };
    let encoder = [
        (0, conv(12, 32, 7)),
        (1, Layer::BatchNorm { channels: 32 }),
        (2, Layer::Relu),
        (3, max_pool),
        (4, conv(32, 64, 5)),
        (5, Layer::BatchNorm { channels: 64 }),
        (6, Layer::Relu),
        (7, max_pool),
        (8, conv(64, 128, 3)),
        (9, Layer::BatchNorm { channels: 128 }),
        (10, Layer::Relu),
        (11, Layer::GlobalAveragePool),
        // Index 12 is PyTorch's Flatten, which has no tensors and moves nothing.
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
    fn every_network_has_the_name_of_its_table_entry_and_can_be_built() {
        for name in NAMES {
            let network = by_name(name).unwrap();
            assert_eq!(network.name, name);
            assert_eq!(network.shapes(1000).unwrap().last(), Some(&[network.classes(), 1]), "{name}");
            assert!(network.embedding < network.layers.len() && network.classes() > 0, "{name}");
        }
    }

    #[test]
    fn the_networks_have_the_published_number_of_elements() {
        for (network, elements, counters) in [(training_code_542k(), 541_707, 6), (model_card_55k(), 55_784, 3)] {
            let sum: usize = network.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
            assert_eq!(sum + counters, elements, "{}", network.name);
        }
    }

    #[test]
    fn shapes_are_as_published_and_inputs_too_short_for_a_max_pool_are_refused() {
        assert_eq!(training_code_542k().shapes(1000).unwrap()[17], [256, 125]);
        assert_eq!(training_code_542k().shapes(1).unwrap().last(), Some(&[5, 1]));
        assert_eq!(model_card_55k().shapes(4).unwrap().last(), Some(&[5, 1]));
        let error = model_card_55k().shapes(3).unwrap_err().to_string();
        assert!(error.contains("network 55k, layer encoder.7, input of 3 samples: no output"), "{error}");
        assert!(training_code_542k().shapes(0).is_err());
    }
}
