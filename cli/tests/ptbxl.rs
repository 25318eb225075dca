//! Fold 9 of PTB-XL, real ECGs, classified by the command line.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
};

use ecgpu::{
    Device,
    engine::backend::{self, Precision},
    evaluate::Aurocs,
};
use ecgpu_testing::{shared_folder, skip};

const CLASSES: [&str; 5] = ["NORM", "MI", "STTC", "HYP", "CD"];

/// A record of fold 9, with the path of its header and its classes.
struct Record {
    header: PathBuf,
    classes: [bool; 5],
}

/// Lists the labelled records of fold 9. A record has the class of every diagnostic statement in its `scp_codes`,
/// whatever the likelihood; one without any is unlabelled (the rule of the published benchmark, Strodthoff et al.
/// 2021).
fn fold_9(folder: &Path) -> Vec<Record> {
    let mut class_of = HashMap::new();
    for row in csv::Reader::from_path(folder.join("scp_statements.csv")).unwrap().deserialize() {
        let row: HashMap<String, String> = row.unwrap();
        if row["diagnostic"].starts_with('1') {
            class_of.insert(row[""].clone(), row["diagnostic_class"].clone());
        }
    }
    let mut records = Vec::new();
    for row in csv::Reader::from_path(folder.join("ptbxl_database.csv")).unwrap().deserialize() {
        let row: HashMap<String, String> = row.unwrap();
        // In {'NORM': 0.0, 'SR': 0.0} every other piece between quotes is a statement.
        let statements: Vec<&str> = row["scp_codes"].split('\'').skip(1).step_by(2).collect();
        let has = |class: &str| statements.iter().any(|code| class_of.get(*code).is_some_and(|of| of == class));
        let record =
            Record { header: folder.join(&row["filename_lr"]).with_extension("hea"), classes: CLASSES.map(has) };
        if row["strat_fold"].starts_with('9') && record.classes.contains(&true) {
            records.push(record);
        }
    }
    records
}

/// Runs `ecgpu classify --json` over the folder of records. Returns the probabilities in class order by record.
fn classify(folder: &Path, device: &Device, precision: Precision) -> HashMap<PathBuf, Vec<f64>> {
    let output = Command::new(env!("CARGO_BIN_EXE_ecgpu"))
        .args(["classify", "--json", "--device", &device.to_string(), "--batch", "128"])
        .args(["--precision", &precision.to_string()])
        .arg(folder.join("records100"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let of_line = |line: &str| {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        let probabilities = CLASSES.map(|class| object["probabilities"][class].as_f64().unwrap());
        (PathBuf::from(object["source"].as_str().unwrap()), probabilities.to_vec())
    };
    String::from_utf8(output.stdout).unwrap().lines().map(of_line).collect()
}

#[test]
fn fold_9_of_ptb_xl_gives_the_metrics_of_training() {
    let Some(folder) = shared_folder("ECGPU_PTBXL", "shared/ptbxl/unpacked") else { return };
    let records = fold_9(&folder);
    assert_eq!(records.len(), 2146, "labelled records of fold 9");
    let mut scored: Vec<HashMap<PathBuf, Vec<f64>>> = Vec::new();
    for (device, precision) in
        [(Device::Cpu, Precision::F32), (Device::Gpu, Precision::F32), (Device::Gpu, Precision::F16)]
    {
        if let Err(error) = backend::open(&device, None) {
            skip(&error.to_string());
            continue;
        }
        let probabilities = classify(&folder, &device, precision);
        let scores: Vec<f64> = records.iter().flat_map(|record| probabilities[&record.header].clone()).collect();
        let labels: Vec<bool> = records.iter().flat_map(|record| record.classes).collect();
        let aurocs = Aurocs::new(&scores, &labels, CLASSES.len());
        let macro_auroc = aurocs.mean().unwrap();
        let aurocs = aurocs.classes;
        println!("{device} {precision}: macro AUROC {macro_auroc:.6}, by class {aurocs:.4?}");
        assert!((macro_auroc - 0.9383).abs() <= 0.0005, "{device}: macro AUROC {macro_auroc}, by class {aurocs:?}");
        scored.push(probabilities);
    }
    let [cpu, gpu, f16] = &scored[..] else { return };
    // On lavapipe f16 changes a probability by at most 4.8e-4, and no label of the 2183 records.
    for (other, largest) in [(gpu, 1e-5), (f16, 5e-3)] {
        let difference = largest_difference(other, cpu);
        println!("largest difference of a probability {difference:.2e}");
        assert!(difference <= largest, "a probability differs from the CPU's by {difference}");
    }
}

/// Returns the largest difference between two probabilities of the same record and class.
fn largest_difference(a: &HashMap<PathBuf, Vec<f64>>, b: &HashMap<PathBuf, Vec<f64>>) -> f64 {
    let of_record = |(record, a): (&PathBuf, &Vec<f64>)| {
        let differences = a.iter().zip(&b[record]).map(|(a, b)| (a - b).abs());
        differences.fold(0.0, f64::max)
    };
    a.iter().map(of_record).fold(0.0, f64::max)
}
