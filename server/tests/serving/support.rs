//! Servers of this process, and a client that can also be a bad one.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::Arc,
    thread::{JoinHandle, sleep, spawn},
    time::{Duration, Instant},
};

use ecgpu::{
    Classifier, Recording, Result, Weights,
    ecg::{Condition, synthesize},
    engine::backend::cpu::Cpu,
};
use ecgpu_server::{Handle, Options, Server};
use serde_json::Value;

/// How long anything may take before a test fails. The machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs until it is dropped.
pub struct Running {
    pub address: SocketAddr,
    pub handle: Handle,
    thread: Option<JoinHandle<Result<()>>>,
}

/// Returns the options of a server on the CPU at a free port.
pub fn options() -> Options {
    let open = || Ok(Box::new(Cpu::with_threads(1)?) as _);
    let mut options = Options::new(Weights::built_in().unwrap(), Arc::new(open));
    options.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    options.largest_batch = 8;
    options
}

/// Starts a server and waits until it is ready.
pub fn start(options: Options) -> Running {
    let running = launch(options);
    wait_until("the server is ready", || running.handle.is_ready());
    running
}

/// Starts a server on the CPU.
pub fn server() -> Running {
    start(options())
}

/// Starts a server and does not wait.
pub fn launch(options: Options) -> Running {
    let server = Server::bind(options).unwrap();
    let (address, handle) = (server.address(), server.handle());
    Running { address, handle, thread: Some(spawn(|| server.run())) }
}

impl Running {
    /// Waits until the server has ended and returns how.
    pub fn ended(mut self) -> Result<()> {
        self.thread.take().unwrap().join().expect("the server does not panic")
    }

    /// Sends a request on a connection of its own and returns the response.
    pub fn send(&self, request: &Request) -> Response {
        let mut client = Client::connect(self.address);
        client.write(&request.bytes());
        client.response()
    }

    pub fn get(&self, path: &str) -> Response {
        self.send(&Request::get(path))
    }

    /// Posts JSON to /api/predict.
    pub fn post(&self, json: &str) -> Response {
        self.send(&Request::post("/api/predict", "application/json", json))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits until something holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(5));
    }
}

/// A request.
#[derive(Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: String,
    body: Vec<u8>,
}

impl Request {
    pub fn get(path: &str) -> Self {
        Self { method: "GET".into(), path: path.into(), headers: String::new(), body: Vec::new() }
    }

    pub fn post(path: &str, kind: &str, body: impl AsRef<[u8]>) -> Self {
        let request = Self { method: "POST".into(), body: body.as_ref().to_vec(), ..Self::get(path) };
        if kind.is_empty() { request } else { request.header("content-type", kind) }
    }

    /// A form of files, each with its name, and of fields.
    pub fn form(files: &[(&str, &[u8])], fields: &[(&str, &str)]) -> Self {
        let mut body = Vec::new();
        for (name, text) in fields {
            let head = format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
            body.extend(head.into_bytes());
        }
        for (name, bytes) in files {
            let head = "content-type: application/octet-stream";
            let disposition = format!("content-disposition: form-data; name=\"file\"; filename=\"{name}\"");
            body.extend(format!("--edge\r\n{disposition}\r\n{head}\r\n\r\n").into_bytes());
            body.extend([bytes, &b"\r\n"[..]].concat());
        }
        body.extend(b"--edge--\r\n");
        Self::post("/api/predict", "multipart/form-data; boundary=edge", body)
    }

    pub fn method(self, method: &str) -> Self {
        Self { method: method.into(), ..self }
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        Self { headers: format!("{}{name}: {value}\r\n", self.headers), ..self }
    }

    /// Returns the request as it is sent.
    pub fn bytes(&self) -> Vec<u8> {
        let Self { method, path, headers, body } = self;
        let length = format!("content-length: {}\r\n", body.len());
        let length = if method == "GET" && body.is_empty() { "" } else { &length };
        [format!("{method} {path} HTTP/1.1\r\nhost: test\r\n{headers}{length}\r\n").as_bytes(), body].concat()
    }
}

