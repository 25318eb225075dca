//! The schemas of requests and responses. They only describe: requests are read without them, since a tree of values would be
//! made of every array.
#![expect(dead_code, reason = "no value of these types is made: their schemas are all that matters")]

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{
        ArrayBuilder, ObjectBuilder, OneOfBuilder, RefOr, Schema,
        schema::{SchemaType, Type},
    },
};

/// Why a request was not answered.
#[derive(ToSchema)]
pub struct Failure {
    /// Cause and remedy on one line.
    error: String,
    cause: String,
    remedy: String,
    /// The kind in a word, for programs.
    kind: String,
}

/// Why a request was not answered, as the Open Inference Protocol has it.
#[derive(ToSchema)]
pub struct ProtocolFailure {
    /// Cause and remedy on one line.
    error: String,
}

/// Whether the server takes requests, in a word.
#[derive(ToSchema)]
pub struct Status {
    #[schema(examples("ready"))]
    status: String,
}

/// A JSON object.
#[derive(ToSchema)]
pub struct AnyObject(BTreeMap<String, Value>);

/// Recordings as numbers, and how to read them. An option that is null means the same as one that is left out.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PredictRequest {
    /// `[batch, leads, samples]`, or `[leads, samples]` of one record. All records have one length.
    #[schema(schema_with = recordings)]
    inputs: Value,
    /// Samples per second. Left out, 1000 samples are taken as 100 Hz and 5000 as 500 Hz, with a warning; another length is
    /// refused.
    #[schema(exclusive_minimum = 0)]
    sampling_rate_hz: Option<f64>,
    /// The unit of the numbers. Left out, numbers with decimals are taken as mV, with a warning; whole numbers are refused.
    unit: Option<Unit>,
    /// The leads in the order of the rows: the usual twelve if they are left out.
    leads: Option<Vec<String>>,
    /// Whether predictions have the embedding.
    embedding: Option<bool>,
    /// Whether the prediction has an explanation: of the most probable class, or of the class that is named.
    #[schema(schema_with = flag_or_class)]
    explain: Option<Value>,
    /// Whether predictions have the leads in millivolts.
    signals: Option<bool>,
    /// Whether the numbers go into the network as they are.
    raw: Option<bool>,
}

/// The same, as Hugging Face's toolkit has it.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolkitRequest {
    /// `[batch, leads, samples]`, or `[leads, samples]` of one record.
    #[schema(schema_with = recordings)]
    inputs: Value,
    /// The options of `PredictRequest`.
    parameters: Option<ToolkitParameters>,
}

/// The options of `PredictRequest`.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolkitParameters {
    #[schema(exclusive_minimum = 0)]
    sampling_rate_hz: Option<f64>,
    unit: Option<Unit>,
    leads: Option<Vec<String>>,
    embedding: Option<bool>,
    #[schema(schema_with = flag_or_class)]
    explain: Option<Value>,
    signals: Option<bool>,
    raw: Option<bool>,
}

/// Files that belong together, such as a WFDB header and its signals, and how to read them.
#[derive(ToSchema)]
pub struct Form {
    /// Each file is a part with a file name, whatever the name of the part.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    file: Vec<String>,
    sampling_rate_hz: Option<f64>,
    unit: Option<Unit>,
    /// The leads, joined by commas.
    leads: Option<String>,
    embedding: Option<bool>,
    /// `true`, `false`, or the name of a class.
    explain: Option<String>,
    signals: Option<bool>,
    raw: Option<bool>,
}

/// A unit of voltage.
#[derive(ToSchema)]
pub enum Unit {
    #[schema(rename = "mV")]
    Millivolt,
    #[schema(rename = "uV")]
    Microvolt,
    #[schema(rename = "nV")]
    Nanovolt,
    #[schema(rename = "V")]
    Volt,
}

/// The predictions of a request, in the order of its recordings.
#[derive(ToSchema)]
pub struct Predictions {
    predictions: Vec<Prediction>,
}

/// The result of one record.
#[derive(ToSchema)]
pub struct Prediction {
    /// The name of the record in its file, or its place in the array.
    record: String,
    /// Absent for raw numbers, as is the duration.
    #[schema(nullable = false)]
    sampling_rate_hz: Option<f64>,
    #[schema(nullable = false)]
    duration_s: Option<f64>,
    /// The device that computed.
    device: String,
    backend: String,
    precision: String,
    /// The network's raw outputs, in the order of the classes.
    logits: Vec<f32>,
    /// By class. Classes do not exclude each other: the sum is not 1.
    probabilities: BTreeMap<String, f64>,
    /// The probability from which a class is given as a label, by class.
    thresholds: BTreeMap<String, f64>,
    labels: Vec<String>,
    /// What is unusual about the recording, in words.
    warnings: Vec<String>,
    #[schema(nullable = false)]
    embedding: Option<Vec<f32>>,
    /// The leads in millivolts, as they were read.
    #[schema(nullable = false)]
    signals: Option<BTreeMap<String, Vec<f32>>>,
    /// Where in the recording the class comes from, and the checks of this.
    #[schema(nullable = false)]
    explanation: Option<BTreeMap<String, Value>>,
}

