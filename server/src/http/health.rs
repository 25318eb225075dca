//! `GET /healthz` and `GET /readyz`, which never touch the queue.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::App;

/// Answers that the process lives.
pub async fn healthz() -> Response {
    Json(json!({ "status": "alive" })).into_response()
}

/// Answers whether the server takes requests: it has warmed up, passed its check, has a device and does not drain.
pub async fn readyz(State(app): State<Arc<App>>) -> Response {
    match app.ready() {
        Ok(()) => Json(json!({ "status": "ready" })).into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": why }))).into_response(),
    }
}
