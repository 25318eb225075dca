//! Recognises the format of a file: by its content, and by its extension where the content does not tell.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    ptr,
};

use super::{
    FORMATS, Format, ReadOptions, Reading, Source,
    pieces::{Pieces, read_all},
    unknown_format,
};
use crate::{Error, ErrorKind, Recording, Result};

/// The bytes from which a format is recognised: 64 KiB. A WFDB header may begin with comments, which take up some KiB in
/// annotated databases. One read of this length is quick on any disk, whatever the size of the file.
pub(super) const RECOGNISED_BY: usize = 64 << 10;

/// The format of a file, and what its extension says against it.
pub(super) struct Recognised {
    format: &'static Format,
    contradiction: Option<String>,
}

impl Recognised {
    /// Recognises a file by its name and its first bytes. The extension decides where no format recognises the bytes, or
    /// several do.
    pub(super) fn of(path: &Path, start: &[u8]) -> Option<Self> {
        let by_extension = Format::by_extension(path);
        let recognises = |format: &&'static Format| (format.recognises)(start);
        let by_content = || FORMATS.iter().find(recognises);
        let format = by_extension.filter(recognises).or_else(by_content).or(by_extension)?;
        let stands_for = by_extension.or_else(|| Format::by_companion(path));
        // Several formats may share an extension.
        let contradicts = |other: &&Format| !ptr::eq(*other, format) && !format.has_extension(path);
        let contradiction = stands_for.filter(contradicts).map(|other| {
            let extension = path.extension().unwrap_or_default().display();
            format!(
                "the extension .{extension} stands for {}, but the content is {}: read as such",
                other.name, format.name
            )
        });
        Some(Self { format, contradiction })
    }

    /// Returns the format's name.
    #[cfg(feature = "compressed")]
    pub(super) fn name(&self) -> &'static str {
        self.format.name
    }

    /// Whether the format's files need others, as a WFDB header its signal files.
    #[cfg(feature = "compressed")]
    pub(super) fn has_companions(&self) -> bool {
        !self.format.companions.is_empty()
    }

    /// Whether a file with these first bytes may hold an ECG: it is of a format of ECGs alone, or looks like one.
    #[cfg(feature = "compressed")]
    pub(super) fn may_hold_ecg(&self, start: &[u8], options: &ReadOptions) -> bool {
        self.format.plausible.is_none_or(|plausible| plausible(start, options))
    }

    /// Recognises the file at `path`. Returns also the file to begin with: `path` itself, or the main file to which it
    /// belongs.
    ///
    /// # Errors
    /// The file cannot be read, its format is unknown, or its main file is missing.
    pub(super) fn of_file(path: &Path) -> Result<(Self, PathBuf)> {
        if let Some(found) = Self::of_listing(path) {
            return Ok(found);
        }
        let start = match path.metadata() {
            Ok(metadata) if metadata.is_file() => {
                let source = Source::File(path.to_path_buf());
                source.open()?.read_start(RECOGNISED_BY as u64).map_err(|error| source.unreadable(error))?
            }
            // Anything else, such as a pipe, can be read only once and might make a reader wait without end.
            _ => Vec::new(),
        };
        if let Some(recognised) = Self::of(path, &start) {
            return Ok((recognised, path.to_path_buf()));
        }
        let missing = || path.metadata().err().map(|error| Error::file(path, error));
        let Some((format, main)) = Format::main_file(path) else {
            return Err(missing().unwrap_or_else(|| unknown_format(path)));
        };
        if !main.is_file() {
            let cause = format!("{} belongs to {}, which is not there", path.display(), main.display());
            return Err(missing().unwrap_or_else(|| {
                Error::new(ErrorKind::File, cause, "put both into one folder, or name the header that lists it")
            }));
        }
        Ok((Self { format, contradiction: None }, main))
    }

    /// Returns the main file beside a companion that lists it, such as the header of a signal file: it knows more about the
    /// samples than a signal file that is also of a format of its own, such as MAT.
    fn of_listing(path: &Path) -> Option<(Self, PathBuf)> {
        Format::by_companion(path)?;
        let (format, main) = Format::main_file(path).filter(|(_, main)| main.is_file())?;
        let start = Source::File(main.clone()).open().ok()?.read_start(RECOGNISED_BY as u64).ok()?;
        format.lists(&start, path).then_some((Self { format, contradiction: None }, main))
    }

    /// Recognises files in memory that belong together. Returns also the position of the one to begin with: the first, or
    /// the main part to which it belongs, of the same stem if there are several.
    ///
    /// # Errors
    /// There are no parts, their format is unknown, or the main part is missing.
    pub(super) fn of_parts(parts: &[(&str, &[u8])]) -> Result<(Self, usize)> {
        let recognised = |(name, bytes): &(&str, &[u8])| {
            let start = &bytes[..bytes.len().min(RECOGNISED_BY)];
            Self::of(Path::new(name), start)
        };
        let Some(first) = parts.first() else {
            return Err(Error::new(ErrorKind::Usage, "a recording without parts", "give its files"));
        };
        let path = Path::new(first.0);
        let belongs_to = Format::by_companion(path);
        let same_stem = |position: usize| Path::new(parts[position].0).file_stem() == path.file_stem();
        let lists = |(position, (_, bytes)): (usize, &(&str, &[u8]))| {
            let start = &bytes[..bytes.len().min(RECOGNISED_BY)];
            Some((belongs_to.filter(|format| format.lists(start, path))?, position))
        };
        let listing = parts.iter().enumerate().filter_map(lists).min_by_key(|(_, position)| !same_stem(*position));
        if let Some((format, position)) = listing {
            return Ok((Self { format, contradiction: None }, position));
        }
        if let Some(found) = recognised(first) {
            return Ok((found, 0));
        }
        let is_main = |found: &Self| match belongs_to {
            Some(format) => ptr::eq(found.format, format),
            None => !found.format.companions.is_empty(),
        };
        let mains = parts.iter().map(recognised).enumerate();
        let mains = mains.filter_map(|(position, found)| Some((found.filter(is_main)?, position)));
        mains.min_by_key(|(_, position)| !same_stem(*position)).ok_or_else(|| match belongs_to {
            Some(format) => {
                let main = path.with_extension(format.extensions[0]);
                let cause = format!("{} belongs to {}, which was not given", path.display(), main.display());
                Error::new(ErrorKind::File, cause, "give both")
            }
            None => unknown_format(path),
        })
    }

    /// Reads a source of this format. An error names the source, and a contradiction becomes a warning.
    pub(super) fn read(&self, source: Source, options: &ReadOptions) -> Result<Vec<Recording>> {
        let name = source.name();
        let read = match self.format.reading {
            Reading::Whole(read) => read(&source, options),
            Reading::Pieces(open) => open(source, options).and_then(|pieces| read_all(pieces.as_ref(), options)),
        };
        let recordings = read.map_err(|error| named(&name, error))?;
        Ok(recordings.into_iter().map(|recording| self.warn(recording)).collect())
    }

    /// Opens a source of this format; None if the format is read at once.
    pub(super) fn open<'s>(&self, source: Source<'s>, options: &ReadOptions) -> Result<Option<Box<dyn Pieces + 's>>> {
        let Reading::Pieces(open) = self.format.reading else { return Ok(None) };
        let name = source.name();
        open(source, options).map(Some).map_err(|error| named(&name, error))
    }

    /// Reads a piece of a source that was opened. Errors name the source, and a contradiction becomes a warning.
    pub(super) fn read_piece(
        &self,
        name: &dyn Display,
        pieces: &dyn Pieces,
        piece: usize,
        options: &ReadOptions,
    ) -> Result<Vec<Result<Recording>>> {
        let recordings = pieces.read(piece, options).map_err(|error| named(name, error))?;
        let complete = |recording: Result<Recording>| match recording {
            Ok(recording) => Ok(self.warn(recording)),
            Err(error) => Err(named(name, error)),
        };
        Ok(recordings.into_iter().map(complete).collect())
    }

    /// Adds the contradiction to the warnings of a recording.
    fn warn(&self, mut recording: Recording) -> Recording {
        self.contradiction.iter().for_each(|contradiction| recording.warn(contradiction.clone()));
        recording
    }
}

