//! Warns about recordings that look doubtful. The rules never correct anything, since a wrong correction is worse than a
//! warning.
//!
//! The rules follow the checks of the PhysioNet/CinC Challenge 2011 on ECG quality (constant and flat leads, saturation) and
//! what misread units look like. Swapped limb electrodes still satisfy Einthoven's law, so these rules cannot find them.
//!
//! Measured on folds 1 to 9 of PTB-XL at 100 Hz (Wagner et al. 2020), 14 of 19,601 records raise a warning: eleven whose
//! limb leads disagree, and three with leads that are constant, flat or too large.

use super::{Lead, Recording};

/// Seconds within [`FLAT_RANGE`] after which a lead is called flat; even at 40 beats per minute a P wave comes sooner.
const FLAT_SECONDS: f64 = 1.0;

/// Range of a flat lead in mV: two steps of the usual resolution of 1 µV, to allow for rounding.
const FLAT_RANGE: f32 = 0.002;

/// Amplitude in mV at which a converter saturates: 16-bit samples of 1 µV end at ±32.767 mV.
const RAIL: f32 = 32.6;

/// Largest plausible amplitude in mV. PTB-XL's largest sample is 20 mV, an artefact; a QRS complex seldom passes 5 mV.
const LARGEST: f32 = 20.0;

/// Smallest plausible standard deviation in mV, as the median over the leads. PTB-XL's smallest is 0.041 mV, its typical
/// one 0.16 mV.
const SMALLEST_DEVIATION: f64 = 0.02;

/// Largest plausible root mean square of II − I − III in mV: half a millimetre on paper. Rounding to 5 µV causes a
/// twentieth of it, and in 99.9 % of PTB-XL's records it is below 0.003 mV.
const LARGEST_RESIDUAL: f64 = 0.05;

/// Returns what is doubtful about a recording, one sentence per finding with its likely cause; empty if nothing is.
pub fn warnings(recording: &Recording) -> Vec<String> {
    let mut found: Vec<String> = recording
        .leads()
        .flat_map(|(lead, signal)| {
            let still = constant(lead, signal).or_else(|| flat(lead, signal, recording.sampling_rate()));
            [still, too_large(lead, signal)]
        })
        .flatten()
        .collect();
    found.extend(too_small(recording));
    found.extend(disagreement(recording));
    found
}

fn constant(lead: Lead, signal: &[f32]) -> Option<String> {
    let first = *signal.first()?;
    (signal.len() > 1 && signal.iter().all(|x| *x == first))
        .then(|| format!("lead {lead} is {first} mV throughout: was its electrode connected?"))
}

fn flat(lead: Lead, signal: &[f32], sampling_rate: f64) -> Option<String> {
    let (start, length) = longest_flat_run(signal);
    let seconds = |samples: usize| samples as f64 / sampling_rate;
    (seconds(length) >= FLAT_SECONDS).then(|| {
        let [from, to] = [seconds(start), seconds(start + length)];
        format!("lead {lead} is flat from {from:.1} s to {to:.1} s: did its electrode come off?")
    })
}

/// Returns start and length, in samples, of the longest run whose samples are within [`FLAT_RANGE`] of its first one.
fn longest_flat_run(signal: &[f32]) -> (usize, usize) {
    let (mut longest, mut start) = ((0, 0), 0);
    for (n, x) in signal.iter().enumerate() {
        if (x - signal[start]).abs() > FLAT_RANGE {
            start = n;
        }
        if n + 1 - start > longest.1 {
            longest = (start, n + 1 - start);
        }
    }
    longest
}

fn too_large(lead: Lead, signal: &[f32]) -> Option<String> {
    let largest = signal.iter().fold(0f32, |peak, x| peak.max(x.abs()));
    if largest >= RAIL {
        Some(format!(
            "lead {lead} reaches {largest:.1} mV, beyond what an amplifier records: is the unit mistaken, or did the \
             converter saturate?"
        ))
    } else if largest > LARGEST {
        Some(format!("lead {lead} reaches {largest:.1} mV, more than a heart produces: is the unit mistaken?"))
    } else {
        None
    }
}

