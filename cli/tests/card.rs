//! Model cards, read by the package of the Hugging Face Hub.

use std::{fs, path::Path};

use ecgpu::{Weights, engine::network::published::model_card_55k};
use ecgpu_testing::{Program, WeightsFile, ptb_xl::PtbXl, python};
use serde_json::{Value, json};
use tempfile::TempDir;

const PROGRAM: Program = Program::new(env!("CARGO_BIN_EXE_ecgpu"), &[]);

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Evaluates the small network on a small folder like PTB-XL's and returns the file of the results.
fn evaluation(folder: &Path) -> (String, Value) {
    let mut copy = PtbXl::new(200);
    for (n, row) in copy.rows.iter_mut().enumerate() {
        row.fold = (n / 20 + 1).to_string();
    }
    copy.write_table();
    let data = copy.path().display().to_string();
    let weights = ["--weights", "542k", "55k"];
    let arguments = [&["evaluate", "--data", &data, "--fold", "9", "--device", "cpu", "--json"][..], &weights].concat();
    let (out, _) = PROGRAM.succeeds(&arguments);
    let path = folder.join("evaluation.json");
    fs::write(&path, &out).unwrap();
    (text(&path).into(), serde_json::from_str(&out).unwrap())
}

#[test]
fn a_card_states_what_the_file_and_its_evaluation_state() {
    let folder = TempDir::new().unwrap();
    let (evaluation, measured) = evaluation(folder.path());
    let out = folder.path().join("README.md");
    let arguments =
        ["card", "55k", "--repository", "heart-lab/ecg.55k", "--evaluation", &evaluation, "--out", text(&out)];
    PROGRAM.succeeds(&arguments);
    PROGRAM.fails(&arguments, 2, "is there already");
    let card = fs::read_to_string(&out).unwrap();
    let weights = Weights::open("55k").unwrap();
    let summary = &measured["evaluations"][1]["summaries"][0];
    let auroc = summary["macro_auroc"]["value"].as_f64().unwrap();
    let [low, high] = [0, 1].map(|at| summary["macro_auroc"]["interval"][at].as_f64().unwrap());
    for part in [
        "# ecg.55k\n",
        "**For research only. Not a medical device.**",
        "ecgpu classify record.hea --weights hf:heart-lab/ecg.55k",
        "ecgpu::Weights::from_pretrained(\"heart-lab/ecg.55k\")",
        "ecgpu.Classifier.from_pretrained(\"heart-lab/ecg.55k\")",
        "| leads | I, II, III, aVR, aVL, aVF, V1, V2, V3, V4, V5, V6 |",
        "| sampling rate | 100 Hz |",
        "network 55k, 55781 elements, stored as F32",
        &format!("| NORM | {} |", weights.contract.thresholds[0]),
        "records with a label: ",
        &format!("| macro |  | {auroc:.4} [{low:.4}, {high:.4}] |"),
        "chose the epoch of 55k",
    ] {
        assert!(card.contains(part), "'{part}' is not in {card}");
    }
    let Some(read) = python("huggingface_hub, yaml", "model_card.py") else { return };
    let found: Value = serde_json::from_str(&read(&[out.as_os_str()])).unwrap();
    let metadata = &found["metadata"];
    assert_eq!((&metadata["license"], &metadata["library_name"]), (&json!("apache-2.0"), &json!("ecgpu")));
    assert_eq!((&metadata["datasets"], &metadata["pipeline_tag"]), (&json!(["ptb-xl"]), &json!("other")));
    assert_eq!(found["name"], "ecg.55k");
    let rounded = |value: f64| (value * 1e4).round() / 1e4;
    let first = json!({
        "task": "multi-label-classification",
        "dataset": "PTB-XL, fold 9, records with a label",
        "metric": "roc_auc",
        "value": rounded(auroc),
        "interval": [rounded(low), rounded(high)],
    });
    assert_eq!(found["results"][0], first);
    assert_eq!(found["results"].as_array().unwrap().len(), 4);
}

