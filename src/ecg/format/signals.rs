//! Makes a recording of a file's signals: finds their leads, and settles what the file does not say.

use super::{
    ReadOptions,
    assumptions::{self, Numbers, Stated},
    damaged, shown,
};
use crate::{
    Hint, Recording, Result,
    ecg::{Lead, Unit},
};

/// The signals of a file, as the file describes them.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// The name of each signal, empty if it has none, and its samples in the file's unit. NaN is a sample without a value.
    pub(super) signals: Vec<(String, Vec<f32>)>,
    /// The sampling rate in Hz, if the file states one.
    pub(super) sampling_rate: Option<f64>,
    /// The unit of all samples, if the file states one.
    pub(super) unit: Option<Unit>,
    /// Whether the file states the voltage of its steps, so that a unit that was given cannot apply to its samples.
    pub(super) calibrated: bool,
    /// What the reader noticed, one sentence per finding.
    pub(super) warnings: Vec<String>,
}

impl Signals {
    /// Makes the recording. Signals that are no standard leads are left out, with a warning; a lead that is there twice with
    /// the same samples is kept once. Where no signal has a lead's name, the options may name the leads in their order.
    ///
    /// # Errors
    /// No signal is a standard lead, a lead is there twice with different samples, the samples need a unit or a sampling
    /// rate, or a gap is too long.
    pub(super) fn recording(self, name: String, options: &ReadOptions) -> Result<Recording> {
        let Self { signals, sampling_rate, unit, calibrated, mut warnings } = self;
        let without_unit = ReadOptions { unit: None, ..options.clone() };
        let options = match options.unit {
            Some(_) if calibrated => {
                warnings
                    .push("the file states the voltage of its steps: the unit that was given is not applied".into());
                &without_unit
            }
            _ => options,
        };
        let named = signals.iter().any(|(name, _)| name.parse::<Lead>().is_ok());
        let leads = if named { by_name(signals, &mut warnings)? } else { in_order(signals, options)? };
        let numbers = Numbers::of(leads.iter().flat_map(|(_, samples)| samples));
        let stated = Stated { sampling_rate, unit };
        let mut recording = assumptions::recording(name, leads, numbers, stated, options)?;
        warnings.into_iter().for_each(|warning| recording.warn(warning));
        if named {
            options.warn_of_unused_leads(&mut recording);
        }
        Ok(recording)
    }
}

/// Finds the lead of each signal by its name.
fn by_name(signals: Vec<(String, Vec<f32>)>, warnings: &mut Vec<String>) -> Result<Vec<(Lead, Vec<f32>)>> {
    let mut leads: Vec<(Lead, Vec<f32>)> = Vec::new();
    let mut ignored = Vec::new();
    for (position, (name, samples)) in signals.into_iter().enumerate() {
        let Ok(lead) = name.parse::<Lead>() else {
            let nameless = name.trim().is_empty();
            ignored.push(if nameless {
                format!("signal {} without a name", position + 1)
            } else {
                shown(name.as_bytes())
            });
            continue;
        };
        match leads.iter().find(|(other, _)| *other == lead) {
            None => leads.push((lead, samples)),
            Some((_, first)) if same(first, &samples) => {
                warnings.push(format!("lead {lead} is there twice with the same samples: read once"));
            }
            Some(_) => {
                let cause = format!("lead {lead} is there twice, with different samples");
                return Err(damaged(cause, "keep one of the two, or correct its name"));
            }
        }
    }
    if !ignored.is_empty() {
        warnings.push(format!("ignored, since no standard lead: {}", ignored.join(", ")));
    }
    Ok(leads)
}

/// Whether two signals have the same samples, those without a value included.
fn same(first: &[f32], second: &[f32]) -> bool {
    first.len() == second.len() && first.iter().zip(second).all(|(a, b)| a == b || a.is_nan() && b.is_nan())
}

/// Takes the leads of the options, in their order, for signals without the name of a lead.
fn in_order(signals: Vec<(String, Vec<f32>)>, options: &ReadOptions) -> Result<Vec<(Lead, Vec<f32>)>> {
    match &options.leads {
        Some(leads) if leads.len() == signals.len() => {
            Ok(leads.iter().zip(signals).map(|(lead, (_, samples))| (*lead, samples)).collect())
        }
        given => {
            let names: Vec<String> = signals.iter().map(|(name, _)| format!("'{}'", shown(name.as_bytes()))).collect();
            let count = given.as_ref().map_or(String::new(), |leads| format!(", and {} leads were given", leads.len()));
            let cause = format!(
                "none of its {} signals has the name of a standard lead: {}{count}",
                signals.len(),
                names.join(", ")
            );
            Err(damaged(cause, "name the lead of each signal, in the file or apart from it").with_hint(Hint::NameLeads))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signals(names: &[&str]) -> Signals {
        let signal = |(at, name): (usize, &&str)| (name.to_string(), vec![at as f32 + 0.5; 3]);
        let signals = names.iter().enumerate().map(signal).collect();
        Signals { signals, sampling_rate: Some(500.0), unit: Some(Unit::Millivolt), ..Signals::default() }
    }

    #[test]
    fn leads_are_found_by_name_and_other_signals_ignored() {
        let recording = signals(&["PLETH", "I", "", "MDC_ECG_LEAD_II"]).recording("r".into(), &ReadOptions::default());
        let recording = recording.unwrap();
        assert_eq!(recording.lead(Lead::II), Some(&[3.5; 3][..]));
        assert_eq!(recording.warnings(), ["ignored, since no standard lead: PLETH, signal 3 without a name"]);
    }

    #[test]
    fn signals_without_names_take_the_leads_that_are_given() {
        let given = ReadOptions { leads: Some(vec![Lead::V2, Lead::V1]), ..ReadOptions::default() };
        let recording = signals(&["", "ECG"]).recording("r".into(), &given).unwrap();
        assert_eq!(recording.lead(Lead::V1), Some(&[1.5; 3][..]));
        let error = signals(&["", "ECG", "x"]).recording("r".into(), &given).unwrap_err();
        assert!(error.cause().ends_with("'', 'ECG', 'x', and 2 leads were given"), "{error}");
    }

    #[test]
    fn a_unit_is_not_applied_to_samples_whose_voltage_is_known() {
        let microvolts = ReadOptions { unit: Some(Unit::Microvolt), ..ReadOptions::default() };
        let calibrated = Signals { calibrated: true, ..signals(&["I"]) }.recording("r".into(), &microvolts).unwrap();
        assert_eq!(calibrated.lead(Lead::I), Some(&[0.5; 3][..]));
        assert!(calibrated.warnings()[0].ends_with("is not applied"), "{:?}", calibrated.warnings());
        let overridden = signals(&["I"]).recording("r".into(), &microvolts).unwrap();
        assert_eq!(overridden.warnings(), ["the file says mV: overridden with uV"]);
    }

    #[test]
    fn a_lead_that_is_there_twice_is_read_once_if_both_are_equal() {
        let mut twice = signals(&["I", "II", "lead i"]);
        let different = signals(&["I", "II", "lead i"]).recording("r".into(), &ReadOptions::default()).unwrap_err();
        assert_eq!(different.cause(), "lead I is there twice, with different samples");
        twice.signals[2].1 = twice.signals[0].1.clone();
        let recording = twice.recording("r".into(), &ReadOptions::default()).unwrap();
        assert_eq!(recording.warnings(), ["lead I is there twice with the same samples: read once"]);
        assert_eq!(recording.leads().len(), 2);
    }
}
