//! Writes WFDB records in format 16.

use std::path::Path;

use super::checks::checksum;
use crate::{Error, ErrorKind, Recording, Result, ecg::Lead, files};

/// Steps per millivolt, the finest first.
const GAINS: [f64; 14] =
    [20_000.0, 10_000.0, 5000.0, 2000.0, 1000.0, 500.0, 200.0, 100.0, 50.0, 20.0, 10.0, 5.0, 2.0, 1.0];
/// The usual gain: steps of 1 µV.
const USUAL: f64 = 1000.0;

/// Writes `recording` as a WFDB record: the header at `path`, and beside it a .dat file in format
/// 16. Each lead has a gain of its own: steps of 1 µV if these represent its samples exactly, or else the finest steps
/// from 0.05 µV on with which no sample saturates. `comments` become comment lines of the header.
///
/// # Errors
/// The name is not valid for a record, an amplitude exceeds 32 V, or a file cannot be written.
pub(in crate::ecg::format) fn write(recording: &Recording, path: &Path, comments: &[String]) -> Result<()> {
    let name = record_name(path)?;
    let gains = recording.leads().map(|(lead, signal)| gain(lead, signal)).collect::<Result<Vec<f64>>>()?;
    let digitized_lead = |((_, signal), gain): ((Lead, &[f32]), &f64)| digitized(signal, *gain);
    let signals: Vec<Vec<i32>> = recording.leads().zip(&gains).map(digitized_lead).collect();
    let samples = path.with_extension("dat");
    // The header is written last, so that there is never a header without its samples.
    files::write(&samples, &interleaved(&signals))?;
    files::write(path, header(recording, &name, &gains, &signals, comments).as_bytes())
}

/// Returns the record's name, which the header repeats.
fn record_name(path: &Path) -> Result<String> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let valid = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if name.is_empty() || !name.chars().all(valid) {
        let cause = format!("'{name}' cannot be a WFDB record's name");
        return Err(Error::new(ErrorKind::Usage, cause, "use letters, digits, _ and - only"));
    }
    Ok(name.into_owned())
}

/// Returns the gain of a lead: of those that fit into 16 bits the usual one or the next finer one at which every sample is
/// a whole number of steps, as a converter gave it, or else the finest.
fn gain(lead: Lead, signal: &[f32]) -> Result<f64> {
    let largest = signal.iter().fold(0f32, |peak, x| peak.max(x.abs()));
    let fits = |gain: &f64| (f64::from(largest) * gain).round() <= f64::from(i16::MAX);
    let fitting = || GAINS.into_iter().filter(fits);
    let exact = fitting().filter(|gain| *gain >= USUAL).rev().find(|gain| is_exact(signal, *gain));
    exact.or_else(|| fitting().next()).ok_or_else(|| {
        let cause = format!("lead {lead} has an amplitude of {largest} mV, which 16 bits cannot hold");
        Error::new(ErrorKind::Recording, cause, "check the recording's unit")
    })
}

/// Whether every sample is the number nearest to a whole number of steps.
fn is_exact(signal: &[f32], gain: f64) -> bool {
    signal.iter().all(|x| ((f64::from(*x) * gain).round() / gain) as f32 == *x)
}

/// Rounds a signal to the converter's steps. None is −32768, which would mark a missing sample: the gain keeps all within
/// ±32767.
fn digitized(signal: &[f32], gain: f64) -> Vec<i32> {
    signal.iter().map(|x| (f64::from(*x) * gain).round() as i32).collect()
}

/// Interleaves the signals frame by frame, the least significant byte first.
fn interleaved(signals: &[Vec<i32>]) -> Vec<u8> {
    let samples = signals.first().map_or(0, Vec::len);
    (0..samples).flat_map(|n| signals.iter().flat_map(move |signal| (signal[n] as i16).to_le_bytes())).collect()
}

fn header(recording: &Recording, name: &str, gains: &[f64], signals: &[Vec<i32>], comments: &[String]) -> String {
    let rate = recording.sampling_rate();
    let mut text = format!("{name} {} {rate} {}\n", signals.len(), recording.samples());
    for (((lead, _), signal), gain) in recording.leads().zip(signals).zip(gains) {
        let (first, sum) = (signal.first().unwrap_or(&0), checksum(signal));
        text += &format!("{name}.dat 16 {gain}(0)/mV 16 0 {first} {sum} 0 {lead}\n");
    }
    for line in comments.iter().flat_map(|comment| comment.lines()) {
        // A control character, such as a lone carriage return, could end the comment for some readers.
        text += &format!("# {}\n", line.replace(char::is_control, " "));
    }
    text
}
