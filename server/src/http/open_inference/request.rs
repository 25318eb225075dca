//! The request of an inference: JSON with the input tensor in it, or with binary data behind it.

use serde_json::Value;

use super::{
    INPUT, MODEL,
    tensor::{self, Datatype},
};
use crate::http::{
    failure::{Failure, Outcome},
    json_reader::Reader,
    numbers_json::{self, Most, Numbers},
    wanted::{Given, Wanted},
};

/// The parameters that say how the input is to be read.
const OPTIONS: [&str; 4] = ["sampling_rate_hz", "unit", "leads", "raw"];

/// An output of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Logits,
    Probabilities,
    Embedding,
}

impl Output {
    pub const ALL: [Self; 3] = [Self::Logits, Self::Probabilities, Self::Embedding];

    pub fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::Embedding => "embedding",
        }
    }
}

/// An output that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requested {
    pub output: Output,
    /// Whether its numbers follow the JSON as bytes.
    pub binary: bool,
}

/// A request, read.
#[derive(Debug)]
pub struct InferRequest {
    /// What the response repeats.
    pub id: Option<String>,
    pub outputs: Vec<Requested>,
    pub numbers: Numbers,
    pub wanted: Wanted,
}

/// The input tensor as the JSON has it.
#[derive(Default)]
struct Input {
    named: bool,
    datatype: Option<Datatype>,
    shape: Option<[usize; 3]>,
    /// The bytes of its binary data.
    binary: Option<usize>,
    data: Option<Numbers>,
}

/// Reads a request. `binary` are the bytes behind the JSON.
///
/// # Errors
/// 400, 413, 422 or 501: what is wrong with it.
pub fn read(json: &[u8], binary: &[u8], most: Most) -> Outcome<InferRequest> {
    let mut reader = Reader::new(json);
    let (mut id, mut input, mut outputs, mut wanted, mut all_binary) = (None, None, None, Wanted::default(), false);
    reader.object("expected an object with inputs", |reader, name| {
        match name {
            "id" => id = Some(text(&reader.value(name)?, name)?),
            "inputs" => input = Some(inputs(reader, most)?),
            "outputs" => outputs = Some(requested(&reader.value(name)?)?),
            "parameters" => all_binary = parameters(&reader.value(name)?, &mut wanted)?,
            // Clients of Triton repeat what the path says.
            "model_name" | "model_version" => drop(reader.value(name)?),
            _ => return Err(unknown(name, "the request")),
        }
        Ok(())
    })?;
    reader.end()?;
    wanted.check()?;
    let none = || Failure::invalid("there are no inputs", format!("give the input '{INPUT}'"));
    let numbers = numbers(input.flatten().ok_or_else(none)?, binary)?;
    let outputs = outputs.filter(|outputs: &Vec<_>| !outputs.is_empty());
    let outputs = outputs.unwrap_or_else(|| Output::ALL.map(|output| (output, None)).to_vec());
    let outputs =
        outputs.into_iter().map(|(output, binary)| Requested { output, binary: binary.unwrap_or(all_binary) });
    Ok(InferRequest { id, outputs: outputs.collect(), numbers, wanted })
}

/// Reads the list of inputs, of which there must be one.
fn inputs(reader: &mut Reader, most: Most) -> Outcome<Option<Input>> {
    let mut found = None;
    reader.array("expected an array of inputs", |reader| {
        if found.is_some() {
            let cause = format!("the model '{MODEL}' has one input");
            return Err(Failure::invalid(cause, format!("give '{INPUT}' alone")));
        }
        let mut input = Input::default();
        reader.object("expected an object of an input", |reader, name| field(reader, name, &mut input, most))?;
        found = Some(input);
        Ok(())
    })?;
    Ok(found)
}

