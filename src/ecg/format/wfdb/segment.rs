//! Reads the signals of one header in millivolts.

use super::{
    super::{ReadOptions, Source, damaged},
    checks,
    header::{DEFAULT_GAIN, Signal},
    signal_file::{Group, Samples},
};
use crate::{Result, ecg::Unit};

/// Which signals of a record are read, and in which unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    /// Whether any signal of the record has the name of a lead; then only such signals are read.
    named: bool,
    /// Whether the leads of signals without such names are given; then all signals are read.
    given: bool,
    /// The unit that overrides the header's.
    unit: Option<Unit>,
}

impl Choice {
    /// Chooses among all signals of a record.
    pub(super) fn of<'h>(mut signals: impl Iterator<Item = &'h Signal>, options: &ReadOptions) -> Self {
        let named = signals.any(|signal| signal.lead().is_some());
        Self { named, given: options.leads.is_some(), unit: options.unit }
    }

    /// Whether a signal is read.
    pub(super) fn wants(self, signal: &Signal) -> bool {
        if self.named { signal.lead().is_some() } else { self.given }
    }

    /// Returns the samples per frame that all signals that are read share.
    ///
    /// # Errors
    /// Two of them differ.
    pub(super) fn samples_per_frame<'h>(self, signals: impl Iterator<Item = &'h Signal>) -> Result<u64> {
        let mut read = signals.filter(|signal| self.wants(signal));
        let Some(first) = read.next() else { return Ok(1) };
        let samples = first.signal_format.samples_per_frame;
        match read.find(|signal| signal.signal_format.samples_per_frame != samples) {
            None => Ok(samples),
            Some(other) => {
                let cause = format!(
                    "'{}' has {samples} samples per frame and '{}' {}: the leads differ in their sampling rates",
                    first.name(),
                    other.name(),
                    other.signal_format.samples_per_frame
                );
                Err(damaged(cause, "convert the record to one sampling rate for all leads, for instance with xform"))
            }
        }
    }
}

/// The signals of one header, in its order.
pub(super) struct Segment {
    /// The samples of each signal in millivolts, NaN where there is no value; empty if the signal is not read.
    pub(super) signals: Vec<Vec<f32>>,
    /// Samples at the end at which a skewed signal has no value.
    pub(super) tail: usize,
}

impl Segment {
    /// Reads the signals, all frames of their files if their number is not known.
    ///
    /// # Errors
    /// A signal file is missing or not as the header describes it, or a signal's unit is not one of voltage.
    pub(super) fn read(
        source: &Source,
        signals: &[Signal],
        frames: Option<u64>,
        choice: Choice,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let mut segment = Self { signals: vec![Vec::new(); signals.len()], tail: 0 };
        for group in Group::of(signals, |signal| choice.wants(signal)) {
            for samples in group.read(source, frames, |signal| choice.wants(signal), warnings)? {
                let position = samples.position;
                let signal = &signals[position];
                warnings.extend(checks::mismatches(&title(position, signal), signal, &samples.values));
                let (values, missing) = aligned(millivolts(samples, signal, choice.unit)?, signal);
                segment.tail = segment.tail.max(missing);
                segment.signals[position] = values;
            }
        }
        warnings.extend(missing_gains(signals, choice));
        warnings.extend(negative_gains(signals, choice));
        warnings.extend(overridden_units(signals, choice));
        Ok(segment)
    }
}

/// Names a signal in a message.
fn title(position: usize, signal: &Signal) -> String {
    signal.lead().map_or_else(|| format!("signal {}", position + 1), |lead| format!("lead {lead}"))
}

/// Converts the steps of the converter to millivolts.
fn millivolts(samples: Samples, signal: &Signal, unit: Option<Unit>) -> Result<Vec<f32>> {
    let unit = unit.map_or_else(|| signal.voltage(), Ok)?;
    // The baseline comes from the file: as an f64 it cannot overflow.
    let (baseline, scale) = (signal.baseline as f64, unit.millivolts() / signal.gain.unwrap_or(DEFAULT_GAIN));
    let converted = |x: i32| match samples.missing {
        Some(missing) if x == missing => f32::NAN,
        _ => ((f64::from(x) - baseline) * scale) as f32,
    };
    Ok(samples.values.iter().map(|x| converted(*x)).collect())
}

/// Moves a skewed signal to its time, which is earlier. Returns also how many samples are missing at its end.
fn aligned(mut values: Vec<f32>, signal: &Signal) -> (Vec<f32>, usize) {
    let field = signal.signal_format;
    let late = usize::try_from(field.skew.saturating_mul(field.samples_per_frame)).unwrap_or(usize::MAX);
    let late = late.min(values.len());
    values.rotate_left(late);
    let end = values.len() - late;
    values[end..].fill(f32::NAN);
    (values, late)
}

/// Warns about signals without a gain.
fn missing_gains(signals: &[Signal], choice: Choice) -> Option<String> {
    let names = names(signals, |signal| choice.wants(signal) && signal.gain.is_none())?;
    Some(format!("the header states no gain: taken as WFDB's default, {DEFAULT_GAIN} adu a unit ({names})"))
}

/// Warns about signals with a negative gain.
fn negative_gains(signals: &[Signal], choice: Choice) -> Option<String> {
    let names = names(signals, |signal| choice.wants(signal) && signal.gain.is_some_and(|gain| gain < 0.0))?;
    super::super::gain::upside_down(&[names])
}

/// Warns about signals whose unit the options override.
fn overridden_units(signals: &[Signal], choice: Choice) -> Option<String> {
    let unit = choice.unit?;
    let differs = |signal: &Signal| choice.wants(signal) && signal.voltage().ok() != Some(unit);
    let names = names(signals, differs)?;
    let stated = &signals.iter().find(|signal| differs(signal))?.unit;
    Some(format!("the header says {}: overridden with {unit} ({names})", super::super::shown(stated.as_bytes())))
}

/// Lists the signals that `choose` selects, if there are any.
fn names(signals: &[Signal], choose: impl Fn(&Signal) -> bool) -> Option<String> {
    let chosen = signals.iter().enumerate().filter(|(_, signal)| choose(signal));
    let name = |(position, signal): (usize, &Signal)| match signal.lead() {
        Some(_) => signal.name(),
        None => title(position, signal),
    };
    let names: Vec<String> = chosen.map(name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}
