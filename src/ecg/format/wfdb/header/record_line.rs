//! Parses the first line of a header.

use super::{
    super::super::damaged,
    fields::{missing, number, whole_number},
};
use crate::Result;

/// The contents of a header's first line.
pub(super) struct RecordLine {
    /// The number of segments, if the record is one of several.
    pub(super) segments: Option<u64>,
    pub(super) signals: u64,
    /// Frames a second, if stated.
    pub(super) sampling_rate: Option<f64>,
    /// Frames per signal, if stated.
    pub(super) frames: Option<u64>,
}

impl RecordLine {
    /// Parses `name[/segments] signals [rate[/counter rate[(counter)]] [samples [time [date]]]]`.
    pub(super) fn parse(line: &str) -> Result<Self> {
        let mut fields = line.split_whitespace();
        let name = fields.next().unwrap_or_default();
        let segments = number(name.split_once('/').map(|(_, segments)| segments), "number of segments")?;
        if segments == Some(0) {
            return Err(damaged("a record of zero segments", "check that this is the header of an ECG"));
        }
        let signals = number(fields.next(), "number of signals")?.ok_or_else(|| missing("number of signals"))?;
        if signals == 0 {
            return Err(damaged("a record without signals", "check that this is the header of an ECG"));
        }
        let rate = fields.next().map(|field| field.split('/').next().unwrap_or_default());
        let sampling_rate: Option<f64> = number(rate, "sampling rate")?;
        if let Some(rate) = sampling_rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
            let cause = format!("a sampling rate of {rate} Hz");
            return Err(damaged(cause, "correct the header's first line: it must be a positive number"));
        }
        // Zero samples mean the same as none stated.
        let frames = whole_number(fields.next(), "number of samples")?.filter(|frames| *frames > 0);
        Ok(Self { segments, signals, sampling_rate, frames })
    }
}

/// Whether a line can be meant as a record line: a name and a number of signals, and further fields that begin as numbers do.
pub(super) fn is_record_line(line: &str) -> bool {
    let mut fields = line.split_whitespace();
    let name = fields.next().and_then(|name| name.split('/').next()).unwrap_or_default();
    let is_name = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter));
    let has_signals = fields.next().is_some_and(|signals| signals.parse::<u64>().is_ok());
    let is_number = |field: &str| field.starts_with(|letter: char| letter.is_ascii_digit() || "[-+.".contains(letter));
    !name.is_empty() && is_name && has_signals && fields.all(is_number)
}
