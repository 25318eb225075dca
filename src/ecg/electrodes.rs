//! Detects reversed electrodes of the limbs.
//!
//! An exchange of two limb electrodes changes the limb leads and nothing else: III = II − I still holds, so a rule about the
//! limb leads alone cannot find it. Two logistic regressions compare leads I and II with the chest leads. Their features
//! depend neither on the unit nor on DC offsets. `weights/electrodes.py` fits them on folds 1 to 8 of PTB-XL.
//!
//! Measured on fold 9 (2,183 records; exchanged in the numbers): of the records as recorded 0.8 % raise an alarm, of those
//! with exchanged arms (LA/RA) 98.6 %, of those with right arm and left leg exchanged (RA/LL) 97.4 %. An exchange of left
//! arm and left leg is not found: fewer than a fifth are, at one false alarm of a hundred. Neither is the right leg's.

use super::{Lead, Recording, mean};

/// The leads that are compared: I and II with the chest leads.
const LEADS: [Lead; 8] = [Lead::I, Lead::II, Lead::V1, Lead::V2, Lead::V3, Lead::V4, Lead::V5, Lead::V6];

/// Correlations of I with the seven other leads, of II with the chest leads, and the skewness of each lead.
const FEATURES: usize = 7 + 6 + LEADS.len();

/// Samples per second that are compared: the rate of the recordings on which the detectors were fitted.
const SAMPLING_RATE: f64 = 100.0;

/// Standard deviation in mV below which a lead has no ECG that could be compared.
const SMALLEST_DEVIATION: f64 = 0.01;

/// An exchange of two electrodes, and its detector.
struct Exchange {
    electrodes: &'static str,
    /// The lead that this exchange turns upside down.
    inverted: Lead,
    weights: [f64; FEATURES],
    /// Chosen so that three of a thousand training records are above zero.
    constant: f64,
}

#[rustfmt::skip]
const EXCHANGES: [Exchange; 2] = [
    Exchange {
        electrodes: "the electrodes of the left and right arm",
        inverted: Lead::I,
        weights: [
            3.807, 7.203, -1.962, -1.759, -2.394, -2.155, -3.681,
            -0.2862, -0.3194, 0.3109, -0.05427, 0.3802, -0.07378,
            -3.591, -0.0718, 0.0151, -0.1811, 0.01159, 0.05154, -0.2888, -0.373,
        ],
        constant: -2.192,
    },
    Exchange {
        electrodes: "the electrodes of the right arm and the left leg",
        inverted: Lead::II,
        weights: [
            6.766, -0.7109, 0.1273, -0.1163, -0.6608, 0.1237, -0.317,
            5.29, 1.506, -2.988, -2.995, -2.594, -4.686,
            0.3659, -0.6864, -0.08034, 0.488, 0.01647, 0.02424, 0.303, 0.4081,
        ],
        constant: -4.22,
    },
];

/// Returns a warning if two limb electrodes seem exchanged; none where a needed lead is missing or silent.
pub(super) fn reversed(recording: &Recording) -> Option<String> {
    let features = features(recording)?;
    let score = |exchange: &Exchange| {
        exchange.constant + exchange.weights.iter().zip(features).map(|(weight, feature)| weight * feature).sum::<f64>()
    };
    let likely = EXCHANGES.iter().max_by(|a, b| score(a).total_cmp(&score(b)))?;
    (score(likely) > 0.0).then(|| {
        format!(
            "lead {} looks upside down beside the chest leads: were {} exchanged? (A rare heart position looks the same.)",
            likely.inverted, likely.electrodes
        )
    })
}

