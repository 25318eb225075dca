//! A connection that is given up where its client is too slow: with the head of a request, between requests, or with
//! reading a response. Also the one place where an answer that hyper gives itself gets a body.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::failure::Failure;
use crate::limits::Limits;

/// What a connection is doing, shared with the requests that it serves.
#[derive(Clone)]
pub struct Activity(Arc<Mutex<State>>);

struct State {
    /// The requests that are being answered.
    requests: usize,
    /// Whether a part of a request's head is there. HTTP/2 has no such time: its connections are one long stream.
    in_head: bool,
    is_http2: bool,
    since: Instant,
}

/// A request that is being answered, until it is dropped.
pub struct Answering(Activity);

impl Activity {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State { requests: 0, in_head: false, is_http2: false, since: Instant::now() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the head of a request is complete.
    pub fn begin(&self) -> Answering {
        let mut state = self.state();
        state.requests += 1;
        state.in_head = false;
        drop(state);
        Answering(self.clone())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests -= 1;
        state.since = Instant::now();
    }
}

/// A stream that fails where its client is too slow.
pub struct Patience<S> {
    stream: S,
    activity: Activity,
    head_time: Duration,
    idle_time: Duration,
    stall_time: Duration,
    /// Armed while nothing can be read.
    reading: Pin<Box<Sleep>>,
    /// Armed while nothing can be written.
    writing: Option<Pin<Box<Sleep>>>,
    /// A response that takes the place of one without a body.
    replacement: Vec<u8>,
}

impl<S> Patience<S> {
    pub fn new(stream: S, activity: Activity, limits: &Limits) -> Self {
        let (head_time, idle_time, stall_time) = (limits.head_time, limits.idle_time, limits.stall_time);
        let reading = Box::pin(sleep_until(Instant::now() + idle_time));
        Self { stream, activity, head_time, idle_time, stall_time, reading, writing: None, replacement: Vec::new() }
    }

    /// Returns until when something must be read: never while a request is answered.
    fn read_deadline(&self) -> Option<Instant> {
        let state = self.activity.state();
        let time = if state.in_head { self.head_time } else { self.idle_time };
        (state.requests == 0).then(|| state.since + time)
    }

    fn has_read(&self, bytes: &[u8]) {
        let mut state = self.activity.state();
        if state.requests == 0 && !state.in_head {
            state.is_http2 |= bytes.starts_with(b"PRI ");
            state.in_head = !state.is_http2;
            state.since = Instant::now();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Patience<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(context, buffer) {
            if buffer.filled().len() > before {
                this.has_read(&buffer.filled()[before..]);
            }
            return Poll::Ready(read);
        }
        let Some(deadline) = this.read_deadline() else { return Poll::Pending };
        if this.reading.deadline() != deadline {
            this.reading.as_mut().reset(deadline);
        }
        ready!(this.reading.as_mut().poll(context));
        if this.activity.state().in_head {
            // As far as it can be written at once: who is slow with a head need not be waited for.
            let response = response("408 Request Timeout", &Failure::slow_head(this.head_time));
            let _ = Pin::new(&mut this.stream).poll_write(context, &response);
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> Patience<S> {
    /// Returns what `poll` returns, or an error where it has been pending for too long.
    fn in_time<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(outcome) = poll(Pin::new(&mut self.stream), context) {
            self.writing = None;
            return Poll::Ready(outcome);
        }
        let deadline = Instant::now() + self.stall_time;
        let timer = self.writing.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Writes what is left of a replacement.
    fn write_replacement(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.replacement.is_empty() {
            let replacement = std::mem::take(&mut self.replacement);
            let written = self.in_time(context, |stream, context| stream.poll_write(context, &replacement));
            self.replacement = replacement;
            let written = ready!(written)?;
            self.replacement.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.write_replacement(context))?;
        if let Some(replacement) = with_body(buffer) {
            this.replacement = replacement;
            // It is written by the flush that follows.
            let _ = this.write_replacement(context)?;
            return Poll::Ready(Ok(buffer.len()));
        }
        this.in_time(context, |stream, context| stream.poll_write(context, buffer))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.write_replacement(context))?;
        this.in_time(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.write_replacement(context))?;
        this.in_time(context, |stream, context| stream.poll_shutdown(context))
    }
}

/// Returns the response with a body that takes the place of an error without one: hyper's own answer to what is no HTTP. The
/// responses of this server have bodies.
fn with_body(response: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(response).ok()?;
    let status = text.strip_prefix("HTTP/1.1 4")?.split("\r\n").next()?;
    text.contains("\r\ncontent-length: 0\r\n").then(|| self::response(&format!("4{status}"), &Failure::no_http(status)))
}

/// Returns a response that closes the connection.
pub fn response(status: &str, failure: &Failure) -> Vec<u8> {
    let body = failure.to_json();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
