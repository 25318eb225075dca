//! The log: one line per request and event on standard error, as JSON or as text. Never a signal, a name or a token.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header},
    middleware::Next,
    response::Response,
};
use ecgpu::{Error, ErrorKind, Result, engine::text::escaped};
use serde_json::json;

use super::App;
use crate::observe;

/// The header of a request's name, of the client's choice or the server's.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The lines that may wait until they are written. Where standard error is slower, further ones are dropped and counted.
const WAITING: usize = 4096;

/// The status of a request whose client left before it was answered, as nginx has it.
const CLIENT_LEFT: u16 = 499;

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// One line of words.
    #[default]
    Text,
    /// Not at all.
    Off,
}

/// The log of a server. A thread of its own writes it, so that a slow reader of standard error delays no request.
#[derive(Clone)]
pub struct Log {
    format: LogFormat,
    lines: Option<SyncSender<Entry>>,
    dropped: Arc<AtomicU64>,
}

/// What the thread of the log is told.
enum Entry {
    Line(String),
    /// Everything before it is written when this is dropped.
    Flush {
        _done: SyncSender<()>,
    },
}

impl Log {
    /// Starts to write a log.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn new(format: LogFormat) -> Result<Self> {
        let (dropped, mut lines) = (Arc::new(AtomicU64::new(0)), None);
        if format != LogFormat::Off {
            let (sender, receiver) = sync_channel(WAITING);
            let of_thread = dropped.clone();
            let thread = std::thread::Builder::new().name("log".into());
            thread.spawn(move || write_lines(&receiver, format, &of_thread)).map_err(|error| {
                let cause = format!("no thread can be started for the log: {error}");
                Error::new(ErrorKind::Device, cause, "raise the limit of threads").with_source(error)
            })?;
            lines = Some(sender);
        }
        Ok(Self { format, lines, dropped })
    }

    /// Writes an event of the server: its level, such as `info`, and a sentence.
    pub fn event(&self, level: &str, message: &str) {
        self.write(event(self.format, level, message));
    }

    fn write(&self, line: String) {
        if let Some(lines) = &self.lines
            && lines.try_send(Entry::Line(line)).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what was logged so far is written, at most a second.
    pub fn flush(&self) {
        let Some(lines) = &self.lines else { return };
        let (_done, done) = sync_channel(0);
        if lines.try_send(Entry::Flush { _done }).is_ok() {
            let _ = done.recv_timeout(Duration::from_secs(1));
        }
    }
}

/// The bytes that are written at once, if as many wait.
const WRITTEN_AT_ONCE: usize = 64 << 10;

fn write_lines(entries: &Receiver<Entry>, format: LogFormat, dropped: &AtomicU64) {
    while let Ok(first) = entries.recv() {
        let (mut text, mut entry, mut flushed) = (String::new(), Some(first), Vec::new());
        while let Some(next) = entry {
            match next {
                Entry::Line(line) => text += &(line + "\n"),
                flush => flushed.push(flush),
            }
            entry = (text.len() < WRITTEN_AT_ONCE).then(|| entries.try_recv().ok()).flatten();
        }
        let count = dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            text += &(event(format, "warn", &format!("{count} lines of the log were dropped")) + "\n");
        }
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Returns the line of an event.
fn event(format: LogFormat, level: &str, message: &str) -> String {
    match format {
        LogFormat::Json => json!({ "time": now(), "level": level, "message": message }).to_string(),
        _ => format!("{} {level}: {}", now(), escaped(message)),
    }
}

/// What the log says of the records of a request. A handler puts it into the extensions of its response.
#[derive(Debug, Clone, Copy, Default)]
pub struct Served {
    pub records: usize,
    /// The bytes of the body.
    pub bytes: usize,
    /// The largest batch that records of the request were computed in.
    pub batch: usize,
}

/// The line of a request, which is written when it is dropped: also when the client leaves and the request with it.
struct Line {
    log: Log,
    id: String,
    method: String,
    route: String,
    start: Instant,
    status: u16,
    served: Served,
}

impl Drop for Line {
    fn drop(&mut self) {
        let time = self.start.elapsed();
        observe::request(&self.route, self.status, time);
        let milliseconds = (time.as_secs_f64() * 1e5).round() / 1e2;
        let Self { id, method, route, status, served: Served { records, bytes, batch }, .. } = self;
        let line = match self.log.format {
            LogFormat::Off => return,
            LogFormat::Json => json!({
                "time": now(), "level": "info", "request_id": id, "method": method, "route": route, "status": status,
                "records": records, "bytes": bytes, "ms": milliseconds, "batch": batch,
            })
            .to_string(),
            LogFormat::Text => format!(
                "{} {id} {method} {route} {status} {milliseconds} ms, {bytes} bytes, {records} records, batch {batch}",
                now()
            ),
        };
        self.log.write(line);
    }
}

/// Gives each request a name, logs it, and closes the connection where RFC 9112 asks for it.
pub async fn requests(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response {
    let id = request_id(request.headers());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_string();
    let method = request.method().as_str().chars().take(16).collect();
    // A proxy in front may have read a chunked body by another length: section 6.1.
    let is_http1 = request.version() < Version::HTTP_2;
    let close = is_http1 && request.headers().contains_key(header::TRANSFER_ENCODING);
    let (start, served) = (Instant::now(), Served::default());
    let mut line = Line { log: app.log.clone(), id, method, route, start, status: CLIENT_LEFT, served };
    let mut response = next.run(request).await;
    line.status = response.status().as_u16();
    line.served = response.extensions().get().copied().unwrap_or_default();
    if let Ok(id) = HeaderValue::from_str(&line.id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    if close || is_http1 && response.status() == StatusCode::REQUEST_TIMEOUT {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Returns the name that the client gave the request if it is short and plain, or a random one.
fn request_id(headers: &HeaderMap) -> String {
    let plain = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(plain);
    given.map_or_else(|| format!("{:016x}", RandomState::new().build_hasher().finish()), String::from)
}

/// Returns the time as RFC 3339 has it, in UTC.
fn now() -> String {
    rfc3339(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Formats a time since 1970. Days become dates by Hinnant's algorithm
/// (https://howardhinnant.github.io/date_algorithms.html#civil_from_days).
fn rfc3339(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let [hour, minute, second] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    let milliseconds = since_1970.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_rfc_3339() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_767_225_599, "2025-12-31T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            assert_eq!(rfc3339(Duration::from_secs(seconds) + Duration::from_millis(7)), expected);
        }
    }

    #[test]
    fn a_request_keeps_a_plain_name_and_no_other() {
        let id = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(text.as_bytes()).unwrap());
            request_id(&headers)
        };
        assert_eq!(id("4bf92f35-77b3.4da6_A3"), "4bf92f35-77b3.4da6_A3");
        for text in ["", "a b", "Müller", &"x".repeat(65), "a\"b"] {
            assert!(id(text) != text && id(text).len() == 16, "{text}");
        }
    }
}
