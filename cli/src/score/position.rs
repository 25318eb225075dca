//! Where a run is among its files.

use std::borrow::Borrow;

use serde::{Deserialize, Serialize};

/// A piece of a file. Positions are ordered as a run comes to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The number of the file among all files of the run, counted from 0.
    pub file: u64,
    /// The number of the piece in its file, counted from 0.
    pub piece: usize,
}

impl Position {
    /// Returns the position behind this piece.
    pub fn next(self) -> Self {
        Self { piece: self.piece + 1, ..self }
    }
}

/// The files that a run has passed, with a hash of their names: a run that goes on finds whether they are still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Their number.
    pub files: u64,
    /// FNV-1a (Fowler, Noll and Vo) of their names, each with a zero behind it.
    names: u64,
}

impl Default for Passed {
    fn default() -> Self {
        Self { files: 0, names: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Passed {
    /// Adds a file.
    pub fn add(&mut self, name: impl Borrow<str>) {
        self.files += 1;
        let bytes = name.borrow().bytes().chain([0]);
        self.names = bytes.fold(self.names, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    }
}

/// Where a run stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// The first piece without a result.
    pub next: Position,
    pub passed: Passed,
}
