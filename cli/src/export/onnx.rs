//! Networks as ONNX models: one node per layer, with the tensors under their own names. Batch norm is not folded, so that
//! the model can be trained further elsewhere.

use ecgpu::{
    Result, Weights,
    engine::network::{BATCH_NORM_EPSILON, Layer},
};
use prost::Message;

/// The version of ONNX's operators.
const OPSET: i64 = 17;
/// The version of ONNX's file format that came with [`OPSET`].
const IR_VERSION: i64 = 8;
/// `TensorProto.DataType.FLOAT`.
const FLOAT: i32 = 1;

/// Returns an ONNX model of weights. Its input `ecg` is `[batch, leads, samples]` in the network's own scale, as that of
/// [`ecgpu::Classifier::run`]; its outputs are `logits` and `probabilities` `[batch, classes]` and `embedding`
/// `[batch, features]`. The metadata of the model are those of the weights file.
///
/// # Errors
/// A tensor is missing.
pub fn bytes(weights: &Weights) -> Result<Vec<u8>> {
    let graph = Graph::of(weights)?;
    let mut metadata: Vec<Entry> =
        weights.contract.to_metadata().into_iter().map(|(key, value)| Entry { key, value }).collect();
    metadata.push(Entry { key: "network".into(), value: weights.network.name.clone() });
    // The order of a hash map differs from run to run.
    metadata.sort_by(|a, b| a.key.cmp(&b.key));
    let model = Model {
        ir_version: IR_VERSION,
        producer_name: "ecgpu".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        metadata_props: metadata,
    };
    Ok(model.encode_to_vec())
}

impl Graph {
    fn of(weights: &Weights) -> Result<Self> {
        let network = &weights.network;
        let (mut nodes, mut from) = (Vec::new(), "ecg".to_string());
        let last = network.layers.len() - 1;
        for (at, named) in network.layers.iter().enumerate() {
            let to = match at {
                _ if at == last => "logits".to_string(),
                _ if at == network.embedding => "embedding".to_string(),
                _ => format!("{}.out", named.name),
            };
            nodes.extend(layer(&named.name, &named.layer, &from, &to));
            from = to;
        }
        nodes.push(Node::new("temperature", "Div", &["logits", "temperature"], "logits_over_temperature"));
        nodes.push(Node::new("probabilities", "Sigmoid", &["logits_over_temperature"], "probabilities"));
        let mut initializer = tensors(weights)?;
        initializer.push(Tensor::new("temperature", &[], &[weights.contract.temperature as f32]));
        let features = network.shapes(weights.contract.samples)?[network.embedding][0];
        let classes = Size::Fixed(network.classes());
        Ok(Self {
            node: nodes,
            name: format!("network {}", network.name),
            initializer,
            input: vec![ValueInfo::new(
                "ecg",
                vec![Size::Free("batch"), Size::Fixed(network.in_channels()), Size::Free("samples")],
            )],
            output: vec![
                ValueInfo::new("logits", vec![Size::Free("batch"), classes]),
                ValueInfo::new("probabilities", vec![Size::Free("batch"), classes]),
                ValueInfo::new("embedding", vec![Size::Free("batch"), Size::Fixed(features)]),
            ],
        })
    }
}

/// Returns the tensors that the network's layers name.
fn tensors(weights: &Weights) -> Result<Vec<Tensor>> {
    let of = |(name, shape): (String, Vec<usize>)| Ok(Tensor::new(&name, &shape, weights.parameters.values(&name)?));
    weights.network.tensors().into_iter().map(of).collect()
}

