//! Warns about recordings that look doubtful. The rules never correct anything, since a wrong correction is worse than a
//! warning.
//!
//! The rules follow the checks of the PhysioNet/CinC Challenge 2011 on ECG quality (constant and flat leads, saturation) and
//! what misread units and exchanged leads look like.
//!
//! Measured on PTB-XL at 100 Hz (Wagner et al. 2020): docs/measurements/quality.md.

use std::ops::RangeInclusive;

use super::{Lead, Recording, electrodes, mean, statistics::deviation};
use crate::search;

/// Seconds within [`FLAT_RANGE`] after which a lead is called flat; even at 40 beats per minute a P wave comes sooner.
const FLAT_SECONDS: f64 = 1.0;

/// Range of a flat lead in mV: two steps of the usual resolution of 1 µV, to allow for rounding.
const FLAT_RANGE: f32 = 0.002;

/// Amplitude in mV at which a converter saturates: 16-bit samples of 1 µV end at ±32.767 mV.
const RAIL: f32 = 32.6;

/// Largest plausible amplitude in mV. PTB-XL's largest sample is 20 mV, an artefact; a QRS complex seldom passes 5 mV.
const LARGEST: f32 = 20.0;

/// Plausible standard deviations in mV, as the median over the leads. In PTB-XL they are 0.041 mV at least and 0.780 mV at
/// most, and 0.160 mV in the middle: docs/measurements/quality.md.
const PLAUSIBLE_DEVIATIONS: RangeInclusive<f64> = 0.03..=0.8;

/// Largest difference of every lead's standard deviation from 1 in a recording that was normalised lead by lead.
const NORMALISED: f64 = 0.05;

/// Largest plausible root mean square in mV of the difference between a limb lead and what I and II imply: half a
/// millimetre on paper. Rounding to 5 µV causes a twentieth of it, and in 99.9 % of PTB-XL's records it is below 0.003 mV.
const LARGEST_RESIDUAL: f64 = 0.05;

/// Largest DC offset in mV that a network which was not trained with offsets may be given in silence. In 99 % of PTB-XL's
/// leads the median is below 0.13 mV.
const LARGEST_DC_OFFSET: f64 = 0.3;

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
    found.extend(implausible_scale(recording));
    found.extend(disagreement(recording));
    found.extend(electrodes::reversed(recording));
    found
}

fn constant(lead: Lead, signal: &[f32]) -> Option<String> {
    let first = *signal.first()?;
    (signal.len() > 1 && search::position(signal, |x| x != first).is_none())
        .then(|| format!("lead {lead} is {first} mV throughout: was its electrode connected?"))
}

fn flat(lead: Lead, signal: &[f32], sampling_rate: f64) -> Option<String> {
    if !may_be_flat(signal, (FLAT_SECONDS * sampling_rate) as usize) {
        return None;
    }
    let (start, length) = longest_flat_run(signal);
    let seconds = |samples: usize| samples as f64 / sampling_rate;
    (seconds(length) >= FLAT_SECONDS).then(|| {
        let [from, to] = [seconds(start), seconds(start + length)];
        format!("lead {lead} is flat from {from:.1} s to {to:.1} s: did its electrode come off?")
    })
}

/// Whether a run of `length` samples could be flat: it holds at least one block, whose samples are then close together. Hardly
/// any ECG has such a block, and blocks are searched with vector instructions.
fn may_be_flat(signal: &[f32], length: usize) -> bool {
    // A run of `length` samples holds a whole block wherever it begins.
    let block = (length / 2).max(1);
    let range = |(least, most): (f32, f32)| most - least;
    signal.chunks(block).any(|samples| range(extremes(samples)) <= 2.0 * FLAT_RANGE)
}

/// Returns the smallest and the largest sample.
fn extremes(samples: &[f32]) -> (f32, f32) {
    // Eight extremes of each kind, so that the compiler uses vector instructions.
    let (mut least, mut most) = ([f32::INFINITY; 8], [f32::NEG_INFINITY; 8]);
    let (chunks, rest) = samples.as_chunks::<8>();
    let rest = rest.iter().map(|x| [*x; 8]);
    for chunk in chunks.iter().copied().chain(rest) {
        for ((least, most), x) in least.iter_mut().zip(&mut most).zip(chunk) {
            *least = if x < *least { x } else { *least };
            *most = if x > *most { x } else { *most };
        }
    }
    (least.into_iter().fold(f32::INFINITY, f32::min), most.into_iter().fold(f32::NEG_INFINITY, f32::max))
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
    let (least, most) = extremes(signal);
    let largest = most.max(-least);
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

/// Checks that the leads vary as much as an ECG in millivolts does.
fn implausible_scale(recording: &Recording) -> Option<String> {
    let mut deviations: Vec<f64> = recording.leads().map(|(_, signal)| deviation(signal)).collect();
    deviations.sort_by(f64::total_cmp);
    let median = *deviations.get(deviations.len() / 2)?;
    if recording.samples() == 1 || PLAUSIBLE_DEVIATIONS.contains(&median) {
        return None;
    }
    let normalised = deviations.len() > 1 && deviations.iter().all(|deviation| (deviation - 1.0).abs() < NORMALISED);
    let cause = match normalised {
        true => "each lead was divided by its standard deviation: give millivolts".into(),
        false => likely_unit(median),
    };
    let shown = if median < 0.1 { format!("{median:.4}") } else { format!("{median:.2}") };
    let [least, most] = [PLAUSIBLE_DEVIATIONS.start(), PLAUSIBLE_DEVIATIONS.end()];
    Some(format!(
        "the leads vary by {shown} mV (standard deviation, median of the leads), and an ECG by {least} to {most} mV: {cause}"
    ))
}

/// Says in which unit numbers would be plausible that vary by `deviation` when taken as millivolts.
fn likely_unit(deviation: f64) -> String {
    let units = [(1e3, "the numbers are plausible as volts"), (1e-3, "the numbers are plausible as microvolts")];
    let unit = units.into_iter().find(|(factor, _)| PLAUSIBLE_DEVIATIONS.contains(&(deviation * factor)));
    unit.map_or("is the unit or the gain mistaken?".into(), |(_, text)| format!("is the unit mistaken? {text}"))
}

/// Returns a warning about the lead with the largest DC offset, if that is larger than a network should be given that was not
/// trained with offsets.
pub(crate) fn large_dc_offset(recording: &Recording) -> Option<String> {
    let offsets = recording.leads().map(|(lead, signal)| (lead, mean(signal)));
    let (lead, offset) = offsets.max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()))?;
    (offset.abs() > LARGEST_DC_OFFSET).then(|| {
        format!(
            "lead {lead} has a DC offset of {offset:.1} mV, which these weights take for a part of the ECG: subtract each \
             lead's mean, or use weights that state dc_offset=removed"
        )
    })
}

