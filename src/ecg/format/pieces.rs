//! Formats whose files hold any number of recordings, which are read piece by piece.

use std::ops::Range;

use super::{ReadOptions, damaged};
use crate::{Recording, Result};

/// The most that is read of one file at once, in bytes of samples: 512 MiB.
const LARGEST: u64 = 512 << 20;

/// The recordings of a piece, if they are small: fewer make more requests to the disk, more let fewer cores read.
const ROWS: usize = 8;

/// An open file in pieces, each of which can be read by any thread.
pub(super) trait Pieces: Send + Sync {
    /// Returns the number of pieces.
    fn len(&self) -> usize;

    /// Returns how many recordings a piece holds, as far as that is known before it is read.
    fn recordings(&self, piece: usize) -> usize {
        let _ = piece;
        1
    }

    /// Returns the bytes of all samples, as far as they are known before they are read.
    fn bytes(&self) -> u64 {
        0
    }

    /// Returns the path of a piece within its file, if the pieces have names.
    fn name(&self, piece: usize) -> Option<String> {
        let _ = piece;
        None
    }

    /// Returns what its user should know of the file as a whole.
    fn note(&self) -> Option<String> {
        None
    }

    /// Reads the recordings of a piece, of which each may be damaged or no ECG.
    ///
    /// # Errors
    /// The piece cannot be read.
    fn read(&self, piece: usize, options: &ReadOptions) -> Result<Vec<Result<Recording>>>;
}

/// Reads the recordings of all pieces.
pub(super) fn read_all(pieces: &dyn Pieces, options: &ReadOptions) -> Result<Vec<Recording>> {
    check_size(pieces.bytes())?;
    let (mut recordings, mut bytes) = (Vec::new(), 0);
    for piece in 0..pieces.len() {
        let read = pieces.read(piece, options)?.into_iter().collect::<Result<Vec<_>>>()?;
        let values = |recording: &Recording| (recording.leads().count() * recording.samples()) as u64;
        bytes += read.iter().map(values).sum::<u64>() * size_of::<f32>() as u64;
        check_size(bytes)?;
        recordings.extend(read);
    }
    if let (Some(first), Some(note)) = (recordings.first_mut(), pieces.note()) {
        first.warn(note);
    }
    Ok(recordings)
}

fn check_size(bytes: u64) -> Result<()> {
    if bytes <= LARGEST {
        return Ok(());
    }
    let cause = format!("recordings of over {} MiB together, too much to read at once", LARGEST >> 20);
    Err(damaged(cause, "read them one after the other, or copy a part of them to a file of its own"))
}

/// Cuts rows of equal size, a recording each, into pieces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    rows: usize,
    per_piece: usize,
}

impl Rows {
    /// Cuts `rows` rows. The file stores `stored_together` of them as one unit, and no more than `most` are read at once.
    pub(super) fn new(rows: usize, stored_together: usize, most: usize) -> Self {
        Self { rows, per_piece: stored_together.max(ROWS).min(most.max(1)) }
    }

    /// Returns the number of pieces.
    pub(super) fn pieces(self) -> usize {
        self.rows.div_ceil(self.per_piece)
    }

    /// Returns the rows of a piece.
    pub(super) fn of(self, piece: usize) -> Range<usize> {
        let first = piece.saturating_mul(self.per_piece).min(self.rows);
        first..(first + self.per_piece).min(self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_piece() {
        for (rows, together, most) in [(0, 1, 9), (1, 1, 9), (8, 1, 9), (9, 1, 9), (100, 30, 20), (7, 3, 0)] {
            let cut = Rows::new(rows, together, most);
            let all: Vec<usize> = (0..cut.pieces()).flat_map(|piece| cut.of(piece)).collect();
            assert_eq!(all, (0..rows).collect::<Vec<_>>(), "{rows} {together} {most}");
        }
        assert_eq!(Rows::new(100, 30, 40).of(1), 30..60, "as they are stored");
    }
}
