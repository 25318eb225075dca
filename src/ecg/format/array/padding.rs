//! Cuts the zeros with which data sets bring recordings of different lengths to one.

/// The shortest stretch in seconds that is padding: no beat is so flat that all leads are exactly zero for so long.
const SHORTEST: f64 = 0.05;

/// The shortest recording in seconds that may remain.
const LEAST: f64 = 1.0;

/// Cuts the samples at both ends at which every lead is zero, or has no value. Returns what was cut. Nothing is cut where
/// less than a second would remain.
pub(super) fn cut(signals: &mut [Vec<f32>], sampling_rate: f64) -> Option<String> {
    let samples = signals.iter().map(Vec::len).min()?;
    let is_padding = |at: &usize| signals.iter().all(|signal| signal[*at] == 0.0 || signal[*at].is_nan());
    let long_enough = |length: &usize| *length as f64 >= SHORTEST * sampling_rate;
    let start = Some((0..samples).take_while(is_padding).count()).filter(long_enough).unwrap_or(0);
    let end = Some((start..samples).rev().take_while(is_padding).count()).filter(long_enough).unwrap_or(0);
    let remaining = samples.saturating_sub(start + end);
    if start + end == 0 || (remaining as f64) < LEAST * sampling_rate {
        return None;
    }
    for signal in signals {
        signal.truncate(start + remaining);
        signal.drain(..start);
    }
    let [start, end] = [start, end].map(|length| length as f64 / sampling_rate);
    Some(format!("padding was cut, zero in all leads: {start:.2} s at the start and {end:.2} s at the end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(zeros: [usize; 2], signal: usize) -> Vec<Vec<f32>> {
        let lead = |first: f32| [vec![0.0; zeros[0]], vec![first; signal], vec![0.0; zeros[1]]].concat();
        vec![lead(0.5), lead(-0.5)]
    }

    #[test]
    fn zeros_in_all_leads_are_cut_at_both_ends() {
        let mut signals = padded([30, 20], 100);
        let said = cut(&mut signals, 100.0).unwrap();
        assert_eq!(said, "padding was cut, zero in all leads: 0.30 s at the start and 0.20 s at the end");
        assert_eq!(signals, [vec![0.5; 100], vec![-0.5; 100]]);
    }

    #[test]
    fn a_lead_that_is_zero_alone_stays() {
        let mut signals = vec![vec![0.0; 200], vec![0.5; 200]];
        assert_eq!(cut(&mut signals, 100.0), None);
        assert_eq!(signals[0].len(), 200);
    }

    #[test]
    fn a_second_remains_and_a_few_zeros_are_no_padding() {
        for (zeros, signal) in [([30, 30], 99), ([300, 0], 0), ([4, 4], 300)] {
            let mut signals = padded(zeros, signal);
            assert_eq!(cut(&mut signals, 100.0), None, "{zeros:?} around {signal}");
        }
    }

    #[test]
    fn samples_without_a_value_in_any_lead_are_padding() {
        let mut signals = padded([0, 0], 100);
        signals.iter_mut().for_each(|signal| signal.extend([f32::NAN; 40]));
        assert!(cut(&mut signals, 100.0).is_some());
        assert_eq!(signals[0].len(), 100);
    }
}
