//! The page to try the engine: static files, which `build.rs` puts into the program, and synthetic ECGs for it.

use std::{fmt::Write as _, io::Read, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use ecgpu::{
    Recording,
    ecg::{Condition, synthesize},
};
use flate2::read::GzDecoder;

use super::{
    App,
    failure::{Failure, Outcome},
};

/// A file of the page.
struct File {
    route: &'static str,
    /// The content type.
    kind: &'static str,
    /// The entity tag, without quotation marks.
    tag: &'static str,
    /// The content, compressed by gzip.
    compressed: &'static [u8],
}

static FILES: &[File] = &include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// The route of the page.
const INDEX: &str = "/index.html";

/// What stands in for a page that was not there when the server was compiled.
const NO_PAGE: &str =
    "This server classifies 12-lead ECGs: POST /api/predict. For research only; not a medical device.\n";

/// The browser runs scripts and takes styles of this server alone, and the page may ask this server alone. WebAssembly needs a
/// permission of its own. No other page may put this one into a frame.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Returns the routes of the files and of the synthetic ECGs.
pub fn routes() -> Router<Arc<App>> {
    let router = Router::new().route("/samples/{name}", get(sample));
    FILES.iter().fold(router, |router, file| {
        router.route(file.route, get(move |headers: HeaderMap| async move { answer(file, &headers) }))
    })
}

/// Answers with the page.
pub fn index(headers: &HeaderMap) -> Response {
    match FILES.iter().find(|file| file.route == INDEX) {
        Some(file) => answer(file, headers),
        None => NO_PAGE.into_response(),
    }
}

/// Answers with a file, compressed if the browser takes it so, or that the browser's copy is still the same.
fn answer(file: &File, headers: &HeaderMap) -> Response {
    let compressed = takes_gzip(headers);
    // The two forms of a file have different bytes, and so different tags.
    let tag = format!("\"{}{}\"", file.tag, if compressed { "-gzip" } else { "" });
    let tags = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).unwrap_or_default();
    let same = tags.split(',').any(|other| other.trim().trim_start_matches("W/") == tag);
    let mut response = match (same, compressed) {
        (true, _) => StatusCode::NOT_MODIFIED.into_response(),
        (false, true) => ([(header::CONTENT_ENCODING, "gzip")], file.compressed).into_response(),
        (false, false) => file.content().into_response(),
    };
    let fields = [
        (header::CONTENT_TYPE, file.kind),
        (header::VARY, "accept-encoding"),
        // A browser asks each time, since a new version has the same addresses.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fields {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    // Digits and letters, as `build.rs` writes them.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Whether a client takes content that is compressed by gzip: RFC 9110, section 12.5.3.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|field| field.to_str().ok());
    let codings: Vec<&str> = fields.flat_map(|field| field.split(',')).collect();
    let quality = |name: &str| {
        codings.iter().find_map(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let is_named = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case(name));
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            is_named.then_some(weight)
        })
    };
    quality("gzip").or_else(|| quality("*")).is_some_and(|quality: f32| quality > 0.0)
}

impl File {
    /// Decompresses the content.
    fn content(&self) -> Vec<u8> {
        let mut content = Vec::new();
        // `build.rs` wrote it, and memory takes all of it.
        let _ = GzDecoder::new(self.compressed).read_to_end(&mut content);
        content
    }
}

/// Answers with a synthetic ECG of ten seconds as a text table, `mi-anterior.csv`: for a page without the engine.
///
/// # Errors
/// 404: there is no such condition.
async fn sample(State(app): State<Arc<App>>, Path(name): Path<String>) -> Outcome<Response> {
    let condition = name.strip_suffix(".csv");
    let condition =
        Condition::ALL.into_iter().find(|it| Some(it.name()) == condition).ok_or_else(Failure::not_found)?;
    let write = move || synthesize(condition, 1, 500.0, 10.0).map(|recording| table(&recording)).map_err(Failure::from);
    let text = app.prepare(write).await?;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], text).into_response())
}

/// Writes a synthetic recording as a text table in millivolts.
fn table(recording: &Recording) -> String {
    let mut text = String::from("# synthetic ECG: not a recording of anyone\ntime (s)");
    for (lead, _) in recording.leads() {
        text += &format!(",{lead} (mV)");
    }
    for at in 0..recording.samples() {
        // Writing into a String cannot fail.
        let _ = write!(text, "\n{}", at as f64 / recording.sampling_rate());
        for (_, samples) in recording.leads() {
            let _ = write!(text, ",{}", samples[at]);
        }
    }
    text.push('\n');
    text
}