/// Reads a field of the input.
fn field(reader: &mut Reader, name: &str, input: &mut Input, most: Most) -> Outcome<()> {
    match name {
        "name" => {
            if reader.value(name)?.as_str() != Some(INPUT) {
                let cause = format!("an input that the model '{MODEL}' does not have");
                return Err(Failure::invalid(cause, format!("give '{INPUT}'")));
            }
            input.named = true;
        }
        "datatype" => input.datatype = Some(Datatype::of(&reader.value(name)?)?),
        "shape" => input.shape = Some(tensor::shape(&reader.value(name)?)?),
        "parameters" => {
            for (name, value) in object(&reader.value(name)?, "the parameters of the input")? {
                let size = value.as_u64().and_then(|size| size.try_into().ok());
                match (name.as_str(), size) {
                    ("binary_data_size", Some(size)) => input.binary = Some(size),
                    ("binary_data_size", None) => {
                        return Err(Failure::invalid("binary_data_size is no number of bytes", "give a whole number"));
                    }
                    _ => return Err(unknown(name, "the parameters of the input")),
                }
            }
        }
        "data" => {
            reader.next();
            let (numbers, end) = numbers_json::read_data(reader.text, reader.at, most)?;
            (input.data, reader.at) = (Some(numbers), end);
        }
        _ => return Err(unknown(name, "the input")),
    }
    Ok(())
}

/// Returns the numbers of the input, from its JSON or from the binary data.
fn numbers(input: Input, binary: &[u8]) -> Outcome<Numbers> {
    let missing = |what: &str| Failure::invalid(format!("the input has no {what}"), format!("give its {what}"));
    let Input { named, datatype, shape, binary: size, data } = input;
    if !named {
        return Err(missing("name"));
    }
    let datatype = datatype.ok_or_else(|| missing("datatype"))?;
    let shape = shape.ok_or_else(|| missing("shape"))?;
    let size_of_binary = size.unwrap_or(0);
    if size_of_binary != binary.len() {
        let cause = format!("{} bytes behind the JSON, and binary_data_size is {size_of_binary}", binary.len());
        let remedy = "let it and the header Inference-Header-Content-Length agree with the body";
        return Err(Failure::invalid(cause, remedy));
    }
    match (data, size) {
        (Some(_), None) if datatype == Datatype::Fp16 => {
            Err(Failure::invalid("numbers of FP16 in JSON", "send them as binary data, or as FP32"))
        }
        (Some(data), None) => tensor::from_json(data, shape),
        (None, Some(_)) => tensor::from_bytes(binary, datatype, shape),
        (None, None) => Err(missing("data")),
        (Some(_), Some(_)) => Err(Failure::invalid("an input with both data and binary data", "give one of them")),
    }
}

/// Takes the parameters of the request. Returns whether outputs are asked for as binary data.
fn parameters(value: &Value, wanted: &mut Wanted) -> Outcome<bool> {
    let mut all_binary = false;
    for (name, value) in object(value, "parameters")? {
        match name.as_str() {
            "binary_data_output" => all_binary = boolean(value, name)?,
            "sequence_id" | "sequence_start" | "sequence_end" | "priority" | "timeout" => {
                let cause = format!("the parameter {name} has no meaning for this server");
                return Err(Failure::unsupported(cause, "leave it out"));
            }
            _ if OPTIONS.contains(&name.as_str()) => match value {
                // Parameters of the protocol are no lists: leads are joined by commas.
                Value::String(text) => wanted.set(name, Given::Text(text))?,
                value => wanted.set(name, Given::Json(value.clone()))?,
            },
            _ => return Err(unknown(name, "the parameters")),
        }
    }
    Ok(all_binary)
}

