//! The predictions of a network for records of a data set, as users would get them: every record passes through the
//! classifier.

use crate::{
    Classifier, Recording, Result,
    dataset::{Dataset, LEADS},
    ecg::Lead,
    evaluate::Predictions,
};

/// Records that are classified at a time.
const AT_A_TIME: usize = 64;

/// The logits and the probabilities of some records.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Scores {
    /// `[records, classes]`.
    pub logits: Vec<f64>,
    /// The probabilities with the labels of the records.
    pub predictions: Predictions,
}

/// Changes the samples of a record in mV, `[leads, samples]`; the number is the index of the record.
pub type Change<'a> = &'a dyn Fn(usize, &mut [Vec<f32>]);

/// Hears how many more records are classified; an error of it stops the work and is returned.
pub type Progress<'a> = &'a dyn Fn(usize) -> Result<()>;

/// Classifies records with a classifier whose classes are those of the data set. `change` changes each record before.
///
/// # Errors
/// The classes differ, a record cannot be classified, the device fails, or an error of `progress`.
pub fn classify(
    classifier: &Classifier,
    dataset: &Dataset,
    records: &[usize],
    change: Change,
    progress: Progress,
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
        progress(part.len())?;
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
