//! Zip archives (PKWARE's APPNOTE.TXT) of one or more recordings of any other format.

use std::{
    collections::{HashMap, hash_map::Entry as Slot},
    path::Path,
};

use super::{
    super::{
        Format, ReadOptions, Source, damaged,
        recognise::{RECOGNISED_BY, Recognised},
        shown, table,
    },
    archive::{Archive, Entry},
    inflate::Budget,
    is_nested, read_whole,
};
use crate::{Error, ErrorKind, Recording, Result};

/// Largest number of names that a message lists.
const LISTED: usize = 3;

/// Zip archives.
pub(in crate::ecg::format) const FORMAT: Format =
    Format { name: "zip", extensions: &["zip"], companions: &[], recognises, plausible: None, read };

/// Recognises the header of a file in an archive, APPNOTE.TXT, section 4.3.7.
pub(super) fn recognises(start: &[u8]) -> bool {
    start.starts_with(b"PK\x03\x04")
}

/// Reads the recordings of an archive: of each file that a format recognises, with the other files of its folder where it
/// needs them.
fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    let bytes = read_whole(source)?;
    let archive = Archive::of(&bytes)?;
    let mut budget = Budget::of(bytes.len());
    let mut recordings = Vec::new();
    let (mains, mut skipped) = sort(&archive, &mut budget)?;
    let mut beside = HashMap::new();
    let mut refused = None;
    for Main { at, recognised } in mains {
        let entry = &archive.entries()[at];
        let is_table = recognised.name() == table::FORMAT.name;
        match read_one(&archive, at, recognised, &mut budget, &mut beside, options) {
            Ok(read) => recordings.extend(read),
            // A table may be of anything, such as a list of the recordings.
            Err(error) if is_table => {
                skipped.push(entry);
                refused.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    if let (true, Some(error)) = (recordings.is_empty(), refused) {
        return Err(error);
    }
    let skipped: Vec<&Entry> = skipped.into_iter().filter(|entry| !beside.contains_key(&entry.path())).collect();
    match recordings.first_mut() {
        Some(first) if !skipped.is_empty() => first.warn(format!("skipped in the archive: {}", list(&skipped))),
        Some(_) => {}
        None => return Err(none(&skipped)),
    }
    Ok(recordings)
}

/// A file that a reader begins with.
struct Main {
    /// Its position in the archive.
    at: usize,
    recognised: Recognised,
}

/// Tells the files that readers begin with from all others.
fn sort<'a>(archive: &'a Archive, budget: &mut Budget) -> Result<(Vec<Main>, Vec<&'a Entry>)> {
    let (mut mains, mut others) = (Vec::new(), Vec::new());
    for (at, entry) in archive.entries().iter().enumerate() {
        let path = Path::new(&entry.file);
        if entry.is_hidden() || Format::by_companion(path).is_some() {
            others.push(entry);
            continue;
        }
        let start = archive.read_start(entry, RECOGNISED_BY as u64, budget)?;
        match Recognised::of(path, &start).filter(|recognised| !is_nested(recognised)) {
            Some(recognised) => mains.push(Main { at, recognised }),
            None => others.push(entry),
        }
    }
    // The signal file of a header may itself be recognised, as MATLAB files of the CinC Challenges are.
    let stem = |at: usize| {
        let entry = &archive.entries()[at];
        (entry.folder.as_str(), Path::new(&entry.file).file_stem())
    };
    let headers: Vec<_> =
        mains.iter().filter(|main| main.recognised.has_companions()).map(|main| stem(main.at)).collect();
    let (kept, signals): (Vec<Main>, Vec<Main>) =
        mains.into_iter().partition(|main| main.recognised.has_companions() || !headers.contains(&stem(main.at)));
    others.extend(signals.iter().map(|main| &archive.entries()[main.at]));
    Ok((kept, others))
}

/// Reads the recordings of one file. `beside` keeps what was decompressed of the files beside it, by their paths.
fn read_one(
    archive: &Archive,
    at: usize,
    recognised: Recognised,
    budget: &mut Budget,
    beside: &mut HashMap<String, Vec<u8>>,
    options: &ReadOptions,
) -> Result<Vec<Recording>> {
    let entry = &archive.entries()[at];
    let bytes = archive.read(entry, budget)?;
    let mut parts = vec![(entry.file.as_str(), &bytes[..])];
    if recognised.has_companions() {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        // Only what the header names belongs to it: a signal file, or a segment by its name without extension.
        let is_named = |file: &str| {
            let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy();
            text.contains(&stem.to_lowercase())
        };
        let belongs =
            |other: &&Entry| other.folder == entry.folder && other.file != entry.file && is_named(&other.file);
        let needed: Vec<&Entry> = archive.entries().iter().filter(belongs).collect();
        for other in &needed {
            if let Slot::Vacant(slot) = beside.entry(other.path()) {
                slot.insert(archive.read(other, budget)?);
            }
        }
        let part = |other: &Entry| beside.get(&other.path()).map(Vec::as_slice);
        parts.extend(needed.iter().filter_map(|other| Some((other.file.as_str(), part(other)?))));
    }
    let read = recognised.read(&Source::Parts(parts), options);
    read.map_err(|error| within(entry, error))
}

/// Adds the folder in the archive to an error of one of its files.
fn within(entry: &Entry, error: Error) -> Error {
    // An error of kind File would be taken for one that names the archive itself.
    let cause = format!("{}{}", entry.folder, error.cause());
    let within = Error::new(ErrorKind::Recording, cause, error.remedy());
    error.hint().map_or(within.clone(), |hint| within.clone().with_hint(hint))
}

/// Explains an archive without a recording.
fn none(skipped: &[&Entry]) -> Error {
    let cause = match skipped {
        [] => "an empty archive".into(),
        _ => format!("no file of a known format in the archive, but {}", list(skipped)),
    };
    damaged(cause, "put the ECG files into it; archives in an archive must be unpacked first")
}

/// Lists the names of files.
fn list(entries: &[&Entry]) -> String {
    let (hidden, plain): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|entry| entry.is_hidden());
    let mut names: Vec<String> = plain.iter().take(LISTED).map(|entry| shown(entry.path().as_bytes())).collect();
    if plain.len() > LISTED {
        names.push(format!("{} others", plain.len() - LISTED));
    }
    if !hidden.is_empty() {
        names.push(format!("{} hidden files", hidden.len()));
    }
    names.join(", ")
}
