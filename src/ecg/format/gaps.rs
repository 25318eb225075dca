//! Fills samples without a value.

use super::damaged;
use crate::{
    Result,
    ecg::{Filled, Lead},
    search,
};

/// The longest gap in seconds that is interpolated: less than the time between two heartbeats, and about two QRS complexes.
const LONGEST: f64 = 0.2;

/// Fills samples that are NaN: those of III, aVR, aVL and aVF from I and II, others by a straight line across gaps of up to
/// 200 ms. Returns what was done, per lead.
///
/// # Errors
/// A longer gap in a lead that cannot be derived.
pub(super) fn fill(leads: &mut [(Lead, Vec<f32>)], sampling_rate: f64) -> Result<Vec<(Lead, Filled)>> {
    let mut done = Vec::new();
    // I and II come first, since others are derived from them.
    for lead in Lead::STANDARD {
        let Some(at) =
            leads.iter().position(|(name, signal)| *name == lead && search::position(signal, f32::is_nan).is_some())
        else {
            continue;
        };
        let samples = leads[at].1.iter().filter(|x| x.is_nan()).count();
        let derived = !matches!(lead, Lead::I | Lead::II) && derive(leads, at);
        if !derived {
            interpolate(&mut leads[at].1, lead, sampling_rate)?;
        }
        done.push((lead, if derived { Filled::Derived { samples } } else { Filled::Interpolated { samples } }));
    }
    Ok(done)
}

/// Derives the missing samples of `leads[at]` from I and II. Returns whether that is possible.
fn derive(leads: &mut [(Lead, Vec<f32>)], at: usize) -> bool {
    let find = |lead: Lead| leads.iter().find(|(name, _)| *name == lead).map(|(_, signal)| signal.clone());
    let (Some([a, b]), Some(i), Some(ii)) = (leads[at].0.from_i_and_ii(), find(Lead::I), find(Lead::II)) else {
        return false;
    };
    for (sample, (i, ii)) in leads[at].1.iter_mut().zip(i.iter().zip(&ii)) {
        if sample.is_nan() {
            *sample = a * i + b * ii;
        }
    }
    true
}

fn interpolate(signal: &mut [f32], lead: Lead, sampling_rate: f64) -> Result<()> {
    let longest = (LONGEST * sampling_rate) as usize;
    let mut start = 0;
    while let Some(gap) = signal[start..].iter().position(|x| x.is_nan()).map(|at| start + at) {
        let end = signal[gap..].iter().position(|x| !x.is_nan()).map_or(signal.len(), |length| gap + length);
        if end - gap > longest || end - gap == signal.len() {
            let [from, to] = [gap, end].map(|at| at as f64 / sampling_rate);
            let cause = format!("lead {lead} has no value from {from:.3} s to {to:.3} s");
            return Err(damaged(cause, "cut the recording there: gaps of up to 200 ms are interpolated"));
        }
        let before = gap.checked_sub(1).map(|at| signal[at]);
        let after = signal.get(end).copied();
        // At an end of the recording there is one neighbour, whose value is kept.
        let (from, to) = (before.or(after).unwrap_or(0.0), after.or(before).unwrap_or(0.0));
        for (step, sample) in (1..).zip(&mut signal[gap..end]) {
            *sample = from + (to - from) * step as f32 / (end - gap + 1) as f32;
        }
        start = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f32 = f32::NAN;

    #[test]
    fn a_lead_that_follows_from_i_and_ii_is_derived_however_long_its_gap() {
        let mut leads = vec![(Lead::AVF, vec![NAN; 100]), (Lead::I, vec![2.0; 100]), (Lead::II, vec![3.0; 100])];
        assert_eq!(fill(&mut leads, 100.0).unwrap(), [(Lead::AVF, Filled::Derived { samples: 100 })]);
        assert_eq!(leads[0].1, [2.0; 100]);
    }

    #[test]
    fn a_short_gap_is_interpolated_and_a_long_one_refused() {
        let mut leads = vec![(Lead::V1, vec![NAN, 1.0, NAN, NAN, 4.0, NAN])];
        assert_eq!(fill(&mut leads, 100.0).unwrap(), [(Lead::V1, Filled::Interpolated { samples: 4 })]);
        assert_eq!(leads[0].1, [1.0, 1.0, 2.0, 3.0, 4.0, 4.0]);
        let mut long = vec![0.0; 100];
        long[30..51].fill(NAN);
        let error = fill(&mut [(Lead::V1, long)], 100.0).unwrap_err();
        assert_eq!(error.cause(), "lead V1 has no value from 0.300 s to 0.510 s");
        assert!(fill(&mut [(Lead::V2, vec![NAN; 5])], 100.0).is_err(), "no value at all");
    }
}
