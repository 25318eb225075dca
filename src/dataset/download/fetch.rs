//! Fetches single files over HTTP, resumes interrupted ones and retries after temporary failures.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use ureq::{
    Agent, Body,
    http::{Response, StatusCode, header},
};

use super::{Event, Listener, Options, resumable};
use crate::{
    Error, ErrorKind,
    dataset::checksums::{self, Checksum},
};

/// The longest pause between two attempts, even if a server asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How many complete copies with a wrong checksum make the file fail. The first may have begun with an outdated part or
/// been damaged in transit.
const WRONG_COPIES: u32 = 2;

/// Why a file could not be fetched.
pub(super) enum Failure {
    /// Only this file failed.
    OfFile(Error),
    /// All other files would fail for the same reason.
    OfAll(Error),
    /// The whole download was stopped.
    Stopped,
}

impl Failure {
    pub(super) fn into_error(self) -> Error {
        match self {
            Failure::OfFile(error) | Failure::OfAll(error) => error,
            Failure::Stopped => Error::new(ErrorKind::Download, "the download was stopped", "start it again"),
        }
    }
}

/// Why an attempt did not complete the file.
enum Broken {
    /// A further attempt may succeed, after a pause of at least this length.
    Temporary(Error, Duration),
    /// A further attempt would fail too.
    Final(Failure),
}

/// Fetches files from one server.
pub(super) struct Fetcher<'a> {
    agent: Agent,
    options: &'a Options,
    listener: Listener<'a>,
    stopped: &'a AtomicBool,
}

