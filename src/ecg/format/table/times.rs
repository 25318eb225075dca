//! Finds the sampling rate of a table in its column of times.

use super::super::{ReadOptions, damaged};
use crate::{Error, ErrorKind, Result};

/// Names of columns of times, without their units.
const NAMES: [&str; 8] = ["time", "t", "times", "elapsed", "elapsed time", "timestamp", "time elapsed", "clock"];

/// Units of time that a column may name, with their seconds.
const UNITS: [(&str, f64); 8] = [
    ("s", 1.0),
    ("sec", 1.0),
    ("seconds", 1.0),
    ("ms", 1e-3),
    ("msec", 1e-3),
    ("milliseconds", 1e-3),
    ("us", 1e-6),
    ("\u{b5}s", 1e-6),
];

/// Sampling rates of ECGs in Hz. They tell seconds from milliseconds where a column names no unit.
const RATES: std::ops::RangeInclusive<f64> = 40.0..=40_000.0;

/// Relative difference of two sampling rates that are the same but for the rounding of times.
const ROUNDING: f64 = 0.005;

/// Relative rounding of times that are printed with all digits.
const FLOAT: f64 = 1e-9;

/// The times of a table's samples.
#[derive(Debug, Clone)]
pub(super) struct Times {
    /// Where they are, for messages.
    name: String,
    /// The seconds of its unit, if it names one.
    unit: Option<f64>,
}

impl Times {
    /// Returns a column of times, if `name` names one: `time`, `t (s)`, `Time [ms]`, `seconds`. `unit` is what a line of units
    /// says about the column.
    pub(super) fn of(name: &str, unit: Option<&str>) -> Option<Self> {
        let lower = name.trim().to_lowercase();
        let words = lower.split(|letter: char| "([_/".contains(letter) || letter.is_whitespace());
        let words: Vec<&str> =
            words.map(|word| word.trim_end_matches([')', ']'])).filter(|word| !word.is_empty()).collect();
        let (last, rest) = words.split_last()?;
        let (seconds, names) = match Self::seconds_of(last) {
            Some(seconds) => (Some(seconds), rest),
            None => (None, &words[..]),
        };
        // A column may be named by its unit alone, if that is a word.
        let by_unit = names.is_empty() && lower.len() > 2;
        let below = unit.and_then(Self::seconds_of);
        (by_unit || NAMES.contains(&names.join(" ").as_str()))
            .then(|| Self { name: format!("column '{name}'"), unit: below.or(seconds) })
    }

    /// Returns times without a name or a unit. `place` tells in messages where they are.
    pub(super) fn at(place: &str) -> Self {
        Self { name: place.into(), unit: None }
    }

    /// Returns the seconds of a unit of time. Times of the day, `hh:mm:ss`, are in seconds once they are read.
    pub(super) fn seconds_of(unit: &str) -> Option<f64> {
        let lower = unit.to_lowercase();
        let clock = lower.contains("mm:ss").then_some(1.0);
        clock.or_else(|| UNITS.iter().find(|(name, _)| *name == lower).map(|(_, seconds)| *seconds))
    }

    /// Returns the sampling rate in Hz of the times of a table, each with the number of its line; none for fewer than two.
    ///
    /// # Errors
    /// The times are not evenly spaced, their unit is unclear, or the options state another sampling rate.
    pub(super) fn sampling_rate(&self, times: &[f64], lines: &[u64], options: &ReadOptions) -> Result<Option<f64>> {
        let name = &self.name;
        if let Some(at) = times.iter().position(|time| !time.is_finite()) {
            let cause = format!("line {} has no time in {name}", lines[at]);
            return Err(damaged(cause, "write times as numbers, or rename the column"));
        }
        let ([first, .., last], steps) = (times, times.len().saturating_sub(1)) else { return Ok(None) };
        // Over the whole column the rounding of single times has no effect.
        let step = (last - first) / steps as f64;
        if step <= 0.0 {
            let cause = format!("the times in {name} do not increase");
            return Err(damaged(cause, "correct the times, or rename the column"));
        }
        let rounding = self.check_even(times, lines, step)?;
        let unit = match self.unit_for(step) {
            Ok(unit) => unit,
            // Beside a given rate the column may count the samples.
            Err(error) => return options.sampling_rate.map(Some).ok_or(error),
        };
        // Both ends are rounded, so that the mean step may be wrong by twice the rounding, spread over all steps.
        let rate = round(1.0 / (step * unit), 2.0 * rounding / (step * steps as f64));
        match options.sampling_rate {
            Some(given) if (given / rate - 1.0).abs() > ROUNDING => {
                let cause = format!("{name} says {rate} Hz, and {given} Hz was given");
                let remedy = "leave out the sampling rate if the column is right, or rename the column if it is not";
                Err(Error::new(ErrorKind::Recording, cause, remedy))
            }
            // The exact rate of the two.
            Some(given) => Ok(Some(given)),
            None => Ok(Some(rate)),
        }
    }

