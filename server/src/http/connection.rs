//! Connections: how many there may be, and how each is served.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, Response},
};
use bytes::Bytes;
use hyper::{
    body::{Body as HttpBody, Frame, Incoming, SizeHint},
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::Watcher},
    service::TowerToHyperService,
};
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use super::{
    failure::Failure,
    patience::{Activity, Answering, Patience, response},
};
use crate::{limits::Limits, observe};

/// The largest head of a request, and of what is read at once.
const LARGEST_HEAD: usize = 64 << 10;

/// The most requests at once on one connection of HTTP/2.
const STREAMS: u32 = 256;

/// How often an idle connection of HTTP/2 is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);

/// A listener of bounded connections.
pub struct Connections {
    listener: TcpListener,
    free: Arc<Semaphore>,
}

impl Connections {
    pub fn new(listener: TcpListener, limits: &Limits) -> Self {
        Self { listener, free: Arc::new(Semaphore::new(limits.connections)) }
    }

    /// Waits for the next connection. Where there are too many, it is answered and closed here.
    pub async fn accept(&self) -> (TcpStream, OwnedSemaphorePermit) {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // The client has left already, or the process has no file descriptor left: others will be closed.
                    if !is_of_client(&error) {
                        log::warn!("no connection can be accepted: {error}");
                        sleep(Duration::from_millis(100)).await;
                    }
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            match self.free.clone().try_acquire_owned() {
                Ok(permit) => return (stream, permit),
                Err(_) => {
                    observe::refused("connections");
                    tokio::spawn(turn_away(stream));
                }
            }
        }
    }
}

fn is_of_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// Answers a connection that is one too many.
async fn turn_away(mut stream: TcpStream) {
    let failure = Failure::unavailable("the server has too many connections");
    let _ = timeout(Duration::from_secs(1), stream.write_all(&response("503 Service Unavailable", &failure))).await;
}

/// Serves one connection until it ends: HTTP/1.1, or HTTP/2 from its first byte.
pub async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    limits: Arc<Limits>,
    watcher: Watcher,
) {
    let activity = Activity::new();
    let stream = TokioIo::new(Patience::new(stream, activity.clone(), &limits));
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let (answering, answer) = (activity.begin(), router.call(request));
        async move { answer.await.map(|response: Response<Body>| response.map(|body| Answered { body, answering })) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    // Later than the connection's own times, which answer. With it hyper reads on after a response, so that those times run.
    let latest = limits.idle_time + limits.head_time;
    builder.http1().timer(TokioTimer::new()).header_read_timeout(latest).max_buf_size(LARGEST_HEAD);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
    builder.http2().keep_alive_interval(PING).keep_alive_timeout(PING);
    // An error is of this client alone: it left, was too slow, or sent what is no HTTP.
    let _ = watcher.watch(builder.serve_connection(stream, service).into_owned()).await;
}

pin_project! {
    /// The body of a response, which keeps the request alive until all of it is sent.
    struct Answered {
        #[pin]
        body: Body,
        answering: Answering,
    }
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
