//! HTTPS, over HTTP/1.1 and HTTP/2, with a certificate that the test makes.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use ecgpu_server::{Options, Server, TlsFiles};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::support::{Client, PATIENCE, Request, Running, options, start, wait_until};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Writes a certificate for localhost that signs itself, and its key.
fn write_certificate(folder: &Path) -> TlsFiles {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let files = TlsFiles { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
    fs::write(&files.certificate, cert.pem()).unwrap();
    fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    files
}

fn with(files: &TlsFiles) -> Options {
    let mut options = options();
    options.tls = Some(files.clone());
    options
}

/// Connects as a client that trusts the certificate in the file alone; nothing where the server has another one.
fn connect(address: SocketAddr, certificate: &Path, protocol: &[u8]) -> Option<Stream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).ok()?;
    }
    assert_eq!(stream.conn.alpn_protocol(), Some(protocol));
    Some(stream)
}

fn is_served(running: &Running, certificate: &Path) -> bool {
    let Some(mut stream) = connect(running.address, certificate, b"http/1.1") else { return false };
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut response = Vec::new();
    // The end of the stream may come without the end of TLS.
    let _ = stream.read_to_end(&mut response);
    response.starts_with(b"HTTP/1.1 200 OK\r\n")
}

/// Makes a frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    [&length.to_be_bytes()[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

#[test]
fn a_client_that_trusts_the_certificate_is_served_and_http_is_not() {
    let folder = TempDir::new().unwrap();
    let files = write_certificate(folder.path());
    let running = start(with(&files));
    assert!(is_served(&running, &files.certificate));
    let mut plain = Client::connect(running.address);
    plain.write(&Request::get("/healthz").bytes());
    let mut answer = Vec::new();
    let _ = plain.stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1"), "{answer:?}");
    let other = TempDir::new().unwrap();
    assert!(!is_served(&running, &write_certificate(other.path()).certificate));
    assert!(is_served(&running, &files.certificate));
}

#[test]
fn http_2_is_served_where_the_client_prefers_it() {
    let folder = TempDir::new().unwrap();
    let files = write_certificate(folder.path());
    let running = start(with(&files));
    let mut stream = connect(running.address, &files.certificate, b"h2").unwrap();
    // GET, https, the path and the authority by the static table of RFC 7541, appendix A.
    let head = [&[0x82, 0x87, 0x04, 8][..], b"/healthz", &[0x01, 9], b"localhost"].concat();
    let request = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[]), frame(1, 5, 1, &head)].concat();
    stream.write_all(&request).unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == 1 {
            // Status 200 is entry 8 of the static table.
            assert_eq!((head[8], payload[0]), (1, 0x88));
            break;
        }
    }
}

#[test]
fn a_changed_certificate_is_given_to_new_connections() {
    let folder = TempDir::new().unwrap();
    let files = write_certificate(folder.path());
    let running = start(with(&files));
    assert!(is_served(&running, &files.certificate));
    // A key of another certificate changes nothing.
    let before = fs::read(&files.certificate).unwrap();
    write_certificate(folder.path());
    wait_until("the new certificate is given", || is_served(&running, &files.certificate));
    let old = folder.path().join("old.pem");
    fs::write(&old, before).unwrap();
    assert!(!is_served(&running, &old));
}

#[test]
fn files_that_cannot_be_used_are_said() {
    let [folder, other] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let good = write_certificate(folder.path());
    let stranger = write_certificate(other.path());
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let cut = "-----BEGIN CERTIFICATE-----\nMII%%\n-----END CERTIFICATE-----\n";
    for (certificate, key, part) in [
        (file("empty", ""), good.key.clone(), "no certificate"),
        (good.key.clone(), good.key.clone(), "no certificate"),
        (good.certificate.clone(), good.certificate.clone(), "no private key"),
        (good.certificate.clone(), stranger.key.clone(), "cannot be used together"),
        (file("cut.pem", cut), good.key.clone(), "no PEM"),
        (folder.path().join("nowhere"), good.key.clone(), "nowhere"),
        (good.certificate.clone(), folder.path().join("nowhere"), "nowhere"),
    ] {
        let error = Server::bind(with(&TlsFiles { certificate, key })).err().expect("it is refused").to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
}
