//! PTB-XL from PhysioNet or a mirror.
//!
//! `SHA256SUMS.txt` says which files there are and what they contain. A file that has its checksum is left alone; any
//! other is fetched under the name `….partial`, goes on where it stopped, and takes its own name once its checksum
//! agrees. So a download can be broken off at any time and started again, and what has a file's name is that file.

mod fetch;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rayon::prelude::*;

use self::fetch::{Failure, Fetcher};
use super::{
    SamplingRate,
    checksums::{self, Listed},
    metadata, problems, statements,
};
use crate::{Error, ErrorKind, Result};

/// Where PhysioNet keeps PTB-XL 1.0.3.
pub const PHYSIONET: &str = "https://physionet.org/files/ptb-xl/1.0.3";

/// The files beside the records that are fetched; the first two are needed.
const TABLES: [&str; 4] = [metadata::FILE, statements::FILE, "RECORDS", "LICENSE.txt"];

/// Files that may fail before all is given up.
const FAILURES: usize = 10;

/// What to fetch, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The folder on the server that has `SHA256SUMS.txt`, such as [`PHYSIONET`].
    pub url: String,
    /// Which copy of the signals: some 550 MB at 100 Hz, 2.7 GB at 500 Hz.
    pub sampling_rate: SamplingRate,
    /// Files that are fetched at once.
    pub connections: usize,
    /// Times that a file is tried in a row without a byte more, before the download gives up.
    pub tries: u32,
    /// The pause before the second of those tries; each further one is twice as long, up to a minute.
    pub pause: Duration,
    /// How long a server may keep silent before the connection counts as lost.
    pub silence: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: PHYSIONET.into(),
            sampling_rate: SamplingRate::default(),
            connections: 4,
            tries: 6,
            pause: Duration::from_secs(1),
            silence: Duration::from_secs(30),
        }
    }
}

/// What a download tells while it runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Files that were looked for and compared with their checksums.
    Checked {
        /// So far.
        files: usize,
        /// Altogether.
        of: usize,
    },
    /// Files that were fetched, since the start of this download.
    Fetched {
        /// So far.
        files: usize,
        /// All that have to be.
        of: usize,
    },
    /// So many bytes more came in.
    Received(usize),
    /// A try failed, and the next comes after a pause.
    Waiting {
        /// Why it failed.
        error: &'a Error,
        /// How long the pause is.
        pause: Duration,
    },
}

/// Who hears of a download's events, from any of its threads.
pub type Listener<'a> = &'a (dyn Fn(Event<'_>) + Sync);

/// What a download did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Files that were fetched now.
    pub fetched: usize,
    /// Files that were there already, with the right checksum.
    pub present: usize,
}

/// Fetches PTB-XL into `folder`: both tables, the list of records, the licence, and the records at one sampling rate.
///
/// # Errors
/// A URL that is none or is not PTB-XL's; no connection, after some tries; files that the server does not have or whose
/// checksums are wrong twice, up to ten; a full disk. What came in until then is kept.
pub fn ptb_xl(folder: &Path, options: &Options, listener: Listener<'_>) -> Result<Summary> {
    if !["http://", "https://"].iter().any(|scheme| options.url.starts_with(scheme)) {
        let cause = format!("'{}' is no address of a server", options.url);
        return Err(Error::new(ErrorKind::Usage, cause, format!("give a URL such as {PHYSIONET}")));
    }
    if options.connections == 0 || options.tries == 0 {
        let cause = "a download of no connections or no tries";
        return Err(Error::new(ErrorKind::Usage, cause, "give at least one of each"));
    }
    let stop = AtomicBool::new(false);
    let fetcher = Fetcher::new(options, listener, &stop);
    let wanted = wanted(list(&fetcher, folder)?, options)?;
    let missing = missing(folder, &wanted, listener);
    fetch_all(&fetcher, folder, &missing, listener)?;
    Ok(Summary { fetched: missing.len(), present: wanted.len() - missing.len() })
}

/// The name of a file while it is incomplete.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Fetches `SHA256SUMS.txt`, anew each time, since nothing says whether an old one is right.
fn list(fetcher: &Fetcher<'_>, folder: &Path) -> Result<Vec<Listed>> {
    let path = folder.join(checksums::FILE);
    let partial = partial(&path);
    fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
    if partial.exists() {
        fs::remove_file(&partial).map_err(|error| Error::file(&partial, error))?;
    }
    fetcher.fetch(checksums::FILE, &partial, None).map_err(Failure::into_error)?;
    let bytes = fs::read(&partial).map_err(|error| Error::file(&partial, error))?;
    let listed = checksums::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| {
        Error::new(ErrorKind::Download, error.cause(), "check that the URL is that of PTB-XL's files")
    })?;
    fs::rename(&partial, &path).map_err(|error| Error::file(&path, error))?;
    Ok(listed)
}

