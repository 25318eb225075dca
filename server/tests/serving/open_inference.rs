//! The Open Inference Protocol, with the client that Triton's users have.

use std::{fs, sync::Arc, time::Duration};

use ecgpu::Output;
use ecgpu_testing::{npy, python};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    fake::Control,
    support::{
        Client, PATIENCE, Request, Response, classifier, launch, norm, numbers, options, server, start, wait_until,
    },
};

const INFER: &str = "/v2/models/ecgpu/infer";
const SAMPLES: usize = 1000;

/// Returns the twelve leads of a recording at the network's sampling rate, in millivolts.
fn leads(seed: u64) -> Vec<f32> {
    norm(seed, 100.0).leads().flat_map(|(_, samples)| samples.to_vec()).collect()
}

fn expected(seeds: &[u64]) -> Output {
    let classifier = classifier();
    let input: Vec<f32> =
        seeds.iter().flat_map(|&seed| classifier.prepare(&norm(seed, 100.0)).unwrap().input).collect();
    classifier.run(&input, seeds.len(), SAMPLES).unwrap()
}

fn tensor(seed: u64) -> Value {
    json!({ "name": "ecg", "shape": [1, 12, SAMPLES], "datatype": "FP32", "data": leads(seed) })
}

fn infer(body: &Value) -> Request {
    Request::post(INFER, "application/json", body.to_string())
}

/// Asserts the status of an error of the protocol, whose one field contains `part`.
fn assert_refused(response: &Response, status: u16, part: &str) {
    assert_eq!(response.status, status, "{}", response.body);
    let json = response.json();
    assert_eq!(json.as_object().unwrap().len(), 1, "{json}");
    assert!(json["error"].as_str().unwrap().contains(part), "'{part}' is not in: {json}");
}

#[test]
fn tritonclient_gets_what_the_classifier_computes() {
    let Some(run) = python("tritonclient.http, tritonclient.http.aio, numpy", "triton_client.py") else { return };
    let folder = TempDir::new().unwrap();
    let [ecg, outputs] = ["ecg.npy", "outputs.json"].map(|name| folder.path().join(name));
    let bytes: Vec<u8> = [1, 2].iter().flat_map(|&seed| leads(seed)).flat_map(f32::to_le_bytes).collect();
    fs::write(&ecg, npy("<f4", &[2, 12, SAMPLES], &bytes)).unwrap();
    let Output { logits, embedding, .. } = expected(&[1, 2]);
    let probabilities: Vec<f64> = logits.iter().map(|&logit| classifier().contract().probability(logit)).collect();
    let arrays = json!({ "logits": logits, "probabilities": probabilities, "embedding": embedding });
    fs::write(&outputs, arrays.to_string()).unwrap();
    let server = server();
    let version = env!("CARGO_PKG_VERSION");
    let address = server.address.to_string();
    let printed = run(&[address.as_ref(), version.as_ref(), ecg.as_ref(), outputs.as_ref()]);
    assert_eq!(printed.trim(), "everything agrees");
}

#[test]
fn flat_and_nested_json_and_other_units_and_rates_give_the_same() {
    let server = server();
    let logits = |body: Value| {
        let response = server.send(&infer(&body));
        assert_eq!(response.status, 200, "{}", response.body);
        let json = response.json();
        assert_eq!((&json["model_name"], &json["outputs"][0]["name"]), (&json!("ecgpu"), &json!("logits")));
        assert!(json.get("id").is_none() && json.get("parameters").is_none(), "{json}");
        numbers(&json["outputs"][0]["data"])
    };
    let flat = logits(json!({ "inputs": [tensor(3)] }));
    assert_eq!(flat, expected(&[3]).logits);
    let nested: Vec<Vec<f32>> = leads(3).chunks(SAMPLES).map(<[f32]>::to_vec).collect();
    let mut input = tensor(3);
    input["data"] = json!([nested]);
    assert_eq!(logits(json!({ "inputs": [input] })), flat);
    let mut input = tensor(3);
    input["data"] = leads(3).iter().map(|value| f64::from(*value) * 1000.0).collect();
    let microvolts = logits(json!({ "inputs": [input], "parameters": { "unit": "uV", "sampling_rate_hz": 100 } }));
    assert!(microvolts.iter().zip(&flat).all(|(a, b)| (a - b).abs() < 1e-3), "{microvolts:?} {flat:?}");
    let raw = logits(json!({ "inputs": [tensor(3)], "parameters": { "raw": true } }));
    assert_ne!(raw, flat);
}

