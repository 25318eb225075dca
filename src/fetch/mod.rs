//! Fetches files over HTTP, resumes interrupted ones and retries after temporary failures.

mod request;

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

pub(crate) use self::request::Method;
use self::request::{NETWORK, Request, bad};
use crate::{Error, ErrorKind, checksum::Checksum};

/// The longest pause between two attempts, even if a server asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How many complete copies with a wrong checksum make the file fail. The first may have begun with an outdated part or
/// been damaged in transit.
const WRONG_COPIES: u32 = 2;

/// More bytes of a short answer are not read.
#[cfg(feature = "hub")]
const LONGEST_ANSWER: u64 = 16 << 20;

/// How patiently a server is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// How many connections may be open at once.
    pub(crate) connections: usize,
    /// How many consecutive attempts may bring no further byte.
    pub(crate) attempts: u32,
    /// The pause before the second attempt. It doubles with each further attempt, up to one minute.
    pub(crate) pause: Duration,
    /// How long a server may send nothing before the connection counts as lost.
    pub(crate) timeout: Duration,
}

/// What happens while a file is fetched.
pub(crate) enum Event<'a> {
    /// This number of bytes arrived.
    Received(usize),
    /// An attempt failed; the next one follows after a pause.
    Waiting { error: &'a Error, pause: Duration },
}

/// Receives events, from any thread.
pub(crate) type Listener<'a> = &'a (dyn Fn(Event<'_>) + Sync);

/// A file at a server.
#[derive(Clone, Copy)]
pub(crate) struct Remote<'a> {
    pub(crate) url: &'a str,
    /// A bearer token for the server of `url`. It is sent to no other server, even if this one redirects there.
    pub(crate) token: Option<&'a str>,
    /// More bytes are not accepted.
    pub(crate) largest: u64,
    /// The size in bytes, if it is known.
    pub(crate) size: Option<u64>,
    /// The checksum, if it is known.
    pub(crate) checksum: Option<Checksum>,
    /// Who states size and checksum, for messages.
    pub(crate) stated_by: &'a str,
}

/// The answer of a server.
#[cfg(feature = "hub")]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: ureq::http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

#[cfg(feature = "hub")]
impl Answer {
    /// Returns a header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why a file could not be fetched.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Only this file failed.
    OfFile(Error),
    /// All other files would fail for the same reason.
    OfAll(Error),
    /// The whole download was stopped.
    Stopped,
}

impl Failure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Failure::OfFile(error) | Failure::OfAll(error) => error,
            Failure::Stopped => Error::new(ErrorKind::Download, "the download was stopped", "start it again"),
        }
    }
}

/// Why an attempt failed.
enum Broken {
    /// A further attempt may succeed, after a pause of at least this length.
    Temporary(Error, Duration),
    /// A further attempt would fail too.
    Final(Failure),
}

/// Fetches files.
pub(crate) struct Fetcher<'a> {
    agent: Agent,
    patience: Patience,
    listener: Listener<'a>,
    stopped: &'a AtomicBool,
}

