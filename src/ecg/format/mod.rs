//! File formats of ECGs, read from paths and from memory, and written.
//!
//! A WFDB header states leads, sampling rate and unit. An array states none of them, and a table only the leads. What is
//! missing comes from [`ReadOptions`] or is assumed, and every assumption becomes a warning of the recording.

mod array;
mod assumptions;
#[cfg(feature = "compressed")]
mod compressed;
#[cfg(any(feature = "scp", feature = "ishne"))]
mod crc;
#[cfg(feature = "dicom")]
mod dicom;
#[cfg(feature = "edf")]
mod edf;
mod find;
mod gain;
mod gaps;
#[cfg(feature = "hdf5")]
mod hdf5;
#[cfg(feature = "ishne")]
mod ishne;
#[cfg(any(feature = "compressed", feature = "mat", feature = "hdf5"))]
mod limits;
#[cfg(any(feature = "scp", feature = "ishne"))]
mod little_endian;
#[cfg(feature = "mat")]
mod mat;
mod npy;
mod pieces;
mod reader;
mod recognise;
#[cfg(feature = "scp")]
mod scp;
mod signals;
mod source;
mod table;
mod text;
#[cfg(any(feature = "dicom", feature = "edf"))]
mod voltage;
mod wfdb;
mod write;
// Each kind of XML uses a part of what they share.
#[cfg_attr(not(all(feature = "muse", feature = "aecg", feature = "philips")), allow(dead_code))]
#[cfg(any(feature = "muse", feature = "aecg", feature = "philips"))]
mod xml;

use std::path::Path;

pub use find::{Entry, Found, find, walk};
pub use npy::{RawArray, read_raw, read_raw_bytes};
use pieces::Pieces;
pub use reader::Reader;
use recognise::Recognised;
use source::Source;
pub use write::Writer;

use super::{Lead, Recording, Unit, check_sampling_rate};
use crate::{Error, ErrorKind, Result};

/// States what a file does not say, or says wrongly.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadOptions {
    /// Sampling rate in Hz; overrides a WFDB header.
    pub sampling_rate: Option<f64>,
    /// The unit of the samples; overrides a WFDB header.
    pub unit: Option<Unit>,
    /// The leads of an array or a table without a header line, in their order; the twelve of [`Lead::STANDARD`] if
    /// absent. Files that name their leads ignore it, with a warning.
    pub leads: Option<Vec<Lead>>,
}

impl ReadOptions {
    /// Checks that the options make sense, before any file is read.
    ///
    /// # Errors
    /// A sampling rate that is not a positive number, or an empty list of leads.
    pub fn check(&self) -> Result<()> {
        self.sampling_rate.map_or(Ok(()), |rate| check_sampling_rate(rate, ErrorKind::Usage))?;
        if self.leads.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::new(ErrorKind::Usage, "an empty list of leads", "name at least one lead"));
        }
        Ok(())
    }

    /// Returns the leads of a file that does not name them.
    fn leads(&self) -> &[Lead] {
        self.leads.as_deref().unwrap_or(&Lead::STANDARD)
    }

    /// Warns where leads were given for a file that names its leads.
    fn warn_of_unused_leads(&self, recording: &mut Recording) {
        if self.leads.is_some() {
            recording.warn("the file names its leads; the list of leads that was given is ignored");
        }
    }
}

/// A file format: how it is recognised and read. One line of [`FORMATS`].
struct Format {
    /// The name that messages use.
    name: &'static str,
    /// Extensions of the file that a reader begins with, in lower case.
    extensions: &'static [&'static str],
    /// Extensions of files that belong to such a file and are read with it.
    companions: &'static [&'static str],
    /// Whether the first bytes of a file, up to 64 KiB, are of this format beyond doubt. The answer outweighs the extension.
    recognises: fn(&[u8]) -> bool,
    /// Whether the first bytes of a file may be those of an ECG, for formats that hold anything: a search through folders
    /// leaves other files out. None for formats that hold nothing but ECGs.
    plausible: Option<fn(&[u8], &ReadOptions) -> bool>,
    /// How its recordings are read.
    reading: Reading,
}

/// How the recordings of a format are read.
enum Reading {
    /// All at once.
    Whole(fn(&Source, &ReadOptions) -> Result<Vec<Recording>>),
    /// Piece by piece.
    Pieces(for<'s> fn(Source<'s>, &ReadOptions) -> Result<Box<dyn Pieces + 's>>),
}

