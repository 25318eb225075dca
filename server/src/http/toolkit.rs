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
    page,
    predict::{json, predictions},
    request_json::Style,
};

/// Answers with the list of predictions. What is wrong with the input has status 400.
pub async fn predict(State(app): State<Arc<App>>, request: Request<Body>) -> Outcome<Response> {
    let (text, served) = predictions(&app, request, Style::Parameters).await.map_err(Failure::into_bad_request)?;
    Ok(json(text, served))
}

/// Answers a browser with the page, and everybody else like [`health`].
pub async fn root(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") { page::index().await } else { health(State(app)).await }
}

/// Answers `Ok` where requests are served.
pub async fn health(State(app): State<Arc<App>>) -> Response {
    match app.ready() {
        Ok(()) => "Ok".into_response(),
        Err(why) => Failure::unavailable(why).into_response(),
    }
}
