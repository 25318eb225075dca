//! Reads HL7's annotated ECG (aECG, HL7 V3 `AnnotatedECG`): the rhythm series, not the representative beat.
//!
//! A series holds sets of simultaneous sequences: one of times, with the interval between two samples, and one per lead,
//! with the samples as text. The structure follows the HL7 aECG Implementation Guide, 2005. A file may hold several series;
//! each is a recording.

use std::borrow::Cow;

use super::{
    super::{Format, ReadOptions, Reading, Source, damaged, shown, signals::Signals, text},
    MOST_SIGNALS,
    document::{Document, Element},
    has_root, listed, open, read_bytes, recordings,
};
use crate::{
    Recording, Result,
    ecg::{Lead, Unit},
};

/// The root element.
pub(super) const ROOT: &str = "AnnotatedECG";

/// Annotated ECGs of HL7.
pub(in super::super) const FORMAT: Format = Format {
    name: "HL7 aECG",
    extensions: &["xml"],
    companions: &[],
    recognises: |start| has_root(start, ROOT),
    plausible: Some(|start, _| has_root(start, ROOT)),
    reading: Reading::Whole(read),
};

/// The number that devices with converters of 16 bits write for a sample without a value.
const MISSING: f64 = i16::MIN as f64;

/// Reads every rhythm series.
fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    let bytes = read_bytes(source)?;
    let (text, _) = text::decode(&bytes);
    let mut document = open(&text, ROOT)?;
    let mut series = Vec::new();
    while let Some(element) = document.child()? {
        match element.name() {
            "component" => components(&mut document, "series", |document| {
                series.push(Series::read(document)?);
                Ok(())
            })?,
            _ => document.skip()?,
        }
    }
    let found = listed(series.iter().map(|series| series.code.clone()));
    let rhythms = series.into_iter().filter(Series::is_rhythm).flat_map(|series| series.sets);
    let sets = joined(rhythms.filter(|set| !set.signals.is_empty()));
    if sets.is_empty() {
        let cause = format!("no rhythm series with leads; found: {found}");
        return Err(damaged(cause, "export the ECG with its rhythm, not only with its representative beat"));
    }
    recordings(sets.into_iter().map(Set::into_signals).collect(), source, options)
}

/// Reads the children of a `component` of the name `wanted`, and skips the others.
fn components<'a>(
    document: &mut Document<'a>,
    wanted: &str,
    mut read: impl FnMut(&mut Document<'a>) -> Result<()>,
) -> Result<()> {
    while let Some(element) = document.child()? {
        if element.name() == wanted { read(document)? } else { document.skip()? }
    }
    Ok(())
}

/// A series of waveforms.
#[derive(Default)]
struct Series {
    code: String,
    sets: Vec<Set>,
}

impl Series {
    /// Reads a series without its annotations and without the series that are derived from it.
    fn read(document: &mut Document) -> Result<Self> {
        let mut series = Self::default();
        while let Some(element) = document.child()? {
            match element.name() {
                "code" => {
                    series.code = element.attribute("code")?.unwrap_or_default();
                    document.skip()?;
                }
                "component" => components(document, "sequenceSet", |document| {
                    series.sets.push(Set::read(document)?);
                    Ok(())
                })?,
                _ => document.skip()?,
            }
        }
        Ok(series)
    }

    /// Whether the series is no `REPRESENTATIVE_BEAT` or other mean beat. Devices have codes of their own for a rhythm.
    fn is_rhythm(&self) -> bool {
        let code = self.code.to_ascii_uppercase();
        !code.contains("BEAT") && !code.contains("MEDIAN")
    }
}

/// A set of simultaneous sequences.
#[derive(Default)]
struct Set {
    sampling_rate: Option<f64>,
    /// The time of the first sample, as the file writes it.
    begins: String,
    signals: Vec<(String, Vec<f32>)>,
}

impl Set {
    fn read(document: &mut Document) -> Result<Self> {
        let mut set = Self::default();
        while let Some(element) = document.child()? {
            match element.name() {
                "component" => components(document, "sequence", |document| {
                    let sequence = Sequence::read(document)?;
                    match sequence.increment {
                        Some((step, unit)) => {
                            set.sampling_rate = Some(sampling_rate(step, &unit)?);
                            set.begins = sequence.begins;
                        }
                        None => set.signals.push((sequence.name(), sequence.samples()?)),
                    }
                    Ok(())
                })?,
                _ => document.skip()?,
            }
        }
        Ok(set)
    }

    /// Whether `other` holds further leads of the same time.
    fn continues(&self, other: &Set) -> bool {
        let length = |set: &Set| set.signals.first().map_or(0, |(_, samples)| samples.len());
        let shared = || other.signals.iter().any(|(name, _)| self.signals.iter().any(|(same, _)| same == name));
        let times = self.sampling_rate == other.sampling_rate && self.begins == other.begins;
        let few = self.signals.len() < MOST_SIGNALS;
        few && times && length(self) == length(other) && !shared()
    }

