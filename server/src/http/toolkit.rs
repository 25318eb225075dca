//! The conventions of Hugging Face's inference toolkit: `POST /` and `/predict` with `inputs` and `parameters`, `GET /` and
//! `/health`.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, Request, header},
    response::{IntoResponse, Response},
};

use super::{
    App,
    failure::{Failure, Outcome},
    openapi::{Failures, NotReady, schemas},
    page,
    predict::{json, predictions},
    request_json::Style,
    wanted::FileOptions,
};

/// Classify recordings
///
/// As `POST /api/predict`, with the options of JSON in `parameters`, and a list as the result. What is wrong with the input
/// has status 400.
#[utoipa::path(
    post,
    path = "/",
    operation_id = "toolkit_predict",
    tag = "toolkit",
    security(("token" = [])),
    params(FileOptions),
    request_body(content(
        (schemas::ToolkitRequest = "application/json"),
        (schemas::Form = "multipart/form-data"),
        (Vec<u8> = "application/octet-stream"),
    )),
    responses((status = 200, description = "A prediction of each record", body = [schemas::Prediction]), Failures),
)]
pub async fn predict(State(app): State<Arc<App>>, request: Request<Body>) -> Outcome<Response> {
    let (text, served) = predictions(&app, request, Style::Parameters).await.map_err(Failure::into_bad_request)?;
    Ok(json(text, served))
}

/// Classify recordings
///
/// The same as `POST /`.
#[utoipa::path(
    post,
    path = "/predict",
    operation_id = "toolkit_predict_named",
    tag = "toolkit",
    security(("token" = [])),
    params(FileOptions),
    request_body(content(
        (schemas::ToolkitRequest = "application/json"),
        (schemas::Form = "multipart/form-data"),
        (Vec<u8> = "application/octet-stream"),
    )),
    responses((status = 200, description = "A prediction of each record", body = [schemas::Prediction]), Failures),
)]
pub async fn predict_named(state: State<Arc<App>>, request: Request<Body>) -> Outcome<Response> {
    predict(state, request).await
}

/// Answers a browser with the page, and other clients like `GET /health`
#[utoipa::path(
    get,
    path = "/",
    operation_id = "root",
    tag = "toolkit",
    responses((status = 200, description = "The page or Ok", content((String = "text/plain"), (String = "text/html"))), NotReady),
)]
pub async fn root(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") { page::index(&headers) } else { health(State(app)).await }
}

/// Answers `Ok` where requests are served
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "health",
    tag = "toolkit",
    responses((status = 200, description = "Ok", body = String, content_type = "text/plain"), NotReady),
)]
pub async fn health(State(app): State<Arc<App>>) -> Response {
    match app.ready() {
        Ok(()) => "Ok".into_response(),
        Err(why) => Failure::unavailable(why).into_response(),
    }
}