#[test]
fn a_card_without_an_evaluation_has_no_figures() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("w.safetensors");
    fs::write(&file, WeightsFile::random(&model_card_55k()).stating("training", "unknown").to_bytes()).unwrap();
    let (card, error) = PROGRAM.succeeds(&["card", text(&file)]);
    assert!(error.contains("the licence is unknown") && error.lines().count() == 1, "{error}");
    for part in
        ["license: unknown\n", "No evaluation of these weights", "does not say how", "hf:OWNER/NAME", "# ecgpu 55k"]
    {
        assert!(card.contains(part), "'{part}' is not in {card}");
    }
    for absent in ["model-index", "metrics:", "datasets:", "AUROC", "PTB-XL"] {
        assert!(!card.contains(absent), "'{absent}' is in {card}");
    }
    assert_eq!(PROGRAM.succeeds(&["card", text(&file), "--license", "mit"]).1, "");
    let Some(read) = python("huggingface_hub, yaml", "model_card.py") else { return };
    let out = folder.path().join("README.md");
    fs::write(&out, card).unwrap();
    let found: Value = serde_json::from_str(&read(&[out.as_os_str()])).unwrap();
    assert_eq!((&found["results"], &found["metadata"]["license"]), (&json!([]), &json!("unknown")));
}

#[test]
fn what_a_file_says_cannot_become_markup() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("w.safetensors");
    let weights = WeightsFile::random(&model_card_55k())
        .stating("training", "PTB-XL\n---\n# [x](y) <b> | `z` \u{202e}")
        .stating("classes", "A|B,<i>,C_c,D,E")
        .stating("thresholds", "0.5,0.5,0.5,0.5,0.5");
    fs::write(&file, weights.to_bytes()).unwrap();
    let (card, _) = PROGRAM.succeeds(&["card", text(&file), "--license", "mit"]);
    assert!(card.contains(r"| A\|B | 0.5 |") && card.contains(r"| \<i\> |") && card.contains(r"C\_c"), "{card}");
    assert!(card.contains(r"\# \[x\](y) \<b\> \| \`z\`") && !card.contains('\u{202e}'), "{card}");
    assert_eq!(card.matches("\n---\n").count(), 1, "{card}");
}

#[test]
fn an_evaluation_of_other_weights_and_other_mistakes_are_refused() {
    let folder = TempDir::new().unwrap();
    let (evaluation, mut measured) = evaluation(folder.path());
    PROGRAM.fails(&["card", "542k-10pct", "--evaluation", &evaluation], 2, "it is about other weights (542k, 55k)");
    // Calibrated again: the same training, other thresholds.
    measured["evaluations"][1]["summaries"][0]["classes"][2]["threshold"] = json!(0.123);
    let other = folder.path().join("other.json");
    fs::write(&other, measured.to_string()).unwrap();
    PROGRAM.fails(&["card", "55k", "--evaluation", text(&other)], 2, "about other weights");
    for contents in ["", "{}", "<html>", "{\"fold\": 9, \"data\": \"x\", \"evaluations\": [{}]}"] {
        fs::write(&other, contents).unwrap();
        PROGRAM.fails(&["card", "55k", "--evaluation", text(&other)], 2, "no evaluation as JSON");
    }
    PROGRAM.fails(&["card", "55k", "--evaluation", text(&folder.path().join("absent.json"))], 1, "check the path");
    for name in ["n", "o/n/x.safetensors", "o/n@v1", "../n", "o/n\"]"] {
        PROGRAM.fails(&["card", "55k", "--repository", name], 2, "is no name of a repository");
    }
    PROGRAM.fails(&["card", "55k", "--license", "a: b"], 2, "such as apache-2.0");
    PROGRAM.fails(&["card", "55k", "--out", text(&folder.path().join("absent/README.md"))], 1, "its folder must exist");
}
