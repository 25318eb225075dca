//! HTTP around the engine: routes, limits, tokens, and the log.

mod answer;
mod auth;
mod body;
pub mod connection;
mod content;
mod failure;
mod health;
mod json_reader;
pub mod log;
mod metrics;
mod numbers_json;
mod open_inference;
mod openapi;
mod page;
mod patience;
mod predict;
mod prepare;
mod request_json;
mod toolkit;
mod wanted;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use ecgpu::{Error, ErrorKind, Result};
use tokio::{sync::Semaphore, task::spawn_blocking};
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use auth::Tokens;
use body::Memory;
use failure::{Failure, Outcome};
use log::Log;
use open_inference::{infer, metadata};
pub use openapi::openapi;

use crate::{
    engine::{Engine, Phase},
    limits::Limits,
};

/// What all requests share.
pub struct App {
    pub limits: Limits,
    pub log: Log,
    pub tokens: Option<Tokens>,
    memory: Memory,
    /// Empty until the engine has started.
    engine: OnceLock<Arc<Engine>>,
    draining: AtomicBool,
    /// The cores that may read and prepare at the same time.
    preparing: Arc<Semaphore>,
    /// The explanations that may wait or be computed.
    explanations: Arc<Semaphore>,
    /// The one explanation that is computed.
    explaining: Arc<Semaphore>,
}

impl App {
    pub fn new(limits: Limits, log: Log, tokens: Option<Tokens>) -> Self {
        let semaphore = |count| Arc::new(Semaphore::new(count));
        Self {
            memory: Memory::new(limits.bytes_in_flight),
            log,
            tokens,
            engine: OnceLock::new(),
            draining: AtomicBool::new(false),
            preparing: semaphore(available_parallelism().map_or(1, usize::from)),
            explanations: semaphore(limits.explanations),
            explaining: semaphore(1),
            limits,
        }
    }

    /// Takes the engine, once it has started.
    pub fn start(&self, engine: Engine) {
        let _ = self.engine.set(Arc::new(engine));
    }

    /// Says that the server ends: it is not ready any more.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Returns the engine.
    ///
    /// # Errors
    /// 503: it has not started yet.
    pub fn engine(&self) -> Outcome<Arc<Engine>> {
        self.engine.get().cloned().ok_or_else(|| Failure::unavailable("the server starts"))
    }

    /// Whether requests are served now, or why not, in a word.
    ///
    /// # Errors
    /// The reason, such as `draining`.
    pub fn ready(&self) -> std::result::Result<(), &'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("draining");
        }
        match self.engine.get().map_or(Phase::Starting, |engine| engine.phase()) {
            Phase::Ready => Ok(()),
            other => Err(other.name()),
        }
    }

    /// Does work that blocks, on as many threads as there are cores; the rest waits without a thread.
    async fn prepare<T: Send + 'static>(&self, work: impl FnOnce() -> Outcome<T> + Send + 'static) -> Outcome<T> {
        blocking(self.preparing.clone(), work).await
    }

    /// Does the work of an explanation, one at a time.
    ///
    /// # Errors
    /// 429 where too many wait.
    async fn explain<T: Send + 'static>(&self, work: impl FnOnce() -> Outcome<T> + Send + 'static) -> Outcome<T> {
        let full = |_| Failure::overloaded("too many explanations are asked for", Duration::from_secs(5));
        let _place = self.explanations.clone().try_acquire_owned().map_err(full)?;
        blocking(self.explaining.clone(), work).await
    }
}

async fn blocking<T: Send + 'static>(
    threads: Arc<Semaphore>,
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    // The permit goes with the work, which goes on when the client leaves.
    let permit = threads.acquire_owned().await.map_err(|_| Failure::internal())?;
    let done = spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    done.await.map_err(|_| Failure::internal())?
}

/// Returns the routes that are open to everybody, and those that need a token where there are tokens.
fn routes() -> (OpenApiRouter<Arc<App>>, OpenApiRouter<Arc<App>>) {
    let open = OpenApiRouter::new()
        .routes(routes!(toolkit::root))
        .routes(routes!(toolkit::health))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(openapi::description))
        .routes(routes!(metadata::server))
        // The protocol has both.
        .route("/v2/", get(metadata::server))
        .routes(routes!(metadata::live))
        .routes(routes!(metadata::ready))
        .routes(routes!(metadata::model))
        .routes(routes!(metadata::model_ready))
        .routes(routes!(metadata::model_version))
        .routes(routes!(metadata::model_version_ready));
    let with_token = OpenApiRouter::new()
        .routes(routes!(predict::predict))
        .routes(routes!(toolkit::predict))
        .routes(routes!(toolkit::predict_named))
        .routes(routes!(infer::infer))
        .routes(routes!(infer::infer_version))
        .routes(routes!(metrics::metrics));
    (open, with_token)
}

/// Returns all routes. `origins` may be asked by pages of other origins.
///
/// # Errors
/// An origin is none.
pub fn router(app: &Arc<App>, origins: &[String]) -> Result<Router> {
    let (open, with_token) = routes();
    let with_token = Router::from(with_token).route_layer(from_fn_with_state(app.clone(), check_token));
    let mut router = Router::from(open)
        .merge(page::routes())
        .merge(with_token)
        .method_not_allowed_fallback(|request| refuse(request, Failure::method()))
        .fallback(|request| refuse(request, Failure::not_found()))
        .layer(from_fn(lowest))
        .layer(CatchPanicLayer::custom(|_| Failure::internal().into_response()));
    if !origins.is_empty() {
        router = router.layer(cors(origins)?);
    }
    Ok(router.layer(from_fn_with_state(app.clone(), log::requests)).with_state(app.clone()))
}

/// Lets only requests with a token pass, if the server has tokens.
async fn check_token(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response {
    if let Some(tokens) = &app.tokens
        && let Err(failure) = tokens.check(request.headers())
    {
        return refuse(request, failure).await;
    }
    next.run(request).await
}

/// Answers a request whose body is of no interest.
async fn refuse(request: Request<Body>, failure: Failure) -> Response {
    let (head, request_body) = request.into_parts();
    body::linger(&head.headers, request_body).await;
    failure.into_response()
}

/// Adds what every response has.
async fn lowest(request: Request<Body>, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    // Answers are about somebody's ECG; the page's files are not, and say so themselves.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn cors(origins: &[String]) -> Result<CorsLayer> {
    let parse = |origin: &String| {
        let bad = || {
            Error::new(ErrorKind::Usage, format!("'{origin}' is no origin"), "give one such as https://ecg.example.org")
        };
        let value = HeaderValue::from_str(origin).map_err(|_| bad())?;
        let has_scheme = origin.starts_with("https://") || origin.starts_with("http://");
        if has_scheme && !origin.ends_with('/') && origin.matches('/').count() == 2 { Ok(value) } else { Err(bad()) }
    };
    let origins = origins.iter().map(parse).collect::<Result<Vec<_>>>()?;
    let request_id = HeaderName::from_static("x-request-id");
    Ok(CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, request_id.clone()])
        .expose_headers([header::RETRY_AFTER, request_id]))
}
