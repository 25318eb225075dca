//! What is computed, and how it is answered.

use ecgpu::{Recording, ecg::Lead};
use serde_json::{Value, json};

use crate::support::{Client, Request, array, classifier, inputs, norm, numbers, server};

fn assert_logits(prediction: &Value, recording: &Recording) {
    let expected = classifier().classify(recording).unwrap();
    assert_eq!(numbers(&prediction["logits"]), expected.logits);
}

#[test]
fn the_published_request_is_answered() {
    let (server, recordings) = (server(), [norm(1, 100.0), norm(2, 100.0)]);
    let response = server.post(&inputs(&recordings, ""));
    let predictions = response.predictions();
    assert_eq!(predictions.len(), 2);
    let expected = classifier().classify(&recordings[1]).unwrap();
    let second = &predictions[1];
    assert_logits(&predictions[0], &recordings[0]);
    assert_logits(second, &recordings[1]);
    assert_eq!(second["probabilities"]["MI"], json!(expected.probabilities[1]));
    assert_eq!(second["thresholds"]["MI"], json!(expected.thresholds[1]));
    assert_eq!(second["labels"], json!(expected.labels));
    assert_eq!(second["record"], "inputs[1]");
    assert_eq!((&second["sampling_rate_hz"], &second["duration_s"]), (&json!(100.0), &json!(10.0)));
    assert_eq!((&second["backend"], &second["precision"]), (&json!("cpu"), &json!("f32")));
    let warnings = second["warnings"].to_string();
    for part in ["states no unit: taken as mV", "states no sampling rate: taken as 100 Hz"] {
        assert!(warnings.contains(part), "{warnings}");
    }
    assert!(second.get("embedding").is_none() && second.get("signals").is_none() && second.get("source").is_none());
    assert_eq!(response.header("content-type"), Some("application/json"));
}

#[test]
fn what_the_request_states_is_not_assumed() {
    let (server, recording) = (server(), norm(1, 500.0));
    let leads = [Lead::I, Lead::II, Lead::V1, Lead::V2, Lead::V3, Lead::V4, Lead::V5, Lead::V6];
    let given =
        leads.map(|lead| (lead, recording.lead(lead).unwrap().iter().map(|x| x * 1000.0).collect::<Vec<f32>>()));
    let text: Vec<String> = given.iter().map(|(_, samples)| format!("{samples:?}")).collect();
    let names = leads.map(|lead| format!("\"{lead}\"")).join(",");
    let body = format!(
        r#"{{"sampling_rate_hz": 500, "unit": "uV", "leads": [{names}], "embedding": true, "signals": true, "inputs": [{}]}}"#,
        text.join(",")
    );
    let prediction = server.post(&body).predictions().remove(0);
    assert_eq!(prediction["warnings"], json!([]));
    let millivolts: Vec<(Lead, Vec<f32>)> = given
        .iter()
        .map(|(lead, samples)| (*lead, samples.iter().map(|x| (f64::from(*x) * 1e-3) as f32).collect()))
        .collect();
    let expected = classifier().classify(&Recording::new("r", 500.0, millivolts.clone()).unwrap()).unwrap();
    assert_eq!(numbers(&prediction["logits"]), expected.logits);
    assert_eq!(numbers(&prediction["embedding"]), expected.embedding);
    assert_eq!(prediction["signals"].as_object().unwrap().len(), 8);
    assert_eq!(numbers(&prediction["signals"]["V6"]), millivolts[7].1);
    assert_eq!(prediction["record"], "inputs");
}

#[test]
fn raw_numbers_go_into_the_network_as_they_are() {
    let (server, recording) = (server(), norm(3, 100.0));
    let values: Vec<f32> = recording.leads().flat_map(|(_, samples)| samples.to_vec()).collect();
    let prediction = server.post(&inputs(&[recording], ", \"raw\": true")).predictions().remove(0);
    assert_eq!(numbers(&prediction["logits"]), classifier().run(&values, 1, 1000).unwrap().logits);
    assert_eq!(prediction["warnings"], json!([]));
    assert!(prediction.get("sampling_rate_hz").is_none());
}

