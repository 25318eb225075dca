//! The life of a server: it binds, starts its engine while it answers health checks, serves, drains, and ends.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use ecgpu::{Error, ErrorKind, Result};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::{Builder, Runtime},
    sync::watch,
    task::spawn_blocking,
    time::{interval, sleep, timeout},
};

use crate::{
    Options,
    engine::{Counts, Engine},
    http::{
        App, Tokens,
        connection::{self, Connections},
        router,
    },
    observe,
    tls::Tls,
};

/// The connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// How often the files of tokens and of the certificate are looked at.
const RELOAD: Duration = Duration::from_secs(2);

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Stage {
    Serving,
    /// It finishes what was accepted.
    Draining,
    /// It ends at once.
    Stopping,
}

/// A server that listens and is not running yet.
pub struct Server {
    options: Options,
    app: Arc<App>,
    router: Router,
    tls: Option<Arc<Tls>>,
    listener: TcpListener,
    address: SocketAddr,
    stage: Arc<watch::Sender<Stage>>,
    runtime: Runtime,
}

/// Ends a server that runs on another thread, and tells how it is.
#[derive(Clone)]
pub struct Handle {
    app: Arc<App>,
    stage: Arc<watch::Sender<Stage>>,
}

impl Handle {
    /// Whether the server takes requests.
    pub fn is_ready(&self) -> bool {
        self.app.ready().is_ok()
    }

    /// Returns what was computed so far; none before the engine has started.
    pub fn counts(&self) -> Option<Counts> {
        self.app.engine().ok().map(|engine| engine.counts())
    }

    /// Ends the server when the requests that it has accepted are answered.
    pub fn drain(&self) {
        self.app.drain();
        self.stage.send_if_modified(|stage| {
            let later = *stage < Stage::Draining;
            *stage = if later { Stage::Draining } else { *stage };
            later
        });
    }

    /// Ends the server at once.
    pub fn stop(&self) {
        self.app.drain();
        self.stage.send_replace(Stage::Stopping);
    }
}

/// Serves until the process is told to end by SIGTERM or Ctrl-C. The first makes the server finish what it has accepted, the
/// second ends it at once.
///
/// # Errors
/// The options make no sense, the address is taken, the engine does not start, or the requests were not finished in time.
pub fn serve(options: Options) -> Result<()> {
    let server = Server::bind(options)?;
    server.obey_signals()?;
    server.run()
}

impl Server {
    /// Checks the options and listens.
    ///
    /// # Errors
    /// The options make no sense, a file of tokens or a certificate cannot be read, or the address is taken.
    pub fn bind(options: Options) -> Result<Self> {
        options.check()?;
        let tokens = options.token_file.as_deref().map(Tokens::open).transpose()?;
        let tls = options.tls.clone().map(Tls::open).transpose()?.map(Arc::new);
        let app = Arc::new(App::new(options.limits.clone(), options.log()?, tokens));
        let router = router(&app, &options.cors_origins)?;
        let mut options = options;
        options.limits.connections = options.limits.connections.min(descriptors());
        let runtime = Builder::new_multi_thread().thread_name("http").enable_all().build().map_err(|error| {
            let cause = format!("the threads of the server cannot be started: {error}");
            Error::new(ErrorKind::Device, cause, "raise the limit of threads").with_source(error)
        })?;
        let listener = runtime.block_on(async { listen(options.listen) }).map_err(|error| {
            let cause = format!("the server cannot listen at {}: {error}", options.listen);
            Error::new(ErrorKind::Usage, cause, "listen at another address or port").with_source(error)
        })?;
        let address = listener.local_addr().unwrap_or(options.listen);
        let stage = Arc::new(watch::channel(Stage::Serving).0);
        Ok(Self { options, app, router, tls, listener, address, stage, runtime })
    }

    /// Returns the address, with the port that was taken for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a handle for other threads.
    pub fn handle(&self) -> Handle {
        Handle { app: self.app.clone(), stage: self.stage.clone() }
    }

    /// Makes the signals of the process end the server.
    ///
    /// # Errors
    /// The signals cannot be caught.
    pub fn obey_signals(&self) -> Result<()> {
        let handle = self.handle();
        let _runtime = self.runtime.enter();
        let mut signals = signals::Signals::new().map_err(|error| {
            let cause = format!("signals cannot be caught: {error}");
            Error::new(ErrorKind::Device, cause, "start the program from a shell or a service manager")
                .with_source(error)
        })?;
        self.runtime.spawn(async move {
            signals.next().await;
            handle.drain();
            signals.next().await;
            handle.stop();
        });
        Ok(())
    }