/// Returns the nodes of a layer that reads value `from` and writes value `to`.
fn layer(name: &str, layer: &Layer, from: &str, to: &str) -> Vec<Node> {
    let tensor = |(part, _): (&'static str, Vec<usize>)| format!("{name}.{part}");
    let tensors: Vec<String> = layer.tensors().into_iter().map(tensor).collect();
    let reads: Vec<&str> = std::iter::once(from).chain(tensors.iter().map(String::as_str)).collect();
    let node = |operator: &str| Node::new(name, operator, &reads, to);
    let windows = |node: Node, kernel: usize, stride: usize, padding: usize| {
        node.integers("kernel_shape", &[kernel]).integers("strides", &[stride]).integers("pads", &[padding, padding])
    };
    match *layer {
        Layer::Conv1d { kernel, stride, padding, .. } => vec![windows(node("Conv"), kernel, stride, padding)],
        Layer::BatchNorm { .. } => vec![node("BatchNormalization").float("epsilon", BATCH_NORM_EPSILON as f32)],
        Layer::Relu => vec![node("Relu")],
        Layer::MaxPool { kernel, stride } => vec![windows(node("MaxPool"), kernel, stride, 0)],
        Layer::GlobalAveragePool => {
            let pooled = format!("{name}.pooled");
            let flatten = Node::new(&format!("{name}.flatten"), "Flatten", &[&pooled], to);
            vec![Node::new(name, "GlobalAveragePool", &[from], &pooled), flatten]
        }
        Layer::Linear { .. } => vec![node("Gemm").integer("transB", 1)],
    }
}

// The messages of ONNX's onnx.proto (version 1.12, of opset 17) as far as a chain of layers needs them.

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(string, tag = "3")]
    producer_version: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSet>,
    #[prost(message, repeated, tag = "14")]
    metadata_props: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSet {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    node: Vec<Node>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, optional, tag = "2")]
    f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    i: Option<i64>,
    #[prost(int64, repeated, tag = "8")]
    ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    r#type: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfo {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    r#type: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
struct Type {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(int64, optional, tag = "1")]
    dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    dim_param: Option<String>,
}

/// One dimension of an input or an output.
#[derive(Clone, Copy)]
enum Size {
    Fixed(usize),
    /// Any size, under a name.
    Free(&'static str),
}

impl Node {
    fn new(name: &str, operator: &str, reads: &[&str], write: &str) -> Self {
        let input = reads.iter().map(|name| name.to_string()).collect();
        Self { input, output: vec![write.into()], name: name.into(), op_type: operator.into(), attribute: Vec::new() }
    }

    fn with(mut self, attribute: Attribute) -> Self {
        self.attribute.push(attribute);
        self
    }

    // The numbers of `type` are those of `AttributeProto.AttributeType`.

    fn float(self, name: &str, value: f32) -> Self {
        self.with(Attribute { name: name.into(), f: Some(value), r#type: 1, ..Attribute::default() })
    }

    fn integer(self, name: &str, value: i64) -> Self {
        self.with(Attribute { name: name.into(), i: Some(value), r#type: 2, ..Attribute::default() })
    }

    fn integers(self, name: &str, values: &[usize]) -> Self {
        let ints = values.iter().map(|&value| value as i64).collect();
        self.with(Attribute { name: name.into(), ints, r#type: 7, ..Attribute::default() })
    }
}

impl Tensor {
    fn new(name: &str, shape: &[usize], values: &[f32]) -> Self {
        let dims = shape.iter().map(|&size| size as i64).collect();
        let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dims, data_type: FLOAT, name: name.into(), raw_data }
    }
}

impl ValueInfo {
    fn new(name: &str, sizes: Vec<Size>) -> Self {
        let dimension = |size: Size| match size {
            Size::Fixed(size) => Dimension { dim_value: Some(size as i64), dim_param: None },
            Size::Free(name) => Dimension { dim_value: None, dim_param: Some(name.into()) },
        };
        let shape = Shape { dim: sizes.into_iter().map(dimension).collect() };
        let tensor_type = TensorType { elem_type: FLOAT, shape: Some(shape) };
        Self { name: name.into(), r#type: Some(Type { tensor_type: Some(tensor_type) }) }
    }
}