/// A connection.
pub struct Client {
    pub stream: TcpStream,
    /// What was read beyond the last response.
    rest: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    head: String,
    /// The content, if it is text; empty if it is compressed.
    pub body: String,
    /// The bytes of the content.
    pub content: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the predictions of a response with status 200.
    pub fn predictions(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()["predictions"].as_array().unwrap().clone()
    }

    /// Asserts the status of an error and that its JSON has a cause and a remedy, which contain `part`.
    pub fn assert_error(&self, status: u16, part: &str) {
        assert!(self.is_error(status, part), "expected {status} '{part}', got {} {}", self.status, self.body);
    }

    /// Whether the response is an error of a status whose JSON has a cause and a remedy, which contain `part` and no path of
    /// this machine.
    pub fn is_error(&self, status: u16, part: &str) -> bool {
        let Ok(json) = serde_json::from_str::<Value>(&self.body) else { return false };
        let [error, cause, remedy, kind] =
            ["error", "cause", "remedy", "kind"].map(|key| json[key].as_str().unwrap_or_default());
        let complete = !cause.is_empty() && !remedy.is_empty() && !kind.is_empty();
        let leaks = ["/tmp", "src/"].iter().any(|path| self.body.contains(path));
        self.status == status && error == format!("{cause}: {remedy}") && complete && error.contains(part) && !leaks
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, rest: Vec::new() }
    }

    /// Writes bytes; the server may have closed the connection.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Reads a response. Panics if the connection ends before.
    pub fn response(&mut self) -> Response {
        self.try_response().expect("the server answers")
    }

    /// Reads a response; nothing if the connection ends before.
    pub fn try_response(&mut self) -> Option<Response> {
        let mut bytes = std::mem::take(&mut self.rest);
        let end = loop {
            match bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.more(&mut bytes)?,
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut response = Response { status, head, body: String::new(), content: Vec::new() };
        if status == 100 {
            self.rest = bytes.split_off(end);
            return self.try_response();
        }
        let length: usize = match status {
            304 => 0,
            _ => response.header("content-length").expect("every response states its length").parse().unwrap(),
        };
        while bytes.len() < end + length {
            self.more(&mut bytes)?;
        }
        self.rest = bytes.split_off(end + length);
        response.content = bytes.split_off(end);
        if response.header("content-encoding").is_none() {
            response.body = String::from_utf8(response.content.clone()).unwrap();
        }
        Some(response)
    }

    fn more(&mut self, bytes: &mut Vec<u8>) -> Option<()> {
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(0) | Err(_) => None,
            Ok(count) => {
                bytes.extend(&buffer[..count]);
                Some(())
            }
        }
    }

    /// Whether the server closes the connection.
    pub fn is_closed(&mut self) -> bool {
        let mut buffer = [0; 1];
        match self.stream.read(&mut buffer) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

/// Returns a classifier that computes the same as the servers.
pub fn classifier() -> Classifier {
    Classifier::on(Weights::built_in().unwrap(), Box::new(Cpu::with_threads(1).unwrap())).unwrap()
}

/// Synthesises a normal ECG of ten seconds.
pub fn norm(seed: u64, sampling_rate: f64) -> Recording {
    synthesize(Condition::Norm, seed, sampling_rate, 10.0).unwrap()
}

/// Returns the leads of a recording as JSON, `[leads, samples]`.
pub fn array(recording: &Recording) -> String {
    let leads: Vec<String> = recording.leads().map(|(_, samples)| format!("{samples:?}")).collect();
    format!("[{}]", leads.join(","))
}

/// Returns the JSON of a request for some recordings.
pub fn inputs(recordings: &[Recording], more: &str) -> String {
    let arrays: Vec<String> = recordings.iter().map(array).collect();
    format!("{{\"inputs\": [{}]{more}}}", arrays.join(","))
}

/// Returns the numbers of a JSON array.
pub fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

/// Returns the path of a file of the repository's `tests/data`.
pub fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name)
}
