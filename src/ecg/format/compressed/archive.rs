//! The files of a zip archive.

use std::io::Read;

use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, ZipArchive, ZipArchiveEntryWayfinder, ZipSliceArchive};

use super::{
    super::{damaged, shown},
    inflate::Budget,
};
use crate::{Error, Result};

/// The largest number of files in an archive; more would take long to look at.
const MOST_FILES: usize = 10_000;

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

    /// Whether it is a file that a system or a program keeps beside others: a hidden one, or one of macOS.
    pub(super) fn is_hidden(&self) -> bool {
        self.path().split('/').any(|part| part.starts_with('.') || part == "__MACOSX")
    }
}

/// A zip archive in memory.
pub(super) struct Archive<'a> {
    archive: ZipSliceArchive<&'a [u8]>,
    entries: Vec<Entry>,
}

impl<'a> Archive<'a> {
    /// Lists the files of an archive.
    ///
    /// # Errors
    /// It is no archive, damaged, or has too many files.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self> {
        let archive = ZipArchive::from_slice(bytes).map_err(|error| broken(&error))?;
        let mut entries = Vec::new();
        let mut listed = archive.entries();
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
        Ok(Self { archive, entries })
    }

    /// Returns the files, in the archive's order.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Decompresses a file.
    ///
    /// # Errors
    /// It is encrypted, compressed in another way than deflate, damaged, or exceeds the budget.
    pub(super) fn read(&self, entry: &Entry, budget: &mut Budget) -> Result<Vec<u8>> {
        let found = self.find(entry)?;
        budget.read(found.verifying_reader(decoder(entry, found.data())?)).map_err(|error| error.at(entry.path()))
    }

    /// Decompresses the first `limit` bytes of a file.
    ///
    /// # Errors
    /// As for [`Archive::read`].
    pub(super) fn read_start(&self, entry: &Entry, limit: u64, budget: &mut Budget) -> Result<Vec<u8>> {
        let found = self.find(entry)?;
        budget.read_start(decoder(entry, found.data())?, limit).map_err(|error| error.at(entry.path()))
    }

    fn find(&self, entry: &Entry) -> Result<rawzip::ZipSliceEntry<'_>> {
        if entry.encrypted {
            let cause = format!("{} is encrypted", shown(entry.path().as_bytes()));
            return Err(damaged(cause, "unpack the archive with its password, and give the files"));
        }
        self.archive.get_entry(entry.place).map_err(|error| broken(&error).at(entry.path()))
    }
}

fn decoder<'d>(entry: &Entry, data: &'d [u8]) -> Result<Box<dyn Read + 'd>> {
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