/// Checks that III, aVR, aVL and aVF are what I and II imply at any time, for any positions of the electrodes (Einthoven
/// 1913, Goldberger 1942).
fn disagreement(recording: &Recording) -> Option<String> {
    let [i, ii] = [recording.lead(Lead::I)?, recording.lead(Lead::II)?];
    let residual = |signal: &[f32], [a, b]: [f32; 2]| {
        let implied = i.iter().zip(ii).map(|(i, ii)| a * i + b * ii);
        let difference: Vec<f32> = signal.iter().zip(implied).map(|(x, implied)| x - implied).collect();
        deviation(&difference)
    };
    let agrees = |signal: &[f32], weights: [f32; 2]| residual(signal, weights) <= LARGEST_RESIDUAL;
    let derived = [Lead::III, Lead::AVR, Lead::AVL, Lead::AVF];
    let derived: Vec<(Lead, [f32; 2])> =
        derived.into_iter().filter_map(|lead| Some((lead, lead.from_i_and_ii()?))).collect();
    let mut wrong = Vec::new();
    for &(lead, weights) in &derived {
        let Some(signal) = recording.lead(lead).filter(|signal| !agrees(signal, weights)) else { continue };
        let other = derived.iter().find(|(_, weights)| agrees(signal, *weights));
        wrong.push(match other {
            Some((other, _)) => format!("{lead} is what {other} should be"),
            None if agrees(signal, weights.map(|weight| -weight)) => format!("{lead} is upside down"),
            None => format!("{lead} is off by {:.2} mV", residual(signal, weights)),
        });
    }
    (!wrong.is_empty()).then(|| {
        format!(
            "the limb leads contradict each other; by leads I and II, {}: are leads named or ordered wrongly, or scaled or \
             filtered differently?",
            wrong.join(", ")
        )
    })
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
        assert!(
            volts.iter().any(|text| text.contains("0.0002 mV") && text.ends_with("plausible as volts")),
            "{volts:?}"
        );
        let ten_times = scaled(10.0);
        assert!(ten_times.iter().any(|text| text.ends_with("is the unit or the gain mistaken?")), "{ten_times:?}");
        let spike = changed(|signals| signals[11][5] = -25.0);
        assert_eq!(spike, ["lead V6 reaches 25.0 mV, more than a heart produces: is the unit mistaken?"]);
    }

    #[test]
    fn leads_divided_by_their_deviations_are_recognised() {
        let normalised = changed(|signals| {
            signals.iter_mut().for_each(|signal| {
                let deviation = deviation(signal) as f32;
                signal.iter_mut().for_each(|x| *x /= deviation);
            });
        });
        assert!(normalised.iter().any(|text| text.contains("divided by its standard deviation")), "{normalised:?}");
    }

    #[test]
    fn limb_leads_that_disagree_are_named() {
        let one = |found: Vec<String>| {
            assert_eq!(found.len(), 1, "{found:?}");
            found[0].clone()
        };
        let exchanged = one(changed(|signals| signals.swap(3, 4)));
        assert!(exchanged.contains("aVR is what aVL should be, aVL is what aVR should be"), "{exchanged}");
        let inverted = one(changed(|signals| signals[3].iter_mut().for_each(|x| *x = -*x)));
        assert!(inverted.contains("aVR is upside down"), "{inverted}");
        let other = one(changed(|signals| signals[2].iter_mut().for_each(|x| *x *= 2.0)));
        assert!(other.contains("III is off by 0."), "{other}");
        let rounded = changed(|signals| signals.iter_mut().flatten().for_each(|x| *x = (*x * 200.0).round() / 200.0));
        assert!(rounded.is_empty(), "rounding to 5 µV is no disagreement: {rounded:?}");
        let offset = changed(|signals| signals[4].iter_mut().for_each(|x| *x += 1.0));
        assert!(offset.is_empty(), "a DC offset is no disagreement: {offset:?}");
    }

    #[test]
    fn a_large_dc_offset_is_named() {
        let recording = |offset| Recording::new("r", 100.0, vec![(Lead::I, vec![0.1; 9]), (Lead::V2, vec![offset; 9])]);
        assert_eq!(large_dc_offset(&recording(0.2).unwrap()), None);
        let warning = large_dc_offset(&recording(-0.8).unwrap()).unwrap();
        assert!(warning.starts_with("lead V2 has a DC offset of -0.8 mV"), "{warning}");
    }

    #[test]
    fn a_single_sample_raises_no_warning() {
        let recording = Recording::new("r", 100.0, vec![(Lead::I, vec![0.5])]).unwrap();
        assert!(warnings(&recording).is_empty());
    }
}
