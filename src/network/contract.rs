//! The input contract: the meaning of a network's input and the names of its outputs.
//!
//! Weights files store it as text in their metadata: `leads`, `sampling_rate_hz`, `samples`, `unit`, `dc_offset`, `mean`,
//! `std`, `classes`, `thresholds`, `temperature`, `training`.

use std::{borrow::Cow, collections::HashMap, fmt, ops::RangeInclusive, str::FromStr};

use crate::{
    Error, ErrorKind, Recording, Result,
    ecg::{self, Lead, Unit},
    search::position,
};

/// The largest magnitude of an input. Far larger inputs overflow inside a network, where ReLU turns NaN into 0, so that
/// the logits look valid. The gain of the published networks is about 1, so this limit leaves them twenty orders of
/// magnitude.
pub(crate) const LARGEST_INPUT: f32 = 1e18;

/// Sampling rates in Hz at which a network may expect an ECG.
const SAMPLING_RATES: RangeInclusive<f64> = 10.0..=20_000.0;

/// Standard deviations in mV by which a network's input may be divided. That of an ECG is about 0.2 mV, and the published
/// networks' inputs are at that scale.
const DEVIATIONS: RangeInclusive<f64> = 1e-6..=1e6;

/// Largest mean in standard deviations. With a larger one, f32 has too few digits left for the ECG.
const LARGEST_MEAN: f64 = 1e3;

/// What happens to the DC offset of each lead, which is its mean over the whole recording. Electrodes add offsets of up to
/// some millivolts, which say nothing about the heart. Measurements: docs/measurements/dc-offset.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DcOffset {
    /// It is subtracted.
    Removed,
    /// It is part of the network's input, as in weights files that do not state `dc_offset`.
    Kept,
}

impl fmt::Display for DcOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            DcOffset::Removed => "removed",
            DcOffset::Kept => "kept",
        })
    }
}

impl FromStr for DcOffset {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = [DcOffset::Removed, DcOffset::Kept].into_iter().find(|known| known.to_string() == text);
        known.ok_or_else(|| Error::new(ErrorKind::Weights, format!("dc_offset '{text}'"), "use removed or kept"))
    }
}

/// The shortest recording in seconds that is classified: one heartbeat or less says nothing.
const SHORTEST: f64 = 1.0;

/// How a recording becomes the input of a network, and what the logits mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    /// The leads in the order of the input's channels.
    pub leads: Vec<Lead>,
    /// The sampling rate in Hz.
    pub sampling_rate: f64,
    /// The samples per lead that the network was trained on. Other lengths are accepted too.
    pub samples: usize,
    /// The unit of `mean` and `deviation`.
    pub unit: Unit,
    /// What happens to the DC offset of each lead.
    pub dc_offset: DcOffset,
    /// The mean, which is subtracted from each sample.
    pub mean: f64,
    /// The standard deviation, by which each sample is then divided.
    pub deviation: f64,
    /// The names of the logits, in order.
    pub classes: Vec<String>,
    /// The threshold of each class. A class is a predicted label if its probability is at or above its threshold.
    pub thresholds: Vec<f64>,
    /// The temperature by which logits are divided before they become probabilities, 1 unless the weights were calibrated
    /// (Guo et al. 2017).
    pub temperature: f64,
    /// How the weights were trained, in words.
    pub provenance: String,
}

impl Default for Contract {
    /// Returns the contract of PTB-XL at 100 Hz (Wagner et al. 2020, doi 10.1038/s41597-020-0495-6): ten seconds, in mV
    /// divided by 0.235 mV, which is the standard deviation of all its samples, without DC offsets, and the five diagnostic
    /// superclasses.
    fn default() -> Self {
        Self {
            leads: Lead::STANDARD.to_vec(),
            sampling_rate: 100.0,
            samples: 1000,
            unit: Unit::Millivolt,
            dc_offset: DcOffset::Removed,
            mean: 0.0,
            deviation: 0.235,
            classes: ["NORM", "MI", "STTC", "HYP", "CD"].map(String::from).to_vec(),
            thresholds: vec![0.5; 5],
            temperature: 1.0,
            provenance: "unknown".into(),
        }
    }
}

