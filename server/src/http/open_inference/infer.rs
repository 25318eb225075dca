//! `POST /v2/models/ecgpu/infer`: a tensor of recordings in, tensors out.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, Request},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use ecgpu::{Classifier, ecg::Unit};
use tokio::time::timeout;

use super::{
    Refusal, binary,
    model::{Model, ModelName, ModelVersion},
    request::{self, Requested},
    response,
};
use crate::{
    engine::Engine,
    http::{
        App, body,
        failure::{Failure, Outcome},
        log::Served,
        numbers_json::{Most, Numbers},
        openapi::{
            Refusals,
            schemas::{InferRequest, InferResponse},
        },
        predict::compute,
        prepare::{Prepared, Record, prepare_numbers},
        wanted::Wanted,
    },
    limits::Limits,
    observe,
};

/// The most records of a response that a thread of the connections writes itself.
const FEW: usize = 16;

/// Infer
///
/// The input is in millivolts at the network's sampling rate, unless the parameters say otherwise.
#[utoipa::path(
    post,
    path = "/v2/models/{model}/infer",
    operation_id = "infer",
    tag = "open inference",
    security(("token" = [])),
    params(("model" = ModelName, Path)),
    request_body(content((InferRequest = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses(
        (status = 200, description = "The outputs", content(
            (InferResponse = "application/json"), (Vec<u8> = "application/octet-stream"),
        )),
        Refusals,
    ),
)]
pub async fn infer(State(app): State<Arc<App>>, _: Model, request: Request<Body>) -> Result<Response, Refusal> {
    let (head, request_body) = request.into_parts();
    let engine = match app.engine() {
        Ok(engine) => engine,
        Err(failure) => {
            body::linger(&head.headers, request_body).await;
            return Err(failure.into());
        }
    };
    let received = body::read(&head.headers, request_body, &app.limits, &app.memory).await.map_err(|failure| {
        // Triton has no status for a server that is too busy but 503.
        if failure.status.as_u16() == 429 { failure.into() } else { Refusal::of_transport(failure) }
    })?;
    let bytes = received.bytes.len();
    let answered = answer(&app, engine, head.headers, received.bytes);
    let late = |_| Failure::unavailable("the request took too long");
    let (body, served) = timeout(app.limits.answer_time, answered).await.map_err(late)??;
    drop(received.held);
    let mut response = body.into_response();
    response.extensions_mut().insert(Served { bytes, ..served });
    Ok(response)
}

/// Infer with a version of the model
///
/// The same as without a version.
#[utoipa::path(
    post,
    path = "/v2/models/{model}/versions/{version}/infer",
    operation_id = "infer_version",
    tag = "open inference",
    security(("token" = [])),
    params(("model" = ModelName, Path), ("version" = ModelVersion, Path)),
    request_body(content((InferRequest = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses(
        (status = 200, description = "The outputs", content(
            (InferResponse = "application/json"), (Vec<u8> = "application/octet-stream"),
        )),
        Refusals,
    ),
)]
pub async fn infer_version(state: State<Arc<App>>, named: Model, request: Request<Body>) -> Result<Response, Refusal> {
    infer(state, named, request).await
}

/// A request that is ready for the device.
struct Ready {
    id: Option<String>,
    outputs: Vec<Requested>,
    prepared: Prepared,
}

async fn answer(
    app: &Arc<App>,
    engine: Arc<Engine>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Outcome<(response::Body, Served)> {
    // Before anything is read: a server that is too busy must not spend time on what it refuses.
    let place = engine.place().inspect_err(|_| observe::refused("full"))?;
    let (of_task, limits) = (engine.clone(), app.limits.clone());
    let Ready { id, outputs, prepared } =
        app.prepare(move || prepare(&headers, &bytes, &of_task.classifier(), &limits)).await?;
    let Prepared { records, inputs, .. } = prepared;
    let answers = compute(&engine, place, inputs).await?;
    let batch = answers.iter().map(|answer| answer.batch).max().unwrap_or(0);
    let served = Served { records: records.len(), batch, bytes: 0 };
    let warnings = warnings(&records);
    let few = answers.len() <= FEW;
    let write = move || Ok(response::body(&engine.classifier(), &answers, &outputs, id.as_deref(), &warnings));
    let body = if few { write()? } else { app.prepare(write).await? };
    Ok((body, served))
}

/// Reads a body and prepares its records.
fn prepare(headers: &HeaderMap, bytes: &[u8], classifier: &Classifier, limits: &Limits) -> Outcome<Ready> {
    let (json, binary) = binary::divide(headers, bytes)?;
    let most = Most { records: limits.records, samples: limits.samples };
    let request::InferRequest { id, outputs, numbers, mut wanted } = request::read(json, binary, most)?;
    let contract = classifier.contract();
    check_leads(&numbers, &wanted, contract.leads.len())?;
    if !wanted.raw {
        // The model's metadata says what its input is: nothing has to be assumed, and nothing is warned of.
        wanted.read.sampling_rate.get_or_insert(contract.sampling_rate);
        wanted.read.unit.get_or_insert(Unit::Millivolt);
    }
    Ok(Ready { id, outputs, prepared: prepare_numbers(numbers, wanted, classifier, limits)? })
}

/// Checks the number of leads: of files other orders of dimensions are understood, a tensor has one.
fn check_leads(numbers: &Numbers, wanted: &Wanted, leads: usize) -> Outcome<()> {
    let expected = wanted.read.leads.as_ref().map_or(leads, Vec::len);
    if numbers.shape[1] == expected {
        return Ok(());
    }
    let cause = format!("an input of shape {:?} for {expected} leads", numbers.shape);
    Err(Failure::invalid(cause, format!("give [batch, {expected}, samples]")))
}

/// Returns the warnings of all records in one text, since parameters of the protocol are no lists.
fn warnings(records: &[Record]) -> String {
    let of_record = |(index, record): (usize, &Record)| {
        record.warnings.iter().map(move |warning| format!("record {index}: {warning}")).collect::<Vec<_>>()
    };
    records.iter().enumerate().flat_map(of_record).collect::<Vec<_>>().join("\n")
}
