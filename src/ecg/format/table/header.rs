//! Reads the lines above the samples of a table: names, units, and what comments state.

use std::borrow::Cow;

use super::{
    columns::{is_lead, is_units},
    dialect::Layout,
};
use crate::ecg::Unit;

/// What lines above the samples may begin with.
const COMMENT_MARKS: [char; 5] = ['#', '%', '/', '!', ' '];

/// The lines above the first samples.
#[derive(Debug, Default)]
pub(super) struct Header<'t> {
    /// The names of the columns.
    pub(super) names: Option<Vec<Cow<'t, str>>>,
    /// The unit of each column, where a line below the names states them.
    pub(super) units: Option<Vec<Cow<'t, str>>>,
    /// The sampling rate in Hz that a line states.
    pub(super) sampling_rate: Option<f64>,
    /// The unit of all samples that a line states.
    pub(super) unit: Option<Unit>,
    /// Whether a line begins with "synthetic", as in the tables that this crate writes of its synthetic ECGs.
    pub(super) synthetic: bool,
}

impl<'t> Header<'t> {
    /// Reads the header of a table.
    pub(super) fn of(text: &'t str, layout: Layout) -> Self {
        let above = text.lines().take(layout.start).map(|line| line.trim().trim_start_matches(COMMENT_MARKS));
        let lines: Vec<&str> = above.filter(|line| !line.is_empty()).collect();
        let mut rest = lines.iter().rev().map(|line| layout.dialect.cells(line));
        let mut last = rest.next();
        let units = last.take_if(|cells| is_units(cells));
        if units.is_some() {
            last = rest.next();
        }
        let names = last.filter(|cells| cells.len() >= 2).map(without_empty_end);
        let statements = || lines.iter().filter_map(|line| Statement::of(line));
        Self {
            names,
            units,
            sampling_rate: statements().find_map(|statement| statement.sampling_rate()),
            unit: statements().find_map(|statement| statement.unit()),
            synthetic: lines.iter().any(|line| line.to_lowercase().starts_with("synthetic")),
        }
    }

    /// Whether the names are those of leads.
    pub(super) fn names_leads(&self) -> bool {
        self.names.iter().flatten().filter(|name| is_lead(name)).count() >= 2
    }
}

/// Leaves out the empty names at the end of a line, after which separators follow.
fn without_empty_end(mut names: Vec<Cow<str>>) -> Vec<Cow<str>> {
    while names.len() > 1 && names.last().is_some_and(|name| name.is_empty()) {
        names.pop();
    }
    names
}

/// A line such as `Sampling rate (Hz): 500`: what it states, and the value.
struct Statement<'t> {
    what: String,
    value: &'t str,
}

impl<'t> Statement<'t> {
    fn of(line: &'t str) -> Option<Self> {
        let (what, value) = line.split_once([':', '=', ',', ';', '\t']).or_else(|| line.rsplit_once(' '))?;
        Some(Self { what: what.trim().to_lowercase(), value: value.trim_matches([':', '=', ',', ';', '"', '\t', ' ']) })
    }

    /// Returns the sampling rate in Hz, if that or the sampling interval is stated.
    fn sampling_rate(&self) -> Option<f64> {
        let end = self.value.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(self.value.len());
        let number: f64 = self.value[..end].parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0)?;
        let unit = self.value[end..].trim().to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| self.what.contains(word));
        let scale =
            |word: &str, scale: f64| if unit == word || self.what.contains(&format!("({word})")) { scale } else { 1.0 };
        if says(&["sampl"]) && says(&["interval", "period"]) {
            return Some(1.0 / (number * scale("ms", 1e-3)));
        }
        let is_rate = says(&["sampl"]) && says(&["rate", "freq"])
            || matches!(&*self.what, "fs" | "sf" | "frequency" | "fs (hz)" | "fs_hz");
        is_rate.then(|| number * scale("khz", 1e3))
    }

    /// Returns the unit of the samples, if that is stated.
    fn unit(&self) -> Option<Unit> {
        let is_unit = ["unit", "units"].iter().any(|word| self.what.split_whitespace().next_back() == Some(word));
        is_unit.then(|| self.value.parse().ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_above_the_samples_state_sampling_rate_and_unit() {
        let rate = |line: &str| Statement::of(line).and_then(|statement| statement.sampling_rate());
        for line in [
            "fs,500",
            "Fs = 500 Hz",
            "Sampling rate: 500",
            "sampling_rate_hz: 500.0",
            "Sample Rate (Hz);500",
            "SamplingFrequency=0.5 kHz",
            "Sampling interval: 2 ms",
            "Sampling period (ms): 2",
            "sampling frequency 500",
        ] {
            assert_eq!(rate(line), Some(500.0), "{line}");
        }
        for line in ["heart rate: 75", "samples: 5000", "fs: none", "fs: -5", "sampling rate: 0", "date: 2020"] {
            assert_eq!(rate(line), None, "{line}");
        }
        let unit = |line: &str| Statement::of(line).and_then(|statement| statement.unit());
        assert_eq!((unit("Unit: uV"), unit("amplitude units = mV")), (Some(Unit::Microvolt), Some(Unit::Millivolt)));
        assert_eq!((unit("unit: steps"), unit("gain: 200")), (None, None));
    }
}
