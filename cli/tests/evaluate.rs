//! The commands that measure and calibrate networks, on a small folder like PTB-XL's.

use std::fs;

use ecgpu::Weights;
use ecgpu_testing::{Program, ptb_xl::PtbXl};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: Program = Program::new(env!("CARGO_BIN_EXE_ecgpu"), &["--device", "cpu"]);

/// A folder like PTB-XL's with 200 records, of which twenty with all classes are in each fold.
fn copy() -> (PtbXl, String) {
    let mut copy = PtbXl::new(200);
    for (n, row) in copy.rows.iter_mut().enumerate() {
        row.fold = (n / 20 + 1).to_string();
    }
    copy.write_table();
    let data = copy.path().display().to_string();
    (copy, data)
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&PROGRAM.succeeds(&[arguments, &["--json"]].concat()).0).unwrap()
}

#[test]
fn a_user_measures_the_built_in_weights_on_a_fold() {
    let (_copy, data) = copy();
    let arguments = ["evaluate", "--data", &data, "--fold", "9"];
    let (text, _) = PROGRAM.succeeds(&arguments);
    for part in
        ["records with a label: ", "all records: 20 records of", "macro", "exact-match accuracy", "Fmax", "NORM"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    let (markdown, _) = PROGRAM.succeeds(&[&arguments[..], &["--markdown"]].concat());
    assert!(markdown.contains("\n## built-in\n") && markdown.contains("| class | records | AUROC |"), "{markdown}");
    let object = json(&arguments);
    let summary = &object["evaluations"][0]["summaries"][0];
    assert_eq!(summary["classes"].as_array().unwrap().len(), 5);
    let value = summary["macro_auroc"]["value"].as_f64().unwrap();
    assert!(text.contains(&format!("{value:.4}")), "{value} in {text}");
    assert_eq!(object, json(&arguments), "the bootstrap is seeded");
    // Each metric stands under its own name.
    let classes = summary["classes"].as_array().unwrap();
    for metric in ["precision", "recall", "specificity", "f1"] {
        let mean = classes.iter().map(|class| class[metric]["value"].as_f64().unwrap()).sum::<f64>() / 5.0;
        assert!((summary["macro_average"][metric]["value"].as_f64().unwrap() - mean).abs() < 1e-12, "{metric}");
    }
    let accuracy = classes.iter().map(|class| class["accuracy"]["value"].as_f64().unwrap()).sum::<f64>() / 5.0;
    assert!((summary["per_label_accuracy"]["value"].as_f64().unwrap() - accuracy).abs() < 1e-12);
}

#[test]
fn two_networks_are_compared_and_the_arrays_of_the_benchmark_are_written() {
    let (copy, data) = copy();
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let [first, second, arrays] = [path("first.safetensors"), path("second.safetensors"), path("arrays")];
    fs::write(&first, Weights::built_in_file()).unwrap();
    let network = Weights::built_in().unwrap().network;
    let contract = Weights::built_in().unwrap().contract;
    fs::write(&second, Weights { contract, ..Weights::random(network, 1) }.to_bytes()).unwrap();
    let arguments = ["evaluate", "--data", &data, "--fold", "9", "--weights", &first, &second];
    let object = json(&[&arguments[..], &["--predictions", &arrays]].concat());
    let auroc = |at: usize| object["evaluations"][at]["summaries"][0]["macro_auroc"]["value"].as_f64().unwrap();
    let difference = object["differences"][0]["macro_auroc"]["value"].as_f64().unwrap();
    assert!((difference - (auroc(1) - auroc(0))).abs() < 1e-12);
    let labelled = object["evaluations"][0]["summaries"][0]["records"].as_u64().unwrap() as usize;
    let file = fs::read(folder.path().join("arrays/first/preds_x.npy")).unwrap();
    assert!(file.starts_with(b"\x93NUMPY\x01\x00") && file.len() == 128 + labelled * 5 * 8, "{}", file.len());
    assert!(fs::read(folder.path().join("arrays/second/targs_x.npy")).unwrap().len() == file.len());
    let names = fs::read(folder.path().join("arrays/first/classes_x.npy")).unwrap();
    assert_eq!(names.len(), 128 + 5 * 4 * 4, "four characters of four bytes: {names:?}");
    PROGRAM.fails(&[&arguments[..], &["--predictions", &arrays]].concat(), 2, "is there already");
    drop(copy);
}

#[test]
fn a_calibrated_network_states_its_temperature_and_keeps_its_order() {
    let (_copy, data) = copy();
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let [before, after] = [path("before.safetensors"), path("after.safetensors")];
    fs::write(&before, Weights::built_in_file()).unwrap();
    let arguments = ["calibrate", "--data", &data, "--fold", "9", "--weights", &before, "--out", &after];
    let object = json(&arguments);
    let contract = Weights::from_path(&after).unwrap().contract;
    assert_eq!(Some(contract.temperature), object["temperature"].as_f64());
    assert!(contract.temperature != 1.0 && contract.thresholds != [0.5; 5]);
    assert!(contract.provenance.ends_with("; temperature and thresholds of fold 9"), "{}", contract.provenance);
    assert!(object["after"]["f1"].as_f64().unwrap() >= object["before"]["f1"].as_f64().unwrap());
    let both = json(&["evaluate", "--data", &data, "--fold", "9", "--weights", &before, &after]);
    assert_eq!(both["differences"][0]["macro_auroc"]["value"], 0.0);
    PROGRAM.fails(&arguments, 2, "is there already");
}

#[test]
fn bad_requests_are_refused_and_folds_that_were_trained_on_are_warned_of() {
    let (mut copy, data) = copy();
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    PROGRAM.fails(
        &["evaluate", "--data", &data, "--fold", "12"],
        2,
        "fold 12 has 0 records, none of them with a label",
    );
    PROGRAM.fails(&["evaluate", "--data", &data, "--fold", "9", "--weights", &path("none")], 1, "none");
    PROGRAM.fails(&["evaluate", "--data", &path("none"), "--fold", "9"], 1, "none");
    let other = path("other.safetensors");
    let mut weights = Weights::built_in().unwrap();
    weights.contract.classes = ["A", "B", "C", "D", "E"].map(String::from).to_vec();
    fs::write(&other, weights.to_bytes()).unwrap();
    let arguments = ["evaluate", "--data", &data, "--fold", "9", "--weights", &other];
    PROGRAM.fails(&arguments, 1, "a network of the classes A, B, C, D, E, and the data have NORM, MI, STTC, HYP, CD");
    PROGRAM.fails(
        &["evaluate", "--data", &data, "--fold", "9", "--weights", &other, &other],
        2,
        "two weights files are called other",
    );
    fs::write(path("file"), "").unwrap();
    let (code, _, error) =
        PROGRAM.outcome(&["evaluate", "--data", &data, "--fold", "9", "--predictions", &path("file/arrays")]);
    assert!(code == 1 && error.contains("name a folder that can be written"), "{error}");
    let (_, warning) = PROGRAM.succeeds(&["evaluate", "--data", &data, "--fold", "3"]);
    assert!(warning.contains("WARNING: built-in was trained on fold 3"), "{warning}");
    assert!(!PROGRAM.succeeds(&["evaluate", "--data", &data, "--fold", "9"]).1.contains("WARNING"));
    copy.rows[0].patient_id = copy.rows[199].patient_id.clone();
    copy.write_table();
    let (_, warning) = PROGRAM.succeeds(&["evaluate", "--data", &data, "--fold", "9"]);
    assert!(warning.contains("WARNING: 1 of ") && warning.contains("records in several folds"), "{warning}");
}

#[test]
fn disturbances_are_measured_and_leave_their_mark() {
    let (_copy, data) = copy();
    let object = json(&["evaluate", "--data", &data, "--fold", "9", "--robustness"]);
    let curves = object["evaluations"][0]["robustness"].as_array().unwrap();
    assert_eq!(curves.len(), 10);
    let undisturbed = object["evaluations"][0]["summaries"][0]["macro_auroc"]["value"].as_f64().unwrap();
    for curve in curves {
        let points = curve["points"].as_array().unwrap();
        assert!(points.iter().any(|point| point[1].as_f64() == Some(undisturbed)), "{curve}");
    }
    // The weights subtract the offset of each lead.
    let offsets = curves.iter().find(|curve| curve["disturbance"] == "offsets").unwrap();
    for point in offsets["points"].as_array().unwrap() {
        assert!((point[1].as_f64().unwrap() - undisturbed).abs() < 0.01, "{offsets}");
    }
    let noise = curves.iter().find(|curve| curve["disturbance"] == "noise").unwrap();
    assert!(noise["points"].as_array().unwrap().iter().any(|point| point[1].as_f64() != Some(undisturbed)), "{noise}");
}

#[test]
fn every_figure_of_a_network_is_drawn_and_none_is_overwritten() {
    let (copy, data) = copy();
    let folder = TempDir::new().unwrap();
    let figures = folder.path().join("new/figures").display().to_string();
    let arguments = ["evaluate", "--data", &data, "--fold", "9", "--figures", &figures];
    let object = json(&arguments);
    let read = |kind: &str| fs::read_to_string(format!("{figures}/{kind}_built-in.svg")).unwrap();
    let classes = object["evaluations"][0]["summaries"][0]["classes"].as_array().unwrap();
    let auroc = classes[1]["auroc"]["value"].as_f64().unwrap();
    let records = object["evaluations"][0]["summaries"][0]["records"].as_u64().unwrap();
    for (kind, parts) in [
        ("roc", vec![format!(">MI: {auroc:.3} ["), ">sensitivity<".into(), "AUROC with 95 % interval".into()]),
        ("precision-recall", vec![">precision<".into(), ">recall<".into()]),
        ("reliability", vec![">STTC, ECE ".into(), ">mean probability<".into()]),
        ("confusion", vec![format!(">NORM ({})<", classes[0]["support"]), ">none<".into()]),
    ] {
        let svg = read(kind);
        let titled = format!(": built-in, fold 9, {records} records with a label<");
        for part in parts.iter().chain([&titled]) {
            assert!(svg.contains(part), "{part} in {kind}: {svg}");
        }
        assert!(!svg.contains("NaN") && svg.matches("<svg ").count() == svg.matches("</svg>").count(), "{kind}");
    }
    // No group has fifty records, and robustness was not measured.
    assert_eq!(fs::read_dir(&figures).unwrap().count(), 4);
    PROGRAM.fails(&arguments, 2, "is there already");
    PROGRAM.succeeds(&[&arguments[..], &["--robustness", "--force"]].concat());
    assert!(read("robustness").contains(">arms exchanged<"));
    fs::write(folder.path().join("file"), "").unwrap();
    let nowhere = folder.path().join("file/figures").display().to_string();
    let arguments = ["evaluate", "--data", &data, "--fold", "9", "--figures", &nowhere];
    PROGRAM.fails(&arguments, 1, "name a folder that can be written");
    drop(copy);
}