    /// Checks that each time is in its place, up to one step or one unit of the last printed digit. Returns by how much the
    /// times are rounded: the largest distance from their places.
    fn check_even(&self, times: &[f64], lines: &[u64], step: f64) -> Result<f64> {
        let differences = times.windows(2).map(|pair| pair[1] - pair[0]).filter(|difference| *difference > 0.0);
        let allowed = 1.001 * differences.fold(f64::INFINITY, f64::min).max(step);
        let distance = |(at, time): (usize, &f64)| (time - times[0] - at as f64 * step).abs();
        if let Some(at) = times.iter().enumerate().position(|place| distance(place) > allowed) {
            let cause = format!("line {}: the times in {} are not evenly spaced", lines[at], self.name);
            return Err(damaged(cause, "cut the table at the gap, or resample it to one rate"));
        }
        Ok(times.iter().enumerate().map(distance).fold(0.0, f64::max))
    }

    /// Returns the seconds of the column's unit.
    fn unit_for(&self, step: f64) -> Result<f64> {
        if let Some(unit) = self.unit {
            return Ok(unit);
        }
        let plausible: Vec<f64> =
            [1.0, 1e-3].into_iter().filter(|unit| RATES.contains(&(1.0 / (step * unit)))).collect();
        match plausible[..] {
            [unit] if step != 1.0 => Ok(unit),
            _ => {
                let cause = format!("{} grows by {step} from line to line, in no stated unit", self.name);
                let remedy = "name the unit, such as 'time (ms)', or rename the column if it counts the samples";
                Err(damaged(cause, remedy))
            }
        }
    }
}

/// Rounds a rate to a whole number of Hz where the rounding of times explains the relative difference, up to `explained`.
fn round(rate: f64, explained: f64) -> f64 {
    let difference = (rate.round() / rate - 1.0).abs();
    if difference < ROUNDING && difference <= explained + FLOAT { rate.round() } else { rate }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(name: &str, times: &[f64], given: Option<f64>) -> std::result::Result<Option<f64>, String> {
        let lines: Vec<u64> = (2..).take(times.len()).collect();
        let options = ReadOptions { sampling_rate: given, ..ReadOptions::default() };
        let rate = Times::of(name, None).unwrap().sampling_rate(times, &lines, &options);
        rate.map_err(|error| error.cause().to_string())
    }

    #[test]
    fn columns_of_times_are_known_by_their_names() {
        for (name, unit) in [
            ("time", None),
            ("T", None),
            ("Time (s)", Some(1.0)),
            ("time[ms]", Some(1e-3)),
            ("t_ms", Some(1e-3)),
            ("seconds", Some(1.0)),
            ("elapsed time", None),
        ] {
            assert_eq!(Times::of(name, None).map(|times| times.unit), Some(unit), "{name}");
        }
        for name in ["", "s", "index", "V1", "timer", "temperature"] {
            assert!(Times::of(name, None).is_none(), "{name}");
        }
    }

    #[test]
    fn times_state_the_sampling_rate() {
        let seconds: Vec<f64> = (0..100).map(|n| f64::from(n) / 500.0).collect();
        assert_eq!(rate("time", &seconds, None), Ok(Some(500.0)));
        let milliseconds: Vec<f64> = (0..100).map(|n| f64::from(n) * 2.0).collect();
        assert_eq!(rate("time", &milliseconds, None), Ok(Some(500.0)), "no ECG has a rate of 0.5 Hz");
        let rounded: Vec<f64> = (0..1000).map(|n| (f64::from(n) / 360.0 * 1000.0).round() / 1000.0).collect();
        assert_eq!(rate("Time (s)", &rounded, None), Ok(Some(360.0)), "three decimals");
        let fractional: Vec<f64> = (0..1000).map(|n| f64::from(n) / 360.5).collect();
        assert_eq!(rate("time", &fractional, None).map(|rate| (rate.unwrap_or(0.0) * 1e6).round()), Ok(360.5e6));
        assert_eq!(rate("time", &[0.5], None), Ok(None));
    }

    #[test]
    fn a_contradiction_or_an_unclear_unit_is_refused() {
        let seconds: Vec<f64> = (0..100).map(|n| f64::from(n) / 1000.0).collect();
        assert_eq!(rate("time", &seconds, Some(1000.0)), Ok(Some(1000.0)));
        let contradiction = rate("time", &seconds, Some(500.0)).unwrap_err();
        assert_eq!(contradiction, "column 'time' says 1000 Hz, and 500 Hz was given");
        let counted: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(rate("time (ms)", &counted, None), Ok(Some(1000.0)));
        assert_eq!(
            rate("time", &counted, None).unwrap_err(),
            "column 'time' grows by 1 from line to line, in no stated unit"
        );
        let gap = [0.0, 0.002, 0.004, 0.5, 0.502, 0.504];
        assert!(rate("time", &gap, None).unwrap_err().ends_with("not evenly spaced"));
        assert_eq!(rate("time", &[0.0, 0.0], None).unwrap_err(), "the times in column 'time' do not increase");
    }
}
