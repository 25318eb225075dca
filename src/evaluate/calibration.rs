//! How well probabilities agree with the frequency of the labels.

/// The Brier score of one class (Brier 1950): the mean squared difference between probability and label.
pub fn brier_score(probabilities: &[f64], labels: &[bool]) -> f64 {
    let squares = probabilities.iter().zip(labels).map(|(p, &label)| (p - f64::from(u8::from(label))).powi(2));
    squares.sum::<f64>() / labels.len() as f64
}

/// The number of bins of [`reliability`].
pub const BINS: usize = 10;

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bin {
    /// The number of records.
    pub records: usize,
    /// The mean probability of the records.
    pub probability: f64,
    /// The share of the records that are positive.
    pub frequency: f64,
}

/// Divides the records of one class into [`BINS`] bins of equal width by their probability. The first contains 0, each
/// contains its upper end.
pub fn reliability(probabilities: &[f64], labels: &[bool]) -> [Bin; BINS] {
    let mut bins = [Bin::default(); BINS];
    for (&probability, &label) in probabilities.iter().zip(labels) {
        let bin = &mut bins[((probability * BINS as f64).ceil() as usize).clamp(1, BINS) - 1];
        bin.records += 1;
        bin.probability += probability;
        bin.frequency += f64::from(u8::from(label));
    }
    for bin in bins.iter_mut().filter(|bin| bin.records > 0) {
        bin.probability /= bin.records as f64;
        bin.frequency /= bin.records as f64;
    }
    bins
}

/// The expected calibration error of one class (Naeini et al. 2015): the mean distance between probability and frequency of
/// the bins of [`reliability`], weighted by their records.
pub fn expected_calibration_error(probabilities: &[f64], labels: &[bool]) -> f64 {
    let distance = |bin: &Bin| bin.records as f64 * (bin.probability - bin.frequency).abs();
    reliability(probabilities, labels).iter().map(distance).sum::<f64>() / labels.len() as f64
}

/// The temperatures among which [`temperature`] searches.
const TEMPERATURES: [f64; 2] = [0.05, 20.0];

/// Returns the temperature T that minimises the mean cross entropy of σ(logit/T) over all records and classes (Guo et al.
/// 2017), to four digits, between 0.05 and 20.
pub fn temperature(logits: &[f64], labels: &[bool]) -> f64 {
    // −ln σ(x) = ln(1 + e^−x), without overflow.
    let entropy = |x: f64| (-x).max(0.0) + (-x.abs()).exp().ln_1p();
    let loss = |log: f64| {
        let sharpness = (-log).exp();
        let term = |(logit, &label): (&f64, &bool)| entropy(if label { logit * sharpness } else { -logit * sharpness });
        logits.iter().zip(labels).map(term).sum::<f64>()
    };
    // The loss is convex in 1/T, so it has one minimum in ln T, which the golden section finds.
    let [mut low, mut high] = TEMPERATURES.map(f64::ln);
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    while high - low > 1e-5 {
        let [left, right] = [high - golden * (high - low), low + golden * (high - low)];
        if loss(left) < loss(right) { high = right } else { low = left }
    }
    ((low + high) / 2.0).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn the_temperature_that_made_the_labels_is_found_again() {
        let mut random = Random::new(1, 0);
        let logits: Vec<f64> = (0..40_000).map(|_| 3.0 * random.normal()).collect();
        let labels: Vec<bool> = logits.iter().map(|z| random.uniform() < 1.0 / (1.0 + (-z / 1.7).exp())).collect();
        let found = temperature(&logits, &labels);
        assert!((found - 1.7).abs() < 0.06, "{found}");
        let probabilities: Vec<f64> = logits.iter().map(|z| 1.0 / (1.0 + (-z / 1.7).exp())).collect();
        assert!(expected_calibration_error(&probabilities, &labels) < 0.01);
        let too_sure: Vec<f64> = logits.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect();
        assert!(expected_calibration_error(&too_sure, &labels) > 0.03);
        assert!(brier_score(&too_sure, &labels) > brier_score(&probabilities, &labels));
    }

    #[test]
    fn bins_contain_their_upper_end_and_the_first_contains_zero() {
        let bins = reliability(&[0.0, 0.1, 0.11, 1.0], &[false, true, true, true]);
        let records: Vec<usize> = bins.iter().map(|bin| bin.records).collect();
        assert_eq!(records, [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((bins[0].probability, bins[0].frequency), (0.05, 0.5));
    }
}
