//! The limits of the server: what one request, one connection and all together may take.

use std::time::Duration;

/// What requests and connections may take.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// The bytes of one body: 64 MiB.
    pub body_bytes: usize,
    /// The bytes of all bodies that are being read or computed: 1 GiB.
    pub bytes_in_flight: usize,
    /// The records of one request: 1024.
    pub records: usize,
    /// The samples per lead of one record: ten minutes at 1000 Hz.
    pub samples: usize,
    /// The open connections: 16,384.
    pub connections: usize,
    /// The time from the first byte of a request's head to its last: 10 s.
    pub head_time: Duration,
    /// The time that a connection may be open between requests: 75 s, longer than the usual load balancer keeps one.
    pub idle_time: Duration,
    /// The time that a whole body may take: 60 s.
    pub body_time: Duration,
    /// The time without a byte of the body, and without the client reading any of the response: 10 s.
    pub stall_time: Duration,
    /// The time from the last byte of the body to the response: 60 s.
    pub answer_time: Duration,
    /// The explanations that may wait or be computed: 8.
    pub explanations: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 << 20,
            bytes_in_flight: 1 << 30,
            records: 1024,
            samples: 600_000,
            connections: 16_384,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(75),
            body_time: Duration::from_secs(60),
            stall_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(60),
            explanations: 8,
        }
    }
}