#[test]
fn a_request_larger_than_a_batch_has_the_bits_of_single_requests() {
    let server = server();
    let recordings: Vec<Recording> = (0..21).map(|seed| norm(seed, 100.0)).collect();
    let together = server.post(&inputs(&recordings, "")).predictions();
    assert_eq!(together.len(), recordings.len());
    for (prediction, recording) in together.iter().zip(&recordings) {
        let alone = server.post(&inputs(std::slice::from_ref(recording), "")).predictions().remove(0);
        assert_eq!(prediction["logits"], alone["logits"]);
    }
    let counts = server.handle.counts().unwrap();
    // Eight, eight, four and one, and the single ones.
    assert_eq!((counts.computed, counts.batches), (42, 4 + 21));
}

#[test]
fn an_explanation_comes_with_its_checks_and_its_map() {
    let server = server();
    let prediction = server.post(&inputs(&[norm(1, 100.0)], ", \"explain\": \"mi\"")).predictions().remove(0);
    let explanation = &prediction["explanation"];
    assert_eq!((&explanation["class"], explanation["methods"].as_array().unwrap().len()), (&json!("MI"), 3));
    for (method, leads) in explanation["methods"].as_array().unwrap().iter().zip([true, true, false]) {
        assert_eq!(method["time_bands"].as_array().unwrap().len(), 50, "{}", method["method"]);
        let of_v2 = method["lead_time_bands"]["V2"].as_array();
        assert_eq!(of_v2.map(Vec::len), leads.then_some(50), "{}", method["method"]);
        assert!(method["deletion"]["passed"].is_boolean());
    }
    server.post(&inputs(&[norm(1, 100.0)], ", \"explain\": \"AFIB\"")).assert_error(422, "name one of NORM, MI");
    let two = inputs(&[norm(1, 100.0), norm(2, 100.0)], ", \"explain\": true");
    server.post(&two).assert_error(422, "an explanation of several recordings");
}

#[test]
fn hugging_faces_conventions_are_kept() {
    let (server, recording) = (server(), norm(1, 100.0));
    let body =
        format!("{{\"inputs\": {}, \"parameters\": {{\"unit\": \"mV\", \"embedding\": true}}}}", array(&recording));
    for path in ["/", "/predict"] {
        let response = server.send(&Request::post(path, "application/json", &body));
        assert_eq!(response.status, 200, "{}", response.body);
        let predictions = response.json();
        assert_logits(&predictions[0], &recording);
        assert_eq!(predictions[0]["embedding"].as_array().unwrap().len(), 256);
    }
    server.send(&Request::post("/", "application/json", "{\"inputs\": [1]}")).assert_error(400, "depth 1");
    for path in ["/", "/health"] {
        let response = server.get(path);
        assert_eq!((response.status, response.body.as_str()), (200, "Ok"), "{path}");
    }
    let page = server.send(&Request::get("/").header("accept", "text/html,*/*"));
    assert!(page.status == 200 && page.body.contains("<html"), "{}", page.body);
}

#[test]
fn a_connection_serves_one_request_after_the_other_and_keeps_their_names() {
    let (server, body) = (server(), inputs(&[norm(1, 100.0)], ""));
    let mut client = Client::connect(server.address);
    let request =
        |id: &str| Request::post("/api/predict", "application/json", &body).header("X-Request-Id", id).bytes();
    for id in ["first", "second"] {
        client.write(&request(id));
        assert_eq!(client.response().header("x-request-id"), Some(id));
    }
    // Two at once.
    client.write(&[request("third"), request("fourth")].concat());
    for id in ["third", "fourth"] {
        assert_eq!(client.response().header("x-request-id"), Some(id));
    }
    client.write(&request("no name; of <its> own"));
    assert_eq!(client.response().header("x-request-id").unwrap().len(), 16);
}