fn features(recording: &Recording) -> Option<[f64; FEATURES]> {
    let frames = frames(recording)?;
    let mut squares = [0.0; LEADS.len()];
    let [mut with_i, mut with_ii, mut cubes] = [squares; 3];
    for frame in &frames {
        for (lead, x) in frame.iter().enumerate() {
            with_i[lead] += frame[0] * x;
            with_ii[lead] += frame[1] * x;
            squares[lead] += x * x;
            cubes[lead] += x * x * x;
        }
    }
    let count = frames.len() as f64;
    let deviations = squares.map(|sum| (sum / count).sqrt());
    if deviations.iter().any(|deviation| *deviation < SMALLEST_DEVIATION) {
        return None;
    }
    let correlation = |sum: f64, a: usize, b: usize| sum / count / (deviations[a] * deviations[b]);
    let with_i = (1..LEADS.len()).map(|other| correlation(with_i[other], 0, other));
    let with_ii = (2..LEADS.len()).map(|other| correlation(with_ii[other], 1, other));
    let skewness = cubes.iter().zip(&deviations).map(|(sum, deviation)| sum / count / deviation.powi(3));
    let mut features = [0.0; FEATURES];
    let values = with_i.chain(with_ii).chain(skewness.map(|skewness| (skewness / 5.0).tanh()));
    features.iter_mut().zip(values).for_each(|(feature, value)| *feature = value);
    Some(features)
}

/// Returns the leads sample by sample at about [`SAMPLING_RATE`], by the mean of consecutive samples, each lead minus its
/// mean; none where a lead is missing.
fn frames(recording: &Recording) -> Option<Vec<[f64; LEADS.len()]>> {
    let together = ((recording.sampling_rate() / SAMPLING_RATE).round() as usize).clamp(1, recording.samples());
    let mut frames = vec![[0.0; LEADS.len()]; recording.samples() / together];
    for (at, lead) in LEADS.into_iter().enumerate() {
        let signal = &recording.lead(lead)?[..frames.len() * together];
        let (offset, share) = (mean(signal), 1.0 / together as f64);
        for (frame, samples) in frames.iter_mut().zip(signal.chunks_exact(together)) {
            frame[at] = samples.iter().map(|x| f64::from(*x)).sum::<f64>() * share - offset;
        }
    }
    Some(frames)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecg::{Condition, synthesize};

    /// Returns a normal synthetic ECG with lead I and II changed to functions of the two.
    fn changed(change: impl Fn(f32, f32) -> (f32, f32)) -> Recording {
        let sound = synthesize(Condition::Norm, 3, 500.0, 10.0).unwrap();
        let [i, ii] = [Lead::I, Lead::II].map(|lead| sound.lead(lead).unwrap());
        let both: (Vec<f32>, Vec<f32>) = i.iter().zip(ii).map(|(i, ii)| change(*i, *ii)).unzip();
        let chest = LEADS[2..].iter().map(|lead| (*lead, sound.lead(*lead).unwrap().to_vec()));
        Recording::new("r", 500.0, [(Lead::I, both.0), (Lead::II, both.1)].into_iter().chain(chest).collect()).unwrap()
    }

    #[test]
    fn exchanged_electrodes_are_named() {
        assert_eq!(reversed(&changed(|i, ii| (i, ii))), None);
        let arms = reversed(&changed(|i, ii| (-i, ii - i))).unwrap();
        assert!(arms.starts_with("lead I looks upside down") && arms.contains("left and right arm"), "{arms}");
        let arm_and_leg = reversed(&changed(|i, ii| (i - ii, -ii))).unwrap();
        assert!(arm_and_leg.contains("right arm and the left leg"), "{arm_and_leg}");
    }

    #[test]
    fn a_recording_that_lacks_a_lead_or_has_a_silent_one_raises_no_alarm() {
        let sound = changed(|i, ii| (-i, ii - i));
        let without_v6: Vec<_> = sound.leads().take(7).map(|(lead, signal)| (lead, signal.to_vec())).collect();
        assert_eq!(reversed(&Recording::new("r", 500.0, without_v6).unwrap()), None);
        assert_eq!(reversed(&changed(|i, _| (i, 0.0))), None);
    }
}
