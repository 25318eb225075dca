//! The header of EDF, EDF+, BDF and BDF+ files: fields of fixed width in ASCII.
//!
//! Sources: Kemp et al. (1992) for EDF, Kemp and Olivan (2003) for EDF+, BioSemi's description for BDF, whose samples
//! have 24 bits instead of 16.

use super::super::{damaged, shown, text::utf_8_or_latin_1};
use crate::Result;

/// The length in bytes of the part before the signals' fields, and of the fields of one signal.
pub(super) const BLOCK: usize = 256;
/// The widths of a signal's fields: label, transducer, unit, physical minimum and maximum, digital minimum and maximum,
/// prefilter, samples per record, reserved. Each field is stored for all signals before the next field.
pub(super) const WIDTHS: [usize; 10] = [16, 80, 8, 8, 8, 8, 8, 80, 8, 32];
/// Most signals of a file; recorders for electroencephalograms have some hundred.
const MOST_SIGNALS: usize = 4096;

/// What a file states before the fields of its signals.
#[derive(Debug, PartialEq)]
pub(super) struct Start {
    /// Bytes per sample: 2 in EDF and 3 in BDF.
    pub(super) width: usize,
    /// Whether the reserved field marks EDF+ or BDF+, whose annotations state when each record begins.
    pub(super) plus: bool,
    /// Whether the file declares gaps between its records.
    pub(super) discontinuous: bool,
    /// Number of records, if it was known when the header was written.
    pub(super) records: Option<u64>,
    /// Duration of a record in seconds.
    pub(super) duration: f64,
    /// Number of signals, annotations included.
    pub(super) signals: usize,
}

/// What a file states of a signal.
#[derive(Debug, Clone)]
pub(super) struct Signal {
    pub(super) label: String,
    pub(super) unit: String,
    /// Samples per record.
    pub(super) samples: u64,
    /// The fields of the physical minimum and maximum and the digital minimum and maximum, as the file has them.
    range: [String; 4],
}

impl Start {
    /// Parses the first 256 bytes. The fields of the patient, the recording and the date are skipped.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let width = sample_width(bytes).ok_or_else(|| {
            damaged("the file does not begin as an EDF or BDF file does", "check that this is an EDF or BDF file")
        })?;
        if bytes.len() < BLOCK {
            let cause = format!("the header has {} of 256 bytes", bytes.len());
            return Err(damaged(cause, "the file is cut off: get it again"));
        }
        let field = |from: usize, width: usize| text(bytes.get(from..from + width).unwrap_or_default());
        let [size, reserved, records] = [field(184, 8), field(192, 44), field(236, 8)];
        let [duration, signals] = [field(244, 8), field(252, 4)];
        let signals = whole(&signals, "number of signals")?;
        let signals = usize::try_from(signals).ok().filter(|count| (1..=MOST_SIGNALS).contains(count));
        let signals = signals.ok_or_else(|| damaged("an impossible number of signals", "the file is damaged"))?;
        let (stated, needed) = (whole(&size, "length of the header")?, (BLOCK * (signals + 1)) as i64);
        if stated != needed {
            let cause = format!("a header of {stated} bytes is declared, and {signals} signals need {needed}");
            return Err(damaged(cause, "the header is damaged: get the file again"));
        }
        let duration = number(&duration).filter(|seconds| *seconds >= 0.0);
        let duration =
            duration.ok_or_else(|| damaged("the duration of a record is no number", "get the file again"))?;
        let records = whole(&records, "number of records")?;
        let kind = reserved.get(..5).unwrap_or_default();
        Ok(Self {
            width,
            plus: matches!(kind, "EDF+C" | "EDF+D" | "BDF+C" | "BDF+D"),
            discontinuous: matches!(kind, "EDF+D" | "BDF+D"),
            // −1 marks a recording that was not closed.
            records: u64::try_from(records).ok(),
            duration,
            signals,
        })
    }

    /// Parses the fields of all signals, 256 bytes each.
    pub(super) fn signals(&self, bytes: &[u8]) -> Result<Vec<Signal>> {
        if bytes.len() < BLOCK * self.signals {
            let cause = format!("the header ends before the fields of its {} signals", self.signals);
            return Err(damaged(cause, "the file is cut off: get it again"));
        }
        (0..self.signals).map(|number| self.signal(bytes, number)).collect()
    }

    fn signal(&self, bytes: &[u8], number: usize) -> Result<Signal> {
        let field = |field: usize| {
            let before: usize = WIDTHS.iter().take(field).sum();
            let from = self.signals * before + WIDTHS[field] * number;
            text(bytes.get(from..from + WIDTHS[field]).unwrap_or_default())
        };
        let label = field(0);
        let samples = u64::try_from(whole(&field(8), "number of samples per record")?);
        let samples = samples.map_err(|_| {
            let cause = format!("signal '{}' has a negative number of samples", shown(label.as_bytes()));
            damaged(cause, "the header is damaged: get the file again")
        })?;
        Ok(Signal { label, unit: field(2), samples, range: [field(3), field(4), field(5), field(6)] })
    }
}

