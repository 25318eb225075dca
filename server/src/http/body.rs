//! Bodies of requests, read into memory within limits of size, time and memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::failure::{Failure, Outcome};
use crate::{limits::Limits, observe};

/// The longest time that the rest of a refused body is read and thrown away, so that its client sees the answer.
const LINGER: Duration = Duration::from_secs(1);

/// The memory that all bodies together may take.
#[derive(Clone)]
pub struct Memory(Arc<AtomicUsize>);

impl Memory {
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Takes some bytes of it; nothing if there are not as many left.
    fn take(&self, bytes: usize) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }
}

/// The memory of one request, given back when it is dropped.
pub struct Held {
    memory: Memory,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// A body in memory.
pub struct Received {
    pub bytes: Bytes,
    /// Kept until the request is answered: what is made of the body needs about as much memory.
    pub held: Held,
}

/// Reads a body.
///
/// # Errors
/// 413 for one that is larger than allowed, 415 for a compressed one, 408 for one that comes too slowly, 429 where the bodies
/// of all requests take too much memory, 400 for one that is cut off.
pub async fn read(headers: &HeaderMap, body: Body, limits: &Limits, memory: &Memory) -> Outcome<Received> {
    let mut body = body;
    let mut outcome = check(headers, limits).map(|()| None);
    if outcome.is_ok() {
        outcome = collect(&mut body, limits, memory).await.map(Some);
    }
    match outcome {
        Ok(Some(received)) => Ok(received),
        Err(failure) => {
            linger(headers, body).await;
            Err(failure)
        }
        Ok(None) => Err(Failure::internal()),
    }
}

/// Checks what the headers say of a body.
fn check(headers: &HeaderMap, limits: &Limits) -> Outcome<()> {
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    if text(header::CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        let remedy = "send it as it is; a file that is compressed itself, such as .gz, needs no header";
        return Err(Failure::media_type("the body has a content encoding", remedy));
    }
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length > limits.body_bytes) {
        return Err(too_large(limits));
    }
    Ok(())
}

fn too_large(limits: &Limits) -> Failure {
    let cause = format!("a body of more than {} bytes", limits.body_bytes);
    Failure::too_large(cause, "send fewer or shorter recordings in one request")
}

async fn collect(body: &mut Body, limits: &Limits, memory: &Memory) -> Outcome<Received> {
    let mut bytes = BytesMut::new();
    let mut held = Held { memory: memory.clone(), bytes: 0 };
    let deadline = Instant::now() + limits.body_time;
    loop {
        let stalled = deadline.min(Instant::now() + limits.stall_time);
        let frame = match timeout_at(stalled, body.frame()).await {
            Err(_) if Instant::now() >= deadline => return Err(Failure::slow_body(limits.body_time)),
            Err(_) => return Err(Failure::slow_body(limits.stall_time)),
            Ok(None) => return Ok(Received { bytes: bytes.freeze(), held }),
            Ok(Some(Err(_))) => return Err(Failure::malformed("the body is cut off", "send all of it")),
            Ok(Some(Ok(frame))) => frame,
        };
        // Trailers say nothing here.
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limits.body_bytes {
            return Err(too_large(limits));
        }
        if !memory.take(data.len()) {
            observe::refused("memory");
            return Err(Failure::overloaded("the requests take too much memory", Duration::from_secs(1)));
        }
        held.bytes += data.len();
        bytes.extend_from_slice(&data);
    }
}

/// Throws the rest of a body away for a while: a client that still sends would not see the answer if the connection were
/// closed. One that asks before it sends is told by the answer itself.
pub async fn linger(headers: &HeaderMap, mut body: Body) {
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = timeout(LINGER, rest).await;
}