/// What the server is.
#[derive(ToSchema)]
pub struct ServerMetadata {
    name: String,
    version: String,
    extensions: Vec<String>,
}

/// What the model takes and gives.
#[derive(ToSchema)]
pub struct ModelMetadata {
    name: String,
    versions: Vec<String>,
    platform: String,
    inputs: Vec<TensorMetadata>,
    outputs: Vec<TensorMetadata>,
}

/// A tensor of the model; a side of any length is -1.
#[derive(ToSchema)]
pub struct TensorMetadata {
    name: String,
    datatype: String,
    shape: Vec<i64>,
}

/// An inference. Binary data follow the JSON, whose length the header Inference-Header-Content-Length gives then.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InferRequest {
    /// Repeated in the response.
    #[schema(nullable = false)]
    id: Option<String>,
    #[schema(nullable = false)]
    parameters: Option<InferParameters>,
    #[schema(min_items = 1, max_items = 1)]
    inputs: Vec<InferInput>,
    /// All of them if none is named.
    #[schema(nullable = false)]
    outputs: Option<Vec<InferOutput>>,
    /// Ignored: the path names the model.
    #[schema(nullable = false)]
    model_name: Option<String>,
    #[schema(nullable = false)]
    model_version: Option<String>,
}

/// How the input is read, and how the outputs are written.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InferParameters {
    /// Samples per second; the network's own if it is left out.
    #[schema(exclusive_minimum = 0, nullable = false)]
    sampling_rate_hz: Option<f64>,
    /// The unit of the numbers; mV if it is left out.
    #[schema(nullable = false)]
    unit: Option<Unit>,
    /// The leads in the order of the rows, joined by commas: the usual twelve if they are left out.
    #[schema(nullable = false)]
    leads: Option<String>,
    /// Whether the numbers go into the network as they are.
    #[schema(nullable = false)]
    raw: Option<bool>,
    /// Whether outputs are binary data, unless they say otherwise.
    #[schema(nullable = false)]
    binary_data_output: Option<bool>,
}

/// The input tensor.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InferInput {
    name: InputName,
    /// `[batch, leads, samples]`.
    #[schema(min_items = 3, max_items = 3)]
    shape: Vec<u64>,
    datatype: Datatype,
    #[schema(nullable = false)]
    parameters: Option<InputParameters>,
    /// All numbers in row-major order in one array, or `[batch, leads, samples]` as nested arrays. Absent with binary data.
    #[schema(schema_with = tensor_data, required = false)]
    data: Value,
}

/// The name of the input tensor.
#[derive(ToSchema)]
pub enum InputName {
    #[schema(rename = "ecg")]
    Ecg,
}

/// The datatypes of the input; FP16 as binary data alone.
#[derive(ToSchema)]
pub enum Datatype {
    #[schema(rename = "FP32")]
    Fp32,
    #[schema(rename = "FP64")]
    Fp64,
    #[schema(rename = "FP16")]
    Fp16,
}

/// The size of binary data.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InputParameters {
    /// The bytes of the tensor behind the JSON.
    #[schema(nullable = false)]
    binary_data_size: Option<u64>,
}

/// An output that is asked for.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InferOutput {
    name: OutputName,
    #[schema(nullable = false)]
    parameters: Option<OutputParameters>,
}

/// The names of the outputs.
#[derive(ToSchema)]
pub enum OutputName {
    #[schema(rename = "logits")]
    Logits,
    #[schema(rename = "probabilities")]
    Probabilities,
    #[schema(rename = "embedding")]
    Embedding,
}

/// How an output is written.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputParameters {
    /// Whether the tensor follows the JSON as bytes.
    #[schema(nullable = false)]
    binary_data: Option<bool>,
}

/// The result of an inference.
#[derive(ToSchema)]
pub struct InferResponse {
    model_name: String,
    model_version: String,
    #[schema(nullable = false)]
    id: Option<String>,
    /// The field `warnings` has what is unusual about the records, one warning per line.
    #[schema(nullable = false)]
    parameters: Option<BTreeMap<String, Value>>,
    outputs: Vec<OutputTensor>,
}

/// An output tensor.
#[derive(ToSchema)]
pub struct OutputTensor {
    name: String,
    datatype: String,
    shape: Vec<u64>,
    #[schema(nullable = false)]
    parameters: Option<BTreeMap<String, Value>>,
    /// The numbers in row-major order; absent with binary data.
    #[schema(nullable = false)]
    data: Option<Vec<f32>>,
}

/// Returns the schema of arrays nested `depth` times that are not empty.
fn nested(depth: usize) -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Number)).into();
    (0..depth).fold(number, |items: RefOr<Schema>, _| ArrayBuilder::new().items(items).min_items(Some(1)).into())
}

fn recordings() -> RefOr<Schema> {
    OneOfBuilder::new().item(nested(3)).item(nested(2)).into()
}

fn tensor_data() -> RefOr<Schema> {
    OneOfBuilder::new().item(nested(1)).item(nested(3)).into()
}

fn flag_or_class() -> RefOr<Schema> {
    let of = |kind: Type| ObjectBuilder::new().schema_type(SchemaType::Type(kind));
    OneOfBuilder::new().item(of(Type::Boolean)).item(of(Type::String)).item(of(Type::Null)).into()
}
