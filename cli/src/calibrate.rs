//! `ecgpu calibrate`: fits temperature and thresholds of a network to a fold.

use std::path::PathBuf;

use ecgpu::{
    Classifier, Error, ErrorKind, Result, Weights,
    dataset::evaluation::{Fold, classify, doubts},
    engine::{files, network::Contract},
    evaluate::{Counts, Decisions, Predictions, best_threshold, brier_score, expected_calibration_error, temperature},
};
use serde_json::json;

use crate::{
    DeviceOptions, SUCCESS, check_free, predictions,
    terminal::{FAINT, GOOD, STRONG, clean, note, print},
    weights,
};

/// Fit the temperature and the thresholds of a network to a fold
///
/// One temperature divides all logits and minimises the cross entropy on the fold (Guo et al. 2017). Each class gets the
/// threshold with the largest F1. Both are written into the metadata of a new file; the parameters stay as they are.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu calibrate --data ptb-xl --fold 9 --weights model.safetensors --out calibrated.safetensors
  ecgpu evaluate --data ptb-xl --fold 10 --weights calibrated.safetensors")]
pub struct Arguments {
    /// The folder of PTB-XL, or a table of your own records
    #[arg(long, value_name = "PTBXL_DIR|TABLE.csv")]
    data: PathBuf,
    /// The fold to calibrate on: 9, so that fold 10 can measure the result
    #[arg(long, value_name = "FOLD")]
    fold: u8,
    #[arg(long, value_name = "FILE", help = crate::weights_to_choose())]
    weights: PathBuf,
    /// The file of the calibrated weights
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceOptions,
}

/// The means over the classes of what calibration changes.
struct Quality {
    brier_score: f64,
    expected_calibration_error: f64,
    f1: f64,
}

impl Quality {
    fn new(predictions: &Predictions, thresholds: &[f64]) -> Self {
        let classes = predictions.classes();
        let mean = |metric: fn(&[f64], &[bool]) -> f64| {
            let of_class = |class| metric(&predictions.class(class).0, &predictions.class(class).1);
            (0..classes).map(of_class).sum::<f64>() / classes as f64
        };
        Self {
            brier_score: mean(brier_score),
            expected_calibration_error: mean(expected_calibration_error),
            f1: Decisions::new(predictions, thresholds).macro_mean(Counts::f1),
        }
    }
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let Arguments { fold, out, .. } = arguments;
    check_free(&[out], arguments.force)?;
    files::check_writable(out)?;
    let weights = weights::open(&arguments.weights, arguments.json)?;
    let dataset = predictions::open(&arguments.data, arguments.json)?;
    dataset.notes().iter().for_each(|text| note(text));
    dataset.check_classes(&weights)?;
    doubts(&weights.source, &weights.contract.provenance, *fold).iter().for_each(|text| note(text));
    let records = Fold::new(&dataset, *fold)?.labelled;
    let progress = predictions::progress(records.len(), arguments.json);
    let classifier = Classifier::on(weights.clone(), arguments.device.open_one()?)?;
    let scores = classify(&classifier, &dataset, &records, &|_, _| (), &predictions::advance(&progress))?;
    progress.finish_and_clear();
    let contract = calibrated(&weights.contract, &scores.logits, scores.predictions.labels(), *fold)?;
    let probabilities = scores.logits.iter().map(|&logit| contract.probability(logit as f32)).collect();
    let after = Predictions::new(probabilities, scores.predictions.labels().to_vec(), contract.classes.len())?;
    let qualities =
        [(&scores.predictions, &weights.contract), (&after, &contract)].map(|(p, of)| Quality::new(p, &of.thresholds));
    files::write(out, &Weights { contract: contract.clone(), ..weights }.to_bytes())?;
    print(&if arguments.json { object(&contract, &qualities) } else { text(arguments, &contract, &qualities) });
    Ok(SUCCESS)
}

/// Returns the contract with the temperature and the thresholds that fit logits and labels, both `[records, classes]`.
///
/// # Errors
/// A class has no positive record.
fn calibrated(contract: &Contract, logits: &[f64], labels: &[bool], fold: u8) -> Result<Contract> {
    let temperature = rounded(temperature(logits, labels));
    let mut calibrated = Contract { temperature, ..contract.clone() };
    let classes = contract.classes.len();
    for (class, name) in contract.classes.iter().enumerate() {
        let of_class = |at: &f64| calibrated.probability(*at as f32);
        let probabilities: Vec<f64> = logits.iter().skip(class).step_by(classes).map(of_class).collect();
        let labels: Vec<bool> = labels.iter().skip(class).step_by(classes).copied().collect();
        let threshold = best_threshold(&probabilities, &labels).ok_or_else(|| {
            let cause = format!("no record of fold {fold} has class {name}");
            Error::new(ErrorKind::Dataset, cause, "calibrate on a fold that has every class")
        })?;
        calibrated.thresholds[class] = rounded(threshold);
    }
    calibrated.provenance = format!("{}; temperature and thresholds of fold {fold}", contract.provenance);
    Ok(calibrated)
}

/// Rounds to four digits, since a fold does not determine more.
fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

fn text(arguments: &Arguments, contract: &Contract, qualities: &[Quality; 2]) -> String {
    let mut text = format!("{STRONG}temperature{STRONG:#} {:.4}\n", contract.temperature);
    for (class, threshold) in contract.classes.iter().zip(&contract.thresholds) {
        text += &format!("{STRONG}threshold{STRONG:#}   {class:5} {threshold:.4}\n");
    }
    for (name, of) in [
        ("mean F1", &(|quality: &Quality| quality.f1) as &dyn Fn(&Quality) -> f64),
        ("mean Brier score", &|quality| quality.brier_score),
        ("mean ECE", &|quality| quality.expected_calibration_error),
    ] {
        let [before, after] = qualities.each_ref().map(of);
        text += &format!("{FAINT}{name:16}{FAINT:#} {before:.4} before, {after:.4} after, on the fold itself\n");
    }
    text + &format!("{GOOD}{}{GOOD:#}\n", clean(&arguments.out.display().to_string()))
}

fn object(contract: &Contract, qualities: &[Quality; 2]) -> String {
    let quality = |quality: &Quality| {
        json!({
            "f1": quality.f1,
            "brier_score": quality.brier_score,
            "expected_calibration_error": quality.expected_calibration_error,
        })
    };
    let [before, after] = qualities.each_ref().map(quality);
    let object = json!({
        "temperature": contract.temperature,
        "classes": contract.classes,
        "thresholds": contract.thresholds,
        "before": before,
        "after": after,
    });
    format!("{object:#}\n")
}
