//! Serves ecgpu over HTTP, for a load balancer, a browser, and programs.
//!
//! ```no_run
//! use std::sync::Arc;
//! use ecgpu::{Device, Weights, engine::backend};
//! use ecgpu_server::{Options, serve};
//!
//! let open = Arc::new(|| backend::open(&Device::Auto, None));
//! serve(Options::new(Weights::built_in()?, open))?;
//! # Ok::<(), ecgpu::Error>(())
//! ```
//!
//! `docs/serving.md` describes routes, limits and operation. Not a medical device.

mod engine;
mod http;
mod limits;
mod observe;
mod options;
mod server;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;

pub use engine::{Counts, OpenBackend};
pub use http::{
    log::{Log, LogFormat},
    openapi,
};
pub use limits::Limits;
pub use options::{Options, TlsFiles};
pub use server::{Handle, Server, serve};
