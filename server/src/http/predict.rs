//! `POST /api/predict`: recordings in, predictions out.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{Request, header},
    response::{IntoResponse, Response},
};
use ecgpu::explain;
use tokio::time::timeout;

use super::{
    App, answer, body,
    content::{self, Content},
    failure::{Failure, Outcome},
    log::Served,
    openapi::{Failures, schemas},
    prepare::{self, Prepared},
    request_json::Style,
    wanted::FileOptions,
};
use crate::{
    engine::{Answer, Engine, Input, Place},
    observe,
};

/// Classify recordings
///
/// The body is JSON, the files of a recording as a form, or one file of any format. Without a sampling rate or a unit the
/// network's are assumed, and the warnings say so. Options of a file are in the query, those of JSON in the JSON.
#[utoipa::path(
    post,
    path = "/api/predict",
    operation_id = "predict",
    tag = "predict",
    security(("token" = [])),
    params(FileOptions),
    request_body(content(
        (schemas::PredictRequest = "application/json"),
        (schemas::Form = "multipart/form-data"),
        (Vec<u8> = "application/octet-stream"),
    )),
    responses((status = 200, description = "A prediction of each record", body = schemas::Predictions), Failures),
)]
pub async fn predict(State(app): State<Arc<App>>, request: Request<Body>) -> Outcome<Response> {
    let (text, served) = predictions(&app, request, Style::Flat).await?;
    Ok(json(format!("{{\"predictions\":{text}}}"), served))
}

/// Makes a response of JSON text.
pub fn json(text: String, served: Served) -> Response {
    let mut response = ([(header::CONTENT_TYPE, "application/json")], text).into_response();
    response.extensions_mut().insert(served);
    response
}

/// Returns the predictions of a request as a JSON array, and what the log says of them.
///
/// # Errors
/// Whatever is wrong with the request or the server.
pub async fn predictions(app: &Arc<App>, request: Request<Body>, style: Style) -> Outcome<(String, Served)> {
    let (head, request_body) = request.into_parts();
    let engine = match app.engine() {
        Ok(engine) => engine,
        Err(failure) => {
            body::linger(&head.headers, request_body).await;
            return Err(failure);
        }
    };
    let received = body::read(&head.headers, request_body, &app.limits, &app.memory).await?;
    let bytes = received.bytes.len();
    let answered = async {
        let content = content::of(&head.uri, &head.headers, received.bytes, style).await?;
        answer(app, engine, content).await
    };
    let late = |_| Failure::unavailable("the request took too long");
    let (text, served) = timeout(app.limits.answer_time, answered).await.map_err(late)??;
    drop(received.held);
    Ok((text, Served { bytes, ..served }))
}

async fn answer(app: &Arc<App>, engine: Arc<Engine>, content: Content) -> Outcome<(String, Served)> {
    // Before anything is read: a server that is too busy must not spend time on what it refuses.
    let place = engine.place().inspect_err(|_| observe::refused("full"))?;
    let (of_task, limits) = (engine.clone(), app.limits.clone());
    let Prepared { records, inputs, wanted } =
        app.prepare(move || prepare::prepare(content, &of_task.classifier(), &limits)).await?;
    let answers = compute(&engine, place, inputs).await?;
    let batch = answers.iter().map(|answer| answer.batch).max().unwrap_or(0);
    let served = Served { records: records.len(), batch, bytes: 0 };
    let render = move |explanation: Option<explain::Explanation>, records: &[prepare::Record]| {
        let classifier = engine.classifier();
        answer::predictions(&classifier, records, &answers, wanted.embedding, wanted.signals, explanation.as_ref())
    };
    let is_short = !wanted.signals && !wanted.explain && records.len() <= 16;
    if is_short {
        return Ok((render(None, &records), served));
    }
    if !wanted.explain {
        return Ok((app.prepare(move || Ok(render(None, &records))).await?, served));
    }
    let options = explain::Options { class: wanted.class.clone(), ..explain::Options::default() };
    let engine = app.engine()?;
    let text = app.explain(move || {
        let Some(recording) = &records[0].recording else { return Err(Failure::internal()) };
        let explanation = engine.explain(recording, &options)?;
        Ok(render(Some(explanation), &records))
    });
    Ok((text.await?, served))
}

/// Queues the records of a request that has a place and waits for all of them.
///
/// # Errors
/// 422 where a record has a fault of its own, 503 where no device computes.
pub async fn compute(engine: &Engine, place: Place, inputs: Vec<Input>) -> Outcome<Vec<Answer>> {
    let replies = engine.submit(place, inputs);
    let mut answers = Vec::with_capacity(replies.len());
    for reply in replies {
        // A reply that is lost without an answer would be a fault of the dispatcher.
        answers.push(reply.await.map_err(|_| Failure::internal())??);
    }
    Ok(answers)
}
