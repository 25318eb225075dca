//! Writes WFDB records in format 16.

use std::path::Path;

use super::checks::checksum;
use crate::{Error, ErrorKind, Recording, Result, files};

/// Steps per millivolt, the finest first: 1 µV unless a sample would not fit into 16 bits.
const GAINS: [f64; 10] = [1000.0, 500.0, 200.0, 100.0, 50.0, 20.0, 10.0, 5.0, 2.0, 1.0];

/// Writes `recording` as a WFDB record: the header at `path`, which ends in .hea, and beside it a .dat file in format
/// 16 with a step of 1 µV (coarser where a lead passes ±32.767 mV). `comments` become comment lines of the header.
///
/// # Errors
/// The name is not valid for a record, an amplitude exceeds 32 V, or a file cannot be written.
pub fn write(recording: &Recording, path: &Path, comments: &[String]) -> Result<()> {
    let name = record_name(path)?;
    let gain = gain(recording)?;
    let signals: Vec<Vec<i32>> = recording.leads().map(|(_, signal)| digitized(signal, gain)).collect();
    let samples = path.with_extension("dat");
    // The header is written last, so that there is never a header without its samples.
    files::write(&samples, &interleaved(&signals))?;
    files::write(path, header(recording, &name, gain, &signals, comments).as_bytes())
}

/// Returns the record's name, which the header repeats.
fn record_name(path: &Path) -> Result<String> {
    let usage = |cause: String, remedy: &str| Err(Error::new(ErrorKind::Usage, cause, remedy));
    if path.extension().is_none_or(|extension| extension != "hea") {
        return usage(
            format!("{} does not end in .hea", path.display()),
            "name the header of the record, such as a.hea",
        );
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let valid = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if name.is_empty() || !name.chars().all(valid) {
        let cause = format!("'{name}' cannot be a WFDB record's name");
        return usage(cause, "use letters, digits, _ and - only");
    }
    Ok(name.into_owned())
}

fn gain(recording: &Recording) -> Result<f64> {
    let largest = recording.leads().flat_map(|(_, signal)| signal).fold(0f32, |peak, x| peak.max(x.abs()));
    let fits = |gain: &f64| (f64::from(largest) * gain).round() <= f64::from(i16::MAX);
    GAINS.into_iter().find(fits).ok_or_else(|| {
        let cause = format!("an amplitude of {largest} mV, which 16 bits cannot hold");
        Error::new(ErrorKind::Recording, cause, "check the recording's unit")
    })
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

fn header(recording: &Recording, name: &str, gain: f64, signals: &[Vec<i32>], comments: &[String]) -> String {
    let rate = recording.sampling_rate();
    let mut text = format!("{name} {} {rate} {}\n", signals.len(), recording.samples());
    for ((lead, _), signal) in recording.leads().zip(signals) {
        let (first, sum) = (signal.first().unwrap_or(&0), checksum(signal));
        text += &format!("{name}.dat 16 {gain}(0)/mV 16 0 {first} {sum} 0 {lead}\n");
    }
    for line in comments.iter().flat_map(|comment| comment.lines()) {
        // A control character, such as a lone carriage return, could end the comment for some readers.
        text += &format!("# {}\n", line.replace(char::is_control, " "));
    }
    text
}