impl<'a> Fetcher<'a> {
    pub(super) fn new(options: &'a Options, listener: Listener<'a>, stopped: &'a AtomicBool) -> Self {
        let config = Agent::config_builder()
            .user_agent(concat!("ecgpu/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .timeout_connect(Some(options.timeout))
            .timeout_recv_response(Some(options.timeout))
            .timeout_per_read(Some(options.timeout))
            .max_idle_connections(options.connections)
            .max_idle_connections_per_host(options.connections);
        Self { agent: config.build().new_agent(), options, listener, stopped }
    }

    pub(super) fn connections(&self) -> usize {
        self.options.connections
    }

    pub(super) fn url(&self) -> &str {
        self.options.url.trim_end_matches('/')
    }

    /// Stops all fetches of this download.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Fetches `path` into the file `partial` and continues after what that contains. The complete file must have the
    /// `checksum`, if one is given.
    pub(super) fn fetch(
        &self,
        path: &str,
        partial: &Path,
        checksum: Option<&Checksum>,
    ) -> std::result::Result<(), Failure> {
        let url = format!("{}/{path}", self.url());
        let (mut attempts, mut wrong) = (0, 0);
        while !self.is_stopped() {
            let before = length(partial);
            match self.attempt(&url, partial) {
                Ok(()) if self.has(partial, checksum)? => return Ok(()),
                Ok(()) => {
                    wrong += 1;
                    fs::remove_file(partial).map_err(|error| of_disk(partial, error))?;
                    if wrong == WRONG_COPIES {
                        let remedy = "the server's copy is damaged: use another address";
                        return Err(Failure::OfFile(bad(&url, "its checksum is not that of SHA256SUMS.txt", remedy)));
                    }
                }
                Err(Broken::Final(failure)) => return Err(failure),
                Err(Broken::Temporary(error, at_least)) => {
                    attempts = if length(partial) > before { 1 } else { attempts + 1 };
                    if attempts >= self.options.attempts {
                        return Err(Failure::OfAll(resumable(error)));
                    }
                    self.pause(&error, attempts, at_least);
                }
            }
        }
        Err(Failure::Stopped)
    }

    /// Returns whether a file has the checksum.
    fn has(&self, partial: &Path, checksum: Option<&Checksum>) -> std::result::Result<bool, Failure> {
        let Some(expected) = checksum else { return Ok(true) };
        checksums::of_file(partial).map(|found| found == *expected).map_err(|error| of_disk(partial, error))
    }

    /// Waits before the next attempt. Returns early if the download is stopped.
    fn pause(&self, error: &Error, attempts: u32, at_least: Duration) {
        let doubled = self.options.pause.saturating_mul(1 << (attempts - 1).min(16));
        let pause = doubled.max(at_least).min(LONGEST_PAUSE);
        (self.listener)(Event::Waiting { error, pause });
        let end = Instant::now() + pause;
        while !self.is_stopped() && Instant::now() < end {
            thread::sleep(end.saturating_duration_since(Instant::now()).min(Duration::from_millis(50)));
        }
    }

    /// Requests what `partial` lacks and appends it.
    fn attempt(&self, url: &str, partial: &Path) -> std::result::Result<(), Broken> {
        let held = length(partial);
        let mut request = self.agent.get(url);
        if held > 0 {
            request = request.header(header::RANGE, format!("bytes={held}-"));
        }
        let response = request.call().map_err(|error| of_request(url, &error))?;
        let start = match response.status() {
            StatusCode::PARTIAL_CONTENT if range_start(&response) == Some(held) => held,
            // An unexpected range cannot be appended. Without a partial file, the next attempt requests the whole file.
            StatusCode::PARTIAL_CONTENT => {
                fs::remove_file(partial).map_err(|error| Broken::Final(of_disk(partial, error)))?;
                let error = bad(url, "the server sent another part than asked for", "use another address");
                return Err(Broken::Temporary(error, Duration::ZERO));
            }
            StatusCode::OK => 0,
            // The server has no further bytes. The checksum tells whether the partial file is complete.
            StatusCode::RANGE_NOT_SATISFIABLE if held > 0 => return Ok(()),
            status => return Err(of_status(url, status, &response)),
        };
        let mut options = OpenOptions::new();
        if start > 0 {
            options.append(true)
        } else {
            options.write(true).truncate(true)
        };
        let file = options.create(true).open(partial).map_err(|error| Broken::Final(of_disk(partial, error)))?;
        self.receive(url, response.into_body(), file, partial)
    }

    /// Appends the body of a response to the file.
    fn receive(&self, url: &str, body: Body, mut file: File, partial: &Path) -> std::result::Result<(), Broken> {
        let lost = |cause: String| Err(Broken::Temporary(bad(url, &cause, NETWORK), Duration::ZERO));
        let (expected, mut received) = (body.content_length(), 0);
        let (mut reader, mut buffer) = (body.into_reader(), vec![0; 1 << 16]);
        while !self.is_stopped() {
            let read = match reader.read(&mut buffer) {
                Ok(read) => read,
                Err(error) => return lost(format!("the connection was lost after {received} bytes ({error})")),
            };
            if read == 0 {
                return match expected {
                    Some(expected) if received < expected => lost(format!("{received} bytes came, not {expected}")),
                    _ => Ok(()),
                };
            }
            file.write_all(&buffer[..read]).map_err(|error| Broken::Final(of_disk(partial, error)))?;
            received += read as u64;
            (self.listener)(Event::Received(read));
        }
        Err(Broken::Final(Failure::Stopped))
    }
}

/// What to do about a lost connection.
const NETWORK: &str = "check the network";

fn bad(url: &str, cause: &str, remedy: &str) -> Error {
    Error::new(ErrorKind::Download, format!("{url}: {cause}"), remedy)
}

/// Makes a failure of all files from an error of the disk.
fn of_disk(path: &Path, error: std::io::Error) -> Failure {
    Failure::OfAll(resumable(Error::file(path, error)))
}

/// Returns the length of a file, or 0 if it does not exist.
fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

/// Returns FIRST of the header `Content-Range: bytes FIRST-LAST/ALL`.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.trim().strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

/// Decides whether a failed request may succeed later.
fn of_request(url: &str, error: &ureq::Error) -> Broken {
    use ureq::Error::{BadUri, Http, InvalidProxyUrl, Io, TooManyRedirects};
    let cause = error.to_string();
    match error {
        BadUri(_) | Http(_) => Broken::Final(Failure::OfAll(bad(url, &cause, "check the URL"))),
        InvalidProxyUrl => {
            Broken::Final(Failure::OfAll(bad(url, &cause, "check the variables HTTPS_PROXY, ALL_PROXY")))
        }
        // An untrusted certificate is still untrusted at the next attempt.
        Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            let remedy = "check the URL, and whether the network's proxy replaces certificates";
            Broken::Final(Failure::OfAll(bad(url, &cause, remedy)))
        }
        TooManyRedirects => Broken::Final(Failure::OfFile(bad(url, &cause, "check the URL"))),
        _ => Broken::Temporary(bad(url, &cause, NETWORK), Duration::ZERO),
    }
}

/// Decides whether a request that was answered with an error may succeed later.
fn of_status(url: &str, status: StatusCode, response: &Response<Body>) -> Broken {
    let cause = format!("the server answers {status}");
    let busy = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    if busy || status.is_server_error() {
        let seconds = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let error = bad(url, &cause, "wait until the server is less busy");
        return Broken::Temporary(error, Duration::from_secs(seconds.unwrap_or(0)));
    }
    Broken::Final(Failure::OfFile(bad(url, &cause, "check the URL")))
}
