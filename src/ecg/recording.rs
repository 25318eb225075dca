//! Defines a recording: named leads in millivolts at one sampling rate.

use std::{borrow::Cow, fmt, str::FromStr};

use super::Lead;
use crate::{Error, ErrorKind, Result, search::position};

/// A unit of voltage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Volts (V).
    Volt,
    /// Millivolts (mV).
    Millivolt,
    /// Microvolts (µV).
    Microvolt,
    /// Nanovolts (nV).
    Nanovolt,
}

impl Unit {
    /// Returns the number of millivolts in one of this unit.
    pub fn millivolts(self) -> f64 {
        match self {
            Unit::Volt => 1e3,
            Unit::Millivolt => 1.0,
            Unit::Microvolt => 1e-3,
            Unit::Nanovolt => 1e-6,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Unit::Volt => "V",
            Unit::Millivolt => "mV",
            Unit::Microvolt => "uV",
            Unit::Nanovolt => "nV",
        })
    }
}

impl FromStr for Unit {
    type Err = Error;

    /// Reads `V`, `mV`, `uV`, `µV` and `nV`, and the units' names, in any case. Padding is left out, also that of zeros.
    fn from_str(text: &str) -> Result<Self> {
        let padding = |letter: char| letter == '\0' || letter.is_whitespace();
        match text.trim_matches(padding).to_lowercase().as_str() {
            "v" | "volt" | "volts" => Ok(Unit::Volt),
            "mv" | "millivolt" | "millivolts" => Ok(Unit::Millivolt),
            // U+00B5 (micro sign) and U+03BC (Greek mu) look alike and both occur.
            "uv" | "\u{b5}v" | "\u{3bc}v" | "microvolt" | "microvolts" => Ok(Unit::Microvolt),
            "nv" | "nanovolt" | "nanovolts" => Ok(Unit::Nanovolt),
            _ => Err(Error::new(ErrorKind::Usage, format!("unknown unit '{text}'"), "use mV, uV, nV or V")),
        }
    }
}

/// Checks that a sampling rate is a positive number of Hz; otherwise the error is of `kind`.
pub(crate) fn check_sampling_rate(rate: f64, kind: ErrorKind) -> Result<()> {
    if rate.is_finite() && rate > 0.0 {
        return Ok(());
    }
    Err(Error::new(kind, format!("a sampling rate of {rate} Hz"), "give a positive number of Hz"))
}

/// How the samples of a lead were filled for which its file has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// Derived from leads I and II.
    Derived {
        /// The number of samples, as the file counts them.
        samples: usize,
    },
    /// Interpolated between their neighbours.
    Interpolated {
        /// The number of samples, as the file counts them.
        samples: usize,
    },
}

impl fmt::Display for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (samples, how) = match self {
            Filled::Derived { samples } => (samples, "derived from I and II"),
            Filled::Interpolated { samples } => (samples, "interpolated"),
        };
        let noun = if *samples == 1 { "sample" } else { "samples" };
        write!(f, "no value at {samples} {noun}: {how}")
    }
}

/// One ECG: named leads in millivolts, all of one length, at one sampling rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    name: String,
    sampling_rate: f64,
    leads: Vec<(Lead, Vec<f32>)>,
    warnings: Vec<String>,
    filled: Vec<(Lead, Filled)>,
}

impl Recording {
    /// Makes a recording of `leads`, each with its samples in millivolts, at `sampling_rate` Hz.
    ///
    /// # Errors
    /// The sampling rate is not a positive number, there is no lead or no sample, a lead occurs twice, the leads differ
    /// in length, or a sample is not finite.
    pub fn new(name: impl Into<String>, sampling_rate: f64, leads: Vec<(Lead, Vec<f32>)>) -> Result<Self> {
        let recording = Self { name: name.into(), sampling_rate, leads, warnings: Vec::new(), filled: Vec::new() };
        recording.check()?;
        Ok(recording)
    }

    fn check(&self) -> Result<()> {
        let bad = |cause: String, remedy: &str| Err(Error::new(ErrorKind::Recording, cause, remedy));
        check_sampling_rate(self.sampling_rate, ErrorKind::Recording)?;
        let Some((first, samples)) = self.leads.first().map(|(lead, samples)| (lead, samples.len())) else {
            return bad("a recording without leads".into(), "give at least I, II and V1 to V6");
        };
        if samples == 0 {
            return bad("a recording of zero samples".into(), "record at least one sample per lead");
        }
        for (index, (lead, signal)) in self.leads.iter().enumerate() {
            if self.leads[..index].iter().any(|(other, _)| other == lead) {
                return bad(format!("lead {lead} is there twice"), "keep one of the two");
            }
            if signal.len() != samples {
                let cause = format!("lead {first} has {samples} samples and lead {lead} has {}", signal.len());
                return bad(cause, "cut all leads to one length");
            }
            if let Some(at) = position(signal, |x| !x.is_finite()) {
                return bad(
                    format!("lead {lead} has {} at sample {at}", signal[at]),
                    "cut the recording there or interpolate the gap",
                );
            }
        }
        Ok(())
    }

    /// Returns the record's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the sampling rate in Hz.
    pub fn sampling_rate(&self) -> f64 {
        self.sampling_rate
    }

