//! Reads the samples of one record as 16-bit microvolts.

use std::path::Path;

use super::{Record, SamplingRate};
use crate::{
    Error, ErrorKind, Result,
    ecg::{
        Lead,
        format::{self, ReadOptions},
    },
};

/// One microvolt in mV. PTB-XL's headers state 1000 steps per mV, so its samples are whole microvolts.
const MICROVOLT: f64 = 1e-3;

/// Converts a sample to mV by the same arithmetic as the WFDB reader.
pub(super) fn millivolts(microvolts: i16) -> f32 {
    (f64::from(microvolts) * MICROVOLT) as f32
}

/// Reads the samples of a record in microvolts, `[leads, samples]`.
///
/// # Errors
/// The record is not as PTB-XL publishes it: a file is missing or short, the sampling rate or the length is another, a
/// lead is missing, or samples are marked as missing, contradict the header's checksums or exceed ±32.767 mV. The error
/// names the record.
pub(super) fn read(folder: &Path, record: &Record, rate: SamplingRate) -> Result<Vec<i16>> {
    let header = record.header_file(folder);
    microvolts(&header, rate).map_err(|error| {
        let cause = format!("record {}: {}", record.ecg_id, error.cause());
        let remedy = format!("get {} and its .dat file again", record.path.with_extension("hea").display());
        Error::new(ErrorKind::Dataset, cause, remedy)
    })
}

/// Reads the samples of the record with this header file.
fn microvolts(header: &Path, rate: SamplingRate) -> Result<Vec<i16>> {
    // The caller adds the remedy, which is the same for all errors.
    let bad = |cause: String| Err(Error::new(ErrorKind::Dataset, cause, "").at(header.display()));
    let Some(recording) = format::read(header, &ReadOptions::default())?.pop() else {
        return bad("it contains no recording".into());
    };
    if let Some(warning) = recording.warnings().first() {
        return bad(warning.clone());
    }
    if recording.sampling_rate() != f64::from(rate.hz()) {
        return bad(format!("a sampling rate of {} Hz, not {rate}", recording.sampling_rate()));
    }
    if recording.samples() != rate.samples() {
        return bad(format!("{} samples per lead, not {}", recording.samples(), rate.samples()));
    }
    let mut all = Vec::with_capacity(rate.elements());
    for lead in Lead::STANDARD {
        let Some(signal) = recording.lead(lead) else { return bad(format!("lead {lead} is missing")) };
        for x in signal {
            let microvolts = (f64::from(*x) / MICROVOLT).round();
            if microvolts.abs() > f64::from(i16::MAX) {
                return bad(format!("lead {lead} reaches {x} mV, more than 16 bits of microvolts hold"));
            }
            all.push(microvolts as i16);
        }
    }
    Ok(all)
}
