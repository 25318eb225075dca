//! The server as a process.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStderr, Stdio},
    time::Duration,
};

use ecgpu_testing::python;
use serde_json::{Value, json};

use crate::support::{Folder, assert_one_line, command, data, printed, run};

/// A server, its log, and where it listens.
struct Server {
    process: Child,
    log: BufReader<ChildStderr>,
    address: String,
}

impl Server {
    /// Starts a server on the CPU at a free port and waits until it is ready.
    fn start(arguments: &[&str]) -> Self {
        let serve = ["serve", "--listen", "127.0.0.1:0", "--device", "cpu", "--threads", "1", "--log", "json"];
        let mut process = command(&[&serve, arguments].concat()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        let mut server = Self { process, log, address: String::new() };
        let listening = server.line()["message"].as_str().unwrap().to_string();
        server.address = listening.strip_prefix("listening at http://").unwrap().into();
        assert!(server.line()["message"].as_str().unwrap().starts_with("ready on "));
        server
    }

    /// Reads the next line of the log.
    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.log.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Sends a file, and does not wait for the answer.
    fn send(&self, file: &str, headers: &str) -> TcpStream {
        let body = std::fs::read(file).unwrap();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let length = body.len();
        let path = "/api/predict?sampling_rate_hz=100&unit=mV&name=secret-name.npy";
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}content-length: {length}");
        stream.write_all(&[head.as_bytes(), b"\r\n\r\n", &body].concat()).unwrap();
        stream
    }

