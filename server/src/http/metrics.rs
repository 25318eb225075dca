//! `GET /metrics`, for Prometheus.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use super::{App, openapi::schemas::Failure};
use crate::observe;

/// The type of Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers with the metrics
///
/// In Prometheus' text format, version 0.0.4.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "operation",
    security(("token" = [])),
    responses(
        (status = 200, description = "The metrics", body = String, content_type = "text/plain"),
        (status = 401, description = "No token, or another one than the server's", body = Failure),
    ),
)]
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    let counts = app.engine().ok().map(|engine| engine.counts());
    ([(header::CONTENT_TYPE, TEXT)], observe::text(app.ready().is_ok(), counts)).into_response()
}
