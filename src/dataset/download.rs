//! Downloads PTB-XL from PhysioNet or a mirror.
//!
//! `SHA256SUMS.txt` lists the files and their checksums. A file whose checksum agrees is kept. Any other is fetched under
//! the name `….partial`, resumed where an earlier download stopped, and renamed once its checksum agrees. So a download
//! can be interrupted and restarted at any time, and a file with its final name is always complete.

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

use super::{
    SamplingRate,
    checksums::{self, Listed},
    metadata, problems, statements,
};
use crate::{
    Error, ErrorKind, Result,
    checksum::Checksum,
    fetch::{self, Failure, Fetcher, Patience, Remote, resumable},
    worker::shared_threads,
};

/// The address of PTB-XL 1.0.3 at PhysioNet.
pub const PHYSIONET: &str = "https://physionet.org/files/ptb-xl/1.0.3";

/// The files that are fetched in addition to the records. The server must have the first two.
const TABLES: [&str; 4] = [metadata::FILE, statements::FILE, "RECORDS", "LICENSE.txt"];

/// How many files may fail before the download stops.
const MOST_FAILURES: usize = 10;

/// What to download, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The address of the folder that contains `SHA256SUMS.txt`, such as [`PHYSIONET`].
    pub url: String,
    /// The sampling rate of the signals: about 550 MB at 100 Hz, 2.7 GB at 500 Hz.
    pub sampling_rate: SamplingRate,
    /// How many files are fetched in parallel.
    pub connections: usize,
    /// How many consecutive attempts at a file may bring no further byte before the download fails.
    pub attempts: u32,
    /// The pause before the second attempt. It doubles with each further attempt, up to one minute.
    pub pause: Duration,
    /// How long a server may send nothing before the connection counts as lost.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: PHYSIONET.into(),
            sampling_rate: SamplingRate::default(),
            connections: 4,
            attempts: 6,
            pause: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
        }
    }
}

/// What happens during a download.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A file was looked for and compared with its checksum.
    Checked {
        /// How many files have been checked.
        files: usize,
        /// How many files are checked altogether.
        of: usize,
    },
    /// A file was fetched.
    Fetched {
        /// How many files this download has fetched.
        files: usize,
        /// How many files this download has to fetch.
        of: usize,
    },
    /// This number of bytes arrived.
    Received(usize),
    /// An attempt failed; the next one follows after a pause.
    Waiting {
        /// Why the attempt failed.
        error: &'a Error,
        /// The length of the pause.
        pause: Duration,
    },
}

/// Receives the events of a download, from any of its threads.
pub type Listener<'a> = &'a (dyn Fn(Event<'_>) + Sync);

/// The result of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// How many files were fetched.
    pub fetched: usize,
    /// How many files were already present with the right checksum.
    pub present: usize,
}

/// Downloads PTB-XL into `folder`: both tables, the list of records, the licence, and the records at one sampling rate.
///
/// # Errors
/// The URL is invalid or not that of PTB-XL; the connection fails repeatedly; the server lacks a file or sends it with a
/// wrong checksum twice (up to ten files are named); the disk is full. What has arrived is kept.
pub fn ptb_xl(folder: &Path, options: &Options, listener: Listener<'_>) -> Result<Summary> {
    if !["http://", "https://"].iter().any(|scheme| options.url.starts_with(scheme)) {
        let cause = format!("'{}' is no address of a server", options.url);
        return Err(Error::new(ErrorKind::Usage, cause, format!("give a URL such as {PHYSIONET}")));
    }
    if options.connections == 0 || options.attempts == 0 {
        let cause = "a download of no connections or no attempts";
        return Err(Error::new(ErrorKind::Usage, cause, "give at least one of each"));
    }
    let Options { connections, attempts, pause, timeout, .. } = *options;
    let stop = AtomicBool::new(false);
    let pass = |event: fetch::Event<'_>| {
        listener(match event {
            fetch::Event::Received(bytes) => Event::Received(bytes),
            fetch::Event::Waiting { error, pause } => Event::Waiting { error, pause },
        });
    };
    let fetcher = Fetcher::new(Patience { connections, attempts, pause, timeout }, &pass, &stop);
    let site = Site { fetcher, url: options.url.trim_end_matches('/'), connections, stopped: &stop };
    let wanted = wanted(list(&site, folder)?, options)?;
    shared_threads()?;
    let missing = missing(folder, &wanted, listener);
    fetch_all(&site, folder, &missing, listener)?;
    Ok(Summary { fetched: missing.len(), present: wanted.len() - missing.len() })
}

