//! The files of a zip archive.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use flate2::read::DeflateDecoder;
use rawzip::{
    CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ReaderAt, ZipArchive, ZipArchiveEntryWayfinder, ZipEntry,
    ZipLocator,
};

use super::{
    super::{Source, damaged, shown},
    inflate::Budget,
};
use crate::{Error, Result};

/// The largest number of files in an archive. The list of them is held in memory.
const MOST_FILES: usize = 1_000_000;

/// A file in an archive.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The folders, each with a slash behind it, in the archive's own spelling. They are names only: nothing is opened there.
    pub(super) folder: String,
    /// The name without folders.
    pub(super) file: String,
    encrypted: bool,
    method: CompressionMethod,
    place: ZipArchiveEntryWayfinder,
}

impl Entry {
    /// Returns the name with its folders.
    pub(super) fn path(&self) -> String {
        format!("{}{}", self.folder, self.file)
    }

    /// Returns what files that belong together have in common: the folder and the name without extension, in lower case.
    pub(super) fn stem(&self) -> String {
        stem(&self.folder, &self.file)
    }

    /// Whether it is a file that a system or a program keeps beside others: a hidden one, or one of macOS.
    pub(super) fn is_hidden(&self) -> bool {
        self.path().split('/').any(|part| part.starts_with('.') || part == "__MACOSX")
    }
}

/// Returns the stem of a file in a folder, see [`Entry::stem`].
pub(super) fn stem(folder: &str, file: &str) -> String {
    let stem = Path::new(file).file_stem().unwrap_or_default();
    format!("{folder}{}", stem.to_string_lossy().to_lowercase())
}

/// A zip archive, in a file or in memory.
pub(super) struct Archive<'a> {
    archive: ZipArchive<Bytes<'a>>,
    entries: Vec<Entry>,
    /// The length of the archive in bytes.
    size: u64,
}

impl<'a> Archive<'a> {
    /// Lists the files of an archive.
    ///
    /// # Errors
    /// It is no archive, damaged, or has too many files.
    pub(super) fn of(source: &Source<'a>) -> Result<Self> {
        let (bytes, size) = Bytes::of(source)?;
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let located = ZipLocator::new().locate_in_reader(bytes, &mut buffer, size);
        let archive = located.map_err(|(_, error)| broken(&error))?;
        let mut entries = Vec::new();
        let mut listed = archive.entries(&mut buffer);
        while let Some(entry) = listed.next_entry().map_err(|error| broken(&error))? {
            if entry.is_dir() {
                continue;
            }
            if entries.len() == MOST_FILES {
                let cause = format!("an archive of more than {MOST_FILES} files");
                return Err(damaged(cause, "unpack it, and give the folder"));
            }
            let path = String::from_utf8_lossy(entry.file_path().as_bytes()).replace('\\', "/");
            let (folder, file) = path.split_at(path.rfind('/').map_or(0, |slash| slash + 1));
            entries.push(Entry {
                folder: folder.into(),
                file: file.into(),
                encrypted: entry.flags().is_encrypted(),
                method: entry.compression_method(),
                place: entry.wayfinder(),
            });
        }
        Ok(Self { archive, entries, size })
    }

    /// Returns the files, in the archive's order.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns what files of the archive may decompress to: all of them, or as many as are read for one recording.
    pub(super) fn budget(&self) -> Budget {
        Budget::of(self.size)
    }

    /// Returns what the beginnings of all files may decompress to.
    pub(super) fn listing_budget(&self) -> Budget {
        Budget::of_many(self.size)
    }

    /// Decompresses a file.
    ///
    /// # Errors
    /// It is encrypted, compressed in another way than deflate, damaged, or exceeds the budget.
    pub(super) fn read(&self, entry: &Entry, budget: &mut Budget) -> Result<Vec<u8>> {
        let found = self.find(entry)?;
        let reader = found.verifying_reader(decoder(entry, found.reader())?);
        budget.read(reader).map_err(|error| error.at(entry.path()))
    }

    /// Decompresses the first `limit` bytes of a file.
    ///
    /// # Errors
    /// As for [`Archive::read`].
    pub(super) fn read_start(&self, entry: &Entry, limit: u64, budget: &mut Budget) -> Result<Vec<u8>> {
        let found = self.find(entry)?;
        budget.read_start(decoder(entry, found.reader())?, limit).map_err(|error| error.at(entry.path()))
    }

    fn find(&self, entry: &Entry) -> Result<ZipEntry<'_, Bytes<'a>>> {
        if entry.encrypted {
            let cause = format!("{} is encrypted", shown(entry.path().as_bytes()));
            return Err(damaged(cause, "unpack the archive with its password, and give the files"));
        }
        self.archive.get_entry(entry.place).map_err(|error| broken(&error).at(entry.path()))
    }
}

/// The bytes of an archive. Threads can read different places at the same time.
enum Bytes<'a> {
    File(FileReader),
    Memory(&'a [u8]),
}

impl<'a> Bytes<'a> {
    /// Returns the bytes of a source, and their number.
    fn of(source: &Source<'a>) -> Result<(Self, u64)> {
        match source {
            Source::File(path) => {
                let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
                let (size, file) = opened.map_err(|error| source.unreadable(error))?;
                Ok((Bytes::File(file.into()), size))
            }
            Source::Parts(parts) => {
                let bytes = parts.first().map_or(&[][..], |(_, bytes)| bytes);
                Ok((Bytes::Memory(bytes), bytes.len() as u64))
            }
        }
    }
}

impl ReaderAt for Bytes<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Bytes::File(file) => file.read_at(buffer, offset),
            Bytes::Memory(bytes) => bytes.read_at(buffer, offset),
        }
    }
}

fn decoder<'d>(entry: &Entry, data: impl Read + 'd) -> Result<Box<dyn Read + 'd>> {
    match entry.method {
        CompressionMethod::STORE => Ok(Box::new(data)),
        CompressionMethod::DEFLATE => Ok(Box::new(DeflateDecoder::new(data))),
        other => {
            let cause = format!("{} is compressed by method {other:?}", shown(entry.path().as_bytes()));
            Err(damaged(cause, "make the archive again with the usual method, deflate, or give the files unpacked"))
        }
    }
}

fn broken(error: &rawzip::Error) -> Error {
    damaged(format!("no intact zip archive ({error})"), "get the file again: it is cut off or was altered")
}
