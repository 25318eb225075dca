//! The description of all routes in OpenAPI 3.1, made from the handlers themselves.

mod responses;
pub mod schemas;

use axum::response::Response;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use super::{
    log::Served,
    open_inference::model::{ModelName, ModelVersion},
    predict::json,
    routes,
};
pub use responses::{Failures, NotReady, Refusals};

/// What is said of the server as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "ecgpu",
        description = "Classifies 12-lead ECGs. For research; not a medical device.\n\nWhere the server has a file of tokens, \
            routes marked so need one of them. A client may name its request with the header X-Request-Id; every response \
            repeats the name or gives one.",
    ),
    components(schemas(schemas::Failure, schemas::ProtocolFailure, ModelName, ModelVersion)),
    modifiers(&Token),
    tags(
        (name = "predict", description = "Recordings in, predictions out."),
        (name = "open inference", description = "The Open Inference Protocol, version 2."),
        (name = "toolkit", description = "The conventions of Hugging Face's inference toolkit."),
        (name = "operation", description = "Health, metrics, and this description."),
    ),
)]
struct Description;

/// The scheme of the tokens.
struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A token of the server's file")).build();
        openapi.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// Returns the description of all routes as JSON: OpenAPI 3.1.
pub fn openapi() -> String {
    let (open, with_token) = routes();
    let described = OpenApiRouter::with_openapi(Description::openapi()).merge(open).merge(with_token);
    // What the derived types hold can always be written.
    described.into_openapi().to_pretty_json().unwrap_or_default()
}

/// Describes all routes
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "operation",
    responses((status = 200, description = "This description", body = schemas::AnyObject)),
)]
pub async fn description() -> Response {
    json(openapi(), Served::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_summary_a_success_and_an_own_name() {
        let document: serde_json::Value = serde_json::from_str(&openapi()).unwrap();
        let mut names = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let name = format!("{method} {path}");
                assert!(operation["summary"].is_string() && operation["tags"].is_array(), "{name}");
                assert!(operation["responses"]["200"].is_object(), "{name}");
                let has_body = operation.get("requestBody").is_some();
                assert_eq!(operation.get("security").is_some() && method == "post", has_body, "{name}");
                assert_eq!(operation.get("security").is_some(), operation["responses"].get("401").is_some(), "{name}");
                names.push(operation["operationId"].to_string());
            }
        }
        for path in ["/", "/api/predict", "/v2/models/{model}/versions/{version}/infer", "/metrics", "/openapi.json"] {
            assert!(document["paths"].get(path).is_some(), "{path}");
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
    }
}
