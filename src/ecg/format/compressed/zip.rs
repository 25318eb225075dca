//! Zip archives (PKWARE's APPNOTE.TXT) of one or more recordings of any other format.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use super::{
    super::{
        Format, ReadOptions, Reading, Source, damaged,
        pieces::Pieces,
        recognise::{RECOGNISED_BY, Recognised},
        shown,
    },
    archive::{Archive, Entry, stem},
    is_nested,
};
use crate::{Error, ErrorKind, Recording, Result};

/// Largest number of names that a message lists.
const LISTED: usize = 3;

/// Zip archives.
pub(in crate::ecg::format) const FORMAT: Format = Format {
    name: "zip",
    extensions: &["zip"],
    companions: &[],
    recognises,
    plausible: None,
    reading: Reading::Pieces(open),
};

/// Recognises the header of a file in an archive, APPNOTE.TXT, section 4.3.7.
pub(super) fn recognises(start: &[u8]) -> bool {
    start.starts_with(b"PK\x03\x04")
}

fn open<'s>(source: Source<'s>, options: &ReadOptions) -> Result<Box<dyn Pieces + 's>> {
    Ok(Box::new(Files::of(&source, options)?))
}

/// The files of an archive that readers begin with, each with the other files of its folder where it needs them.
struct Files<'a> {
    archive: Archive<'a>,
    mains: Vec<Main>,
    /// The positions of all files by their paths without extension, in lower case.
    by_stem: HashMap<String, Vec<usize>>,
    /// The files that hold no ECG.
    skipped: Option<String>,
}

/// A file that a reader begins with.
struct Main {
    /// Its position in the archive.
    at: usize,
    recognised: Recognised,
    /// Whether it may hold an ECG, for formats that hold anything.
    plausible: bool,
}

impl<'a> Files<'a> {
    /// Lists the files of an archive.
    fn of(source: &Source<'a>, options: &ReadOptions) -> Result<Self> {
        let archive = Archive::of(source)?;
        let Sorted { mut mains, mut others, named } = sort(&archive, options)?;
        let entries = archive.entries();
        // A table may be of anything, such as a list of the recordings.
        if mains.iter().any(|main| main.plausible) {
            others.extend(mains.extract_if(.., |main| !main.plausible).map(|main| main.at));
        }
        others.retain(|at| !named.contains(&entries[*at].stem()));
        others.sort_unstable();
        let skipped = list(others.iter().map(|at| &entries[*at]));
        if mains.is_empty() {
            return Err(none(skipped));
        }
        let mut by_stem: HashMap<String, Vec<usize>> = HashMap::new();
        entries.iter().enumerate().for_each(|(at, entry)| by_stem.entry(entry.stem()).or_default().push(at));
        Ok(Self { mains, by_stem, skipped, archive })
    }

    /// Returns the files that a header names, without itself.
    fn beside(&self, main: &Main, header: &[u8]) -> Vec<&Entry> {
        let entries = self.archive.entries();
        let named = named(&entries[main.at], header);
        let files = named.iter().filter_map(|stem| self.by_stem.get(stem)).flatten();
        let mut files: Vec<usize> = files.copied().filter(|at| *at != main.at).collect();
        files.sort_unstable();
        files.into_iter().map(|at| &entries[at]).collect()
    }
}

impl Pieces for Files<'_> {
    fn len(&self) -> usize {
        self.mains.len()
    }

    fn name(&self, piece: usize) -> Option<String> {
        Some(self.archive.entries()[self.mains[piece].at].path())
    }

    fn note(&self) -> Option<String> {
        self.skipped.as_ref().map(|files| format!("skipped in the archive: {files}"))
    }

    fn read(&self, piece: usize, options: &ReadOptions) -> Result<Vec<Result<Recording>>> {
        let main = &self.mains[piece];
        let entry = &self.archive.entries()[main.at];
        let mut budget = self.archive.budget();
        let bytes = self.archive.read(entry, &mut budget)?;
        let beside = if main.recognised.has_companions() { self.beside(main, &bytes) } else { Vec::new() };
        let read = beside.into_iter().map(|other| Ok((other.file.as_str(), self.archive.read(other, &mut budget)?)));
        let beside = read.collect::<Result<Vec<_>>>()?;
        let mut parts = vec![(entry.file.as_str(), &bytes[..])];
        parts.extend(beside.iter().map(|(file, bytes)| (*file, &bytes[..])));
        let recordings = main.recognised.read(Source::Parts(parts), options).map_err(|error| within(entry, error))?;
        Ok(recordings.into_iter().map(Ok).collect())
    }
}

