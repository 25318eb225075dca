//! The name and the version of the model in a path.

use std::collections::HashMap;

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema,
        schema::{SchemaType, Type},
    },
};

use super::{MODEL, Refusal, VERSION};
use crate::http::failure::Failure;

/// The name of the one model.
pub struct ModelName;

/// The one version of the model.
pub struct ModelVersion;

impl ToSchema for ModelName {}

impl PartialSchema for ModelName {
    fn schema() -> RefOr<Schema> {
        one_of(MODEL)
    }
}

impl ToSchema for ModelVersion {}

impl PartialSchema for ModelVersion {
    fn schema() -> RefOr<Schema> {
        one_of(VERSION)
    }
}

/// Returns the schema of a text that must be this one.
fn one_of(text: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).enum_values(Some([text])).into()
}

/// The one model, in its one version; a path that names another is refused with 404.
pub struct Model;

impl<S: Send + Sync> FromRequestParts<S> for Model {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<HashMap<String, String>>::from_request_parts(parts, state).await;
        let names = path.map_or_else(|_| HashMap::new(), |Path(names)| names);
        check(names.get("model").map(String::as_str), names.get("version").map(String::as_str))?;
        Ok(Self)
    }
}

fn check(model: Option<&str>, version: Option<&str>) -> Result<(), Failure> {
    let shown = |name: &str| name.chars().take(40).flat_map(char::escape_debug).collect::<String>();
    match (model, version) {
        (Some(MODEL), None | Some(VERSION)) => Ok(()),
        (Some(MODEL), Some(version)) => {
            let cause = format!("the model '{MODEL}' has no version '{}'", shown(version));
            Err(Failure::missing(cause, format!("use version {VERSION}, or name none")))
        }
        (model, _) => {
            let cause = format!("there is no model '{}'", shown(model.unwrap_or_default()));
            Err(Failure::missing(cause, format!("use the model '{MODEL}'")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_model_in_its_version_is_there() {
        for (model, version, part) in [
            (Some(MODEL), None, None),
            (Some(MODEL), Some(VERSION), None),
            (Some(MODEL), Some("1"), Some("has no version '1'")),
            (Some("resnet\n"), Some(VERSION), Some("no model 'resnet\\n'")),
            (None, None, Some("no model ''")),
        ] {
            let outcome = check(model, version).map_err(|failure| (failure.status.as_u16(), failure.text()));
            match (outcome, part) {
                (Ok(()), None) => {}
                (Err((404, text)), Some(part)) if text.contains(part) => {}
                (outcome, _) => panic!("{model:?} {version:?}: {outcome:?}"),
            }
        }
    }
}
