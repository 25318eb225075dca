//! Decompresses within bounds.

use std::io::{self, Read};

use super::super::{damaged, limits};
use crate::{Error, Result};

/// The bytes that a compressed file may still decompress to.
pub(super) struct Budget {
    left: u64,
}

impl Budget {
    /// Returns that of a compressed file of `size` bytes, which is held in memory.
    pub(super) fn of(size: u64) -> Self {
        Self { left: limits::decompressed(size) }
    }

    /// Returns that of compressed files of `size` bytes together, which are held in memory one after the other.
    pub(super) fn of_many(size: u64) -> Self {
        Self { left: limits::plausible(size) }
    }

    /// Reads all that `reader` gives.
    ///
    /// # Errors
    /// It gives more than the budget has left, or fails.
    pub(super) fn read(&mut self, mut reader: impl Read) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = reader.by_ref().take(self.left).read_to_end(&mut bytes);
        read.map_err(|error| broken(&error))?;
        self.left -= bytes.len() as u64;
        if self.left == 0 && reader.read(&mut [0]).map_err(|error| broken(&error))? > 0 {
            let cause = "it decompresses to many times its size, which no ECG does";
            return Err(damaged(cause, "unpack it by other means, and give the files that are ECGs"));
        }
        Ok(bytes)
    }

    /// Reads up to `limit` bytes of what `reader` gives.
    ///
    /// # Errors
    /// As for [`Budget::read`].
    pub(super) fn read_start(&mut self, reader: impl Read, limit: u64) -> Result<Vec<u8>> {
        self.read(reader.take(limit))
    }
}

fn broken(error: &io::Error) -> Error {
    damaged(format!("the compressed data are damaged ({error})"), "get the file again: it is cut off or was altered")
}