/// The files of an archive by their use.
struct Sorted {
    mains: Vec<Main>,
    /// The positions of all others.
    others: Vec<usize>,
    /// The paths without extension that headers name.
    named: HashSet<String>,
}

/// Tells the files that readers begin with from all others.
fn sort(archive: &Archive, options: &ReadOptions) -> Result<Sorted> {
    let mut sorted = Sorted { mains: Vec::new(), others: Vec::new(), named: HashSet::new() };
    let mut budget = archive.listing_budget();
    for (at, entry) in archive.entries().iter().enumerate() {
        let path = Path::new(&entry.file);
        if entry.is_hidden() || Format::by_companion(path).is_some() {
            sorted.others.push(at);
            continue;
        }
        let start = archive.read_start(entry, RECOGNISED_BY as u64, &mut budget)?;
        match Recognised::of(path, &start).filter(|recognised| !is_nested(recognised)) {
            Some(recognised) => {
                if recognised.has_companions() {
                    sorted.named.extend(named(entry, &start));
                }
                let plausible = recognised.may_hold_ecg(&start, options);
                sorted.mains.push(Main { at, recognised, plausible });
            }
            None => sorted.others.push(at),
        }
    }
    // The signal file of a header may itself be recognised, as MATLAB files of the CinC Challenges are.
    let is_signal = |main: &mut Main| {
        !main.recognised.has_companions() && sorted.named.contains(&archive.entries()[main.at].stem())
    };
    sorted.others.extend(sorted.mains.extract_if(.., is_signal).map(|main| main.at));
    Ok(sorted)
}

/// Returns the paths, without extension and in lower case, of what a header names: signal files, or segments by their names
/// and numbers of samples. They are in its own folder.
fn named(header: &Entry, text: &[u8]) -> HashSet<String> {
    let text = String::from_utf8_lossy(text);
    let stem = |word: &str| stem(&header.folder, word.split('/').next().unwrap_or_default());
    text.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace).map(stem).collect()
}

/// Adds the folder in the archive to an error of one of its files.
fn within(entry: &Entry, error: Error) -> Error {
    // An error of kind File would be taken for one that names the archive itself.
    let cause = format!("{}{}", entry.folder, error.cause());
    let within = Error::new(ErrorKind::Recording, cause, error.remedy());
    error.hint().map_or(within.clone(), |hint| within.clone().with_hint(hint))
}

/// Explains an archive without a recording.
fn none(skipped: Option<String>) -> Error {
    let cause = match skipped {
        None => "an empty archive".into(),
        Some(files) => format!("no file of a known format in the archive, but {files}"),
    };
    damaged(cause, "put the ECG files into it; archives in an archive must be unpacked first")
}

/// Lists the names of files, if there are any.
fn list<'e>(entries: impl Iterator<Item = &'e Entry>) -> Option<String> {
    let (hidden, plain): (Vec<&Entry>, Vec<&Entry>) = entries.partition(|entry| entry.is_hidden());
    let mut names: Vec<String> = plain.iter().take(LISTED).map(|entry| shown(entry.path().as_bytes())).collect();
    if plain.len() > LISTED {
        names.push(format!("{} others", plain.len() - LISTED));
    }
    if !hidden.is_empty() {
        names.push(format!("{} hidden files", hidden.len()));
    }
    (!names.is_empty()).then(|| names.join(", "))
}
