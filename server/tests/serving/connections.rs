//! Clients that are slow, silent, many, or up to something.

use std::{
    io::Write,
    net::{Shutdown, TcpStream},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::support::{Client, PATIENCE, Request, Running, inputs, norm, options, server, start};

/// A server that waits for little.
fn impatient() -> Running {
    let mut options = options();
    options.limits.head_time = Duration::from_millis(300);
    options.limits.idle_time = Duration::from_millis(900);
    options.limits.body_time = Duration::from_millis(1500);
    options.limits.stall_time = Duration::from_millis(300);
    start(options)
}

#[test]
fn a_slow_head_gets_408_and_holds_nothing() {
    let server = impatient();
    let mut client = Client::connect(server.address);
    let begin = Instant::now();
    let response = loop {
        // A byte now and then does not extend the time.
        client.write(b"P");
        client.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        if let Some(response) = client.try_response() {
            break response;
        }
        assert!(begin.elapsed() < PATIENCE);
    };
    response.assert_error(408, "the head of the request did not arrive");
    client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(client.is_closed());
}

#[test]
fn a_slow_body_gets_408() {
    let server = impatient();
    for (pause, part) in [(Duration::from_millis(100), "within 2 s"), (Duration::from_secs(2), "within 1 s")] {
        let mut client = Client::connect(server.address);
        client.write(b"POST /api/predict HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\n");
        let mut writer = client.stream.try_clone().unwrap();
        let dripping = std::thread::spawn(move || {
            for _ in 0..40 {
                sleep(pause);
                if writer.write_all(b"{").is_err() {
                    break;
                }
            }
        });
        let response = client.response();
        response.assert_error(408, part);
        assert_eq!(response.header("connection"), Some("close"));
        drop(client);
        dripping.join().unwrap();
    }
}

#[test]
fn an_idle_connection_is_closed_after_a_while() {
    let server = impatient();
    let mut silent = Client::connect(server.address);
    let mut used = Client::connect(server.address);
    used.write(&Request::get("/healthz").bytes());
    assert_eq!(used.response().status, 200);
    assert!(silent.is_closed() && used.is_closed());
}

#[test]
fn a_client_that_reads_nothing_is_given_up() {
    let server = impatient();
    let mut client = Client::connect(server.address);
    let request = Request::get("/nothing").bytes();
    // Until the buffers of both sides are full of responses.
    client.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let begin = Instant::now();
    while client.stream.write_all(&request).is_ok() {
        assert!(begin.elapsed() < PATIENCE, "the server goes on");
    }
    sleep(Duration::from_secs(1));
    client.stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut writes = std::iter::repeat_with(|| client.stream.write_all(&request));
    assert!(writes.any(|written| written.is_err()), "the connection is closed");
}

#[test]
fn a_client_that_closes_its_side_has_left() {
    let server = server();
    let mut client = Client::connect(server.address);
    client.write(b"POST /api/predict HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\n{");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert!(client.try_response().is_none_or(|response| response.status == 400));
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn a_thousand_idle_connections_do_not_disturb() {
    let server = server();
    let idle: Vec<TcpStream> = (0..1000).filter_map(|_| TcpStream::connect(server.address).ok()).collect();
    assert!(idle.len() > 200, "{} connections", idle.len());
    assert_eq!(server.get("/readyz").status, 200);
    assert_eq!(server.post(&inputs(&[norm(1, 100.0)], "")).predictions().len(), 1);
}

#[test]
fn one_connection_too_many_is_told_so() {
    let mut options = options();
    options.limits.connections = 3;
    let server = start(options);
    let mut held: Vec<Client> = (0..3).map(|_| Client::connect(server.address)).collect();
    // So that all of them are accepted.
    for client in &mut held {
        client.write(&Request::get("/healthz").bytes());
        assert_eq!(client.response().status, 200);
    }
    let mut fourth = Client::connect(server.address);
    fourth.response().assert_error(503, "too many connections");
    held.pop();
    crate::support::wait_until("there is room", || {
        let mut client = Client::connect(server.address);
        client.write(&Request::get("/healthz").bytes());
        client.try_response().is_some_and(|response| response.status == 200)
    });
}

#[test]
fn no_second_request_can_be_smuggled_in() {
    let server = server();
    let smuggled = "GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n";
    let body = format!("0\r\n\r\n{smuggled}");
    let post = "POST /api/predict HTTP/1.1\r\nhost: test\r\n";
    let both = [
        format!("{post}content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n{body}", body.len()),
        format!("{post}transfer-encoding: chunked\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
    ];
    for text in both {
        let mut client = Client::connect(server.address);
        client.write(text.as_bytes());
        client.response().assert_error(400, "the body is empty");
        assert!(client.is_closed(), "what follows is not read as a request: {text}");
    }
    for head in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 6\r\n",
        "content-length: +5\r\n",
        "content-length: -1\r\n",
        "content-length: 99999999999999999999\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding : chunked\r\n",
        " transfer-encoding: chunked\r\n",
    ] {
        let mut client = Client::connect(server.address);
        client.write(format!("{post}{head}\r\n{body}").as_bytes());
        client.response().assert_error(400, "");
        assert!(client.is_closed(), "{head}");
    }
}

#[test]
fn what_is_no_http_is_told_so() {
    let server = server();
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(500));
    for (text, status) in [
        ("\0\0\0\0 nonsense\r\n\r\n", 400),
        ("\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03 TLS", 400),
        ("GET\r\n\r\n", 400),
        ("GET / HTTP/9.9\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nx: a\0b\r\n\r\n", 400),
        ("SSH-2.0-OpenSSH_9.7\r\n\r\n", 400),
        (&long, 431),
        (&many, 431),
    ] {
        let mut client = Client::connect(server.address);
        client.write(text.as_bytes());
        let response = client.response();
        response.assert_error(status, "");
        assert!(client.is_closed());
    }
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn http_2_is_spoken_from_the_first_byte() {
    let server = server();
    let mut client = Client::connect(server.address);
    // The preface and an empty SETTINGS frame (RFC 9113, sections 3.4 and 6.5).
    client.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let mut frame = [0; 9];
    std::io::Read::read_exact(&mut client.stream, &mut frame).unwrap();
    assert_eq!(frame[3], 4, "the server's SETTINGS");
}
