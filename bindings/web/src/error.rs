//! Errors on their way to JavaScript.

use ecgpu::{Error, Hint};
use serde_json::json;
use wasm_bindgen::JsValue;

/// What an exported function returns.
pub(crate) type Result<T> = std::result::Result<T, JsValue>;

/// Returns what is thrown for an error: JSON with `kind`, `cause`, `remedy` and, where an option of `read` follows the
/// remedy, `option`.
pub(crate) fn thrown(error: Error) -> JsValue {
    let kind = format!("{:?}", error.kind()).to_lowercase();
    let option = error.hint().and_then(option);
    let remedy = match option {
        Some(option) => format!("{} (option {option})", error.remedy()),
        None => error.remedy().into(),
    };
    json!({ "kind": kind, "cause": error.cause(), "remedy": remedy, "option": option }).to_string().into()
}

/// Returns the option of `read` by which a user follows a hint.
fn option(hint: Hint) -> Option<&'static str> {
    Some(match hint {
        Hint::StateUnit => "unit",
        Hint::StateSamplingRate => "samplingRateHz",
        Hint::NameLeads => "leads",
        _ => return None,
    })
}
