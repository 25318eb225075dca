//! The data that a run trains on, independent of any data set.

/// Records that a run can train on, addressed by index.
pub trait Examples: Sync {
    /// Returns the number of leads of each record.
    fn leads(&self) -> usize;

    /// Returns the number of samples per lead of each record.
    fn samples(&self) -> usize;

    /// Writes a record, `[leads, samples]`, to `into`, in the units that the network expects.
    fn record(&self, index: usize, into: &mut [f32]);

    /// Writes the labels of a record to `into`: 1 or 0 per class.
    fn labels(&self, index: usize, into: &mut [f32]);

    /// Returns the name of a record for messages.
    fn name(&self, index: usize) -> String;
}

/// The records of a run.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    /// All records.
    pub examples: &'a dyn Examples,
    /// The indices of the training records.
    pub training: &'a [usize],
    /// The indices of the validation records. Self-supervised objectives ignore them.
    pub validation: &'a [usize],
}

/// Copies a window of every lead: `window` `[leads, samples]` begins at sample `start` of `record` `[leads,
/// record_samples]`.
pub(super) fn copy_window(record: &[f32], record_samples: usize, start: usize, window: &mut [f32], samples: usize) {
    for (window, lead) in window.chunks_exact_mut(samples).zip(record.chunks_exact(record_samples)) {
        window.copy_from_slice(&lead[start..start + samples]);
    }
}
