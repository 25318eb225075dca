//! How an activation of one record lies in memory: one row for each sample, with a number for each channel.
//!
//! So the taps of a convolution are one run of numbers, a stride s only makes rows s times as wide, and no kernel cares
//! for the length. Rows of zeros stand before and after the samples for the convolution that reads them.

use super::memory::{Area, LINE};

/// Where everything lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rows {
    pub(super) channels: usize,
    /// Numbers of a row: the channels, and zeros up to what the step that writes them needs.
    pub(super) width: usize,
    pub(super) samples: usize,
    /// Rows of zeros before and after the samples.
    pub(super) front: usize,
    pub(super) tail: usize,
}

impl Rows {
    /// Numbers of memory; a vector may be read that begins with the last one.
    pub(super) fn len(&self) -> usize {
        (self.front + self.samples + self.tail) * self.width + LINE
    }

    /// Where a sample's row begins; up to `front` samples before the first can be asked for.
    pub(super) fn at(&self, sample: isize) -> usize {
        (self.front as isize + sample) as usize * self.width
    }

    /// Makes sure that a reader finds zeros before and after the samples.
    pub(super) fn reach(&mut self, front: usize, rows: usize) {
        self.front = self.front.max(front);
        self.tail = self.tail.max(rows.saturating_sub(front + self.samples));
    }

    /// Fills everything but the samples with zeros.
    ///
    /// # Safety
    /// Nobody else uses the rows before and after the samples.
    pub(super) unsafe fn clear_edges(&self, memory: &Area) {
        let end = self.at(self.samples as isize);
        // SAFETY: as the caller vouches.
        unsafe {
            memory.write(0..self.at(0)).fill(0.0);
            memory.write(end..end + self.tail * self.width).fill(0.0);
        }
    }

    /// Takes over the samples from `first` on of a record `[channels, samples]`, `count` of them.
    ///
    /// # Safety
    /// Nobody else uses the rows of these samples.
    pub(super) unsafe fn enter(&self, record: &[f32], first: usize, count: usize, memory: &Area) {
        // SAFETY: as the caller vouches.
        let rows = unsafe { memory.write(self.at(first as isize)..self.at((first + count) as isize)) };
        for channel in 0..self.channels {
            let samples = &record[channel * self.samples + first..][..count];
            for (value, sample) in rows[channel..].iter_mut().step_by(self.width).zip(samples) {
                *value = *sample;
            }
        }
    }

    /// Gives one record back as `[channels, samples]`.
    ///
    /// # Safety
    /// Nobody writes the memory.
    pub(super) unsafe fn leave(&self, memory: &Area, record: &mut [f32]) {
        // SAFETY: as the caller vouches.
        let rows = unsafe { memory.read(self.at(0)..self.at(self.samples as isize)) };
        for (channel, samples) in record.chunks_mut(self.samples).enumerate() {
            for (value, row) in samples.iter_mut().zip(rows.chunks(self.width)) {
                *value = row[channel];
            }
        }
    }
}
