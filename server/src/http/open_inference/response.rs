//! The response of an inference: JSON with the output tensors in it, or with their bytes behind it.

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use ecgpu::Classifier;
use serde_json::{Value, json};

use super::{
    MODEL, VERSION,
    binary::JSON_LENGTH,
    request::{Output, Requested},
};
use crate::engine::Answer;

/// An output tensor.
struct Tensor {
    requested: Requested,
    /// The numbers of one record.
    width: usize,
    /// The numbers, `[batch, width]`.
    values: Vec<f32>,
}

/// The body of a response.
pub struct Body {
    bytes: Vec<u8>,
    /// The length of the JSON in front of binary data; none without such.
    json: Option<usize>,
}

/// Makes the body of a response: the outputs that were asked for, in their order, and the warnings of the records.
pub fn body(
    classifier: &Classifier,
    answers: &[Answer],
    outputs: &[Requested],
    id: Option<&str>,
    warnings: &str,
) -> Body {
    let tensors: Vec<Tensor> = outputs.iter().map(|&requested| tensor(classifier, answers, requested)).collect();
    let mut head = json!({ "model_name": MODEL, "model_version": VERSION });
    if let Some(id) = id {
        head["id"] = id.into();
    }
    if !warnings.is_empty() {
        head["parameters"] = json!({ "warnings": warnings });
    }
    let described: Vec<String> = tensors.iter().map(|tensor| describe(tensor, answers.len())).collect();
    let mut bytes = with_field(&head, "outputs", &format!("[{}]", described.join(","))).into_bytes();
    let length = bytes.len();
    let mut binary = tensors.iter().filter(|tensor| tensor.requested.binary).peekable();
    let json = binary.peek().map(|_| length);
    for tensor in binary {
        bytes.extend(tensor.values.iter().flat_map(|value| value.to_le_bytes()));
    }
    Body { bytes, json }
}

fn tensor(classifier: &Classifier, answers: &[Answer], requested: Requested) -> Tensor {
    let contract = classifier.contract();
    let mut values = Vec::new();
    for Answer { output, index, batch } in answers {
        let all = if requested.output == Output::Embedding { &output.embedding } else { &output.logits };
        let width = all.len() / batch;
        let of_record = all[index * width..][..width].iter();
        match requested.output {
            Output::Probabilities => values.extend(of_record.map(|&logit| contract.probability(logit) as f32)),
            Output::Logits | Output::Embedding => values.extend(of_record),
        }
    }
    Tensor { requested, width: values.len() / answers.len().max(1), values }
}

/// Returns the JSON of a tensor, with its numbers or their size.
fn describe(tensor: &Tensor, batch: usize) -> String {
    let mut head = json!({
        "name": tensor.requested.output.name(), "datatype": "FP32", "shape": [batch, tensor.width],
    });
    if tensor.requested.binary {
        head["parameters"] = json!({ "binary_data_size": size_of_val(&tensor.values[..]) });
        return head.to_string();
    }
    // As they are in 32 bits: a tree of values would write them as 64-bit numbers.
    with_field(&head, "data", &serde_json::to_string(&tensor.values).unwrap_or_else(|_| "null".into()))
}

/// Returns an object that is not empty as JSON, with one more field.
fn with_field(object: &Value, name: &str, value: &str) -> String {
    let mut text = object.to_string();
    text.pop();
    text + &format!(",\"{name}\":{value}}}")
}

impl IntoResponse for Body {
    fn into_response(self) -> Response {
        let kind = if self.json.is_some() { "application/octet-stream" } else { "application/json" };
        let length = self.json.map(|length| (JSON_LENGTH, HeaderValue::from(length)));
        let headers: [(HeaderName, HeaderValue); 1] = [(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
        let mut response = (headers, self.bytes).into_response();
        response.headers_mut().extend(length);
        response
    }
}