/// The server's folder of the data set.
struct Site<'a> {
    fetcher: Fetcher<'a>,
    url: &'a str,
    connections: usize,
    stopped: &'a AtomicBool,
}

impl Site<'_> {
    /// Fetches a file of the folder into `partial`.
    fn fetch(&self, path: &str, partial: &Path, checksum: Option<Checksum>) -> std::result::Result<(), Failure> {
        let url = format!("{}/{path}", self.url);
        let stated_by = checksums::FILE;
        let remote = Remote { url: &url, token: None, largest: u64::MAX, size: None, checksum, stated_by };
        self.fetcher.fetch(&remote, partial)
    }
}

/// Returns the name of a file while it is incomplete. It must be the same after a restart, which resumes the file.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Fetches `SHA256SUMS.txt`. It is fetched each time, since nothing proves an existing one right.
fn list(site: &Site<'_>, folder: &Path) -> Result<Vec<Listed>> {
    let path = folder.join(checksums::FILE);
    let partial = partial(&path);
    fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
    if partial.exists() {
        fs::remove_file(&partial).map_err(|error| Error::file(&partial, error))?;
    }
    site.fetch(checksums::FILE, &partial, None).map_err(Failure::into_error)?;
    let bytes = fs::read(&partial).map_err(|error| Error::file(&partial, error))?;
    let listed = checksums::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| {
        Error::new(ErrorKind::Download, error.cause(), "check that the URL is that of PTB-XL's files")
    })?;
    fs::rename(&partial, &path).map_err(|error| Error::file(&path, error))?;
    Ok(listed)
}

/// Selects the listed files that belong to the copy, tables first.
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

/// Returns the files that are absent or have another checksum.
fn missing<'w>(folder: &Path, wanted: &'w [Listed], listener: Listener<'_>) -> Vec<&'w Listed> {
    let checked = AtomicUsize::new(0);
    let is_missing = |file: &&Listed| {
        let sound = file.checksum.is_of(&folder.join(&file.path)).unwrap_or(false);
        listener(Event::Checked { files: checked.fetch_add(1, Ordering::Relaxed) + 1, of: wanted.len() });
        !sound
    };
    wanted.par_iter().filter(is_missing).collect()
}

/// Fetches files over several connections. Each connection takes the next file of the list.
fn fetch_all(site: &Site<'_>, folder: &Path, files: &[&Listed], listener: Listener<'_>) -> Result<()> {
    let (next, fetched) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // The lock is only held to push one failure, so a panicked thread leaves a valid list.
    let failures = Mutex::new(Vec::new());
    let work = || {
        while !site.stopped.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(index) else { return };
            match fetch_one(site, folder, file) {
                Ok(()) => {
                    let files_so_far = fetched.fetch_add(1, Ordering::Relaxed) + 1;
                    listener(Event::Fetched { files: files_so_far, of: files.len() });
                }
                Err(failure) => {
                    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                    failures.push((index, failure));
                    if failures.len() >= MOST_FAILURES || matches!(failures.last(), Some((_, Failure::OfAll(_)))) {
                        site.stopped.store(true, Ordering::Relaxed);
                    }
                }
            }
        }
    };
    listener(Event::Fetched { files: 0, of: files.len() });
    std::thread::scope(|scope| (0..site.connections.min(files.len())).for_each(|_| _ = scope.spawn(work)));
    outcome(site.url, failures.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Fetches one file and renames it.
fn fetch_one(site: &Site<'_>, folder: &Path, file: &Listed) -> std::result::Result<(), Failure> {
    let path = folder.join(&file.path);
    let partial = partial(&path);
    let disk = |error| Failure::OfAll(resumable(Error::file(&path, error)));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(disk)?;
    }
    site.fetch(&file.path, &partial, Some(file.checksum))?;
    fs::rename(&partial, &path).map_err(disk)
}

/// Joins all failures into one error: the failure that stopped the download if there is one, otherwise those of the files.
fn outcome(url: &str, mut failures: Vec<(usize, Failure)>) -> Result<()> {
    failures.sort_by_key(|(index, _)| *index);
    let mut of_files = Vec::new();
    for (_, failure) in failures {
        match failure {
            Failure::OfAll(error) => return Err(error),
            Failure::OfFile(error) => of_files.push(error),
            Failure::Stopped => (),
        }
    }
    problems::none(url, of_files, "everything else is kept; use another address, or try again later")
}