#[test]
fn warnings_are_in_the_parameters() {
    let server = server();
    let input = json!({ "name": "ecg", "shape": [2, 12, 300], "datatype": "FP64", "data": vec![0.0; 2 * 12 * 300] });
    let json = server.send(&infer(&json!({ "id": "7", "inputs": [input] }))).json();
    let warnings = json["parameters"]["warnings"].as_str().unwrap();
    assert_eq!(json["id"], "7");
    assert!(["record 0: ", "record 1: ", "3.0 s"].iter().all(|part| warnings.contains(part)), "{warnings}");
}

#[test]
fn what_is_wrong_has_the_status_of_triton_and_one_message() {
    let mut options = options();
    options.limits.records = 2;
    options.limits.body_bytes = 1 << 20;
    let server = start(options);
    let with = |field: &str, value: Value| {
        let mut input = tensor(3);
        input[field] = value;
        infer(&json!({ "inputs": [input] }))
    };
    let at = |path: &str| Request::post(path, "application/json", json!({ "inputs": [tensor(3)] }).to_string());
    let zeros = |shape: [usize; 3]| {
        let data = vec![0; shape.iter().product()];
        json!({ "inputs": [{ "name": "ecg", "datatype": "FP32", "shape": shape, "data": data }] })
    };
    for (request, status, part) in [
        (with("name", json!("x")), 400, "give 'ecg'"),
        (with("datatype", json!("INT32")), 400, "another datatype"),
        (with("datatype", json!("FP16")), 400, "FP16 in JSON"),
        (with("shape", json!([1, 12, 999])), 400, "12000 numbers for an input of shape [1, 12, 999]"),
        (with("shape", json!([12, SAMPLES])), 400, "[batch, leads, samples]"),
        (with("data", json!([[1.0]])), 400, "depth 2"),
        (infer(&zeros([1, 11, SAMPLES])), 400, "for 12 leads"),
        (infer(&zeros([3, 12, 10])), 400, "3 records"),
        (infer(&zeros([1, 12, 10])), 400, "at least 1 s"),
        (infer(&json!({ "inputs": [tensor(3)], "parameters": { "sequence_id": 1 } })), 501, "sequence_id"),
        (at("/v2/models/other/infer"), 404, "no model 'other'"),
        (at("/v2/models/ecgpu/versions/9/infer"), 404, "no version '9'"),
        (at(INFER).header("inference-header-content-length", "9999999"), 400, "Inference-Header-Content-Length"),
        (Request::post(INFER, "", vec![b' '; (1 << 20) + 1]), 413, "more than 1048576 bytes"),
        (Request::post(INFER, "", "{"), 400, "at byte"),
        (Request::post(INFER, "", ""), 400, "expected an object"),
        (Request::get("/v2/models/other"), 404, "no model 'other'"),
        (Request::get("/v2/models/%ff/ready"), 404, "no model"),
        (Request::get("/v2/models/ecgpu/versions/9/ready"), 404, "no version '9'"),
    ] {
        assert_refused(&server.send(&request), status, part);
    }
    assert_eq!(server.send(&at(INFER)).status, 200);
}

#[test]
fn health_is_empty_and_503_until_the_server_is_ready_and_while_it_is_full() {
    let control = Arc::new(Control::default());
    let mut options = options();
    (options.open, options.queue) = (control.opener(), 1);
    control.close();
    let server = launch(options);
    let ready = ["/v2/health/ready", "/v2/models/ecgpu/ready"];
    assert_eq!(server.get("/v2/health/live").status, 200);
    for path in ready {
        assert_refused(&server.get(path), 503, "starting");
    }
    assert_refused(&server.send(&infer(&json!({ "inputs": [tensor(3)] }))), 503, "starts");
    control.open();
    wait_until("the server is ready", || server.handle.is_ready());
    for path in ready {
        let response = server.get(path);
        assert_eq!((response.status, response.body.as_str()), (200, ""), "{path}");
    }
    control.close();
    // One is computed and one waits, or both wait: a further one is refused.
    let mut clients = Vec::new();
    let refused = loop {
        assert!(clients.len() < 10, "no request is refused");
        let mut client = Client::connect(server.address);
        client.write(&infer(&json!({ "inputs": [tensor(3)] })).bytes());
        client.stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        match client.try_response() {
            Some(response) => break response,
            None => clients.push(client),
        }
    };
    assert_refused(&refused, 503, "wait");
    assert!(refused.header("retry-after").is_some());
    control.open();
    for mut client in clients {
        client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(client.response().status, 200);
    }
}