/// Returns the outputs that are asked for, each with what it says about binary data.
fn requested(value: &Value) -> Outcome<Vec<(Output, Option<bool>)>> {
    let list = value.as_array().ok_or_else(|| Failure::invalid("outputs is no array", "give a list of outputs"))?;
    let mut outputs: Vec<(Output, Option<bool>)> = Vec::new();
    for item in list {
        let (mut output, mut binary) = (None, None);
        for (name, value) in object(item, "an output")? {
            match name.as_str() {
                "name" => output = Output::ALL.into_iter().find(|output| value.as_str() == Some(output.name())),
                "parameters" => {
                    for (name, value) in object(value, "the parameters of an output")? {
                        match name.as_str() {
                            "binary_data" => binary = Some(boolean(value, name)?),
                            "classification" | "shared_memory_region" => {
                                let cause = format!("the extension of the parameter {name} is not supported");
                                return Err(Failure::unsupported(cause, "leave it out"));
                            }
                            _ => return Err(unknown(name, "the parameters of an output")),
                        }
                    }
                }
                _ => return Err(unknown(name, "an output")),
            }
        }
        let names = Output::ALL.map(Output::name).join(", ");
        let output = output.ok_or_else(|| {
            Failure::invalid(format!("an output that the model '{MODEL}' does not have"), format!("use {names}"))
        })?;
        if outputs.iter().any(|(other, _)| *other == output) {
            return Err(Failure::invalid(format!("the output {} twice", output.name()), "ask for it once"));
        }
        outputs.push((output, binary));
    }
    Ok(outputs)
}

fn object<'a>(value: &'a Value, what: &str) -> Outcome<&'a serde_json::Map<String, Value>> {
    value.as_object().ok_or_else(|| Failure::invalid(format!("{what} is no object"), "give an object"))
}

fn boolean(value: &Value, name: &str) -> Outcome<bool> {
    value.as_bool().ok_or_else(|| Failure::invalid(format!("{name} is no boolean"), "give true or false"))
}

fn text(value: &Value, name: &str) -> Outcome<String> {
    let text = value.as_str().map(String::from);
    text.ok_or_else(|| Failure::invalid(format!("{name} is no text"), "give a text, or leave it out"))
}