/// Puts the source's name before an error. An error of kind File already names its file, which may be another part.
fn named(source: &dyn Display, error: Error) -> Error {
    if error.kind() == ErrorKind::File { error } else { error.at(source) }
}

impl Format {
    /// Whether files of this format are read piece by piece.
    pub(super) fn has_pieces(&self) -> bool {
        matches!(self.reading, Reading::Pieces(_))
    }

    /// Returns the format that the extension of `path` stands for, in any case.
    pub(super) fn by_extension(path: &Path) -> Option<&'static Format> {
        FORMATS.iter().find(|format| format.has_extension(path))
    }

    /// Whether `path` has one of the extensions of this format, in any case.
    pub(super) fn has_extension(&self, path: &Path) -> bool {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| self.extensions.iter().any(|own| extension.eq_ignore_ascii_case(own)))
    }

    /// Returns the format whose companions have the extension of `path`, in any case.
    pub(super) fn by_companion(path: &Path) -> Option<&'static Format> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        FORMATS.iter().find(|format| format.companions.contains(&extension.as_str()))
    }

    /// Returns the main file to which `path` belongs, and its format: the header of a signal file, or the header of a
    /// WFDB record that is named without extension. The main file of a companion may be missing.
    pub(super) fn main_file(path: &Path) -> Option<(&'static Format, PathBuf)> {
        if let Some(format) = Self::by_companion(path) {
            let [usual, capitals] = format.main_extensions().map(|extension| path.with_extension(extension));
            return Some((format, if capitals.is_file() && !usual.is_file() { capitals } else { usual }));
        }
        FORMATS.iter().filter(|format| !format.companions.is_empty()).find_map(|format| {
            let mains = format.main_extensions().map(|extension| {
                let mut main = path.as_os_str().to_owned();
                main.push(format!(".{extension}"));
                PathBuf::from(main)
            });
            mains.into_iter().find(|main| main.is_file()).map(|main| (format, main))
        })
    }

    /// Returns the usual extension of the main file, and the same in capitals, in which old file systems store names.
    fn main_extensions(&self) -> [String; 2] {
        [self.extensions[0].to_string(), self.extensions[0].to_ascii_uppercase()]
    }

    /// Whether the first bytes of a main file of this format list the file at `path`, in any case.
    fn lists(&self, start: &[u8], path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let text = String::from_utf8_lossy(start);
        (self.recognises)(start) && text.split_whitespace().any(|word| word.eq_ignore_ascii_case(&name))
    }
}