impl Contract {
    /// Reads the contract from the metadata of a file. Missing values are replaced by the default. The second result names
    /// the missing keys, except `samples`, `thresholds`, `temperature` and `training`, which have no
    /// effect on logits.
    ///
    /// # Errors
    /// A value cannot be parsed or contradicts another.
    pub(crate) fn from_metadata(metadata: &HashMap<String, String>) -> Result<(Self, Vec<&'static str>)> {
        let mut contract = Self::default();
        let mut assumed = Vec::new();
        let mut given = |key: &'static str| {
            let text = metadata.get(key).map(|text| text.trim());
            if text.is_none() {
                assumed.push(key);
            }
            text
        };
        if let Some(text) = given("leads") {
            contract.leads = list("leads", text)?;
        }
        if let Some(text) = given("sampling_rate_hz") {
            contract.sampling_rate = positive("sampling_rate_hz", text)?;
        }
        if let Some(text) = given("unit") {
            contract.unit = value("unit", text)?;
        }
        contract.dc_offset = match given("dc_offset") {
            Some(text) => value("dc_offset", text)?,
            None => DcOffset::Kept,
        };
        if let Some(text) = given("mean") {
            contract.mean = value("mean", text)?;
        }
        if let Some(text) = given("std") {
            contract.deviation = positive("std", text)?;
        }
        if let Some(text) = given("classes") {
            contract.classes = list("classes", text)?;
        }
        if let Some(text) = metadata.get("samples") {
            contract.samples = value("samples", text)?;
        }
        if let Some(text) = metadata.get("temperature") {
            contract.temperature = positive("temperature", text)?;
        }
        if let Some(text) = metadata.get("training").or(metadata.get("provenance")) {
            contract.provenance = text.clone();
        }
        contract.thresholds = match metadata.get("thresholds") {
            Some(text) => list("thresholds", text)?,
            None => vec![0.5; contract.classes.len()],
        };
        contract.check()?;
        Ok((contract, assumed))
    }

    /// Returns the contract as the metadata of a weights file.
    pub fn to_metadata(&self) -> HashMap<String, String> {
        let join = |items: Vec<String>| items.join(",");
        [
            ("leads", join(self.leads.iter().map(Lead::to_string).collect())),
            ("sampling_rate_hz", self.sampling_rate.to_string()),
            ("samples", self.samples.to_string()),
            ("unit", self.unit.to_string()),
            ("dc_offset", self.dc_offset.to_string()),
            ("mean", self.mean.to_string()),
            ("std", self.deviation.to_string()),
            ("classes", self.classes.join(",")),
            ("thresholds", join(self.thresholds.iter().map(f64::to_string).collect())),
            ("temperature", self.temperature.to_string()),
            ("training", self.provenance.clone()),
        ]
        .map(|(key, text)| (key.to_string(), text))
        .into()
    }

    /// Checks that the values do not contradict each other.
    fn check(&self) -> Result<()> {
        let bad = |cause: String| Err(unreadable(cause));
        if let Some((at, lead)) = self.leads.iter().enumerate().find(|(at, lead)| self.leads[..*at].contains(lead)) {
            return bad(format!("metadata 'leads' names {lead} again at position {}", at + 1));
        }
        if self.thresholds.len() != self.classes.len() {
            return bad(format!(
                "metadata has {} thresholds for {} classes",
                self.thresholds.len(),
                self.classes.len()
            ));
        }
        if let Some(threshold) = self.thresholds.iter().find(|threshold| !(0.0..=1.0).contains(*threshold)) {
            return bad(format!("metadata 'thresholds' has {threshold}, which is no probability"));
        }
        let repeated = |(at, class): &(usize, &String)| class.is_empty() || self.classes[..*at].contains(class);
        if let Some((at, class)) = self.classes.iter().enumerate().find(repeated) {
            return bad(format!(
                "metadata 'classes' has '{class}' at position {}: each class needs a name of its own",
                at + 1
            ));
        }
        for (key, value, range, unit) in [
            ("sampling_rate_hz", self.sampling_rate, SAMPLING_RATES, "Hz"),
            ("std", self.deviation * self.unit.millivolts(), DEVIATIONS, "mV"),
            ("mean", (self.mean / self.deviation).abs(), 0.0..=LARGEST_MEAN, "standard deviations"),
        ] {
            if !range.contains(&value) {
                let [least, most] = [range.start(), range.end()];
                return bad(format!("metadata '{key}' is {value} {unit}, and {least} to {most} make sense"));
            }
        }
        Ok(())
    }

    /// Returns the probability of a class: the sigmoid of its logit over the temperature.
    pub fn probability(&self, logit: f32) -> f64 {
        1.0 / (1.0 + (-f64::from(logit) / self.temperature).exp())
    }

    /// Returns the duration in seconds of the recordings that the network was trained on.
    pub fn duration(&self) -> f64 {
        self.samples as f64 / self.sampling_rate
    }

    /// Converts a recording to the input of the network, `[leads, samples]`: resampled, with the leads in order and missing
    /// ones derived, without DC offsets if the contract removes them, in the contract's unit, normalised by mean and
    /// deviation.
    ///
    /// # Errors
    /// The recording lasts less than a second, a lead is missing and cannot be derived, the sampling rate cannot be
    /// converted, or a sample is too large for the network.
    pub(crate) fn input(&self, recording: &Recording) -> Result<Vec<f32>> {
        if recording.duration() < SHORTEST {
            let (duration, rate) = (recording.duration(), recording.sampling_rate());
            let cause = format!("the recording lasts {duration:.3} s at {rate} Hz, too short for an answer");
            let remedy = format!("give at least {SHORTEST} s, and check the sampling rate");
            return Err(Error::new(ErrorKind::Recording, cause, remedy));
        }
        let recording = match recording.sampling_rate() == self.sampling_rate {
            true => Cow::Borrowed(recording),
            false => Cow::Owned(recording.resampled(self.sampling_rate)?),
        };
        let [scale, mean] = self.scale_and_mean();
        // With its offset, beside which rounding may hide all of a lead.
        let too_large = |sample: f32| (f64::from(sample) * scale - mean).abs() > f64::from(LARGEST_INPUT);
        let mut input = Vec::with_capacity(self.leads.len() * recording.samples());
        for &lead in &self.leads {
            let signal = recording.recorded_or_derived(lead)?;
            if let Some(at) = position(&signal, too_large) {
                let cause = format!("lead {lead} is too large for the network at sample {at}");
                return Err(Error::new(ErrorKind::Recording, cause, "check the unit of the recording"));
            }
            let normalise = self.normalisation(&signal);
            input.extend(signal.iter().map(|&sample| normalise(sample)));
        }
        Ok(input)
    }

    /// Returns the function that makes the network's input of the samples of a lead, which are in millivolts.
    pub(crate) fn normalisation(&self, signal: &[f32]) -> impl Fn(f32) -> f32 + use<> {
        let [scale, mean] = self.scale_and_mean();
        let offset = match self.dc_offset {
            DcOffset::Removed => ecg::mean(signal) * scale,
            DcOffset::Kept => 0.0,
        };
        move |sample| (f64::from(sample) * scale - mean - offset) as f32
    }

    /// Returns the factor from millivolts to the network's scale, and the mean in that scale.
    fn scale_and_mean(&self) -> [f64; 2] {
        [1.0 / (self.unit.millivolts() * self.deviation), self.mean / self.deviation]
    }
}

