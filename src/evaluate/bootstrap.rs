//! Bootstrap intervals (Efron 1979), drawn over patients: several records of a patient are not independent.

use std::collections::BTreeMap;

use crate::random::Random;

/// The number of draws.
pub const DRAWS: usize = 1000;

/// The shares of the draws below and above a 95 % interval.
const TAILS: [f64; 2] = [0.025, 0.975];

/// The high bits of the random streams used here, so that other uses of the same seed draw other numbers.
const STREAMS: u64 = 0x4253 << 48;

/// Computes statistics on [`DRAWS`] samples of the patients, drawn with replacement. `patients` has the patient of each
/// record. `statistics` gets how often each record counts. Returns, for each statistic, its values on the draws where it is
/// defined.
pub fn bootstrap(patients: &[u32], seed: u64, mut statistics: impl FnMut(&[u64]) -> Vec<Option<f64>>) -> Vec<Vec<f64>> {
    let mut records_of: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (record, patient) in patients.iter().enumerate() {
        records_of.entry(*patient).or_default().push(record);
    }
    let groups: Vec<Vec<usize>> = records_of.into_values().collect();
    let (mut counts, mut values) = (vec![0; patients.len()], Vec::new());
    for draw in 0..DRAWS {
        let mut random = Random::new(seed, STREAMS | draw as u64);
        counts.fill(0);
        for _ in 0..groups.len() {
            groups[random.below(groups.len())].iter().for_each(|&record| counts[record] += 1);
        }
        let drawn = statistics(&counts);
        values.resize(drawn.len(), Vec::new());
        values.iter_mut().zip(drawn).for_each(|(values, drawn)| values.extend(drawn));
    }
    values
}

/// Returns the 95 % interval of values from a [`bootstrap`]: their 2.5th and 97.5th percentiles, interpolated linearly.
/// Returns `None` for fewer than half of the draws.
pub fn interval(mut values: Vec<f64>) -> Option<[f64; 2]> {
    if values.len() < DRAWS / 2 {
        return None;
    }
    values.sort_by(f64::total_cmp);
    Some(TAILS.map(|share| {
        let place = share * (values.len() - 1) as f64;
        let at = (place as usize).min(values.len() - 2);
        values[at] + (values[at + 1] - values[at]) * (place - at as f64)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_has_the_width_that_theory_gives() {
        let mut random = Random::new(3, 0);
        let sample: Vec<f64> = (0..400).map(|_| random.normal()).collect();
        let mean = |counts: &[u64]| {
            let sum: f64 = sample.iter().zip(counts).map(|(x, &count)| x * count as f64).sum();
            vec![Some(sum / counts.iter().sum::<u64>() as f64)]
        };
        let own: Vec<u32> = (0..400).collect();
        let [low, high] = interval(bootstrap(&own, 1, mean).remove(0)).unwrap();
        // ±1.96 standard errors of 1/20.
        assert!((high - low - 0.196).abs() < 0.02, "{low} to {high}");
        // Two records per patient, which are the same record: half as many independent ones.
        let doubled = |counts: &[u64]| {
            let sum: f64 = counts.iter().enumerate().map(|(record, &count)| sample[record / 2] * count as f64).sum();
            vec![Some(sum / counts.iter().sum::<u64>() as f64)]
        };
        let pairs: Vec<u32> = (0..800).map(|record| record / 2).collect();
        let [low_2, high_2] = interval(bootstrap(&pairs, 1, doubled).remove(0)).unwrap();
        assert!(((high_2 - low_2) / (high - low) - 1.0).abs() < 0.1);
    }

    #[test]
    fn equal_seeds_draw_equal_samples_and_an_undefined_statistic_has_no_interval() {
        let draw = |seed| bootstrap(&[1, 2, 3], seed, |counts| vec![Some(counts[0] as f64), None]);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_eq!(interval(draw(1).remove(1)), None);
    }
}