impl<'a> Fetcher<'a> {
    /// Makes a fetcher that another thread can stop.
    pub(crate) fn new(patience: Patience, listener: Listener<'a>, stopped: &'a AtomicBool) -> Self {
        Self { agent: request::agent(&patience), patience, listener, stopped }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Fetches a file into `partial` and continues after what that contains.
    pub(crate) fn fetch(&self, remote: &Remote<'_>, partial: &Path) -> Result<(), Failure> {
        let mut wrong = 0;
        let attempt = || loop {
            self.attempt(remote, partial)?;
            let Some(found) = wrong_with(remote, partial).map_err(Broken::Final)? else { return Ok(()) };
            wrong += 1;
            fs::remove_file(partial).map_err(|error| Broken::Final(of_disk(partial, error)))?;
            if wrong == WRONG_COPIES {
                let remedy = "the server's copy is damaged: try again later, or use another address";
                return Err(Broken::Final(Failure::OfFile(bad(remote.url, &found, remedy))));
            }
        };
        self.retrying(self.patience.attempts, || length(partial), attempt)
    }

    /// Asks for a short answer with up to this number of attempts. A server that is busy or does not answer is a failure of all
    /// files; every other status is returned.
    #[cfg(feature = "hub")]
    pub(crate) fn ask(&self, method: Method, url: &str, token: Option<&str>, attempts: u32) -> Result<Answer, Failure> {
        let attempt = || {
            let response = Request { method, url, token, from: 0 }.send(&self.agent)?;
            if request::is_busy(response.status()) {
                return Err(request::refused(url, response.status(), &response));
            }
            let (head, mut body) = response.into_parts();
            let body = match method {
                Method::Head => Vec::new(),
                Method::Get => body.with_config().limit(LONGEST_ANSWER).read_to_vec().map_err(|error| {
                    let cause = format!("the answer was lost ({error})");
                    Broken::Temporary(bad(url, &cause, NETWORK), Duration::ZERO)
                })?,
            };
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
        };
        self.retrying(attempts, || 0, attempt)
    }

    /// Attempts something until it succeeds or `attempts` consecutive ones have failed without bringing `progress` further.
    fn retrying<T>(
        &self,
        attempts: u32,
        progress: impl Fn() -> u64,
        mut attempt: impl FnMut() -> Result<T, Broken>,
    ) -> Result<T, Failure> {
        let mut failed = 0;
        while !self.is_stopped() {
            let before = progress();
            match attempt() {
                Ok(done) => return Ok(done),
                Err(Broken::Final(failure)) => return Err(failure),
                Err(Broken::Temporary(error, at_least)) => {
                    failed = if progress() > before { 1 } else { failed + 1 };
                    if failed >= attempts {
                        return Err(Failure::OfAll(resumable(error)));
                    }
                    self.pause(&error, failed, at_least);
                }
            }
        }
        Err(Failure::Stopped)
    }

    /// Waits before the next attempt. Returns early if the download is stopped.
    fn pause(&self, error: &Error, attempts: u32, at_least: Duration) {
        let doubled = self.patience.pause.saturating_mul(1 << (attempts - 1).min(16));
        let pause = doubled.max(at_least).min(LONGEST_PAUSE);
        (self.listener)(Event::Waiting { error, pause });
        let end = Instant::now() + pause;
        while !self.is_stopped() && Instant::now() < end {
            thread::sleep(end.saturating_duration_since(Instant::now()).min(Duration::from_millis(50)));
        }
    }

    /// Requests what `partial` lacks and appends it.
    fn attempt(&self, remote: &Remote<'_>, partial: &Path) -> Result<(), Broken> {
        let (url, held) = (remote.url, length(partial));
        let response = Request { method: Method::Get, url, token: remote.token, from: held }.send(&self.agent)?;
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
            status => return Err(request::refused(url, status, &response)),
        };
        let mut options = OpenOptions::new();
        if start > 0 {
            options.append(true)
        } else {
            options.write(true).truncate(true)
        };
        let file = options.create(true).open(partial).map_err(|error| Broken::Final(of_disk(partial, error)))?;
        let most = remote.size.unwrap_or(remote.largest).saturating_sub(start);
        self.receive(url, response.into_body(), most, file, partial)
    }

    /// Appends the body of a response, at most one byte more than `most`, to the file.
    fn receive(&self, url: &str, body: Body, most: u64, mut file: File, partial: &Path) -> Result<(), Broken> {
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
            if received > most {
                return Ok(());
            }
        }
        Err(Broken::Final(Failure::Stopped))
    }
}

/// Says what is wrong with a complete file; nothing if nothing is.
fn wrong_with(remote: &Remote<'_>, partial: &Path) -> Result<Option<String>, Failure> {
    let (length, by) = (length(partial), remote.stated_by);
    if let Some(size) = remote.size.filter(|size| *size != length) {
        return Ok(Some(format!("its {length} bytes are not the {size} of {by}")));
    }
    if length > remote.largest {
        return Ok(Some(format!("it has more than {} bytes", remote.largest)));
    }
    let Some(checksum) = remote.checksum else { return Ok(None) };
    let right = checksum.is_of(partial).map_err(|error| of_disk(partial, error))?;
    Ok((!right).then(|| format!("its checksum is not that of {by}")))
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

/// Adds to an error's remedy that the download can be resumed.
pub(crate) fn resumable(error: Error) -> Error {
    let remedy = format!("{}, then start the download again: it resumes where it stopped", error.remedy());
    Error::new(error.kind(), error.cause(), remedy)
}