    fn into_signals(self) -> Signals {
        let Self { sampling_rate, signals, .. } = self;
        Signals { signals, sampling_rate, unit: Some(Unit::Millivolt), calibrated: true, warnings: Vec::new() }
    }
}

/// Joins each set with the one before it, where it holds further leads of the same time.
fn joined(sets: impl Iterator<Item = Set>) -> Vec<Set> {
    let mut joined: Vec<Set> = Vec::new();
    for set in sets {
        match joined.last_mut() {
            Some(last) if last.continues(&set) => last.signals.extend(set.signals),
            _ => joined.push(set),
        }
    }
    joined
}

/// A sequence of times or of samples.
#[derive(Default)]
struct Sequence<'a> {
    code: String,
    display_name: String,
    /// The time of the first sample.
    begins: String,
    /// The time between two samples, and its unit. Only a sequence of times has it.
    increment: Option<(f64, String)>,
    /// What is added to every sample after it is scaled, in millivolts.
    origin: f64,
    /// The millivolts of one step.
    scale: Option<f64>,
    digits: Cow<'a, str>,
}

impl<'a> Sequence<'a> {
    fn read(document: &mut Document<'a>) -> Result<Self> {
        let mut sequence = Self::default();
        while let Some(element) = document.child()? {
            match element.name() {
                "code" => {
                    sequence.code = element.attribute("code")?.unwrap_or_default();
                    sequence.display_name = element.attribute("displayName")?.unwrap_or_default();
                    document.skip()?;
                }
                "value" => sequence.value(document)?,
                _ => document.skip()?,
            }
        }
        Ok(sequence)
    }

    fn value(&mut self, document: &mut Document<'a>) -> Result<()> {
        while let Some(element) = document.child()? {
            match element.name() {
                "digits" => {
                    self.digits = document.text()?;
                    continue;
                }
                "head" => self.begins = element.attribute("value")?.unwrap_or_default(),
                "increment" => {
                    let unit = element.attribute("unit")?.unwrap_or_default();
                    self.increment = element.number("value")?.map(|step| (step, unit));
                }
                "origin" => self.origin = voltage(&element)?.unwrap_or(0.0),
                "scale" => self.scale = voltage(&element)?,
                _ => {}
            }
            document.skip()?;
        }
        Ok(())
    }

    /// Returns the lead's name: the code, or the name beside it where the code is not a lead's.
    fn name(&self) -> String {
        let is_lead = |name: &str| name.parse::<Lead>().is_ok();
        let by_display_name = !is_lead(&self.code) && is_lead(&self.display_name);
        if by_display_name { self.display_name.clone() } else { self.code.clone() }
    }

    /// Returns the samples in millivolts.
    fn samples(&self) -> Result<Vec<f32>> {
        let name = shown(self.name().as_bytes());
        let scale = self.scale.filter(|scale| *scale != 0.0).ok_or_else(|| {
            damaged(format!("sequence {name} states no scale"), "state the size of its steps, such as 5 uV")
        })?;
        let sample = |(at, digits): (usize, &str)| match digits.parse::<f64>() {
            Ok(value) if value == MISSING || value.is_nan() => Ok(f32::NAN),
            Ok(value) if value.is_finite() => Ok((self.origin + scale * value) as f32),
            _ => {
                let cause = format!("sequence {name}, sample {at}: '{}' is no number", shown(digits.as_bytes()));
                Err(damaged(cause, "the file is damaged: get it again"))
            }
        };
        self.digits.split_ascii_whitespace().enumerate().map(sample).collect()
    }
}

/// Reads the voltage in the attributes `value` and `unit`, in millivolts.
fn voltage(element: &Element) -> Result<Option<f64>> {
    let Some(value) = element.number("value")? else { return Ok(None) };
    let unit = element.attribute("unit")?.unwrap_or_default();
    let in_millivolts = unit.parse().map(Unit::millivolts).map_err(|_| {
        let cause = format!("{} is in '{}', which is no unit of voltage", element.name(), shown(unit.as_bytes()));
        damaged(cause, "correct it, such as to uV")
    })?;
    Ok(Some(value * in_millivolts))
}

/// Returns the sampling rate in Hz for a time between two samples.
fn sampling_rate(step: f64, unit: &str) -> Result<f64> {
    let per_second = match unit.to_ascii_lowercase().as_str() {
        "s" | "sec" => 1.0,
        "ms" | "msec" => 1e3,
        "us" | "usec" | "\u{b5}s" | "\u{3bc}s" => 1e6,
        "ns" => 1e9,
        _ => {
            let cause = format!("the increment is in '{}', which is no unit of time", shown(unit.as_bytes()));
            return Err(damaged(cause, "correct it, such as to s or ms"));
        }
    };
    let rate: f64 = per_second / step;
    if !(rate.is_finite() && rate > 0.0) {
        return Err(damaged(format!("an increment of {step} {unit}"), "state the time between two samples"));
    }
    // 1/0.0006 and the like are not exact.
    let whole = (rate - rate.round()).abs() < 1e-9 * rate;
    Ok(if whole { rate.round() } else { rate })
}