/// Every format. Adding one is a file in this folder and a line here.
static FORMATS: &[Format] = &[
    wfdb::FORMAT,
    npy::FORMAT,
    #[cfg(feature = "dicom")]
    dicom::FORMAT,
    #[cfg(feature = "edf")]
    edf::FORMAT,
    #[cfg(feature = "ishne")]
    ishne::FORMAT,
    #[cfg(feature = "scp")]
    scp::FORMAT,
    #[cfg(feature = "muse")]
    xml::muse::FORMAT,
    #[cfg(feature = "aecg")]
    xml::aecg::FORMAT,
    #[cfg(feature = "philips")]
    xml::philips::FORMAT,
    #[cfg(feature = "mat")]
    mat::FORMAT,
    #[cfg(feature = "hdf5")]
    hdf5::FORMAT,
    // An archive of arrays comes before the archives of all kinds of files, which recognise it too.
    #[cfg(feature = "compressed")]
    compressed::NPZ,
    #[cfg(feature = "compressed")]
    compressed::GZIP,
    #[cfg(feature = "compressed")]
    compressed::ZIP,
    table::FORMAT,
];

/// Reads the recordings of a file: one of a WFDB record (`.hea`, `.dat`, or the record's name without extension) or a table of text
/// (`.csv`), one or more of a NumPy array (`.npy`). The format is recognised by the content; where that does not
/// tell, the extension does. A file whose extension contradicts its content is read as what it contains, with a warning.
///
/// # Errors
/// An unknown format, a file that cannot be read, or contents that are no ECG. The message names the file.
pub fn read(path: &Path, options: &ReadOptions) -> Result<Vec<Recording>> {
    options.check()?;
    if path.is_dir() {
        let cause = format!("{} is a folder", path.display());
        return Err(Error::new(ErrorKind::Usage, cause, "name one of its files"));
    }
    let (recognised, main) = Recognised::of_file(path)?;
    recognised.read(Source::File(main), options)
}

/// Reads the recordings of a file in memory. `name` is the file's name, which has the same meaning as the path of
/// [`read`].
///
/// # Errors
/// As for [`read`]; a WFDB header needs its signal files, see [`read_parts`].
pub fn read_bytes(name: &str, bytes: &[u8], options: &ReadOptions) -> Result<Vec<Recording>> {
    read_parts(&[(name, bytes)], options)
}

/// Reads the recordings of several files in memory that belong together, each with its name, such as a WFDB header and
/// its signal files. Their order does not matter. Of several headers the first is read, or the one with the name of the
/// first file.
///
/// # Errors
/// As for [`read`], or a part that is missing.
pub fn read_parts(parts: &[(&str, &[u8])], options: &ReadOptions) -> Result<Vec<Recording>> {
    options.check()?;
    let (recognised, main) = Recognised::of_parts(parts)?;
    let mut parts = parts.to_vec();
    parts.swap(0, main);
    recognised.read(Source::Parts(parts), options)
}

/// Reads the recordings of a file in memory as [`read_bytes`] does. One that is damaged is an error in its place, where the
/// others can be read: in an array, a data set or an archive.
///
/// # Errors
/// As for [`read_bytes`], but for those of single recordings.
pub fn read_each(name: &str, bytes: &[u8], options: &ReadOptions) -> Result<Vec<Result<Recording>>> {
    options.check()?;
    let (recognised, _) = Recognised::of_parts(&[(name, bytes)])?;
    let source = || Source::Parts(vec![(name, bytes)]);
    let Some(pieces) = recognised.open(source(), options)? else {
        return Ok(recognised.read(source(), options)?.into_iter().map(Ok).collect());
    };
    let read = |piece| recognised.read_piece(&name, pieces.as_ref(), piece, options);
    Ok((0..pieces.len()).map(read).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn unknown_format(path: &Path) -> Error {
    let extension = path.extension().map_or("no extension".into(), |text| format!("extension '{}'", text.display()));
    let cause = format!("{} has {extension}, and its content is of no known format", path.display());
    Error::new(ErrorKind::Usage, cause, format!("give a file of {}", names()))
}

/// Lists the formats that can be read, with their extensions, such as `WFDB (.hea, .dat) or NumPy (.npy)`.
pub fn names() -> String {
    let name = |format: &Format| {
        let extensions = format.extensions.iter().chain(format.companions).map(|extension| format!(".{extension}"));
        format!("{} ({})", format.name, extensions.collect::<Vec<_>>().join(", "))
    };
    let names: Vec<String> = FORMATS.iter().map(name).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// Shortens and escapes a part of a file for one line of an error message, since it can be anything.
fn shown(part: &[u8]) -> String {
    String::from_utf8_lossy(part).trim().chars().take(40).flat_map(char::escape_debug).collect()
}

/// Makes an error about a file's contents.
fn damaged(cause: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::new(ErrorKind::Recording, cause, remedy)
}
