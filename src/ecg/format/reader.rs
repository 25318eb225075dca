//! Reads a file of many recordings piece by piece.

use std::path::{Path, PathBuf};

use super::{Format, ReadOptions, Source, pieces::Pieces, read, recognise::Recognised};
use crate::{Recording, Result};

/// A file whose recordings are read piece by piece, so that memory does not grow with their number: some recordings of an
/// array or a data set, or one file of an archive. Any other file is one piece. Threads can read pieces at the same time.
pub struct Reader {
    path: PathBuf,
    options: ReadOptions,
    /// None for a file that is one piece, which is opened when it is read.
    opened: Option<(Recognised, Box<dyn Pieces>)>,
}

impl Reader {
    /// Whether a file at `path` may have several pieces, by its extension. All other files are one piece, whatever they
    /// contain.
    pub fn may_have_pieces(path: &Path) -> bool {
        Format::by_extension(path).is_some_and(Format::has_pieces)
    }

    /// Opens a file that may have several pieces. Another one is opened when it is read.
    ///
    /// # Errors
    /// As for [`read`](super::read()).
    pub fn open(path: &Path, options: &ReadOptions) -> Result<Self> {
        options.check()?;
        let opened = if Self::may_have_pieces(path) && path.is_file() {
            let (recognised, main) = Recognised::of_file(path)?;
            let pieces = recognised.open(Source::File(main), options)?;
            pieces.map(|pieces| (recognised, pieces))
        } else {
            None
        };
        Ok(Self { path: path.to_path_buf(), options: options.clone(), opened })
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the number of pieces.
    pub fn pieces(&self) -> usize {
        self.opened.as_ref().map_or(1, |(_, pieces)| pieces.len())
    }

    /// Returns how many recordings a piece holds, as far as that is known before it is read: one, if it is not.
    pub fn recordings(&self, piece: usize) -> usize {
        self.opened.as_ref().map_or(1, |(_, pieces)| pieces.recordings(piece))
    }

    /// Returns the name of a piece: the path of the file, and in an archive the path within behind it.
    pub fn name(&self, piece: usize) -> String {
        let within = self.opened.as_ref().and_then(|(_, pieces)| pieces.name(piece));
        within.map_or_else(|| self.path.clone(), |within| self.path.join(within)).display().to_string()
    }

    /// Returns what its user should know of the file as a whole, such as the files of an archive that hold no ECG.
    pub fn note(&self) -> Option<String> {
        self.opened.as_ref().and_then(|(_, pieces)| pieces.note())
    }

    /// Reads the recordings of a piece. One that is damaged or no ECG is an error in its place, where the others can be read.
    /// There are none if `piece` is not below [`Reader::pieces`].
    ///
    /// # Errors
    /// As for [`read`](super::read()).
    pub fn read(&self, piece: usize) -> Result<Vec<Result<Recording>>> {
        match &self.opened {
            Some((recognised, pieces)) if piece < pieces.len() => {
                recognised.read_piece(&self.path.display(), pieces.as_ref(), piece, &self.options)
            }
            None if piece == 0 => Ok(read(&self.path, &self.options)?.into_iter().map(Ok).collect()),
            _ => Ok(Vec::new()),
        }
    }
}
