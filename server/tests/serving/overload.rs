//! More requests than the device can compute.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    thread,
    time::Duration,
};

use crate::{
    fake::Control,
    support::{Client, PATIENCE, Request, Running, inputs, norm, options, start, wait_until},
};

/// Starts a server on a device that waits, with a queue of four.
fn slow() -> (Running, Arc<Control>) {
    let control = Arc::new(Control::default());
    let mut options = options();
    options.open = control.opener();
    options.queue = 4;
    let server = start(options);
    control.close();
    (server, control)
}

fn request(records: usize) -> Vec<u8> {
    let recordings: Vec<_> = (0..records as u64).map(|seed| norm(seed, 100.0)).collect();
    Request::post("/api/predict", "application/json", inputs(&recordings, "")).bytes()
}

/// Sends a request whose records are then computed or wait.
fn send(server: &Running, records: usize) -> Client {
    let mut client = Client::connect(server.address);
    client.write(&request(records));
    client
}

/// Waits until the device computes one record and some others wait.
fn occupy(server: &Running, control: &Control, waiting: usize) -> Vec<Client> {
    let before = control.begun.load(SeqCst);
    let mut clients = vec![send(server, 1)];
    wait_until("the first is computed", || control.begun.load(SeqCst) == before + 1);
    for _ in 0..waiting {
        clients.push(send(server, 1));
    }
    wait_until("the others wait", || server.handle.counts().unwrap().waiting == waiting);
    clients
}

#[test]
fn a_full_queue_answers_429_and_health_checks_and_serves_later() {
    let (server, control) = slow();
    let clients = occupy(&server, &control, 4);
    let refused = send(&server, 1).response();
    refused.assert_error(429, "as many records wait as may wait");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    control.open();
    for mut client in clients {
        assert_eq!(client.response().predictions().len(), 1);
    }
    assert_eq!(send(&server, 1).response().status, 200);
    // The four that waited were one batch.
    assert!(control.runs.lock().unwrap().contains(&(4 * 12 * 1000)));
}

#[test]
fn a_request_larger_than_the_queue_is_accepted_when_there_is_room() {
    let (server, control) = slow();
    let clients = occupy(&server, &control, 3);
    let large = send(&server, 20);
    wait_until("all of it waits", || server.handle.counts().unwrap().waiting == 23);
    assert_eq!(send(&server, 1).response().status, 429);
    control.open();
    for (mut client, records) in clients.into_iter().map(|client| (client, 1)).chain([(large, 20)]) {
        assert_eq!(client.response().predictions().len(), records);
    }
}

#[test]
fn records_whose_client_has_left_are_not_computed() {
    let (server, control) = slow();
    let mut clients = occupy(&server, &control, 4);
    clients.drain(1..4);
    // A full queue looks for those that have left.
    let mut next = None;
    wait_until("there is room", || {
        let mut client = send(&server, 1);
        client.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let refused = client.try_response();
        assert!(refused.as_ref().is_none_or(|response| response.status == 429));
        next = Some(client);
        refused.is_none()
    });
    control.open();
    for mut client in clients.into_iter().chain(next) {
        client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(client.response().status, 200);
    }
    let counts = server.handle.counts().unwrap();
    assert_eq!((counts.abandoned, counts.computed), (3, 3));
}

#[test]
fn many_clients_at_once_share_batches() {
    let (server, control) = slow();
    control.open();
    let (address, body) = (server.address, request(1));
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let body = body.clone();
            thread::spawn(move || {
                let mut client = Client::connect(address);
                let mut answered = 0;
                while answered < 10 {
                    client.write(&body);
                    match client.response().status {
                        200 => answered += 1,
                        status => assert_eq!(status, 429),
                    }
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    let counts = server.handle.counts().unwrap();
    assert_eq!(counts.computed, 160);
    assert!(counts.batches < 160, "{} batches", counts.batches);
}
