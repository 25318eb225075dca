//! The server as a process under twice the load that it can hold: memory stays flat, what it accepts it answers, and the rest
//! gets 429; the same while it is told to end. `ECGPU_SOAK_SECONDS` makes it longer than the few seconds of the usual run:
//!
//! ```text
//! ECGPU_SOAK_SECONDS=600 cargo test --release --test soak -- --nocapture --test-threads 1
//! ```
#![cfg(target_os = "linux")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{JoinHandle, sleep, spawn},
    time::{Duration, Instant},
};

use ecgpu::ecg::{Condition, synthesize};
use ecgpu_testing::npy;
use tempfile::TempDir;

/// Records that may wait.
const QUEUE: usize = 48;

/// Records that are computed at once.
const BATCH: usize = 16;

/// Connections, each of which has a request with the server but for its [`PAUSE`]: twice as many as may wait and be computed,
/// so that the queue is full however fast the machine is.
const CLIENTS: usize = 2 * (QUEUE + BATCH);

/// How long a client waits after a refusal.
const PAUSE: Duration = Duration::from_millis(10);

/// How long anything may take before a test fails. The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

struct Server {
    process: Child,
    address: String,
    log: PathBuf,
    _folder: TempDir,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let log = folder.path().join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ecgpu"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--device", "cpu", "--log", "json"]);
        command.args(["--queue", &QUEUE.to_string(), "--max-batch", &BATCH.to_string()]).args(arguments);
        let process = command.stdin(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let mut server = Self { process, address: String::new(), log, _folder: folder };
        let start = Instant::now();
        while !server.log().contains("ready on ") {
            assert!(start.elapsed() < PATIENCE, "the server is not ready: {}", server.log());
            sleep(Duration::from_millis(20));
        }
        let log = server.log();
        server.address = log.split_once("listening at http://").unwrap().1.split('"').next().unwrap().into();
        server
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until nothing more is written to the log, and returns how many of its requests have each status.
    fn logged<const N: usize>(&self, statuses: [u16; N]) -> [usize; N] {
        let mut log = self.log();
        loop {
            sleep(Duration::from_millis(500));
            let now = self.log();
            if now.len() == log.len() {
                break;
            }
            log = now;
        }
        assert!(!log.contains("were dropped"), "the log is not complete");
        statuses.map(|status| log.matches(&format!("\"status\":{status},")).count())
    }

    /// Returns the memory of the process in KiB.
    fn memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A response, or nothing where the connection ended before its first byte.
struct Response {
    status: u16,
    head: String,
    body: String,
}

/// A connection that sends one recording again and again.
struct Client {
    stream: TcpStream,
    request: Vec<u8>,
}

impl Client {
    fn new(address: &str, seed: u64) -> Self {
        let recording = synthesize(Condition::Norm, seed, 100.0, 10.0).unwrap();
        let numbers: Vec<f32> = recording.leads().flat_map(|(_, samples)| samples.to_vec()).collect();
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let body = npy("<f4", &[12, 1000], &bytes);
        let path = "/api/predict?sampling_rate_hz=100&unit=mV";
        let head = format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len());
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, request: [head.into_bytes(), body].concat() }
    }

    /// Sends the request and reads the response; nothing where the server had closed the connection.
    fn send(&mut self) -> Option<Response> {
        let _ = self.stream.write_all(&self.request);
        let (mut bytes, mut buffer) = (Vec::new(), [0; 16 << 10]);
        loop {
            let count = self.stream.read(&mut buffer).unwrap_or(0);
            if count == 0 {
                assert!(bytes.is_empty(), "a response is cut off: {}", String::from_utf8_lossy(&bytes));
                return None;
            }
            bytes.extend(&buffer[..count]);
            let text = std::str::from_utf8(&bytes).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length =
                head.split_once("content-length: ").unwrap().1.lines().next().unwrap().parse::<usize>().unwrap();
            if body.len() == length {
                let status = head[9..12].parse().unwrap();
                return Some(Response { status, head: head.into(), body: body.into() });
            }
        }
    }
}

/// What became of the requests of some clients.
#[derive(Default)]
struct Outcome {
    /// The responses by status.
    statuses: BTreeMap<u16, usize>,
    /// Requests on a connection that the server had closed.
    closed: usize,
}

