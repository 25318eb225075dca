//! What a request asks for besides its recordings: options in JSON, in a query, or in the fields of a form.

use ecgpu::{
    Error,
    ecg::{Lead, Unit, format::ReadOptions},
};
use serde_json::Value;

use super::failure::{Failure, Outcome};

/// The names of the options.
pub const NAMES: [&str; 8] = ["sampling_rate_hz", "unit", "leads", "embedding", "explain", "signals", "raw", "name"];

/// The options of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// What the recordings do not state themselves.
    pub read: ReadOptions,
    /// Whether the embedding is asked for.
    pub embedding: bool,
    /// Whether an explanation is asked for.
    pub explain: bool,
    /// The class that is explained; the most probable one if none.
    pub class: Option<String>,
    /// Whether the recordings are asked for, in millivolts.
    pub signals: bool,
    /// Whether the numbers go into the network as they are.
    pub raw: bool,
    /// The name of the file in the body.
    pub name: Option<String>,
}

/// The options of a file in the query; in a form they are fields, and in JSON they are in the JSON.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the query is read without it: it only describes")]
pub struct FileOptions {
    /// The name of the file, where the header Content-Disposition does not give it.
    #[param(nullable = false)]
    name: Option<String>,
    /// Samples per second, where the file does not state them.
    #[param(exclusive_minimum = 0, nullable = false)]
    sampling_rate_hz: Option<f64>,
    /// The unit, where the file does not state it.
    #[param(inline, nullable = false)]
    unit: Option<super::openapi::schemas::Unit>,
    /// The leads in the order of the rows, joined by commas.
    #[param(nullable = false)]
    leads: Option<String>,
    /// Whether predictions have the embedding.
    #[param(nullable = false)]
    embedding: Option<bool>,
    /// `true`, `false`, or the name of the class that is explained.
    #[param(nullable = false)]
    explain: Option<String>,
    /// Whether predictions have the leads in millivolts.
    #[param(nullable = false)]
    signals: Option<bool>,
    /// Whether the numbers go into the network as they are.
    #[param(nullable = false)]
    raw: Option<bool>,
}

/// The value of an option.
pub enum Given<'a> {
    /// Text of a query or a form.
    Text(&'a str),
    /// A value of JSON.
    Json(Value),
}

impl Wanted {
    /// Takes an option.
    ///
    /// # Errors
    /// 422: there is no such option, or its value makes no sense.
    pub fn set(&mut self, name: &str, given: Given) -> Outcome<()> {
        match name {
            "sampling_rate_hz" => self.read.sampling_rate = Some(number(name, &given)?),
            "unit" => self.read.unit = Some(text(name, &given)?.parse::<Unit>().map_err(|error| about(name, &error))?),
            "leads" => self.read.leads = Some(leads(name, &given)?),
            "embedding" => self.embedding = boolean(name, &given)?,
            "signals" => self.signals = boolean(name, &given)?,
            "raw" => self.raw = boolean(name, &given)?,
            "name" => self.name = Some(text(name, &given)?.to_string()),
            "explain" => match boolean(name, &given) {
                Ok(explain) => self.explain = explain,
                Err(_) => {
                    self.explain = true;
                    self.class = Some(text(name, &given)?.to_string());
                }
            },
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    /// Checks that the options make sense together.
    ///
    /// # Errors
    /// 422: they do not.
    pub fn check(&self) -> Outcome<()> {
        self.read.check().map_err(|error| about("sampling_rate_hz or leads", &error))?;
        let stated = self.read != ReadOptions::default();
        if self.raw && (stated || self.explain || self.signals) {
            let cause = "raw numbers have no sampling rate, unit, leads, signals or explanation";
            return Err(Failure::invalid(cause, "leave out raw, or the others"));
        }
        Ok(())
    }
}

/// Makes a failure of an option that does not exist.
pub fn unknown(name: &str) -> Failure {
    let shown: String = name.chars().take(40).flat_map(char::escape_debug).collect();
    Failure::invalid(format!("there is no field '{shown}'"), format!("use {}", NAMES.join(", ")))
}

fn about(name: &str, error: &Error) -> Failure {
    Failure::invalid(format!("{name}: {}", error.cause()), error.remedy().to_string())
}

fn no(name: &str, what: &str) -> Failure {
    Failure::invalid(format!("{name} is no {what}"), format!("give a {what}, or leave {name} out"))
}

fn number(name: &str, given: &Given) -> Outcome<f64> {
    let number = match given {
        Given::Text(text) => text.trim().parse().ok(),
        Given::Json(value) => value.as_f64(),
    };
    number.ok_or_else(|| no(name, "number"))
}

fn boolean(name: &str, given: &Given) -> Outcome<bool> {
    let boolean = match given {
        Given::Text("true" | "1") => Some(true),
        Given::Text("false" | "0") => Some(false),
        Given::Text(_) => None,
        Given::Json(value) => value.as_bool(),
    };
    boolean.ok_or_else(|| no(name, "boolean"))
}

fn text<'a>(name: &str, given: &'a Given) -> Outcome<&'a str> {
    let text = match given {
        Given::Text(text) => Some(*text),
        Given::Json(value) => value.as_str(),
    };
    text.filter(|text| !text.is_empty() && text.len() <= 1000).ok_or_else(|| no(name, "text"))
}

fn leads(name: &str, given: &Given) -> Outcome<Vec<Lead>> {
    let names: Option<Vec<&str>> = match given {
        Given::Text(text) => Some(text.split(',').collect()),
        Given::Json(value) => value.as_array().and_then(|names| names.iter().map(Value::as_str).collect()),
    };
    let names = names.ok_or_else(|| no(name, "list of leads"))?;
    names.into_iter().map(str::parse).collect::<Result<_, Error>>().map_err(|error| about(name, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(name: &str, given: Given) -> Outcome<Wanted> {
        let mut wanted = Wanted::default();
        wanted.set(name, given)?;
        wanted.check()?;
        Ok(wanted)
    }

    #[test]
    fn an_option_means_the_same_in_a_query_and_in_json() {
        for (name, text, value) in [
            ("sampling_rate_hz", "500", json!(500)),
            ("unit", "uV", json!("uV")),
            ("leads", "I,II", json!(["I", "II"])),
            ("embedding", "true", json!(true)),
            ("explain", "MI", json!("MI")),
            ("explain", "true", json!(true)),
            ("signals", "1", json!(true)),
            ("raw", "true", json!(true)),
        ] {
            let of_text = set(name, Given::Text(text)).unwrap();
            assert_eq!(of_text, set(name, Given::Json(value)).unwrap(), "{name}");
            assert_ne!(of_text, Wanted::default(), "{name}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (name, value, part) in [
            ("sampling_rate_hz", json!("500"), "sampling_rate_hz is no number"),
            ("sampling_rate_hz", json!(-1), "a sampling rate of -1 Hz"),
            ("unit", json!("kV"), "unit: unknown unit 'kV': use mV, uV, nV or V"),
            ("leads", json!([]), "an empty list of leads"),
            ("leads", json!("I,II"), "leads is no list of leads"),
            ("leads", json!(["I", "V9"]), "'V9' is not a lead"),
            ("embedding", json!("yes"), "embedding is no boolean"),
            ("explain", json!(3), "explain is no text"),
            ("sampling_rate", json!(500), "there is no field 'sampling_rate': use sampling_rate_hz"),
        ] {
            let failure = set(name, Given::Json(value)).unwrap_err();
            assert!(failure.text().contains(part), "{part}: {}", failure.text());
        }
    }
}