fn too_small(recording: &Recording) -> Option<String> {
    let mut deviations: Vec<f64> = recording.leads().map(|(_, signal)| deviation(signal)).collect();
    deviations.sort_by(f64::total_cmp);
    let median = *deviations.get(deviations.len() / 2)?;
    (recording.samples() > 1 && median < SMALLEST_DEVIATION).then(|| {
        format!(
            "the leads vary by only {median:.4} mV (standard deviation, median of the leads): is the unit mistaken?"
        )
    })
}

fn deviation(signal: &[f32]) -> f64 {
    let mean = signal.iter().map(|x| f64::from(*x)).sum::<f64>() / signal.len() as f64;
    root_mean_square(signal.iter().map(|x| f64::from(*x) - mean))
}

/// Checks Einthoven's law, III = II − I, which holds at any time and for any positions of the electrodes.
fn disagreement(recording: &Recording) -> Option<String> {
    let [i, ii, iii] = [Lead::I, Lead::II, Lead::III].map(|lead| recording.lead(lead));
    let residual = i?.iter().zip(ii?).zip(iii?).map(|((i, ii), iii)| f64::from(ii - i - iii));
    let residual = root_mean_square(residual);
    (residual > LARGEST_RESIDUAL).then(|| {
        format!(
            "leads I, II and III disagree: II - I - III is {residual:.2} mV (root mean square) and should be 0: are \
             leads named wrongly, or scaled or filtered differently?"
        )
    })
}

fn root_mean_square(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let length = values.len() as f64;
    (values.map(|x| x * x).sum::<f64>() / length).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecg::{Condition, synthesize};

    /// Returns the warnings about a sound recording of ten seconds at 100 Hz after `change`.
    fn changed(change: impl FnOnce(&mut [Vec<f32>])) -> Vec<String> {
        let sound = synthesize(Condition::Norm, 1, 100.0, 10.0).unwrap();
        let mut signals: Vec<Vec<f32>> = sound.leads().map(|(_, signal)| signal.to_vec()).collect();
        change(&mut signals);
        warnings(&Recording::new("r", 100.0, Lead::STANDARD.into_iter().zip(signals).collect()).unwrap())
    }

    fn scaled(factor: f32) -> Vec<String> {
        changed(|signals| signals.iter_mut().flatten().for_each(|x| *x *= factor))
    }

    #[test]
    fn a_sound_recording_raises_no_warning() {
        for condition in Condition::ALL {
            for seed in 0..10 {
                let ecg = synthesize(condition, seed, 100.0, 10.0).unwrap();
                assert_eq!(warnings(&ecg), Vec::<String>::new(), "{}", ecg.name());
            }
        }
    }

    #[test]
    fn a_loose_electrode_is_named_with_its_time() {
        assert_eq!(
            changed(|signals| signals[6].fill(0.0)),
            ["lead V1 is 0 mV throughout: was its electrode connected?"]
        );
        assert_eq!(
            changed(|signals| signals[7][300..420].fill(0.25)),
            ["lead V2 is flat from 3.0 s to 4.2 s: did its electrode come off?"]
        );
        assert!(changed(|signals| signals[7][300..390].fill(0.25)).is_empty(), "0.9 s is not flat");
    }

    #[test]
    fn a_mistaken_unit_is_suspected() {
        let microvolts = scaled(1000.0);
        assert!(microvolts.iter().any(|text| text.contains("is the unit mistaken, or did the converter saturate?")));
        let volts = scaled(0.001);
        assert!(volts.iter().any(|text| text.contains("only 0.0002 mV") && text.ends_with("is the unit mistaken?")));
        let spike = changed(|signals| signals[11][5] = -25.0);
        assert_eq!(spike, ["lead V6 reaches 25.0 mV, more than a heart produces: is the unit mistaken?"]);
    }

    #[test]
    fn limb_leads_that_disagree_are_noticed() {
        let swapped = changed(|signals| signals.swap(1, 2));
        assert!(swapped.len() == 1 && swapped[0].starts_with("leads I, II and III disagree"), "{swapped:?}");
        let rounded = changed(|signals| signals.iter_mut().flatten().for_each(|x| *x = (*x * 200.0).round() / 200.0));
        assert!(rounded.is_empty(), "rounding to 5 µV is no disagreement: {rounded:?}");
    }

    #[test]
    fn a_single_sample_raises_no_warning() {
        let recording = Recording::new("r", 100.0, vec![(Lead::I, vec![0.5])]).unwrap();
        assert!(warnings(&recording).is_empty());
    }
}
