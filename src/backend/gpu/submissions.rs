//! The division of a run into submissions: by floating-point operations at first, and finer where runs take long. Some
//! systems reset a GPU that works on one submission for two seconds.

use std::{ops::Range, time::Duration};

use super::{clock::Instant, dispatch::Dispatch};

/// The time that one submission may take.
pub(super) const LONGEST_SUBMISSION: Duration = Duration::from_millis(250);

/// How much longer than the mean the longest submission of a run may be.
const UNEVENNESS: u32 = 2;

/// Divides the dispatches of a run, each given with its step, into submissions of at most `largest` floating-point
/// operations, or of one step that has more. The dispatches of a step stay together.
pub(super) fn divide(operations: &[u64], dispatches: &[(usize, Dispatch)], largest: u64) -> Vec<Range<usize>> {
    let (mut submissions, mut first, mut sum) = (Vec::new(), 0, 0);
    for (at, &(step, _)) in dispatches.iter().enumerate() {
        if at > 0 && dispatches[at - 1].0 == step {
            continue;
        }
        if at > first && sum + operations[step] > largest {
            submissions.push(first..at);
            (first, sum) = (at, 0);
        }
        sum += operations[step];
    }
    submissions.push(first..dispatches.len());
    submissions
}

/// The largest submission of a plan, by the time that its runs take.
pub(super) struct Pace {
    /// The floating-point operations of the largest submission.
    largest: u64,
    /// The time that one submission may take.
    longest: Duration,
    /// When the last run ended.
    end: Option<Instant>,
    /// How long the last run took.
    took: Duration,
}

impl Pace {
    pub(super) fn new(largest: u64, longest: Duration) -> Self {
        Self { largest, longest, end: None, took: Duration::ZERO }
    }

    /// Records a run of this many floating-point operations from `start` to `end`. Returns the operations of the largest
    /// submission of later runs if they are to be divided more finely.
    ///
    /// The shorter of two successive runs counts, because drivers compile during the first, and other programs may delay
    /// one.
    pub(super) fn record(&mut self, operations: u64, start: Instant, end: Instant) -> Option<u64> {
        // In a stream a run waits until the one before has ended.
        let begin = self.end.map_or(start, |last| last.max(start));
        let took = end.saturating_duration_since(begin);
        let time = took.min(self.took);
        (self.end, self.took) = (Some(end), took);
        let parts = (UNEVENNESS * time).as_nanos().div_ceil(self.longest.as_nanos().max(1));
        let parts = u64::try_from(parts).unwrap_or(u64::MAX);
        let largest = operations.checked_div(parts)?;
        let finer = parts > 1 && largest < self.largest;
        finer.then(|| {
            self.largest = largest;
            largest
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records runs of a hundred operations that follow one another and take these milliseconds.
    fn record(pace: &mut Pace, times: &[u64]) -> Vec<Option<u64>> {
        let mut start = pace.end.unwrap_or_else(Instant::now);
        let mut run = |&milliseconds: &u64| {
            let end = start + Duration::from_millis(milliseconds);
            pace.record(100, std::mem::replace(&mut start, end), end)
        };
        times.iter().map(&mut run).collect()
    }

    #[test]
    fn two_slow_runs_in_a_row_divide_later_ones_and_a_single_one_does_not() {
        let pace = || Pace::new(1000, Duration::from_millis(250));
        // The first run compiles, and one more is delayed.
        assert_eq!(record(&mut pace(), &[5000, 10, 900, 20, 125, 125]), [None; 6]);
        // The slowest submission may take twice the time of the mean.
        assert_eq!(record(&mut pace(), &[5000, 1250, 1250, 1100]), [None, Some(10), None, None]);
        assert_eq!(record(&mut pace(), &[500, 300, 2500, 2500]), [None, Some(33), None, Some(5)]);
    }

    #[test]
    fn a_run_of_a_stream_does_not_count_the_time_of_the_one_before() {
        let (mut pace, start) = (Pace::new(1000, Duration::from_millis(250)), Instant::now());
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        // Each is submitted 100 ms before the one before ends, and computes for 100 ms.
        let ends = [100, 200, 300, 400];
        assert!(ends.iter().all(|&end: &u64| pace.record(100, at(end.saturating_sub(200)), at(end)).is_none()));
        // Alone they would take 200 ms.
        let mut pace = Pace::new(1000, Duration::from_millis(250));
        assert_eq!([0, 1000, 2000].map(|begin| pace.record(100, at(begin), at(begin + 200))), [None, Some(50), None]);
    }
}