    /// Serves until a [`Handle`] ends it.
    ///
    /// # Errors
    /// The engine does not start, or the accepted requests were not finished in time.
    pub fn run(self) -> Result<()> {
        let Self { options, app, router, tls, listener, address, stage, runtime } = self;
        let scheme = if tls.is_some() { "https" } else { "http" };
        app.log.event("info", &format!("listening at {scheme}://{address}"));
        let outcome = runtime.block_on(async {
            let starting = start(app.clone(), &options);
            let serving = run(&options, app.clone(), router, tls, listener, stage.subscribe());
            tokio::pin!(serving);
            tokio::select! {
                outcome = &mut serving => outcome,
                Err(error) = starting => Err(error),
            }
        });
        app.log.event("info", "the server has ended");
        app.log.flush();
        // The engine may still open its device, and who is too slow is not waited for.
        runtime.shutdown_background();
        outcome
    }
}

/// The file descriptors that are left to everything but connections.
#[cfg(unix)]
const OTHER_DESCRIPTORS: u64 = 128;

/// Raises the process's limit of file descriptors as far as it may, and returns how many connections that allows.
#[cfg(unix)]
fn descriptors() -> usize {
    let limit = rlimit::increase_nofile_limit(rlimit::INFINITY).unwrap_or(1024);
    usize::try_from(limit.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(usize::MAX).max(1)
}

/// Returns how many connections the system allows: more than any server has.
#[cfg(not(unix))]
fn descriptors() -> usize {
    usize::MAX
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A port that connections of an earlier server still use can be taken. Windows would share it.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Starts the engine. Ends only with an error.
async fn start(app: Arc<App>, options: &Options) -> Result<()> {
    let Options { weights, open, largest_batch, queue, .. } = options.clone();
    let engine = spawn_blocking(move || Engine::start(weights, open, largest_batch, queue)).await;
    let engine = engine.map_err(|_| {
        Error::new(ErrorKind::Device, "the start of the device panicked", "compare it with `ecgpu doctor`")
    })??;
    app.log.event("info", &format!("ready on {}", engine.classifier().device()));
    app.start(engine);
    std::future::pending().await
}

/// Serves connections until the stage changes, then lets those that are there finish.
async fn run(
    options: &Options,
    app: Arc<App>,
    router: Router,
    tls: Option<Arc<Tls>>,
    listener: TcpListener,
    mut stage: watch::Receiver<Stage>,
) -> Result<()> {
    let limits = Arc::new(options.limits.clone());
    let connections = Connections::new(listener, &limits);
    let graceful = GracefulShutdown::new();
    let mut reload = interval(RELOAD);
    let mut last = stage.clone();
    let ending = async {
        let _ = stage.wait_for(|stage| *stage >= Stage::Draining).await;
        app.log.event("info", "the server drains");
        tokio::select! {
            () = sleep(options.drain_delay) => {}
            _ = stage.wait_for(|stage| *stage == Stage::Stopping) => {}
        }
    };
    tokio::pin!(ending);
    loop {
        tokio::select! {
            () = &mut ending => break,
            (stream, permit) = connections.accept() => {
                let (router, limits, watcher) = (router.clone(), limits.clone(), graceful.watcher());
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => connection::serve(stream, router, limits, watcher).await,
                        Some(tls) => {
                            if let Some(stream) = tls.handshake(stream, limits.head_time).await {
                                connection::serve(stream, router, limits, watcher).await;
                            }
                        }
                    }
                    drop(permit);
                });
            }
            _ = reload.tick() => {
                let (app, tls) = (app.clone(), tls.clone());
                spawn_blocking(move || {
                    app.tokens.as_ref().map(Tokens::reload);
                    tls.as_deref().map(Tls::reload);
                    observe::upkeep();
                });
            }
        }
    }
    drop(connections);
    let open = graceful.count();
    tokio::select! {
        finished = timeout(options.drain, graceful.shutdown()) => finished.map_err(|_| {
            let cause = format!("the requests of {open} connections were not finished within {:?}", options.drain);
            Error::new(ErrorKind::Device, cause, "allow more time to drain")
        }),
        _ = last.wait_for(|stage| *stage == Stage::Stopping) => Ok(()),
    }
}

#[cfg(unix)]
mod signals {
    use std::io;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// The signals that end a process.
    pub struct Signals([Signal; 2]);

    impl Signals {
        pub fn new() -> io::Result<Self> {
            Ok(Self([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]))
        }

        /// Waits for the next one.
        pub async fn next(&mut self) {
            let [terminate, interrupt] = &mut self.0;
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        }
    }
}

#[cfg(not(unix))]
mod signals {
    use std::io;

    /// Ctrl-C.
    pub struct Signals;

    impl Signals {
        pub fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits for the next one.
        pub async fn next(&mut self) {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
