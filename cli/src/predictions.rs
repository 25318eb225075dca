//! The predictions of a network for records of a data set, as users would get them: every record passes through the
//! classifier.

use std::path::Path;

use ecgpu::{
    Classifier, Recording, Result,
    dataset::{Dataset, LEADS, Options},
    ecg::Lead,
    evaluate::Predictions,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Records that are classified at a time.
const AT_A_TIME: usize = 64;

/// The logits and the probabilities of some records.
pub struct Scores {
    /// `[records, classes]`.
    pub logits: Vec<f64>,
    /// The probabilities with the labels of the records.
    pub predictions: Predictions,
}

/// Changes the samples of a record in mV, `[leads, samples]`; the number is the index of the record.
pub type Change<'a> = &'a dyn Fn(usize, &mut [Vec<f32>]);

/// Classifies records with a classifier whose classes are those of the data set. `change` changes each record before.
///
/// # Errors
/// The classes differ, a record cannot be classified, or the device fails.
pub fn classify(
    classifier: &Classifier,
    dataset: &Dataset,
    records: &[usize],
    change: Change,
    progress: &ProgressBar,
) -> Result<Scores> {
    let contract = classifier.contract();
    let classes = contract.classes.len();
    let (mut logits, mut probabilities, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for part in records.chunks(AT_A_TIME) {
        let recordings = part.iter().map(|&index| recording(dataset, index, change)).collect::<Result<Vec<_>>>()?;
        for (prediction, index) in classifier.classify_batch(&recordings).into_iter().zip(part) {
            let name = dataset.records()[*index].ecg_id;
            let prediction = prediction.map_err(|error| error.at(format!("record {name}")))?;
            logits.extend(prediction.logits.iter().map(|&logit| f64::from(logit)));
            probabilities.extend(prediction.probabilities);
            labels.extend_from_slice(dataset.records()[*index].classes());
        }
        progress.inc(part.len() as u64);
    }
    Ok(Scores { logits, predictions: Predictions::new(probabilities, labels, classes)? })
}

/// Returns a record as a recording.
fn recording(dataset: &Dataset, index: usize, change: Change) -> Result<Recording> {
    let (rate, samples) = (f64::from(dataset.sampling_rate().hz()), dataset.samples());
    let mut signal = vec![0.0; LEADS * samples];
    dataset.signal(index, &mut signal);
    let mut leads: Vec<Vec<f32>> = signal.chunks(samples).map(<[f32]>::to_vec).collect();
    change(index, &mut leads);
    let name = dataset.records()[index].ecg_id.to_string();
    Recording::new(name, rate, Lead::STANDARD.into_iter().zip(leads).collect())
}

/// Opens a data set, with a progress bar while its records are read; hidden if a program reads the output.
pub fn open(path: &Path, hidden: bool) -> Result<Dataset> {
    let bar = progress(0, hidden);
    let reading = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let dataset = Dataset::open(path, &Options::default(), &reading);
    bar.finish_and_clear();
    dataset
}

/// Makes a progress bar for a number of records; hidden if a program reads the output.
pub fn progress(records: usize, hidden: bool) -> ProgressBar {
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} records, {per_sec}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(records as u64), target).with_style(style)
}
