//! Models by name: files of repositories on the Hugging Face Hub, in the cache that Hugging Face's tools share.
//!
//! [`fetch`](fetch()) returns the path of a file in the cache and downloads it first if it is not there. A name with a commit
//! needs no request once its file is in the cache. For a branch or a tag the Hub is asked which commit it is at; where it cannot
//! be reached, the last one that is in the cache is taken, with a warning in the log.
//!
//! Contents are compared with the checksum by which the Hub names them, SHA-256 or git's SHA-1, before they get their place in
//! the cache. Pickles are refused by name.

mod cache;
mod options;
mod reference;
mod server;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Duration,
};

pub use options::Options;
pub(crate) use reference::MODEL;
pub use reference::Reference;

use self::{
    cache::{Repository, is_commit},
    reference::{CONVERT, EXTENSION, MAIN, is_pickle},
    server::{Metadata, Server},
};
use crate::{
    Error, ErrorKind, Result,
    fetch::{self, Failure, Fetcher, Patience, Remote, resumable},
};

/// How often the Hub is asked about a file that is not in the cache. Where one is, once is enough.
const QUESTIONS: u32 = 3;

/// The largest file that is downloaded, in bytes. The largest published network takes 2.2 MB.
const LARGEST_FILE: u64 = 256 << 20;

/// A file in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetched {
    /// The path of the file.
    pub path: PathBuf,
    /// The file by its commit, which names the same contents for ever.
    pub reference: Reference,
}

