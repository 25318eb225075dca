//! Undoes the two lossy compressions of SCP-ECG: a lower sampling rate outside the QRS complexes, and the subtraction of
//! a reference beat (EN 1064, annex C).

use std::{iter::repeat_n, ops::Range};

use super::beats::Beat;

/// A lead's place in the recording, and what was done to its samples.
pub(super) struct Plan<'a> {
    /// The number of its first sample.
    pub(super) first: i64,
    /// The number of its samples.
    pub(super) samples: usize,
    /// How many samples outside the protected zones were made one. One is no reduction.
    pub(super) factor: usize,
    /// The zones that keep every sample, in ascending order.
    pub(super) protected: &'a [Range<i64>],
    /// The beats from which the reference beat was subtracted.
    pub(super) subtracted: &'a [Beat],
}

impl Plan<'_> {
    /// Splits the lead into stretches, in their order: the number of samples of each, and whether it is protected.
    fn stretches(&self) -> Vec<(usize, bool)> {
        let mut stretches = Vec::new();
        let mut at = 0;
        for zone in self.protected {
            let Range { start, end } = self.within(zone);
            let start = start.max(at);
            if start < end {
                stretches.extend([(start - at, false), (end - start, true)]);
                at = end;
            }
        }
        stretches.push((self.samples - at, false));
        stretches
    }

    /// Returns the part of a zone that is in the lead, as indices of its samples.
    fn within(&self, zone: &Range<i64>) -> Range<usize> {
        let index = |sample: i64| usize::try_from(sample - self.first).unwrap_or(0).min(self.samples);
        index(zone.start)..index(zone.end)
    }

    /// Returns how many samples of the lead are stored: all in protected zones, and one for each full `factor` of others,
    /// the rest as they are.
    pub(super) fn stored(&self) -> usize {
        let stored = |(samples, protected): &(usize, bool)| match protected {
            true => *samples,
            false => samples / self.factor + samples % self.factor,
        };
        self.stretches().iter().map(stored).sum()
    }

    /// Restores the samples of reduced stretches: on a straight line between two stored ones, then smoothed. Stops where
    /// `stored` ends.
    pub(super) fn expand(&self, stored: &[f64]) -> Vec<f64> {
        if self.factor < 2 {
            return stored.to_vec();
        }
        let mut expanded = Vec::new();
        let mut rest = stored;
        for (samples, protected) in self.stretches() {
            let reduced = if protected { 0 } else { samples / self.factor };
            let kept = samples - reduced * self.factor;
            let (lines, others) = rest.split_at(reduced.min(rest.len()));
            let (copied, others) = others.split_at(kept.min(others.len()));
            interpolate(lines, self.factor, &mut expanded);
            expanded.extend(copied);
            rest = others;
        }
        self.smooth(&expanded)
    }

    /// Takes the mean of three neighbours outside the protected zones. The ends of the zones of subtraction, where the
    /// residual may jump, stay as they are.
    fn smooth(&self, samples: &[f64]) -> Vec<f64> {
        let mut smooth = samples.to_vec();
        let stretches = self.stretches().into_iter();
        let mut keep: Vec<bool> =
            stretches.flat_map(|(count, protected)| repeat_n(protected, count)).take(samples.len()).collect();
        for zone in self.subtracted.iter().map(|beat| self.within(&beat.zone)) {
            for boundary in [zone.start, zone.end] {
                keep.iter_mut().skip(boundary.saturating_sub(1)).take(2).for_each(|kept| *kept = true);
            }
        }
        let neighbours = samples.windows(3).zip(keep.iter().skip(1)).zip(smooth.iter_mut().skip(1));
        neighbours
            .filter(|((_, keep), _)| !**keep)
            .for_each(|((window, _), smooth)| *smooth = window.iter().sum::<f64>() / 3.0);
        smooth
    }

    /// Adds `reference`, whose fiducial point is the sample of number `fiducial`, to every beat from which it was
    /// subtracted.
    pub(super) fn add_reference(&self, samples: &mut [f64], reference: &[f64], fiducial: i64) {
        for beat in self.subtracted {
            let Range { start, end } = self.within(&beat.zone);
            let zone = samples.get_mut(start..).unwrap_or_default().iter_mut().take(end - start);
            // The index in the reference beat that belongs to the first sample of the zone.
            let first = start as i64 + self.first - beat.fiducial + fiducial - 1;
            for (at, sample) in (first..).zip(zone) {
                let part = usize::try_from(at).ok().and_then(|at| reference.get(at));
                *sample += part.copied().unwrap_or(0.0);
            }
        }
    }
}

/// Makes `factor` samples of each stored one: half of them before the first and after the last, which have its value,
/// and `factor` from each to the next on a straight line.
fn interpolate(stored: &[f64], factor: usize, into: &mut Vec<f64>) {
    let (Some(first), Some(last)) = (stored.first(), stored.last()) else { return };
    into.extend(repeat_n(*first, factor / 2));
    for pair in stored.windows(2) {
        let step = (pair[1] - pair[0]) / factor as f64;
        into.extend((0..factor).map(|n| pair[0] + n as f64 * step));
    }
    into.extend(repeat_n(*last, factor - factor / 2));
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_BEATS: &[Beat] = &[];

    #[test]
    fn a_reduced_stretch_becomes_a_straight_line_and_a_protected_one_stays() {
        // Samples 1 to 8 and 12 to 17 are reduced: two of them make up no four and are stored as they are.
        let protected = std::slice::from_ref(&(9..12));
        let plan = Plan { first: 1, samples: 17, factor: 4, protected, subtracted: NO_BEATS };
        assert_eq!(plan.stored(), 2 + 3 + 1 + 2);
        let mut expanded = Vec::new();
        interpolate(&[0.0, 8.0], 4, &mut expanded);
        assert_eq!(expanded, [0., 0., 0., 2., 4., 6., 8., 8.]);
        let all = plan.expand(&[0., 8., 100., 200., 100., 6., 6., 6.]);
        assert_eq!(all.len(), 17);
        assert_eq!(all[8..11], [100., 200., 100.]);
        assert_eq!(all[12..], [6.; 5]);
        assert_eq!(all[4], 4.0);
        assert_eq!(all[7], (8. + 8. + 100.) / 3.0, "the neighbour of a protected zone is smoothed with it");
        assert_eq!(plan.expand(&[0., 8., 100.]).len(), 9, "what is not stored is not made up");
    }

    #[test]
    fn the_ends_of_subtraction_zones_are_not_smoothed() {
        let beats = [Beat { zone: 4..7, fiducial: 5 }];
        let plan = Plan { first: 1, samples: 9, factor: 2, protected: &[], subtracted: &beats };
        let samples = [0., 0., 9., 0., 9., 0., 9., 0., 0.];
        assert_eq!(plan.smooth(&samples), [0., 3., 9., 0., 3., 0., 9., 3., 0.]);
    }

    #[test]
    fn the_reference_beat_is_added_where_it_was_subtracted() {
        // The lead begins at sample 11, within the first beat; the second reaches beyond its end.
        let beats = [Beat { zone: 9..13, fiducial: 11 }, Beat { zone: 15..30, fiducial: 17 }];
        let plan = Plan { first: 11, samples: 8, factor: 1, protected: &[], subtracted: &beats };
        let mut samples = vec![0.0; 8];
        plan.add_reference(&mut samples, &[1., 2., 3., 4., 5.], 3);
        assert_eq!(samples, [3., 4., 0., 0., 1., 2., 3., 4.]);
    }
}
