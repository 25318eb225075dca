//! `ecgpu serve`: an endpoint over HTTP.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::ValueEnum;
use ecgpu::Result;
use ecgpu_server::{Limits, Log, LogFormat, Options, TlsFiles, openapi, serve};

use crate::{SUCCESS, Setup, logger, terminal};

/// Serve classifications over HTTP
///
/// POST /api/predict takes a JSON array, or any file that `classify` reads, and answers with probabilities, labels and
/// warnings. Requests that arrive while the device computes share the next batch. SIGTERM or Ctrl-C ends the server when
/// what it has accepted is answered; a second one ends it at once. docs/serving.md has everything else.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu serve
  curl localhost:8080/api/predict --data-binary @record.npy
  curl localhost:8080/api/predict -F file=@record.hea -F file=@record.dat
  ecgpu serve --listen 0.0.0.0:8080 --token-file /etc/ecgpu/tokens --device gpu --log json
  ecgpu serve --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem --token-file tokens
  ecgpu serve --openapi > openapi.json")]
pub struct Arguments {
    /// The address to listen at; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    #[command(flatten)]
    setup: Setup,
    /// A file of the tokens that are accepted, one per line, # for comments; read again when it changes
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The server's certificate in PEM, for HTTPS, with those between it and the root; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key in PEM, not encrypted
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Print the description of all routes (OpenAPI 3.1) and end
    #[arg(long)]
    openapi: bool,
    /// Let other machines connect without a token
    #[arg(long)]
    insecure: bool,
    /// An origin whose pages may send requests, such as `https://ecg.example.org`; may be given several times
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<String>,
    /// Records that are computed together, rounded down to a power of two
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    max_batch: u32,
    /// Records that may wait for the device; further requests get status 429
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    queue: u32,
    /// Records of one request
    #[arg(long, default_value_t = 1024, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_records: u32,
    /// MiB of one body
    #[arg(long, default_value_t = 64, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=4096))]
    max_body: u32,
    /// Open connections
    #[arg(long, default_value_t = 16384, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: u32,
    /// Seconds in which a request must be answered
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    request_seconds: u32,
    /// Seconds in which accepted requests must be finished when the server ends
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    drain_seconds: u32,
    /// Seconds for which new requests are still accepted then, until a load balancer has noticed
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    drain_delay: u32,
    /// The log on standard error: a line of JSON or of text per request, or none
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    log: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Text,
    Off,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    if arguments.openapi {
        terminal::print(&openapi());
        return Ok(SUCCESS);
    }
    let weights = arguments.setup.weights(arguments.log != Format::Text)?;
    let log = Log::new(match arguments.log {
        Format::Json => LogFormat::Json,
        Format::Text => LogFormat::Text,
        Format::Off => LogFormat::Off,
    })?;
    weights.notes.iter().for_each(|note| log.event("info", note));
    let device = arguments.setup.device.clone();
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let mut options = Options::new(weights, Arc::new(move || device.open()));
    options.listen = arguments.listen;
    options.token_file = arguments.token_file.clone();
    let tls = arguments.tls_cert.clone().zip(arguments.tls_key.clone());
    options.tls = tls.map(|(certificate, key)| TlsFiles { certificate, key });
    options.insecure = arguments.insecure;
    options.cors_origins = arguments.cors_origin.clone();
    options.largest_batch = arguments.max_batch as usize;
    options.queue = arguments.queue as usize;
    options.drain = seconds(arguments.drain_seconds);
    options.drain_delay = seconds(arguments.drain_delay);
    options.limits = Limits::default();
    options.limits.records = arguments.max_records as usize;
    options.limits.body_bytes = (arguments.max_body as usize) << 20;
    options.limits.connections = arguments.max_connections as usize;
    options.limits.answer_time = seconds(arguments.request_seconds);
    let listener = log.clone();
    options.log = Some(log);
    logger::pass_to(move |level, message| listener.event(&level.as_str().to_lowercase(), message));
    match serve(options) {
        Ok(()) => terminal::leave(0),
        Err(error) => Err(error),
    }
}
