//! The server as its clients see it: real connections to a real server in this process.

mod bad_requests;
mod connections;
mod draining;
mod fake;
mod files;
mod open_inference;
mod openapi;
mod overload;
mod page;
mod predict;
mod recovery;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod tokens;
