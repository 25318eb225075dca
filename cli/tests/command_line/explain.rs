//! Explanations of a classification.

use std::fs;

use ecgpu::ecg::Lead;
use serde_json::Value;

use crate::support::{Folder, Outcome, assert_one_line, assert_usage, data, norm, printed, run};

/// A folder with a record, and the path of a drawing in it.
fn record() -> (Folder, String, String) {
    let folder = Folder::new();
    let (record, drawing) = (folder.record("bed4.hea", &norm(500.0)), folder.path("why.svg"));
    (folder, record, drawing)
}

#[test]
fn a_user_sees_leads_checks_and_limits_and_gets_a_drawing() {
    let (_folder, record, drawing) = record();
    let stdout = printed(&["explain", &record, "--device", "cpu", "--out", &drawing]);
    for part in
        ["bed4  ", "gradient × input", "occlusion", "Grad-CAM", "leads, in logits: ", "random orders: ", &drawing]
    {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    assert_eq!(stdout.matches("at most 0.7: ").count(), 3, "{stdout}");
    assert!(stdout.contains("of the network, not of the patient"), "{stdout}");
    let svg = fs::read_to_string(&drawing).unwrap();
    for lead in Lead::STANDARD {
        assert!(svg.contains(&format!(">{lead}</text>")), "{lead}");
    }
    // What fails in the terminal fails in the drawing: two red lines for each check.
    assert_eq!(stdout.contains("FAILED"), svg.contains(": FAILED</text>"), "{stdout}");
}

#[test]
fn a_program_reads_numbers_of_every_method_without_a_drawing() {
    let (_folder, record, _) = record();
    let stdout = printed(&["explain", &record, "--device", "cpu", "--class", "mi", "--json"]);
    let object: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&object["class"], &object["network"], &object["seed"]), (&"MI".into(), &"542k".into(), &1.into()));
    assert_eq!(object["time_band_seconds"], 0.2);
    let methods = object["methods"].as_array().unwrap();
    let names: Vec<&str> = methods.iter().map(|method| method["method"].as_str().unwrap()).collect();
    assert_eq!(names, ["gradient", "occlusion", "grad-cam"]);
    for method in methods {
        assert_eq!(method["time_bands"].as_array().unwrap().len(), 50);
        let checks =
            [&method["random_weights"]["passed"], &method["deletion"]["passed"]].map(|it| it.as_bool().unwrap());
        assert_eq!(method["passed"].as_bool().unwrap(), checks == [true; 2]);
        assert_eq!(method["random_weights"]["stages"].as_array().unwrap().len(), 3);
        assert_eq!(method["deletion"]["probability_by_map"].as_array().unwrap().len(), 11);
        if method["method"] != "grad-cam" {
            assert_eq!(method["leads"].as_object().unwrap().len(), 12);
            assert_eq!(method["leads_by_class"]["MI"], method["leads"]);
            let bands = method["lead_time_bands"].as_object().unwrap();
            assert!(bands.len() == 12 && bands.values().all(|lead| lead.as_array().unwrap().len() == 50));
        }
        if method["method"] == "gradient" {
            let sum: f64 =
                method["lead_time_bands"]["V2"].as_array().unwrap().iter().map(|band| band.as_f64().unwrap()).sum();
            assert!((sum - method["leads"]["V2"].as_f64().unwrap()).abs() < 1e-9, "{sum}");
        }
    }
}

#[test]
fn one_method_is_explained_as_png() {
    let (folder, record, _) = record();
    let drawing = folder.path("why.png");
    let arguments = ["--device", "cpu", "--method", "grad-cam,gradient", "--out", &drawing, "--dpi", "50"];
    let stdout = printed(&[&["explain", &record][..], &arguments].concat());
    assert!(!stdout.contains("occlusion") && stdout.find("gradient") < stdout.find("Grad-CAM"), "{stdout}");
    assert!(fs::read(&drawing).unwrap().starts_with(b"\x89PNG\r\n\x1a\n"));
}

#[test]
fn what_cannot_be_explained_is_said_and_nothing_is_written() {
    let (folder, record, drawing) = record();
    let refused = |arguments: &[&str], part: &str| {
        let outcome = run(&[&["explain", &record, "--device", "cpu"], arguments].concat());
        assert_one_line(&outcome, 2, part);
    };
    refused(&["--class", "AFIB", "--out", &drawing], "name one of NORM, MI, STTC, HYP, CD");
    refused(&["--out", &folder.path("why.pdf")], "ends in neither .svg nor .png");
    refused(&["--out", &drawing, "--start", "10"], "10 s is not within the 10.0 s of the recording");
    refused(&["--out", &drawing, "--record", "1"], "give a number from 0 to 0");
    let Outcome { code, stderr, .. } = run(&["explain", &record, "--method", "shap", "--json"]);
    assert!(code == 2 && stderr.contains("use gradient, occlusion, grad-cam or all"), "{stderr}");
    assert_usage(&["explain", &record], "--out");
    assert_usage(&["explain", &record, "--json", "--dpi", "100"], "--out");
    assert!(fs::read(&drawing).is_err());
    fs::write(&drawing, "precious").unwrap();
    refused(&["--out", &drawing], "is there already: choose another name, or add --force");
}

#[test]
fn the_example_of_the_documentation_works() {
    let folder = Folder::new();
    let outcome = run(&["explain", &data("format16.hea"), "--class", "MI", "--out", &folder.path("why.png")]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
}