fn unreadable(cause: String) -> Error {
    Error::new(ErrorKind::Weights, cause, "correct the file's metadata")
}

/// Parses a value of the metadata.
fn value<T: FromStr>(key: &str, text: &str) -> Result<T> {
    text.trim().parse().map_err(|_| unreadable(format!("metadata '{key}' is '{text}', which cannot be read")))
}

/// Parses a positive number of the metadata.
fn positive(key: &str, text: &str) -> Result<f64> {
    let number: f64 = value(key, text)?;
    if number.is_finite() && number > 0.0 {
        return Ok(number);
    }
    Err(unreadable(format!("metadata '{key}' is {number}, not a positive number")))
}

/// Parses a comma-separated list of the metadata.
fn list<T: FromStr>(key: &str, text: &str) -> Result<Vec<T>> {
    text.split(',').map(|item| value(key, item)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_survives_the_conversion_to_metadata_and_back() {
        let contract = Contract {
            mean: 0.25,
            temperature: 1.25,
            provenance: "made up, for this test".into(),
            ..Contract::default()
        };
        assert_eq!(Contract::from_metadata(&contract.to_metadata()), Ok((contract, Vec::new())));
    }

    #[test]
    fn missing_metadata_are_named() {
        let (contract, assumed) = Contract::from_metadata(&HashMap::new()).unwrap();
        assert_eq!(contract, Contract { dc_offset: DcOffset::Kept, ..Contract::default() });
        assert_eq!(assumed, ["leads", "sampling_rate_hz", "unit", "dc_offset", "mean", "std", "classes"]);
    }

    #[test]
    fn invalid_metadata_are_refused() {
        for (key, text) in [
            ("std", "0"),
            ("std", "wide"),
            ("sampling_rate_hz", "-100"),
            ("leads", "I,II,V9"),
            ("leads", "I,I"),
            ("unit", "furlong"),
            ("thresholds", "0.5,0.5"),
            ("thresholds", "0.5,0.5,0.5,0.5,7"),
            ("mean", "NaN"),
            ("mean", "1e17"),
            ("std", "1e300"),
            ("std", "1e-300"),
            ("sampling_rate_hz", "100000"),
            ("sampling_rate_hz", "0.1"),
            ("classes", "NORM,MI,NORM,HYP,CD"),
            ("classes", "NORM,MI,,HYP,CD"),
            ("dc_offset", "perhaps"),
            ("temperature", "0"),
        ] {
            let metadata = HashMap::from([(key.to_string(), text.to_string())]);
            let error = Contract::from_metadata(&metadata).unwrap_err().to_string();
            assert!(error.contains(key.trim_end_matches('s')), "{error}");
        }
    }

    #[test]
    fn an_input_has_the_unit_and_lead_order_of_the_contract() {
        use Lead::*;
        let leads =
            [II, I, V1, V2, V3, V4, V5, V6].map(|lead| (lead, vec![if lead == II { 0.47 } else { 0.235 }; 100]));
        let recording = Recording::new("r", 100.0, leads.to_vec()).unwrap();
        let kept = Contract { dc_offset: DcOffset::Kept, ..Contract::default() };
        let contract = Contract { leads: vec![III, II], mean: 0.235, ..kept };
        let input = contract.input(&recording).unwrap();
        assert!(input.iter().enumerate().all(|(at, value)| (value - (at / 100) as f32).abs() < 1e-6), "{input:?}");
        // Constant leads consist of their offsets alone.
        let removed = Contract { dc_offset: DcOffset::Removed, ..contract.clone() };
        assert_eq!(removed.input(&recording).unwrap(), [-1.0; 200]);
        let microvolts = Contract { unit: Unit::Microvolt, mean: 235.0, deviation: 235.0, ..contract };
        assert!((microvolts.input(&recording).unwrap()[100] - 1.0).abs() < 1e-6);
    }
}
