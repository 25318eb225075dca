//! What a server is started with.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ecgpu::{Error, ErrorKind, Result, Weights};

use crate::{
    engine::OpenBackend,
    http::log::{Log, LogFormat},
    limits::Limits,
};

/// The options of a server.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The address to listen at: 127.0.0.1:8080. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The network.
    pub weights: Weights,
    /// Opens the device.
    pub open: OpenBackend,
    /// The records of the largest batch: 64. Rounded down to a power of two.
    pub largest_batch: usize,
    /// The records of the usual length that may wait: 512.
    pub queue: usize,
    /// A file of the tokens that are accepted, one per line; without one everybody is.
    pub token_file: Option<PathBuf>,
    /// The certificate for HTTPS; without one the server speaks HTTP.
    pub tls: Option<TlsFiles>,
    /// Whether other machines may connect without a token.
    pub insecure: bool,
    /// The origins whose pages may send requests, such as `https://ecg.example.org`: none.
    pub cors_origins: Vec<String>,
    /// The limits.
    pub limits: Limits,
    /// How long new connections are still accepted after the server was told to end: not at all. A load balancer needs some
    /// time to notice that the server is not ready any more.
    pub drain_delay: Duration,
    /// How long accepted requests may take after that: 30 s.
    pub drain: Duration,
    /// The log; none if absent.
    pub log: Option<Log>,
}

/// The files of a certificate, read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those between it and the root, in this order, in PEM.
    pub certificate: PathBuf,
    /// The certificate's private key in PEM: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key: PathBuf,
}

impl Options {
    /// Makes the default options for some weights and a device.
    pub fn new(weights: Weights, open: OpenBackend) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            weights,
            open,
            largest_batch: 64,
            queue: 512,
            token_file: None,
            tls: None,
            insecure: false,
            cors_origins: Vec::new(),
            limits: Limits::default(),
            drain_delay: Duration::ZERO,
            drain: Duration::from_secs(30),
            log: None,
        }
    }

    /// Checks that the options make sense.
    pub(crate) fn check(&self) -> Result<()> {
        if self.largest_batch == 0 || self.queue == 0 {
            let cause = "a server that computes or queues nothing";
            return Err(Error::new(ErrorKind::Usage, cause, "give at least one record"));
        }
        if self.token_file.is_none() && !self.insecure && !self.listen.ip().is_loopback() {
            let cause = format!("{} can be reached by other machines, and no token is asked for", self.listen);
            let remedy = "give a file of tokens, listen at 127.0.0.1, or allow access without a token (insecure)";
            return Err(Error::new(ErrorKind::Usage, cause, remedy));
        }
        Ok(())
    }

    /// Returns the log, or one that writes nothing.
    pub(crate) fn log(&self) -> Result<Log> {
        self.log.clone().map_or_else(|| Log::new(LogFormat::Off), Ok)
    }
}
