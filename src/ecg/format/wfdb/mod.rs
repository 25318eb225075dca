//! WFDB records, PhysioNet's format: a text header and one or more files of samples, or a header of several such records.

mod checks;
#[cfg(feature = "flac")]
mod flac;
mod header;
mod record;
mod segment;
mod segments;
mod signal_file;
mod signal_format;
mod write;

pub(super) use write::write;

use self::{
    header::{Contents, DEFAULT_RATE, Header},
    record::Record,
};
use super::{Format, ReadOptions, Reading, Source, damaged, signals::Signals, source::Part};
use crate::{
    Error, Result,
    ecg::{Recording, Unit, synthetic::SYNTHETIC},
};

/// Largest header that is read, in bytes; a real one has a few hundred.
const LARGEST_HEADER: u64 = 1 << 20;

/// WFDB records: a header, and signal files beside it. Signal files of the CinC challenges are MAT files of level 4.
pub(super) const FORMAT: Format = Format {
    name: "WFDB",
    extensions: &["hea"],
    companions: &["dat", "mat"],
    recognises: header::recognises,
    plausible: None,
    reading: Reading::Whole(read),
};

/// Reads the record of a header.
fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    let header = read_header(source.open()?, &source.name())?;
    let mut warnings: Vec<String> = header.synthetic.then(|| SYNTHETIC.to_string()).into_iter().collect();
    let record = match &header.contents {
        Contents::Signals(signals) => Record::read(source, &header, signals, options, &mut warnings)?,
        Contents::Segments(lines) => segments::read(source, &header, lines, options, &mut warnings)?,
    };
    let sampling_rate = sampling_rate(&record, options, &mut warnings);
    let signals =
        Signals { signals: record.signals, sampling_rate, unit: Some(Unit::Millivolt), warnings, ..Signals::default() };
    // The samples are in millivolts already, also where the options override the header's unit.
    let options = ReadOptions { unit: None, ..options.clone() };
    signals.recording(source.stem(), &options).map(|recording| vec![recording])
}

/// Reads and parses the header in a part of this name.
fn read_header(mut part: Part, name: &str) -> Result<Header> {
    if part.size > LARGEST_HEADER {
        let cause = format!("the header has {} bytes, which no header needs", part.size);
        return Err(damaged(cause, "check that this is a WFDB header"));
    }
    let bytes = part.read_start(LARGEST_HEADER).map_err(|error| Error::file(name.as_ref(), error))?;
    header::parse(&bytes)
}

/// Returns the sampling rate of the leads in Hz, unless only the options state one.
fn sampling_rate(record: &Record, options: &ReadOptions, warnings: &mut Vec<String>) -> Option<f64> {
    if record.sampling_rate.is_none() && options.sampling_rate.is_none() {
        warnings.push(format!("the header states no sampling rate: taken as WFDB's default, {DEFAULT_RATE} Hz"));
    }
    let frames = record.sampling_rate.or(options.sampling_rate.is_none().then_some(DEFAULT_RATE))?;
    Some(frames * record.samples_per_frame as f64)
}
