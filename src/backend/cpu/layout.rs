//! How an activation is stored: channels last, one row per sample with one number per channel.
//!
//! The taps of a convolution's window are then contiguous, a stride s only makes rows s times as wide, and no micro-kernel
//! depends on the length. Rows of zeros before and after the samples serve as the padding of the convolution that reads
//! them.

use super::{
    aligned_buffer::{AlignedBuffer, CACHE_LINE},
    micro_kernels::transpose::transpose,
};

/// How one record of an activation, or a whole matrix, is stored in a buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ChannelsLastLayout {
    /// The channels of a sample.
    pub(super) channels: usize,
    /// The numbers from one sample's row to the next: the channels, then zeros up to a size that the writer needs.
    pub(super) pitch: usize,
    /// The samples.
    pub(super) samples: usize,
    /// The rows of zeros before the first sample.
    pub(super) zeros_before: usize,
    /// The rows of zeros after the last sample.
    pub(super) zeros_after: usize,
}

impl ChannelsLastLayout {
    /// The numbers of memory that it needs. A vector may be read that begins with the last row's last number.
    pub(super) fn len(&self) -> usize {
        (self.zeros_before + self.samples + self.zeros_after) * self.pitch + CACHE_LINE
    }

    /// Where a sample's row begins. `sample` may be as low as `-zeros_before`.
    pub(super) fn offset(&self, sample: isize) -> usize {
        (self.zeros_before as isize + sample) as usize * self.pitch
    }

    /// Enlarges the zeros for a reader that needs `zeros_before` rows before the samples and `rows` rows in all.
    pub(super) fn extend(&mut self, zeros_before: usize, rows: usize) {
        self.zeros_before = self.zeros_before.max(zeros_before);
        self.zeros_after = self.zeros_after.max(rows.saturating_sub(zeros_before + self.samples));
    }

    /// Writes the zeros before and after the samples.
    ///
    /// # Safety
    /// No other thread accesses these rows.
    pub(super) unsafe fn clear_margins(&self, buffer: &AlignedBuffer) {
        let end = self.offset(self.samples as isize);
        // SAFETY: the caller guarantees exclusive access to these rows.
        unsafe {
            buffer.write(0..self.offset(0)).fill(0.0);
            buffer.write(end..end + self.zeros_after * self.pitch).fill(0.0);
        }
    }

    /// Writes `count` samples of a record `[channels, samples]`, from sample `first` on.
    ///
    /// # Safety
    /// No other thread accesses the rows of these samples.
    pub(super) unsafe fn write_samples(&self, record: &[f32], first: usize, count: usize, buffer: &AlignedBuffer) {
        // SAFETY: the caller guarantees exclusive access to these rows.
        let rows = unsafe { buffer.write(self.offset(first as isize)..self.offset((first + count) as isize)) };
        if self.pitch > self.channels {
            rows.fill(0.0);
        }
        transpose(record, self.samples, first..first + count, rows, self.pitch);
    }

    /// Reads a record as `[channels, samples]`.
    ///
    /// # Safety
    /// No other thread writes the buffer.
    pub(super) unsafe fn read_record(&self, buffer: &AlignedBuffer, record: &mut [f32]) {
        // SAFETY: the caller guarantees that there are no writers.
        let rows = unsafe { buffer.read(self.offset(0)..self.offset(self.samples as isize)) };
        for (channel, samples) in record.chunks_mut(self.samples).enumerate() {
            for (value, row) in samples.iter_mut().zip(rows.chunks(self.pitch)) {
                *value = row[channel];
            }
        }
    }
}
