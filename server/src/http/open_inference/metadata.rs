//! What the server and its model are, and whether they are ready.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use super::{
    INPUT, MODEL, Refusal, VERSION,
    model::{Model, ModelName, ModelVersion},
    request::Output,
};
use crate::http::{
    App,
    failure::Failure,
    openapi::{
        NotReady,
        schemas::{ModelMetadata, ProtocolFailure, ServerMetadata},
    },
};

/// Answers what the server is
#[utoipa::path(
    get,
    path = "/v2",
    operation_id = "server_metadata",
    tag = "open inference",
    responses((status = 200, description = "Name, version and extensions", body = ServerMetadata)),
)]
pub async fn server() -> Json<Value> {
    Json(json!({ "name": "ecgpu", "version": VERSION, "extensions": ["binary_tensor_data"] }))
}

/// Answers what the model takes and gives
#[utoipa::path(
    get,
    path = "/v2/models/{model}",
    operation_id = "model_metadata",
    tag = "open inference",
    params(("model" = ModelName, Path)),
    responses(
        (status = 200, description = "Inputs and outputs", body = ModelMetadata),
        (status = 404, description = "Another model", body = ProtocolFailure),
        NotReady,
    ),
)]
pub async fn model(State(app): State<Arc<App>>, _: Model) -> Result<Json<Value>, Refusal> {
    let classifier = app.engine()?.classifier();
    let (network, contract) = (&classifier.folded().network, classifier.contract());
    let shapes = network.shapes(contract.samples).map_err(Failure::from)?;
    let features: usize = shapes.get(network.embedding).map_or(0, |shape| shape.iter().product());
    let outputs = Output::ALL.map(|output| {
        let width = if output == Output::Embedding { features } else { contract.classes.len() };
        json!({ "name": output.name(), "datatype": "FP32", "shape": [-1, width] })
    });
    Ok(Json(json!({
        "name": MODEL,
        "versions": [VERSION],
        "platform": "ecgpu",
        "inputs": [{ "name": INPUT, "datatype": "FP32", "shape": [-1, contract.leads.len(), -1] }],
        "outputs": outputs,
    })))
}

/// Answers what a version of the model takes and gives
#[utoipa::path(
    get,
    path = "/v2/models/{model}/versions/{version}",
    operation_id = "model_version_metadata",
    tag = "open inference",
    params(("model" = ModelName, Path), ("version" = ModelVersion, Path)),
    responses(
        (status = 200, description = "Inputs and outputs", body = ModelMetadata),
        (status = 404, description = "Another model or version", body = ProtocolFailure),
        NotReady,
    ),
)]
pub async fn model_version(state: State<Arc<App>>, named: Model) -> Result<Json<Value>, Refusal> {
    model(state, named).await
}

/// Answers that the server lives
#[utoipa::path(
    get,
    path = "/v2/health/live",
    operation_id = "server_live",
    tag = "open inference",
    responses((status = 200, description = "It lives")),
)]
pub async fn live() -> StatusCode {
    StatusCode::OK
}

/// Answers whether the server takes requests
#[utoipa::path(
    get,
    path = "/v2/health/ready",
    operation_id = "server_ready",
    tag = "open inference",
    responses((status = 200, description = "It does"), NotReady),
)]
pub async fn ready(State(app): State<Arc<App>>) -> Result<StatusCode, Refusal> {
    app.ready().map_err(Failure::unavailable)?;
    Ok(StatusCode::OK)
}

/// Answers whether the model takes requests
///
/// It does whenever the server does.
#[utoipa::path(
    get,
    path = "/v2/models/{model}/ready",
    operation_id = "model_ready",
    tag = "open inference",
    params(("model" = ModelName, Path)),
    responses(
        (status = 200, description = "It does"),
        (status = 404, description = "Another model", body = ProtocolFailure),
        NotReady,
    ),
)]
pub async fn model_ready(state: State<Arc<App>>, _: Model) -> Result<StatusCode, Refusal> {
    ready(state).await
}

/// Answers whether a version of the model takes requests
///
/// It does whenever the server does.
#[utoipa::path(
    get,
    path = "/v2/models/{model}/versions/{version}/ready",
    operation_id = "model_version_ready",
    tag = "open inference",
    params(("model" = ModelName, Path), ("version" = ModelVersion, Path)),
    responses(
        (status = 200, description = "It does"),
        (status = 404, description = "Another model or version", body = ProtocolFailure),
        NotReady,
    ),
)]
pub async fn model_version_ready(state: State<Arc<App>>, _: Model) -> Result<StatusCode, Refusal> {
    ready(state).await
}
