//! `GET /healthz` and `GET /readyz`, which never touch the queue.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{App, openapi::schemas::Status};

/// Answers that the process lives
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    tag = "operation",
    responses((status = 200, description = "The process lives", body = Status)),
)]
pub async fn healthz() -> Response {
    Json(json!({ "status": "alive" })).into_response()
}

/// Answers whether the server takes requests
///
/// It has warmed up, passed its check, has a device and does not drain.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "operation",
    responses(
        (status = 200, description = "It does", body = Status),
        (status = 503, description = "Why it does not, in a word", body = Status),
    ),
)]
pub async fn readyz(State(app): State<Arc<App>>) -> Response {
    match app.ready() {
        Ok(()) => Json(json!({ "status": "ready" })).into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": why }))).into_response(),
    }
}