/// The listed files that make up the copy, tables first.
fn wanted(listed: Vec<Listed>, options: &Options) -> Result<Vec<Listed>> {
    let folder = format!("{}/", options.sampling_rate.folder());
    let (records, others): (Vec<_>, Vec<_>) = listed.into_iter().partition(|file| file.path.starts_with(&folder));
    let tables: Vec<_> = others.into_iter().filter(|file| TABLES.contains(&file.path.as_str())).collect();
    let absent = TABLES[..2].iter().find(|table| !tables.iter().any(|file| file.path == **table));
    if let Some(absent) = absent.copied().or(records.is_empty().then_some(folder.as_str())) {
        let cause = format!("{}/{} does not list {absent}", options.url.trim_end_matches('/'), checksums::FILE);
        return Err(Error::new(ErrorKind::Download, cause, "check that the URL is that of PTB-XL's files"));
    }
    Ok(tables.into_iter().chain(records).collect())
}

/// The files that are not there or have another checksum.
fn missing<'w>(folder: &Path, wanted: &'w [Listed], listener: Listener<'_>) -> Vec<&'w Listed> {
    let checked = AtomicUsize::new(0);
    let is_missing = |file: &&Listed| {
        let sound = checksums::of_file(&folder.join(&file.path)).is_ok_and(|checksum| checksum == file.checksum);
        listener(Event::Checked { files: checked.fetch_add(1, Ordering::Relaxed) + 1, of: wanted.len() });
        !sound
    };
    wanted.par_iter().filter(is_missing).collect()
}

/// Fetches files over several connections, each of them taking the next file.
fn fetch_all(fetcher: &Fetcher<'_>, folder: &Path, files: &[&Listed], listener: Listener<'_>) -> Result<()> {
    let (next, fetched) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // A thread that panicked has stored its failures whole, or not at all.
    let failures = Mutex::new(Vec::new());
    let work = || {
        while !fetcher.is_stopped() {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(index) else { return };
            match fetch_one(fetcher, folder, file) {
                Ok(()) => {
                    let files_so_far = fetched.fetch_add(1, Ordering::Relaxed) + 1;
                    listener(Event::Fetched { files: files_so_far, of: files.len() });
                }
                Err(failure) => {
                    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                    failures.push((index, failure));
                    if failures.len() >= FAILURES || matches!(failures.last(), Some((_, Failure::OfAll(_)))) {
                        fetcher.stop();
                    }
                }
            }
        }
    };
    listener(Event::Fetched { files: 0, of: files.len() });
    std::thread::scope(|scope| (0..fetcher.connections().min(files.len())).for_each(|_| _ = scope.spawn(work)));
    outcome(fetcher, failures.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn fetch_one(fetcher: &Fetcher<'_>, folder: &Path, file: &Listed) -> std::result::Result<(), Failure> {
    let path = folder.join(&file.path);
    let partial = partial(&path);
    let disk = |error| Failure::OfAll(resumable(Error::file(&path, error)));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(disk)?;
    }
    fetcher.fetch(&file.path, &partial, Some(&file.checksum))?;
    fs::rename(&partial, &path).map_err(disk)
}

/// One error for all failures: the one that stopped the download, else the failures of single files.
fn outcome(fetcher: &Fetcher<'_>, mut failures: Vec<(usize, Failure)>) -> Result<()> {
    failures.sort_by_key(|(index, _)| *index);
    let mut of_files = Vec::new();
    for (_, failure) in failures {
        match failure {
            Failure::OfAll(error) => return Err(error),
            Failure::OfFile(error) => of_files.push(error),
            Failure::Stopped => (),
        }
    }
    problems::none(fetcher.url(), of_files, "all else is kept; fetch from another address, or again later")
}

/// The error with the advice that nothing is lost.
fn resumable(error: Error) -> Error {
    let remedy = format!("{}, then run the same command again: it goes on where it stopped", error.remedy());
    Error::new(error.kind(), error.cause(), remedy)
}
