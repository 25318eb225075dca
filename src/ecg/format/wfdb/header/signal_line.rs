//! Parses the line of a header about one signal.

use std::str::FromStr;

use super::{
    super::super::{damaged, shown},
    fields::{missing, number, split_number, whole, whole_number},
};
use crate::{
    Hint, Result,
    ecg::{Lead, Unit},
};

/// The contents of a header's line about one signal.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Signal {
    pub(in super::super) file: String,
    pub(in super::super) signal_format: SignalFormatField,
    /// Steps of the converter (adu) per unit, if known.
    pub(in super::super) gain: Option<f64>,
    /// The converter's value at zero volts.
    pub(in super::super) baseline: i64,
    pub(in super::super) unit: String,
    /// The first sample's value, if stated.
    pub(in super::super) initial: Option<i64>,
    /// The sum of the samples modulo 2^16, if stated.
    pub(in super::super) checksum: Option<i64>,
    /// The signal's name, empty if it has none.
    pub(in super::super) description: String,
}

/// The field `format[xFRAMES][:SKEW][+OFFSET]` of a signal line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct SignalFormatField {
    pub(in super::super) number: u32,
    pub(in super::super) samples_per_frame: u64,
    /// Frames by which the signal is stored too late.
    pub(in super::super) skew: u64,
    /// Bytes before the first sample; samples in a compressed file.
    pub(in super::super) offset: u64,
}

impl Signal {
    /// Returns the standard lead that the description names.
    pub(in super::super) fn lead(&self) -> Option<Lead> {
        self.description.parse().ok()
    }

    /// Returns the name for messages.
    pub(in super::super) fn name(&self) -> String {
        if self.description.is_empty() { "without a name".into() } else { shown(self.description.as_bytes()) }
    }

    /// Returns the unit, if it is one of voltage.
    pub(in super::super) fn voltage(&self) -> Result<Unit> {
        self.unit.parse().map_err(|_| {
            let cause =
                format!("lead {} is in '{}', which is no unit of voltage", self.name(), shown(self.unit.as_bytes()));
            damaged(cause, "correct the header's unit, or state the true one").with_hint(Hint::StateUnit)
        })
    }
}

/// Parses `file format [gain [resolution [zero [initial [checksum [block size [description]]]]]]]`. As in PhysioNet's Python
/// package the description may follow any field from the format on, so it begins with the first text that is no number.
pub(super) fn parse(line: &str) -> Result<Signal> {
    let mut rest = Rest(line);
    let file = rest.next().ok_or_else(|| missing("signal file"))?.to_string();
    let signal_format = rest.next().ok_or_else(|| missing("storage format"))?.parse()?;
    let gain_field = rest.next_if(|field| field.starts_with(|letter: char| "+-.(/0123456789".contains(letter)));
    let mut whole = || rest.next_if(|field| whole::<i64>(field).is_some()).and_then(whole::<i64>);
    // The fields are in this order, and none can be left out before another.
    let [_resolution, zero, initial, checksum, _block_size] = [(); 5].map(|()| whole());
    let (gain, baseline, unit) = parse_gain(gain_field.unwrap_or("0"))?;
    let baseline = baseline.or(zero).unwrap_or(0);
    let description = rest.0.trim().to_string();
    Ok(Signal { file, signal_format, gain, baseline, unit, initial, checksum, description })
}

/// What is left of a line.
struct Rest<'t>(&'t str);

impl<'t> Rest<'t> {
    /// Takes the next field.
    fn next(&mut self) -> Option<&'t str> {
        self.next_if(|_| true)
    }

    /// Takes the next field if it is of a kind.
    fn next_if(&mut self, is_of_kind: impl Fn(&str) -> bool) -> Option<&'t str> {
        let (field, rest) = self.0.split_once(char::is_whitespace).unwrap_or((self.0, ""));
        if field.is_empty() || !is_of_kind(field) {
            return None;
        }
        self.0 = rest.trim_start();
        Some(field)
    }
}

/// Parses `gain[(baseline)][/unit]`. A gain of 0 means that it is unknown.
fn parse_gain(field: &str) -> Result<(Option<f64>, Option<i64>, String)> {
    let (numbers, unit) = field.split_once('/').unwrap_or((field, ""));
    let unit = if unit.is_empty() { "mV" } else { unit };
    let (gain, baseline) = match numbers.split_once('(') {
        Some((gain, baseline)) => (gain, whole_number(baseline.strip_suffix(')').or(Some(baseline)), "baseline")?),
        None => (numbers, None),
    };
    let gain: f64 = number(Some(gain).filter(|gain| !gain.is_empty()), "gain")?.unwrap_or(0.0);
    if !gain.is_finite() {
        return Err(damaged(format!("a gain of {gain}"), "correct the header: it must be a finite number"));
    }
    Ok(((gain != 0.0).then_some(gain), baseline, unit.to_string()))
}

impl FromStr for SignalFormatField {
    type Err = crate::Error;

    fn from_str(field: &str) -> Result<Self> {
        let (rest, offset) = split_number(field, '+', "byte offset")?;
        let (rest, skew) = split_number(rest, ':', "skew")?;
        let (rest, frame) = split_number(rest, 'x', "samples per frame")?;
        let format = number(Some(rest), "storage format")?.ok_or_else(|| missing("storage format"))?;
        let [offset, skew] = [offset, skew].map(|field| field.unwrap_or(0));
        // Zero samples per frame mean the same as none stated.
        Ok(Self { number: format, samples_per_frame: frame.unwrap_or(1).max(1), skew, offset })
    }
}

/// Numbers of all formats that signal(5) describes; 0 is a signal without samples.
const KNOWN_FORMATS: [u32; 14] = [0, 8, 16, 24, 32, 61, 80, 160, 212, 310, 311, 508, 516, 524];

/// Whether a line is one of a signal beyond doubt. The names of signal files tell it from numbers and from prose, and a gain
/// with a baseline or a unit tells that a format is meant, if an unknown one.
pub(super) fn is_signal_line(line: &str) -> bool {
    parse(line).is_ok_and(|Signal { file, signal_format, .. }| {
        let is_file = file.contains(['.', '/', '\\']) && file.parse::<f64>().is_err();
        let has_unit = || line.split_whitespace().nth(2).is_some_and(|gain| gain.contains(['(', '/']));
        (is_file || file == "~" || file == "-") && (KNOWN_FORMATS.contains(&signal_format.number) || has_unit())
    })
}
