//! One record's samples, as microvolts in 16 bits.

use std::path::Path;

use super::{Record, SamplingRate};
use crate::{
    Error, ErrorKind, Result,
    ecg::{
        Lead,
        format::{self, ReadOptions},
    },
};

/// A microvolt in millivolts. PTB-XL's headers say 1000 steps a millivolt, so that its samples are whole microvolts.
const STEP: f64 = 1e-3;

/// A sample in millivolts, computed as the WFDB reader does.
pub(super) fn millivolts(microvolts: i16) -> f32 {
    (f64::from(microvolts) * STEP) as f32
}

/// Reads a record's samples, `[leads, samples]` in microvolts.
///
/// # Errors
/// Whatever makes it no record of PTB-XL: files that are missing or short, another sampling rate or length, a lead that
/// is not there, samples that are marked as missing, that do not bear out the header's checks, or that pass
/// ±32.767 mV. The record is named.
pub(super) fn read(folder: &Path, record: &Record, rate: SamplingRate) -> Result<Vec<i16>> {
    let header = record.header(folder);
    samples(&header, rate).map_err(|error| {
        let cause = format!("record {}: {}", record.ecg_id, error.cause());
        let remedy = format!("get {} and its .dat file again", record.path.with_extension("hea").display());
        Error::new(ErrorKind::Dataset, cause, remedy)
    })
}

fn samples(header: &Path, rate: SamplingRate) -> Result<Vec<i16>> {
    // The caller states the remedy, which is the same for all.
    let bad = |cause: String| Err(Error::new(ErrorKind::Dataset, cause, "").at(header.display()));
    let Some(recording) = format::read(header, &ReadOptions::default())?.pop() else {
        return bad("no recording in it".into());
    };
    if let Some(warning) = recording.warnings().first() {
        return bad(warning.clone());
    }
    if recording.sampling_rate() != f64::from(rate.hz()) {
        return bad(format!("a sampling rate of {} Hz, not {rate}", recording.sampling_rate()));
    }
    if recording.samples() != rate.samples() {
        return bad(format!("{} samples a lead, not {}", recording.samples(), rate.samples()));
    }
    let mut all = Vec::with_capacity(rate.elements());
    for lead in Lead::STANDARD {
        let Some(signal) = recording.lead(lead) else { return bad(format!("lead {lead} is missing")) };
        for x in signal {
            let microvolts = (f64::from(*x) / STEP).round();
            if microvolts.abs() > f64::from(i16::MAX) {
                return bad(format!("lead {lead} reaches {x} mV, more than 16 bits of microvolts hold"));
            }
            all.push(microvolts as i16);
        }
    }
    Ok(all)
}