    #[cfg(unix)]
    fn terminate(&self) {
        let id = self.process.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn response(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_request_is_answered_and_logged_without_its_content() {
    let folder = Folder::new();
    let tokens = folder.with("tokens", "secret-token\n");
    let mut server = Server::start(&["--token-file", &tokens]);
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let file = format!("{root}/{}", data("expected.npy"));
    let answer = response(server.send(&file, "authorization: Bearer secret-token\r\nx-request-id: ward-4.7\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"record\":\"secret-name\""), "{answer}");
    let line = server.line();
    let expected = [("request_id", "ward-4.7"), ("method", "POST"), ("route", "/api/predict")];
    assert!(expected.iter().all(|(key, value)| line[key] == *value), "{line}");
    for (key, value) in [("status", 200), ("records", 1), ("batch", 1), ("bytes", 48128)] {
        assert_eq!(line[key], value, "{line}");
    }
    assert!(line["ms"].as_f64().unwrap() > 0.0 && line["time"].as_str().unwrap().ends_with('Z'));
    assert!(!line.to_string().contains("secret"), "{line}");
    let refused = response(server.send(&file, "authorization: Bearer another-token\r\n"));
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    let line = server.line();
    assert!(line["status"] == 401 && !line.to_string().contains("another"), "{line}");
}

/// Returns the value of a metric with some labels.
fn sample(metrics: &Value, family: &str, name: &str, labels: Value) -> f64 {
    let samples = metrics[family]["samples"].as_array().unwrap_or_else(|| panic!("there is no {family}"));
    let found = samples.iter().find(|sample| sample[0] == name && sample[1] == labels);
    found.unwrap_or_else(|| panic!("there is no {name} with {labels}: {samples:?}"))[2].as_f64().unwrap()
}

#[test]
fn prometheus_reads_how_many_requests_were_answered_and_refused() {
    let Some(parse) = python("prometheus_client", "prometheus_text.py") else { return };
    let folder = Folder::new();
    let tokens = folder.with("tokens", "secret-token\n");
    let server = Server::start(&["--token-file", &tokens, "--max-body", "1"]);
    let token = "authorization: Bearer secret-token\r\n";
    let file = format!("{}/../{}", env!("CARGO_MANIFEST_DIR"), data("expected.npy"));
    let large = folder.with("large.npy", crate::support::zeros(&[30, 12, 1000]));
    for (file, headers, status) in [(&file, token, 200), (&file, token, 200), (&file, "", 401), (&large, token, 413)] {
        let answer = response(server.send(file, headers));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let head = format!("GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{token}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let answer = response(stream);
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    let metrics: Value = serde_json::from_str(&parse(&[folder.with("metrics", text).as_ref()])).unwrap();
    for (name, family) in metrics.as_object().unwrap() {
        assert!(
            name.starts_with("ecgpu_") && family["help"].as_str().is_some_and(|help| help.ends_with('.')),
            "{name}"
        );
        assert!(["counter", "gauge", "histogram"].contains(&family["type"].as_str().unwrap()), "{name}: {family}");
    }
    let value =
        |family: &str, suffix: &str, labels: Value| sample(&metrics, family, &format!("{family}{suffix}"), labels);
    let of_route = |status: &str| json!({ "route": "/api/predict", "status": status });
    for (family, suffix, labels, expected) in [
        ("ecgpu_http_requests", "_total", of_route("200"), 2.0),
        ("ecgpu_http_requests", "_total", of_route("401"), 1.0),
        ("ecgpu_http_requests", "_total", of_route("413"), 1.0),
        ("ecgpu_http_request_duration_seconds", "_count", json!({ "route": "/api/predict" }), 4.0),
        ("ecgpu_refusals", "_total", json!({ "reason": "unauthorised" }), 1.0),
        ("ecgpu_refusals", "_total", json!({ "reason": "too_large" }), 1.0),
        ("ecgpu_refusals", "_total", json!({ "reason": "full" }), 0.0),
        ("ecgpu_records", "_total", json!({}), 2.0),
        ("ecgpu_batch_records", "_sum", json!({}), 2.0),
        ("ecgpu_batch_records", "_bucket", json!({ "le": "1" }), 2.0),
        ("ecgpu_batch_duration_seconds", "_count", json!({}), 2.0),
        ("ecgpu_queue_records", "", json!({}), 0.0),
        ("ecgpu_ready", "", json!({}), 1.0),
        ("ecgpu_device_replacements", "_total", json!({}), 0.0),
        ("ecgpu_build_info", "", json!({ "version": env!("CARGO_PKG_VERSION") }), 1.0),
    ] {
        assert_eq!(value(family, suffix, labels.clone()), expected, "{family}{suffix} {labels}");
    }
    assert!(value("ecgpu_batch_duration_seconds", "_sum", json!({})) > 0.0);
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn the_description_of_the_routes_is_printed() {
    let document: Value = serde_json::from_str(&printed(&["serve", "--openapi"])).unwrap();
    assert!(document["paths"]["/api/predict"]["post"].is_object());
}

#[test]
#[cfg(unix)]
fn sigterm_ends_the_server_when_what_it_accepted_is_answered() {
    let mut server = Server::start(&[]);
    let file = format!("{}/../{}", env!("CARGO_MANIFEST_DIR"), data("batch_fortran.npy"));
    let folder = Folder::new();
    // Long enough to be computed when the signal comes.
    let long = folder.with("long.npy", crate::support::zeros(&[300, 12, 1000]));
    let clients: Vec<TcpStream> = [&long, &file, &long].into_iter().map(|file| server.send(file, "")).collect();
    // Connections are accepted in their order, and those that are have sent their heads.
    let mut probe = TcpStream::connect(&server.address).unwrap();
    probe.write_all(b"GET /readyz HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
    assert!(response(probe).starts_with("HTTP/1.1 200 OK\r\n"));
    std::thread::sleep(Duration::from_millis(500));
    server.terminate();
    for client in clients {
        let answer = response(client);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    assert_eq!(server.process.wait().unwrap().code(), Some(0));
    let mut log = String::new();
    server.log.read_to_string(&mut log).unwrap();
    assert!(log.contains("the server drains") && log.contains("the server has ended"), "{log}");
}

#[test]
fn what_cannot_be_served_is_said() {
    let refused = |arguments: &[&str], code: i32, part: &str| {
        let outcome = run(&[&["serve", "--device", "cpu", "--log", "off"], arguments].concat());
        assert_one_line(&outcome, code, part);
    };
    refused(&["--listen", "0.0.0.0:0"], 2, "other machines");
    refused(&["--token-file", "nowhere"], 1, "check the path");
    refused(&["--cors-origin", "*"], 2, "no origin");
    refused(&["--tls-cert", "nowhere", "--tls-key", "nowhere"], 1, "check the path");
    let server = Server::start(&[]);
    refused(&["--listen", &server.address], 2, "cannot listen at");
}
