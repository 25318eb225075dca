//! What takes the place of TLS where it is not compiled in.

use std::time::Duration;

use ecgpu::{Error, ErrorKind, Result};
use tokio::net::TcpStream;

use crate::options::TlsFiles;

/// The certificate that no server has.
pub enum Tls {}

impl Tls {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn open(_: TlsFiles) -> Result<Self> {
        let remedy = "build it with the feature tls, or let a proxy in front of the server speak TLS";
        Err(Error::new(ErrorKind::Usage, "this build has no TLS", remedy))
    }

    pub fn reload(&self) {
        match *self {}
    }

    pub async fn handshake(&self, _: TcpStream, _: Duration) -> Option<TcpStream> {
        match *self {}
    }
}
