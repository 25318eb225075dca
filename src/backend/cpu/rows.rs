//! How an activation of one record lies in memory: one row for each sample, with a number for each channel.
//!
//! So the taps of a convolution are one run of numbers, a stride s only makes rows s times as wide, and no kernel cares
//! for the length. Rows of zeros stand before and after the samples for the convolution that reads them.

use std::ops::Range;

use super::memory::{Area, LINE};

/// Channels and samples that change places together, four vectors of the smallest kind: 12 leads of 1000 samples take
/// 2 µs instead of 8.
const BLOCK: usize = 4;

/// Turns a block of rows into one of columns.
#[inline(always)]
fn transpose(from: &[f32], from_row: usize, to: &mut [f32], to_row: usize) {
    let mut block = [[0.0; BLOCK]; BLOCK];
    for (row, block) in block.iter_mut().enumerate() {
        block.copy_from_slice(&from[row * from_row..][..BLOCK]);
    }
    for column in 0..BLOCK {
        let turned = [block[0][column], block[1][column], block[2][column], block[3][column]];
        to[column * to_row..][..BLOCK].copy_from_slice(&turned);
    }
}

/// Turns rows into columns: `to[c, r] = from[r, c]` for the `columns` of every row in `from`.
#[inline(always)]
pub(super) fn transposed(from: &[f32], from_row: usize, columns: Range<usize>, to: &mut [f32], to_row: usize) {
    let rows = from.len() / from_row;
    for row in (0..rows).step_by(BLOCK) {
        let height = BLOCK.min(rows - row);
        for column in (0..columns.len()).step_by(BLOCK) {
            let width = BLOCK.min(columns.len() - column);
            let from = &from[row * from_row + columns.start + column..];
            let to = &mut to[column * to_row + row..];
            if height == BLOCK && width == BLOCK {
                transpose(from, from_row, to, to_row);
            } else {
                for (r, c) in (0..height).flat_map(|r| (0..width).map(move |c| (r, c))) {
                    to[c * to_row + r] = from[r * from_row + c];
                }
            }
        }
    }
}

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
        transposed(record, self.samples, first..first + count, rows, self.width);
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
