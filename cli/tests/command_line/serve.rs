//! The server as a process.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStderr, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::support::{Folder, assert_one_line, command, data, run};

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
    let server = Server::start(&[]);
    refused(&["--listen", &server.address], 2, "cannot listen at");
}
