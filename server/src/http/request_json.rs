//! The JSON of a request: an object with `inputs` and options.

use serde_json::Value;

use super::{
    failure::{Failure, Outcome},
    json_reader::Reader,
    numbers_json::{self, Most, Numbers},
    wanted::{Given, NAMES, Wanted, unknown},
};

/// How a server's clients write options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Beside `inputs`.
    Flat,
    /// In an object `parameters` beside `inputs`, as Hugging Face's toolkit has them.
    Parameters,
}

/// Reads a request. The array is read without a tree of values; only options become values.
///
/// # Errors
/// 400 where the text is no JSON object, 413 and 422 as for its parts.
pub fn read(text: &[u8], style: Style, most: Most) -> Outcome<(Numbers, Wanted)> {
    let mut reader = Reader::new(text);
    let (mut numbers, mut wanted) = (None, Wanted::default());
    reader.object("expected an object with inputs", |reader, name| {
        match name {
            "inputs" => {
                reader.next();
                let (read, end) = numbers_json::read(text, reader.at, most)?;
                (numbers, reader.at) = (Some(read), end);
            }
            "parameters" if style == Style::Parameters => parameters(reader.value(name)?, &mut wanted)?,
            _ if style == Style::Flat && NAMES.contains(&name) => {
                // A null means the same as nothing.
                match reader.value(name)? {
                    Value::Null => {}
                    value => wanted.set(name, Given::Json(value))?,
                }
            }
            _ => return Err(unknown(name)),
        }
        Ok(())
    })?;
    reader.end()?;
    wanted.check()?;
    let none = || Failure::invalid("there are no inputs", "give \"inputs\": [batch, leads, samples]");
    Ok((numbers.ok_or_else(none)?, wanted))
}

/// Takes the options of an object.
fn parameters(value: Value, wanted: &mut Wanted) -> Outcome<()> {
    match value {
        Value::Null => Ok(()),
        Value::Object(fields) => {
            let mut given = fields.into_iter().filter(|(_, value)| !value.is_null());
            given.try_for_each(|(name, value)| wanted.set(&name, Given::Json(value)))
        }
        _ => Err(Failure::invalid("parameters is no object", "give an object, or leave parameters out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Most = Most { records: 10, samples: 10 };

    fn failure(text: &str) -> (u16, String) {
        let failure = read(text.as_bytes(), Style::Flat, MOST).unwrap_err();
        (failure.status.as_u16(), failure.text())
    }

    #[test]
    fn fields_come_in_any_order() {
        let text = r#" {"embedding":true , "inputs": [[1,2]] ,"unit":"uV","explain":null} "#;
        let (numbers, wanted) = read(text.as_bytes(), Style::Flat, MOST).unwrap();
        assert_eq!((numbers.shape, wanted.embedding, wanted.explain), ([1, 1, 2], true, false));
        let text = r#"{"inputs": [[[1,2]]], "parameters": {"embedding": true}}"#;
        assert!(read(text.as_bytes(), Style::Parameters, MOST).unwrap().1.embedding);
    }

    #[test]
    fn other_texts_are_refused() {
        let deep = format!("{{\"unit\":{}", "[".repeat(2000));
        let long = format!("{{\"unit\":\"{}\"}}", "x".repeat(5000));
        for (text, status, part) in [
            ("", 400, "expected an object"),
            ("[]", 400, "expected an object"),
            ("\u{feff}{}", 400, "expected an object"),
            ("{}", 422, "no inputs"),
            ("{\"inputs\"", 400, "colon"),
            ("{\"inputs\":[[1]]", 400, "the end of the object"),
            ("{\"inputs\":[[1]],}", 400, "the name of a field"),
            ("{\"inputs\":[[1]]} {}", 400, "more after the object"),
            ("{\"inputs\":[[1]],\"inputs\":[[1]]}", 400, "twice"),
            ("{\"inputs\":[[1]],\"Unit\":\"mV\"}", 422, "no field 'Unit'"),
            ("{\"inputs\":[[1]],\"parameters\":{}}", 422, "no field 'parameters'"),
            ("{inputs:[[1]]}", 400, "the name of a field"),
            ("{\"unit\":nope}", 400, "the value of unit is no JSON"),
            (&deep, 400, "the value of unit is no JSON"),
            (&long, 413, "unit has more than 4096 bytes"),
        ] {
            let (found, message) = failure(text);
            assert!(found == status && message.contains(part), "{text:.60}: {found} {message}");
        }
    }
}