    /// Returns the number of samples per lead.
    pub fn samples(&self) -> usize {
        self.leads.first().map_or(0, |(_, signal)| signal.len())
    }

    /// Returns the duration in seconds.
    pub fn duration(&self) -> f64 {
        self.samples() as f64 / self.sampling_rate
    }

    /// Iterates over the leads and their samples in millivolts, in the order in which they were given.
    pub fn leads(&self) -> impl ExactSizeIterator<Item = (Lead, &[f32])> {
        self.leads.iter().map(|(lead, signal)| (*lead, signal.as_slice()))
    }

    /// Returns the samples of one lead in millivolts, if it was recorded.
    pub fn lead(&self, lead: Lead) -> Option<&[f32]> {
        self.leads().find(|(name, _)| *name == lead).map(|(_, signal)| signal)
    }

    /// Returns what the reader of the file noticed, one sentence per finding.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Adds a warning, which is shown with every result of this recording.
    pub fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// Returns the leads of which the file has no value for some samples, and how those were filled.
    pub fn filled(&self) -> &[(Lead, Filled)] {
        &self.filled
    }

    /// Notes how missing samples of a lead were filled, which is also a warning.
    #[cfg(feature = "formats")]
    pub(crate) fn note_filled(&mut self, lead: Lead, filled: Filled) {
        self.filled.push((lead, filled));
        self.warn(format!("lead {lead} has {filled}"));
    }

    /// Takes over the warnings and notes of `other`, of which this recording was made.
    pub(crate) fn with_notes_of(mut self, other: &Self) -> Self {
        self.warnings.extend_from_slice(&other.warnings);
        self.filled.extend_from_slice(&other.filled);
        self
    }

    /// Returns the leads in `order`, in millivolts; III, aVR, aVL and aVF are derived from I and II where they were not recorded.
    ///
    /// # Errors
    /// A lead is neither recorded nor derivable.
    pub fn in_order(&self, order: &[Lead]) -> Result<Vec<Vec<f32>>> {
        order.iter().map(|&lead| self.recorded_or_derived(lead).map(Cow::into_owned)).collect()
    }

    /// Returns one lead in millivolts; III, aVR, aVL and aVF are derived from I and II where they were not recorded.
    ///
    /// # Errors
    /// The lead is neither recorded nor derivable.
    pub(crate) fn recorded_or_derived(&self, lead: Lead) -> Result<Cow<'_, [f32]>> {
        self.lead(lead).map_or_else(|| self.derive(lead).map(Cow::Owned), |signal| Ok(Cow::Borrowed(signal)))
    }

    fn derive(&self, lead: Lead) -> Result<Vec<f32>> {
        match (lead.from_i_and_ii(), self.lead(Lead::I), self.lead(Lead::II)) {
            (Some([a, b]), Some(i), Some(ii)) => Ok(i.iter().zip(ii).map(|(x, y)| a * x + b * y).collect()),
            _ => Err(Error::new(
                ErrorKind::Recording,
                format!("lead {lead} is missing"),
                "all of I, II and V1 to V6 are needed; the other four are derived",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eight_leads() -> Vec<(Lead, Vec<f32>)> {
        use Lead::*;
        [I, II, V1, V2, V3, V4, V5, V6].into_iter().zip(1..).map(|(lead, x)| (lead, vec![x as f32; 3])).collect()
    }

    #[test]
    fn four_leads_follow_from_the_other_eight() {
        let recording = Recording::new("r", 100.0, eight_leads()).unwrap();
        let all = recording.in_order(&Lead::STANDARD).unwrap();
        assert_eq!(
            all.iter().map(|lead| lead[0]).collect::<Vec<_>>(),
            [1., 2., 1., -1.5, 0., 1.5, 3., 4., 5., 6., 7., 8.]
        );
    }

    #[test]
    fn a_missing_lead_is_named() {
        let mut leads = eight_leads();
        leads.remove(4);
        let error = Recording::new("r", 100.0, leads).unwrap().in_order(&Lead::STANDARD).unwrap_err();
        assert_eq!(error.cause(), "lead V3 is missing");
    }

    #[test]
    fn an_invalid_recording_is_refused() {
        let with = |change: fn(&mut Vec<(Lead, Vec<f32>)>)| {
            let mut leads = eight_leads();
            change(&mut leads);
            Recording::new("r", 100.0, leads).unwrap_err().cause().to_string()
        };
        assert_eq!(with(|leads| leads.clear()), "a recording without leads");
        assert_eq!(with(|leads| leads[3].1[1] = f32::NAN), "lead V2 has NaN at sample 1");
        assert_eq!(with(|leads| leads[1].1.push(0.0)), "lead I has 3 samples and lead II has 4");
        assert_eq!(with(|leads| leads[1].0 = Lead::I), "lead I is there twice");
        assert_eq!(with(|leads| leads.iter_mut().for_each(|(_, s)| s.clear())), "a recording of zero samples");
        for rate in [0.0, -5.0, f64::NAN, f64::INFINITY] {
            assert!(Recording::new("r", rate, eight_leads()).is_err(), "{rate} Hz");
        }
    }
}
