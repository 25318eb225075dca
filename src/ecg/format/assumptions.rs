//! Assumes a sampling rate and a unit for files that state none.

use std::borrow::Borrow;

use super::{ReadOptions, damaged, gaps};
use crate::{
    Hint, Result,
    ecg::{Lead, Recording, Unit},
};

/// Samples and sampling rates in Hz of standard recordings: ten seconds at the two rates of PTB-XL.
const TEN_SECONDS: [(usize, f64); 2] = [(5000, 500.0), (1000, 100.0)];

/// The kind of numbers in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Whole numbers of any type, as an analogue-to-digital converter gives them. They cannot be millivolts: rounding to
    /// whole millivolts would erase an ECG.
    Whole,
    /// Numbers with fractions, or zeros alone.
    Real,
}

impl Numbers {
    /// Returns the kind of all numbers of a file.
    pub(super) fn of(mut values: impl Iterator<Item = impl Borrow<f32>> + Clone) -> Self {
        let zeros = values.clone().all(|value| *value.borrow() == 0.0);
        // Every larger f32 is whole.
        let whole = |value: f32| {
            value.is_nan() || value.fract() == 0.0 && value.abs() <= f32::powi(2.0, f32::MANTISSA_DIGITS as i32)
        };
        if !zeros && values.all(|value| whole(*value.borrow())) { Numbers::Whole } else { Numbers::Real }
    }
}

/// Returns the unit of a file, and a warning if it is assumed or overridden.
pub(super) fn unit(numbers: Numbers, stated: Option<Unit>, options: &ReadOptions) -> Result<(Unit, Option<String>)> {
    match (options.unit, stated, numbers) {
        (Some(given), Some(stated), _) if given != stated => {
            Ok((given, Some(format!("the file says {stated}: overridden with {given}"))))
        }
        (Some(unit), ..) | (None, Some(unit), _) => Ok((unit, None)),
        (None, None, Numbers::Real) => {
            let warning = "the file states no unit: taken as mV, as none was given";
            Ok((Unit::Millivolt, Some(warning.into())))
        }
        (None, None, Numbers::Whole) => {
            Err(damaged("whole numbers without a unit", "state their unit, such as uV").with_hint(Hint::StateUnit))
        }
    }
}

/// Returns the sampling rate in Hz of a file, and a warning if it is assumed or overridden.
///
/// # Errors
/// No rate is stated, and the number of samples is not that of a standard recording.
pub(super) fn sampling_rate(
    samples: usize,
    stated: Option<f64>,
    options: &ReadOptions,
) -> Result<(f64, Option<String>)> {
    match (options.sampling_rate, stated) {
        (Some(given), Some(stated)) if given != stated => {
            return Ok((given, Some(format!("the file says {stated} Hz: overridden with {given} Hz"))));
        }
        (Some(rate), _) | (None, Some(rate)) => return Ok((rate, None)),
        (None, None) => {}
    }
    let Some((_, rate)) = TEN_SECONDS.into_iter().find(|(length, _)| *length == samples) else {
        let cause = format!("{samples} samples, and the file states no sampling rate");
        return Err(damaged(cause, "state the sampling rate").with_hint(Hint::StateSamplingRate));
    };
    let warning = format!(
        "the file states no sampling rate: taken as {rate} Hz, since {samples} samples are then ten seconds, as none was given"
    );
    Ok((rate, Some(warning)))
}

/// What a file states about itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stated {
    /// The sampling rate in Hz.
    pub(super) sampling_rate: Option<f64>,
    /// The unit of all leads.
    pub(super) unit: Option<Unit>,
}

/// Makes a recording of signals in the file's own unit. What the file does not state comes from `options` or is assumed.
/// Samples that are NaN have no value; they are filled where that is possible.
pub(super) fn recording(
    name: String,
    mut leads: Vec<(Lead, Vec<f32>)>,
    numbers: Numbers,
    stated: Stated,
    options: &ReadOptions,
) -> Result<Recording> {
    let (unit, unit_warning) = unit(numbers, stated.unit, options)?;
    let samples = leads.first().map_or(0, |(_, signal)| signal.len());
    let factor = unit.millivolts();
    for (_, signal) in leads.iter_mut().filter(|_| factor != 1.0) {
        signal.iter_mut().for_each(|sample| *sample = (f64::from(*sample) * factor) as f32);
    }
    let (rate, rate_warning) = sampling_rate(samples, stated.sampling_rate, options)?;
    let filled = gaps::fill(&mut leads, rate)?;
    let mut recording = Recording::new(name, rate, leads)?;
    unit_warning.into_iter().chain(rate_warning).for_each(|warning| recording.warn(warning));
    filled.into_iter().for_each(|(lead, filled)| recording.note_filled(lead, filled));
    Ok(recording)
}
