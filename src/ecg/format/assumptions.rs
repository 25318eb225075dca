//! Assumes a sampling rate and a unit for files that state none.

use super::{ReadOptions, damaged};
use crate::{
    Hint, Result,
    ecg::{Lead, Recording, Unit},
};

/// Samples and sampling rate in Hz of a standard recording: ten seconds at the usual rate.
const TEN_SECONDS: (usize, f64) = (5000, 500.0);

/// Sampling rate in Hz that is assumed for any other length.
const ASSUMED_RATE: f64 = 100.0;

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
    pub(super) fn of<'a>(mut values: impl Iterator<Item = &'a f32> + Clone) -> Self {
        let zeros = values.clone().all(|value| *value == 0.0);
        // Every larger f32 is whole.
        let whole = |value: &f32| value.fract() == 0.0 && value.abs() <= f32::powi(2.0, f32::MANTISSA_DIGITS as i32);
        if !zeros && values.all(whole) { Numbers::Whole } else { Numbers::Real }
    }
}

/// Returns the unit of a file that states none, and a warning if it is assumed.
fn unit(numbers: Numbers, options: &ReadOptions) -> Result<(Unit, Option<String>)> {
    match (options.unit, numbers) {
        (Some(unit), _) => Ok((unit, None)),
        (None, Numbers::Real) => {
            let warning = "the file states no unit: taken as mV, as none was given";
            Ok((Unit::Millivolt, Some(warning.into())))
        }
        (None, Numbers::Whole) => {
            Err(damaged("whole numbers without a unit", "state their unit, such as uV").with_hint(Hint::StateUnit))
        }
    }
}

/// Returns the sampling rate in Hz of a file that states none, and a warning if it is assumed.
fn sampling_rate(samples: usize, options: &ReadOptions) -> (f64, Option<String>) {
    if let Some(rate) = options.sampling_rate {
        return (rate, None);
    }
    let (rate, why) = if samples == TEN_SECONDS.0 {
        (TEN_SECONDS.1, ", since 5000 samples are then ten seconds")
    } else {
        (ASSUMED_RATE, "")
    };
    let warning = format!("the file states no sampling rate: taken as {rate} Hz{why}, as none was given");
    (rate, Some(warning))
}

/// Makes a recording of signals in the file's own unit, which `options` state or which is assumed. `rate` is the sampling
/// rate that the file states, in Hz.
pub(super) fn recording(
    name: String,
    mut leads: Vec<(Lead, Vec<f32>)>,
    numbers: Numbers,
    rate: Option<f64>,
    options: &ReadOptions,
) -> Result<Recording> {
    let (unit, unit_warning) = unit(numbers, options)?;
    let samples = leads.first().map_or(0, |(_, signal)| signal.len());
    let in_unit = leads.iter_mut().flat_map(|(_, signal)| signal);
    in_unit.for_each(|sample| *sample = (f64::from(*sample) * unit.millivolts()) as f32);
    let (rate, rate_warning) = rate.map_or_else(|| sampling_rate(samples, options), |rate| (rate, None));
    let mut recording = Recording::new(name, rate, leads)?;
    unit_warning.into_iter().chain(rate_warning).for_each(|warning| recording.warn(warning));
    Ok(recording)
}
