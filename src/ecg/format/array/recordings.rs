//! Makes the recordings of an array.

use super::{
    super::{
        ReadOptions,
        assumptions::{self, Numbers, Stated},
        damaged,
        signals::Signals,
    },
    Array,
    layout::{Axis, Layout},
    padding,
};
use crate::{Recording, Result, ecg::Unit};

/// What a file says of an array.
#[derive(Debug, Clone, Default)]
pub(in crate::ecg::format) struct Description {
    /// The sampling rate in Hz.
    pub(in crate::ecg::format) sampling_rate: Option<f64>,
    /// The unit of all leads.
    pub(in crate::ecg::format) unit: Option<Unit>,
    /// The names of the leads in their order.
    pub(in crate::ecg::format) leads: Option<Vec<String>>,
    /// What the reader noticed, one sentence per finding.
    pub(in crate::ecg::format) warnings: Vec<String>,
}

/// Makes the recordings of an array; those of a batch are numbered.
pub(in crate::ecg::format) fn recordings(
    array: &Array,
    stem: &str,
    description: &Description,
    options: &ReadOptions,
) -> Result<Vec<Recording>> {
    let planes = Planes::of(array, description, options)?;
    let name = |index: usize| if planes.len() == 1 { stem.to_string() } else { format!("{stem}[{index}]") };
    (0..planes.len()).map(|index| planes.recording(name(index), index, description, options)).collect()
}

/// An array with known leads: one plane of leads and samples per recording.
pub(in crate::ecg::format) struct Planes<'a> {
    array: &'a Array,
    layout: Layout,
    numbers: Numbers,
}

impl<'a> Planes<'a> {
    /// Finds the leads of an array.
    pub(in crate::ecg::format) fn of(
        array: &'a Array,
        description: &Description,
        options: &ReadOptions,
    ) -> Result<Self> {
        let leads = description.leads.as_ref().map_or(options.leads().len(), Vec::len);
        let layout = Layout::of(array.shape(), &array.strides(), leads)?;
        let numbers = match array.whole {
            true => Numbers::Whole,
            false => Numbers::of((0..array.len()).map(|at| array.stored(at) as f32)),
        };
        Ok(Self { array, layout, numbers })
    }

    /// Returns the number of recordings.
    pub(in crate::ecg::format) fn len(&self) -> usize {
        self.layout.recordings.length
    }

    /// Makes one recording.
    pub(in crate::ecg::format) fn recording(
        &self,
        name: String,
        index: usize,
        description: &Description,
        options: &ReadOptions,
    ) -> Result<Recording> {
        let Axis { length: leads, stride } = self.layout.leads;
        let first = index * self.layout.recordings.stride;
        let signals = (0..leads).map(|lead| signal(self.array, first + lead * stride, self.layout.samples));
        let mut description = description.clone();
        if self.layout.ambiguous {
            description.warnings.push(format!(
                "as many samples as leads: taken as [{leads} leads, {} samples]",
                self.layout.samples.length
            ));
        }
        recording(name, signals.collect::<Result<_>>()?, self.numbers, description, options)
    }
}

/// Makes the recording of arrays that each hold one lead, whose names are those of the description.
#[cfg(any(feature = "compressed", feature = "mat", feature = "hdf5"))]
pub(in crate::ecg::format) fn recording_of_leads(
    name: String,
    arrays: &[&Array],
    description: Description,
    options: &ReadOptions,
) -> Result<Recording> {
    let samples = |array: &Array| Axis { length: array.len(), stride: 1 };
    let signals = arrays.iter().map(|array| signal(array, 0, samples(array))).collect::<Result<Vec<_>>>()?;
    let whole = arrays.iter().any(|array| array.whole);
    let numbers = if whole { Numbers::Whole } else { Numbers::of(signals.iter().flatten()) };
    recording(name, signals, numbers, description, options)
}

/// Makes a recording of its signals.
fn recording(
    name: String,
    mut signals: Vec<Vec<f32>>,
    numbers: Numbers,
    description: Description,
    options: &ReadOptions,
) -> Result<Recording> {
    let Description { sampling_rate, unit, leads, mut warnings } = description;
    assumptions::unit(numbers, unit, options)?;
    // Padding counts: data sets choose the padded length by the sampling rate.
    let samples = signals.first().map_or(0, Vec::len);
    let (rate, assumed) = assumptions::sampling_rate(samples, sampling_rate, options)?;
    warnings.extend(assumed);
    warnings.extend(padding::cut(&mut signals, rate));
    let sampling_rate = Some(rate);
    match leads {
        Some(names) => {
            let signals = names.into_iter().zip(signals).collect();
            Signals { signals, sampling_rate, unit, warnings, ..Signals::default() }.recording(name, options)
        }
        None => {
            let leads = options.leads().iter().copied().zip(signals).collect();
            let mut recording = assumptions::recording(name, leads, numbers, Stated { sampling_rate, unit }, options)?;
            warnings.into_iter().for_each(|warning| recording.warn(warning));
            Ok(recording)
        }
    }
}

/// Reads one lead's samples, those without a value as NaN.
///
/// # Errors
/// Whole numbers so large that rounding them to the 24 bits of an f32 would erase the signal.
fn signal(array: &Array, first: usize, samples: Axis) -> Result<Vec<f32>> {
    let values = (0..samples.length).map(|at| array.sample(first + at * samples.stride));
    if array.whole {
        check_rounding(values.clone())?;
    }
    Ok(values.map(|value| value as f32).collect())
}

/// Checks that whole numbers keep a thousandth of their range when they are rounded to f32. A large offset costs precision.
fn check_rounding(values: impl Iterator<Item = f64> + Clone) -> Result<()> {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let largest = values.fold(f64::NEG_INFINITY, f64::max);
    let magnitude = largest.abs().max(least.abs());
    let step = magnitude * f64::from(f32::EPSILON);
    if magnitude.is_finite() && step > 1.0 && largest > least && (largest - least) < 1000.0 * step {
        let cause = format!("whole numbers from {least} to {largest}, which differ too little for their size");
        return Err(damaged(cause, "subtract the offset before saving the array"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_whole_numbers_must_differ_enough() {
        assert!(check_rounding([-800_000.0, 1_500_000.0].into_iter()).is_ok(), "nanovolts");
        assert!(check_rounding([3e8, 3.01e8].into_iter()).is_ok(), "nanovolts with the offset of an electrode");
        assert!(check_rounding([2_147_483_000.0, 2_147_484_000.0].into_iter()).is_err());
        assert!(check_rounding([2_147_483_000.0; 2].into_iter()).is_ok(), "a lead without a signal");
        assert!(check_rounding([].into_iter()).is_ok());
    }
}