/// What happens during a download.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The download begins.
    Begun {
        /// The file, by its commit.
        reference: &'a Reference,
        /// The size of the file in bytes, if the Hub states it.
        bytes: Option<u64>,
        /// How many of them an earlier download brought.
        present: u64,
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

/// Receives the events of a download.
pub type Listener<'a> = &'a (dyn Fn(Event<'_>) + Sync);

/// Returns a file in the cache, and downloads it first if it is not there. If the reference names no file, it is
/// `model.safetensors`, else the only safetensors file of the repository.
///
/// # Errors
/// The Hub cannot be reached, or requests are forbidden, and the file is not in the cache; the repository, the revision or the
/// file does not exist or needs a token; there are several files to choose from, or none; the contents have a wrong checksum
/// twice, or are larger than 256 MiB; the cache cannot be written.
pub fn fetch(reference: &Reference, options: &Options, listener: Listener<'_>) -> Result<Fetched> {
    let repository = Repository::new(&options.cache, reference);
    let revision = reference.revision().unwrap_or(MAIN);
    let present = repository.commit(revision).and_then(|commit| present(&repository, reference, &commit));
    match present {
        Some((found, true)) if is_commit(revision) => Ok(found),
        present if options.offline => offline(reference, options, present),
        present => online(reference, options, listener, &repository, present.map(|(found, _)| found)),
    }
}

/// Asks the Hub for the file, and downloads it if the cache does not have it. Where the Hub cannot be reached, the file that
/// is `present` is good enough.
fn online(
    reference: &Reference,
    options: &Options,
    listener: Listener<'_>,
    repository: &Repository,
    present: Option<Fetched>,
) -> Result<Fetched> {
    let revision = reference.revision().unwrap_or(MAIN);
    let pass = |event: fetch::Event<'_>| {
        listener(match event {
            fetch::Event::Received(bytes) => Event::Received(bytes),
            fetch::Event::Waiting { error, pause } => Event::Waiting { error, pause },
        });
    };
    let Options { attempts, pause, timeout, .. } = *options;
    let never = AtomicBool::new(false);
    let fetcher = Fetcher::new(Patience { connections: 1, attempts, pause, timeout }, &pass, &never);
    let server = Server { fetcher: &fetcher, options, reference };
    let questions = if present.is_some() { 1 } else { QUESTIONS.min(attempts) };
    let Wanted { commit, file, metadata } = match (ask(&server, repository, revision, questions), present) {
        (Err(Failure::OfAll(error)), Some(found)) => {
            log::warn!("{}; the model is taken from the cache: {}", error.cause(), found.reference);
            return Ok(found);
        }
        (wanted, _) => wanted.map_err(Failure::into_error)?,
    };
    let path = match (repository.file(&commit, &file), metadata) {
        (Some(path), _) => path,
        (None, Some(metadata)) => download(&server, repository, &file, &metadata, listener)?,
        (None, None) => {
            let metadata = server.metadata(&commit, &file, QUESTIONS).map_err(Failure::into_error)?;
            download(&server, repository, &file, &metadata, listener)?
        }
    };
    // A cache that cannot be written is still good for reading.
    if let Err(error) = repository.set_commit(revision, &commit) {
        log::info!("{}: the commit of {revision} is not kept ({error})", options.cache.display());
    }
    Ok(Fetched { path, reference: reference.pinned(&commit, &file) })
}

/// A file that the Hub has.
struct Wanted {
    commit: String,
    file: String,
    /// What the Hub says about the file, if it was asked.
    metadata: Option<Metadata>,
}

/// Finds the file of a reference in the cache at a commit. The flag says whether it is certainly the one that the Hub would
/// name; if the reference names none, the cache may not have all from which to choose.
fn present(repository: &Repository, reference: &Reference, commit: &str) -> Option<(Fetched, bool)> {
    let found = |file: &str, certain| {
        let path = repository.file(commit, file)?;
        Some((Fetched { path, reference: reference.pinned(commit, file) }, certain))
    };
    match reference.file() {
        Some(file) => found(file, true),
        None => found(MODEL, true).or_else(|| {
            let files = repository.files(commit);
            let [file] = &files[..] else { return None };
            found(file, repository.lacks(commit, MODEL))
        }),
    }
}

/// Returns what the cache has, or explains that requests are forbidden.
fn offline(reference: &Reference, options: &Options, present: Option<(Fetched, bool)>) -> Result<Fetched> {
    let Some((found, certain)) = present else {
        let cause =
            format!("{reference} is not in the cache {}, and HF_HUB_OFFLINE forbids requests", options.cache.display());
        let remedy = "unset HF_HUB_OFFLINE, or load it once where there is a network";
        return Err(Error::new(ErrorKind::Download, cause, remedy));
    };
    if !certain {
        log::warn!("{reference} names no file, and the cache may not have all: taken is {}", found.reference);
    }
    Ok(found)
}

/// Asks the Hub for the commit and the file.
fn ask(
    server: &Server<'_>,
    repository: &Repository,
    revision: &str,
    questions: u32,
) -> std::result::Result<Wanted, Failure> {
    if let Some(file) = server.reference.file() {
        let metadata = server.metadata(revision, file, questions)?;
        return Ok(Wanted { commit: metadata.commit.clone(), file: file.into(), metadata: Some(metadata) });
    }
    let listing = server.list(revision, questions)?;
    let file = choose(&listing.files).map_err(|error| Failure::OfFile(error.at(server.reference)))?;
    if file != MODEL {
        // Without this, the next start would have to ask again.
        let _ = repository.set_lacks(&listing.commit, MODEL);
    }
    Ok(Wanted { file: file.into(), commit: listing.commit, metadata: None })
}

/// Chooses the file of a repository that names none.
///
/// # Errors
/// There are several safetensors files, or none.
pub(crate) fn choose(files: &[String]) -> Result<&str> {
    let candidates: Vec<&str> = files.iter().map(String::as_str).filter(|file| file.ends_with(EXTENSION)).collect();
    let pickles: Vec<&str> = files.iter().map(String::as_str).filter(|file| is_pickle(file)).collect();
    let bad = |cause: String, remedy: &str| Err(Error::new(ErrorKind::Weights, cause, remedy));
    match &candidates[..] {
        [] if pickles.is_empty() => bad("there is no safetensors file".into(), "name a repository with one"),
        [] => bad(format!("there are only pickles ({}), which can run any code", pickles.join(", ")), CONVERT),
        candidates if candidates.contains(&MODEL) => Ok(MODEL),
        [file] => Ok(file),
        several => {
            bad(format!("there are several files: {}", several.join(", ")), "name one of them: …/FILE.safetensors")
        }
    }
}

/// Downloads a file into the cache.
fn download(
    server: &Server<'_>,
    repository: &Repository,
    file: &str,
    metadata: &Metadata,
    listener: Listener<'_>,
) -> Result<PathBuf> {
    let Metadata { commit, etag, size } = metadata;
    let reference = server.reference.pinned(commit, file);
    if let Some(size) = size.filter(|size| *size > LARGEST_FILE) {
        let cause = format!("{reference}: {size} bytes, more than any known network");
        return Err(Error::new(ErrorKind::Download, cause, "name a file of a network that this program knows"));
    }
    let blob = repository.blob(etag);
    let of_disk = |path: &Path| {
        let path = path.to_path_buf();
        move |error| resumable(Error::file(&path, error))
    };
    fs::create_dir_all(blob.parent().unwrap_or(&blob)).map_err(of_disk(&blob))?;
    let lock = repository.lock(etag).map_err(of_disk(&blob))?;
    let is_complete = || blob.metadata().is_ok_and(|blob| size.is_none_or(|size| blob.len() == size));
    // Another process may have fetched it while this one waited for the lock.
    if !is_complete() {
        let owner = if lock.is_some() { String::new() } else { format!(".{}", std::process::id()) };
        let partial = blob.with_file_name(format!("{etag}{owner}.incomplete"));
        let present = partial.metadata().map_or(0, |partial| partial.len());
        listener(Event::Begun { reference: &reference, bytes: *size, present });
        let (url, token) = (server.url(commit, file), server.options.token.as_deref());
        let (size, checksum) = (*size, metadata.checksum());
        let remote = Remote { url: &url, token, largest: LARGEST_FILE, size, checksum, stated_by: "the Hub" };
        server.fetcher.fetch(&remote, &partial).map_err(Failure::into_error)?;
        fs::rename(&partial, &blob).map_err(of_disk(&blob))?;
    }
    repository.link(etag, commit, file, server.options.links).map_err(of_disk(&blob))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_repository_is_chosen_or_the_choice_is_listed() {
        let choose = |files: &[&str]| {
            let files: Vec<String> = files.iter().map(ToString::to_string).collect();
            choose(&files).map(String::from).map_err(|error| error.to_string())
        };
        assert_eq!(choose(&["README.md", "a.safetensors", "model.safetensors"]), Ok("model.safetensors".into()));
        assert_eq!(choose(&["README.md", "b/a.safetensors", "pytorch_model.bin"]), Ok("b/a.safetensors".into()));
        assert!(
            choose(&["a.safetensors", "b.safetensors"]).unwrap_err().contains("a.safetensors, b.safetensors: name one")
        );
        assert!(choose(&["README.md"]).unwrap_err().contains("no safetensors file"));
        let error = choose(&["pytorch_model.bin"]).unwrap_err();
        assert!(error.contains("only pickles (pytorch_model.bin)") && error.contains("convert it"), "{error}");
    }
}
