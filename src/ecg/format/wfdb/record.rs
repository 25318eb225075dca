//! The signals of a whole record, of one segment or of several.

use super::{
    super::{ReadOptions, Source},
    header::{Header, Signal},
    segment::{Choice, Segment},
};
use crate::Result;

/// The signals of a record.
pub(super) struct Record {
    /// The name of each signal and its samples in millivolts, NaN where there is no value. Signals that are no leads beside
    /// others that are have no samples.
    pub(super) signals: Vec<(String, Vec<f32>)>,
    /// Frames a second, if stated.
    pub(super) sampling_rate: Option<f64>,
    /// Samples of each lead in a frame.
    pub(super) samples_per_frame: u64,
}

impl Record {
    /// Reads a record of one segment.
    ///
    /// # Errors
    /// A signal file is missing or not as the header describes it, or the leads differ in their sampling rates.
    pub(super) fn read(
        source: &Source,
        header: &Header,
        signals: &[Signal],
        options: &ReadOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let choice = Choice::of(signals.iter(), options);
        let samples_per_frame = choice.samples_per_frame(signals.iter())?;
        let Segment { signals: samples, tail } = Segment::read(source, signals, header.frames, choice, warnings)?;
        let name = |signal: &Signal| signal.description.clone();
        let mut signals: Vec<(String, Vec<f32>)> = signals.iter().map(name).zip(samples).collect();
        signals.iter_mut().for_each(|(_, samples)| samples.truncate(samples.len().saturating_sub(tail)));
        warnings.extend(skewed(tail));
        Ok(Self { signals, sampling_rate: header.sampling_rate, samples_per_frame })
    }
}

/// Warns about samples that are cut off at the end.
pub(super) fn skewed(samples: usize) -> Option<String> {
    (samples > 0).then(|| format!("samples cut at the end, where skewed leads have no value: {samples}"))
}
