//! The end of a server.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    fake::Control,
    support::{Client, Request, Running, inputs, norm, options, start, wait_until},
};

/// Starts a server with one request that the device holds back.
fn busy(drain: Duration, delay: Duration) -> (Running, Arc<Control>, Client) {
    let control = Arc::new(Control::default());
    let mut options = options();
    options.open = control.opener();
    (options.drain, options.drain_delay) = (drain, delay);
    let server = start(options);
    control.close();
    let before = control.begun.load(SeqCst);
    let mut client = Client::connect(server.address);
    client.write(&Request::post("/api/predict", "application/json", inputs(&[norm(1, 100.0)], "")).bytes());
    let mut idle = Client::connect(server.address);
    idle.write(&Request::get("/healthz").bytes());
    assert_eq!(idle.response().status, 200);
    wait_until("it is computed", || control.begun.load(SeqCst) > before);
    (server, control, client)
}

#[test]
fn what_was_accepted_is_answered_and_nothing_more_is_accepted() {
    let (server, control, mut client) = busy(Duration::from_secs(60), Duration::ZERO);
    server.handle.drain();
    wait_until("no connection is accepted", || std::net::TcpStream::connect(server.address).is_err());
    control.open();
    let response = client.response();
    assert_eq!(response.status, 200, "{}", response.body);
    assert!(client.is_closed());
    server.ended().unwrap();
}

#[test]
fn a_load_balancer_has_time_to_notice() {
    let (server, control, mut client) = busy(Duration::from_secs(60), Duration::from_secs(2));
    server.handle.drain();
    let response = server.get("/readyz");
    assert_eq!((response.status, response.json()["status"].as_str()), (503, Some("draining")));
    assert_eq!(server.get("/healthz").status, 200);
    control.open();
    assert_eq!(server.post(&inputs(&[norm(2, 100.0)], "")).status, 200, "still accepted");
    assert_eq!(client.response().status, 200);
    server.ended().unwrap();
}

#[test]
fn a_request_that_does_not_end_is_given_up() {
    let (server, control, mut client) = busy(Duration::from_millis(200), Duration::ZERO);
    server.handle.drain();
    // The engine computes what it has begun.
    let opener = control.clone();
    let later = std::thread::spawn(move || {
        sleep(Duration::from_secs(1));
        opener.open();
    });
    let error = server.ended().unwrap_err();
    assert!(error.to_string().contains("were not finished within"), "{error}");
    assert!(client.try_response().is_none());
    later.join().unwrap();
}

#[test]
fn a_second_signal_ends_at_once() {
    let (server, control, _client) = busy(Duration::from_secs(600), Duration::from_secs(600));
    let start = Instant::now();
    server.handle.drain();
    server.handle.stop();
    control.open();
    server.ended().unwrap();
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}