impl Signal {
    /// Returns the scale and the offset that convert a sample to the signal's unit. A range may be reversed.
    ///
    /// # Errors
    /// A limit is no number, or both limits of a range are equal.
    pub(super) fn scale(&self) -> Result<(f64, f64)> {
        let label = shown(self.label.as_bytes());
        let mut limits = [0.0; 4];
        for (limit, field) in limits.iter_mut().zip(&self.range) {
            *limit = number(field).ok_or_else(|| {
                let cause = format!("a limit of signal '{label}' is '{}', which is no number", shown(field.as_bytes()));
                damaged(cause, "correct the header")
            })?;
        }
        let [physical_min, physical_max, digital_min, digital_max] = limits;
        let scale = (physical_max - physical_min) / (digital_max - digital_min);
        if scale == 0.0 || !scale.is_finite() {
            let range = if scale == 0.0 { "physical" } else { "digital" };
            let cause = format!("the {range} minimum and maximum of signal '{label}' are equal");
            return Err(damaged(cause, "correct the header: the true range is needed"));
        }
        Ok((scale, physical_min - digital_min * scale))
    }

    /// Whether the signal holds annotations instead of samples.
    pub(super) fn is_annotations(&self) -> bool {
        matches!(&*self.label, "EDF Annotations" | "BDF Annotations")
    }
}

/// Returns the bytes per sample of a file that begins as EDF or BDF does.
pub(super) fn sample_width(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'0', b' ', b' ', b' ', b' ', b' ', b' ', b' ', ..] => Some(2),
        [0xff, b'B', b'I', b'O', b'S', b'E', b'M', b'I', ..] => Some(3),
        _ => None,
    }
}

/// Returns the sampling rate in Hz of `samples` in `seconds`, rounded to 1 µHz where the division alone explains the
/// difference: 5001 samples in 10.002 s are 500 Hz.
pub(super) fn sampling_rate(samples: u64, seconds: f64) -> f64 {
    let rate = samples as f64 / seconds;
    let rounded = (rate * 1e6).round() / 1e6;
    if (rounded / rate - 1.0).abs() < 1e-12 { rounded } else { rate }
}

/// Decodes a field without its padding. ASCII is prescribed; 'µ' occurs in Latin-1 and in UTF-8.
fn text(bytes: &[u8]) -> String {
    utf_8_or_latin_1(bytes).trim_matches(|letter: char| letter == '\0' || letter.is_whitespace()).to_string()
}

/// Parses a finite number. Some writers use a decimal comma.
fn number(field: &str) -> Option<f64> {
    field.replace(',', ".").parse().ok().filter(|number: &f64| number.is_finite())
}

/// Parses a whole number, which some writers store with a decimal point.
fn whole(field: &str, what: &str) -> Result<i64> {
    let whole = number(field).filter(|number| number.fract() == 0.0 && number.abs() < 1e15);
    whole.map(|number| number as i64).ok_or_else(|| {
        damaged(format!("the {what} is '{}', which is no whole number", shown(field.as_bytes())), "get the file again")
    })
}
