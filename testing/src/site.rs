//! A web server in the test's own process, which answers correctly or with faults.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

/// A fault of the server in place of a page.
#[derive(Clone, Copy, PartialEq)]
pub enum Fault {
    /// Announces the whole page, sends this number of bytes and closes the connection.
    Drop(usize),
    /// Announces the whole page, sends this number of bytes and then nothing on the open connection.
    Stall(usize),
    /// Sends the whole page slowly.
    Slow(Duration),
    /// Sends the whole page, whatever part was requested.
    IgnoreRange,
    /// Sends another part than the requested one.
    OtherPart,
    /// Sends the right number of wrong bytes.
    WrongBytes,
    /// Answers with a status and requests no pause.
    Status(u16),
}

/// What the server has at a path.
#[derive(Clone)]
pub struct Page {
    /// The status; 200 with the body or the requested part of it.
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Requests without this bearer token get status 401.
    pub token: Option<String>,
}

impl Page {
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into(), token: None }
    }

    /// Returns the page with a header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A request that came.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub method: String,
    /// The path with a slash at its beginning, and the query.
    pub path: String,
    /// The first byte that was requested.
    pub start: usize,
    pub token: Option<String>,
}

/// The pages, and for each path the faults of its next requests.
#[derive(Default)]
pub struct Pages {
    pub pages: HashMap<String, Page>,
    faults: HashMap<String, Vec<Fault>>,
    requests: Vec<Request>,
}

/// A server that runs until the test program ends.
#[derive(Clone)]
pub struct Site {
    /// The address without a slash at its end.
    pub url: String,
    shared: Arc<Mutex<Pages>>,
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Site {
    /// Starts a server without a page at a free port.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let site = Self { url, shared: Default::default() };
        let shared = site.shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                thread::spawn(move || serve(stream, &shared));
            }
        });
        site
    }

    /// Returns the pages, to change them.
    pub fn pages(&self) -> MutexGuard<'_, Pages> {
        self.shared.lock().unwrap()
    }

    /// Puts a page at a path.
    pub fn put(&self, path: impl Into<String>, page: Page) {
        self.pages().pages.insert(path.into(), page);
    }

    /// Sets the faults of the next requests for a path.
    pub fn faults(&self, path: &str, faults: &[Fault]) {
        self.pages().faults.insert(path.into(), faults.to_vec());
    }

    /// Returns the requests since the last call.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.pages().requests)
    }
}

/// Answers the requests of one connection until a fault ends it.
fn serve(stream: TcpStream, shared: &Mutex<Pages>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let head: Vec<String> = reader.by_ref().lines().map_while(|line| line.ok().filter(|l| !l.is_empty())).collect();
        let (method, rest) = head.first()?.split_once(' ')?;
        let path = rest.split(' ').next()?.to_string();
        let header = |name: &str| {
            let value =
                head.iter().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
            value.map(|(_, value)| value.to_string())
        };
        let range = header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let start: usize = range.unwrap_or(0);
        let token = header("authorization").and_then(|value| value.strip_prefix("Bearer ").map(String::from));
        let (page, fault) = {
            let mut shared = shared.lock().unwrap();
            let request = Request { method: method.into(), path: path.clone(), start, token: token.clone() };
            shared.requests.push(request);
            let faults = shared.faults.entry(path.clone()).or_default();
            let fault = (!faults.is_empty()).then(|| faults.remove(0));
            (shared.pages.get(&path).cloned(), fault)
        };
        let missing = || Page { status: 404, ..Page::new("none") };
        let mut page = page.unwrap_or_else(missing);
        if page.token.is_some() && page.token != token {
            page = Page { status: 401, ..Page::new("no") };
        }
        answer(&stream, page, method == "HEAD", start, fault)?;
    }
}

/// Writes one answer. Returns nothing where the connection must be closed.
fn answer(mut stream: &TcpStream, page: Page, head_only: bool, start: usize, fault: Option<Fault>) -> Option<()> {
    let Page { mut status, headers, mut body, .. } = page;
    let mut send = |status: u16, extra: String, announced: usize, body: &[u8]| {
        let given: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {announced}\r\n{given}{extra}\r\n");
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(if head_only { b"" } else { body })).ok()
    };
    if let Some(Fault::Status(status)) = fault {
        return send(status, "Retry-After: 0\r\n".into(), 5, b"sorry");
    }
    if status != 200 {
        return send(status, String::new(), body.len(), &body);
    }
    let start = match fault {
        Some(Fault::WrongBytes) => {
            body.iter_mut().for_each(|byte| *byte ^= 1);
            0
        }
        Some(Fault::IgnoreRange) => 0,
        Some(Fault::OtherPart) => start.saturating_sub(1),
        _ if start > 0 && start >= body.len() => return send(416, String::new(), 0, b""),
        _ => start,
    };
    let part = &body[start..];
    let mut extra = String::new();
    if start > 0 || fault == Some(Fault::OtherPart) {
        status = 206;
        extra = format!("Content-Range: bytes {start}-{}/{}\r\n", body.len() - 1, body.len());
    }
    match fault {
        Some(Fault::Drop(bytes)) => send(status, extra, part.len(), &part[..bytes]).and(None),
        Some(Fault::Stall(bytes)) => {
            send(status, extra, part.len(), &part[..bytes])?;
            thread::sleep(Duration::from_secs(20));
            None
        }
        Some(Fault::Slow(time)) => {
            thread::sleep(time);
            send(status, extra, part.len(), part)
        }
        _ => send(status, extra, part.len(), part),
    }
}