fn unknown(name: &str, place: &str) -> Failure {
    let shown: String = name.chars().take(40).flat_map(char::escape_debug).collect();
    let (cause, remedy) = (format!("there is no field '{shown}' in {place}"), "leave it out, or correct its name");
    Failure::invalid(cause, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::numbers_json::RESERVED;

    const MOST: Most = Most { records: 10, samples: 10 };
    const HEAD: &str = r#"{"inputs":[{"name":"ecg","datatype":"FP32","shape":[1,2,2]"#;

    fn request(text: &str, binary: &[u8]) -> Outcome<InferRequest> {
        read(text.as_bytes(), binary, MOST)
    }

    #[test]
    fn data_is_flat_or_nested_or_binary() {
        let bytes: Vec<u8> = [1f32, 2.0, 3.0, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        for (rest, binary) in [
            (r#","data":[1,2,3,4]}]}"#, &[][..]),
            (r#","data":[[[1,2],[3,4]]]}]}"#, &[]),
            (r#","parameters":{"binary_data_size":16}}]}"#, &bytes),
        ] {
            let request = request(&format!("{HEAD}{rest}"), binary).unwrap();
            assert_eq!(
                (request.numbers.shape, &request.numbers.values[RESERVED..]),
                ([1, 2, 2], &[1.0, 2.0, 3.0, 4.0][..])
            );
            let all = Output::ALL.map(|output| Requested { output, binary: false });
            assert_eq!((request.id, request.outputs), (None, all.to_vec()));
        }
        let before = r#"{"inputs":[{"data":[1,2,3,4],"shape":[1,2,2],"datatype":"FP64","name":"ecg"}],"id":"a"}"#;
        assert_eq!(request(before, &[]).unwrap().id.as_deref(), Some("a"));
    }

    #[test]
    fn outputs_are_chosen_by_name_and_form() {
        let parameters = r#""parameters":{"binary_data_output":true,"unit":"uV","leads":"I,II"}"#;
        let outputs = r#""outputs":[{"name":"embedding","parameters":{"binary_data":false}},{"name":"logits"}]"#;
        let text = format!(r#"{HEAD},"data":[1,2,3,4]}}],{outputs},{parameters}}}"#);
        let request = request(&text, &[]).unwrap();
        let expected = [
            Requested { output: Output::Embedding, binary: false },
            Requested { output: Output::Logits, binary: true },
        ];
        assert_eq!(request.outputs, expected);
        assert_eq!(request.wanted.read.leads.map(|leads| leads.len()), Some(2));
        assert!(request.wanted.read.unit.is_some());
    }

    #[test]
    fn what_the_protocol_or_the_model_does_not_have_is_refused() {
        let data = r#","data":[1,2,3,4]"#;
        let body = |rest: &str| format!("{HEAD}{data}{rest}");
        for (text, status, part) in [
            ("{}".to_string(), 422, "no inputs"),
            (r#"{"inputs":[]}"#.into(), 422, "no inputs"),
            (r#"{"inputs":{}}"#.into(), 400, "expected an array of inputs"),
            (r#"{"inputs":[7]}"#.into(), 400, "expected an object of an input"),
            (r#"{"inputs":[{}]}"#.into(), 422, "no name"),
            (r#"{"inputs":[{"name":"ecg"}]}"#.into(), 422, "no datatype"),
            (r#"{"inputs":[{"name":"ecg","datatype":"FP32"}]}"#.into(), 422, "no shape"),
            (r#"{"inputs":[{"name":"x"}]}"#.into(), 422, "does not have"),
            (r#"{"inputs":[{"datatype":"INT32"}]}"#.into(), 422, "another datatype"),
            (format!("{HEAD}}}]}}"), 422, "no data"),
            (format!("{HEAD},\"data\":[1,2,3]}}]}}"), 422, "3 numbers for an input of shape [1, 2, 2]"),
            (format!("{HEAD},\"data\":[[[1,2]]]}}]}}"), 422, "data of shape [1, 1, 2]"),
            (format!("{HEAD},\"data\":[1,2,3,null]}}]}}"), 422, "data[3] is null"),
            (format!("{HEAD},\"data\":[[[1,2],[3,NaN]]]}}]}}"), 422, "data[0][1][1] is not finite"),
            (body(",\"dataype\":1}]}"), 422, "no field 'dataype'"),
            (body("},{}]}"), 422, "one input"),
            (body("}],\"inputs\":[]}"), 400, "twice"),
            (body("}],\"id\":7}"), 422, "id is no text"),
            (body("}],\"outputs\":[{\"name\":\"x\"}]}"), 422, "use logits, probabilities, embedding"),
            (body("}],\"outputs\":[{\"name\":\"logits\"},{\"name\":\"logits\"}]}"), 422, "twice"),
            (
                body("}],\"outputs\":[{\"name\":\"logits\",\"parameters\":{\"classification\":2}}]}"),
                501,
                "classification",
            ),
            (body("}],\"parameters\":{\"sequence_id\":1}}"), 501, "sequence_id"),
            (body("}],\"parameters\":{\"sampling_rate\":1}}"), 422, "no field 'sampling_rate'"),
            (body("}],\"parameters\":{\"unit\":\"kV\"}}"), 422, "unknown unit"),
            (body(",\"parameters\":{\"binary_data_size\":16}}]}"), 422, "0 bytes behind the JSON"),
            (body("}]} x"), 400, "more after the object"),
        ] {
            let failure = request(&text, &[]).unwrap_err();
            assert_eq!(failure.status.as_u16(), status, "{text}: {}", failure.text());
            assert!(failure.text().contains(part), "{text}: {}", failure.text());
        }
        assert!(request(&body("}]}"), &[0; 4]).unwrap_err().text().contains("4 bytes behind the JSON"));
    }

    #[test]
    fn no_cut_request_panics() {
        let text = format!(r#"{HEAD},"data":[[[1,2],[3,4]]]}}],"outputs":[{{"name":"logits"}}]}}"#);
        (0..text.len()).for_each(|end| assert!(request(&text[..end], &[]).is_err()));
    }
}
