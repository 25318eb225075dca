//! Devices that fail.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use crate::{
    fake::Control,
    support::{Client, Request, Running, inputs, launch, norm, options, start, wait_until},
};

/// Starts a server on a device that a test controls.
fn server() -> (Running, Arc<Control>) {
    let control = Arc::new(Control::default());
    let mut options = options();
    options.open = control.opener();
    (start(options), control)
}

/// Sends requests of one record at the same time, which the device holds back until all of them are there.
fn waiting(server: &Running, control: &Control, count: usize) -> Vec<Client> {
    control.close();
    let body = Request::post("/api/predict", "application/json", inputs(&[norm(1, 100.0)], "")).bytes();
    let (before, mut clients) = (control.begun.load(SeqCst), Vec::new());
    for at in 0..count {
        let mut client = Client::connect(server.address);
        client.write(&body);
        clients.push(client);
        // The first is computed, and the others wait.
        wait_until("it is there", || {
            control.begun.load(SeqCst) == before + 1 && server.handle.counts().unwrap().waiting == at
        });
    }
    clients
}

/// Asserts that all requests are answered by a backend.
fn assert_answered(clients: Vec<Client>, device: &str) {
    let expected = crate::support::classifier().classify(&norm(1, 100.0)).unwrap();
    for mut client in clients {
        let prediction = client.response().predictions().remove(0);
        assert_eq!(crate::support::numbers(&prediction["logits"]), expected.logits);
        assert!(prediction["device"].as_str().unwrap().contains(device), "{}", prediction["device"]);
    }
}

#[test]
fn a_lost_device_is_opened_again_and_no_request_is_lost() {
    let (server, control) = server();
    let clients = waiting(&server, &control, 6);
    control.lose();
    control.open();
    assert_answered(clients, "fake 2");
    assert_eq!((server.handle.counts().unwrap().replacements, control.opened.load(SeqCst)), (1, 2));
    assert!(server.handle.is_ready());
}

#[test]
fn the_cpu_takes_over_from_a_device_that_cannot_be_opened_again() {
    let (server, control) = server();
    let clients = waiting(&server, &control, 6);
    control.lose();
    control.absent.store(true, SeqCst);
    control.open();
    assert_answered(clients, "threads");
    assert_eq!(server.handle.counts().unwrap().replacements, 1);
    assert!(server.handle.is_ready());
}

#[test]
fn the_cpu_takes_over_from_a_device_that_is_lost_again_and_again() {
    let (server, control) = server();
    for device in ["fake 2", "threads"] {
        let clients = waiting(&server, &control, 3);
        control.lose();
        control.open();
        assert_answered(clients, device);
    }
    let (server, control) = self::server();
    let clients = waiting(&server, &control, 3);
    control.lose_for_ever();
    control.open();
    assert_answered(clients, "threads");
}

#[test]
fn a_device_that_computes_wrongly_is_replaced_when_it_fails() {
    let (server, control) = server();
    let clients = waiting(&server, &control, 1);
    control.wrong.store(true, SeqCst);
    control.panics.store(true, SeqCst);
    control.open();
    assert_answered(clients, "threads");
}

#[test]
fn the_server_is_not_ready_while_the_device_is_opened_again() {
    let (server, control) = server();
    let clients = waiting(&server, &control, 1);
    control.lose();
    control.open();
    // The run fails, then the check fails, then the new device waits in its first run.
    let mut seen = false;
    wait_until("it is answered", || {
        seen |= server.get("/readyz").status == 503;
        server.handle.counts().unwrap().replacements == 1
    });
    assert_answered(clients, "fake 2");
    assert!(seen || server.handle.is_ready());
    assert_eq!(server.get("/readyz").status, 200);
}

#[test]
fn a_panic_of_the_device_is_survived() {
    let (server, control) = server();
    let clients = waiting(&server, &control, 2);
    control.panics.store(true, SeqCst);
    control.open();
    // The device works afterwards: nothing is replaced.
    assert_answered(clients, "fake 1");
    assert_eq!(server.handle.counts().unwrap().replacements, 0);
}

#[test]
fn a_batch_that_is_too_large_for_the_device_is_divided() {
    let (server, control) = server();
    let clients = waiting(&server, &control, 9);
    control.memory.store(2 * 12 * 1000, SeqCst);
    control.open();
    assert_answered(clients, "fake 1");
    assert_eq!(server.handle.counts().unwrap().replacements, 0);
}

#[test]
fn a_record_that_is_too_large_for_the_device_is_computed_on_the_cpu() {
    let (server, control) = server();
    control.memory.store(12 * 1000, SeqCst);
    let long = ecgpu::ecg::synthesize(ecgpu::ecg::Condition::Norm, 1, 100.0, 20.0).unwrap();
    let body = inputs(&[long], ", \"sampling_rate_hz\": 100");
    let prediction = server.post(&body).predictions().remove(0);
    assert!(prediction["device"].as_str().unwrap().contains("threads"), "{}", prediction["device"]);
    assert_eq!(server.handle.counts().unwrap().replacements, 0);
}

#[test]
fn health_is_answered_while_the_device_is_opened_and_requests_are_told_to_come_again() {
    let control = Arc::new(Control::default());
    control.close();
    let mut options = options();
    options.open = control.opener();
    let server = launch(options);
    assert_eq!(server.get("/healthz").status, 200);
    let response = server.get("/readyz");
    assert_eq!((response.status, response.json()["status"].as_str()), (503, Some("starting")));
    let refused = server.post(&inputs(&[norm(1, 100.0)], ""));
    refused.assert_error(503, "the server starts");
    assert_eq!(refused.header("retry-after"), Some("1"));
    control.open();
    wait_until("it is ready", || server.get("/readyz").status == 200);
}

#[test]
fn a_server_does_not_start_on_a_device_that_is_absent_or_wrong() {
    for (absent, wrong, part) in [(true, false, "no such device"), (false, true, "other logits than the reference")] {
        let control = Arc::new(Control::default());
        control.absent.store(absent, SeqCst);
        control.wrong.store(wrong, SeqCst);
        let mut options = options();
        options.open = control.opener();
        let error = launch(options).ended().unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}