impl Outcome {
    fn count(&self, status: u16) -> usize {
        self.statuses.get(&status).copied().unwrap_or(0)
    }
}

/// Lets all clients send until they are told to end, each as soon as its last request is answered or [`PAUSE`] after it was
/// refused. Every prediction must be the one that its client had before.
fn load(server: &Server, ended: &Arc<AtomicBool>) -> Vec<JoinHandle<Outcome>> {
    let client = |number: usize| {
        let (address, ended) = (server.address.clone(), ended.clone());
        spawn(move || {
            let mut client = Client::new(&address, number as u64 % 8);
            let (mut outcome, mut first) = (Outcome::default(), None);
            while !ended.load(Relaxed) {
                let Some(Response { status, head, body }) = client.send() else {
                    outcome.closed += 1;
                    break;
                };
                *outcome.statuses.entry(status).or_default() += 1;
                if status == 200 {
                    assert_eq!(first.get_or_insert_with(|| body.clone()), &body);
                }
                if head.contains("connection: close") {
                    break;
                }
                if status == 429 {
                    assert!(head.contains("retry-after: "), "{head}");
                    sleep(PAUSE);
                }
            }
            outcome
        })
    };
    (0..CLIENTS).map(client).collect()
}

fn joined(clients: Vec<JoinHandle<Outcome>>) -> Outcome {
    let mut all = Outcome::default();
    for client in clients {
        let outcome = client.join().expect("every response is as it should be");
        all.closed += outcome.closed;
        outcome.statuses.into_iter().for_each(|(status, count)| *all.statuses.entry(status).or_default() += count);
    }
    all
}

/// Returns how long a soak takes.
fn duration() -> Duration {
    let seconds = std::env::var("ECGPU_SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(6))
}

#[test]
fn twice_the_load_is_refused_in_part_and_takes_no_more_memory() {
    let server = Server::start(&[]);
    let ended = Arc::new(AtomicBool::new(false));
    let clients = load(&server, &ended);
    let (start, mut memory) = (Instant::now(), Vec::new());
    while start.elapsed() < duration() {
        sleep(duration() / 60);
        memory.push(server.memory());
    }
    ended.store(true, Relaxed);
    let outcome = joined(clients);
    let third = memory.len() / 3;
    let largest = |part: &[usize]| *part.iter().max().unwrap();
    let [early, late] = [largest(&memory[..third]), largest(&memory[2 * third..])];
    println!(
        "{:?} in {:?}, memory {early} KiB in the first third, {late} KiB in the last",
        outcome.statuses,
        duration()
    );
    assert_eq!((outcome.closed, outcome.statuses.len()), (0, 2), "only 200 and 429");
    assert!(outcome.count(200) > 0 && outcome.count(429) > 0);
    let after = server.logged([200, 429]);
    assert_eq!(after, [200, 429].map(|status| outcome.count(status)), "the log");
    assert!(late <= early + early / 10 + (16 << 10), "the memory grows from {early} to {late} KiB");
}

#[test]
fn sigterm_in_the_middle_of_it_loses_nothing_that_was_accepted() {
    let mut server = Server::start(&["--drain-delay", "1"]);
    let ended = Arc::new(AtomicBool::new(false));
    let clients = load(&server, &ended);
    sleep(duration() / 2);
    let id = server.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    // Each client ends when its connection is closed.
    let outcome = joined(clients);
    let start = Instant::now();
    let code = loop {
        match server.process.try_wait().unwrap() {
            Some(status) => break status.code(),
            None => assert!(start.elapsed() < PATIENCE, "the server does not end"),
        }
        sleep(Duration::from_millis(20));
    };
    println!("{:?}, {} requests on closed connections", outcome.statuses, outcome.closed);
    assert_eq!(code, Some(0), "{}", server.log());
    // A request is in the log when the server has read its head. Each has a whole response that its client has read; 499 would
    // be one that the server gave up.
    let after = server.logged([200, 429, 499]);
    let expected = [outcome.count(200), outcome.count(429), 0];
    assert_eq!(after, expected, "200, 429 and 499 of the log");
    assert!(outcome.count(200) > 0 && outcome.statuses.keys().all(|status| [200, 429, 503].contains(status)));
}
