//! One repository in the cache, in the layout that Hugging Face's tools share:
//!
//! ```text
//! models--OWNER--NAME/refs/REVISION            the commit that a branch or tag was last seen at
//! models--OWNER--NAME/snapshots/COMMIT/FILE    a link to the blob, or a copy of it
//! models--OWNER--NAME/blobs/ETAG               the contents, by their checksum
//! models--OWNER--NAME/.no_exist/COMMIT/FILE    an empty file: the commit has no such file
//! .locks/models--OWNER--NAME/ETAG.lock         locked while a process fetches the blob
//! ```

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::reference::{EXTENSION, Reference, is_sound_file};
use crate::files;

/// The depth of folders to which a snapshot is searched for a file that is not named.
const DEEPEST: usize = 4;

/// How often another process's lock is tried, and after how many times the user is told.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);
const LOCKS_UNTIL_NOTE: u32 = 20;

/// A repository in the cache, which may not be there yet.
pub(super) struct Repository {
    folder: PathBuf,
    locks: PathBuf,
}

/// Whether a text is a commit: 40 hexadecimal digits in small letters.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Repository {
    pub(super) fn new(cache: &Path, reference: &Reference) -> Self {
        let name = format!("models--{}--{}", reference.owner, reference.name);
        Self { folder: cache.join(&name), locks: cache.join(".locks").join(name) }
    }

    /// Returns the commit of a revision, as it was last seen.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.into());
        }
        let commit = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        Some(commit.trim().to_string()).filter(|commit| is_commit(commit))
    }

    /// Remembers the commit of a revision.
    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> io::Result<()> {
        if self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        files::replace(&path, commit.as_bytes())
    }

    fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Returns a file of a commit, if it is there.
    pub(super) fn file(&self, commit: &str, file: &str) -> Option<PathBuf> {
        Some(self.snapshot(commit).join(file)).filter(|path| path.is_file())
    }

    /// Returns the safetensors files of a commit that are there, sorted by name.
    pub(super) fn files(&self, commit: &str) -> Vec<String> {
        fn visit(folder: &Path, path: &str, depth: usize, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let Ok(name) = entry.file_name().into_string() else { continue };
                let name = if path.is_empty() { name } else { format!("{path}/{name}") };
                if entry.path().is_dir() {
                    if depth < DEEPEST {
                        visit(&entry.path(), &name, depth + 1, found);
                    }
                } else if entry.path().is_file() && name.ends_with(EXTENSION) && is_sound_file(&name) {
                    found.push(name);
                }
            }
        }
        let mut found = Vec::new();
        visit(&self.snapshot(commit), "", 0, &mut found);
        found.sort();
        found
    }

    fn absence(&self, commit: &str, file: &str) -> PathBuf {
        self.folder.join(".no_exist").join(commit).join(file)
    }

    /// Returns whether a commit is known not to have a file.
    pub(super) fn lacks(&self, commit: &str, file: &str) -> bool {
        self.absence(commit, file).is_file()
    }

    /// Remembers that a commit does not have a file.
    pub(super) fn set_lacks(&self, commit: &str, file: &str) -> io::Result<()> {
        let path = self.absence(commit, file);
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        File::create(path).map(drop)
    }

    /// Returns the contents with an ETag. They may not be there yet.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// Locks the contents with an ETag against other processes and waits for those that have locked them. Returns nothing
    /// where the file system has no locks.
    pub(super) fn lock(&self, etag: &str) -> io::Result<Option<File>> {
        fs::create_dir_all(&self.locks)?;
        let path = self.locks.join(format!("{etag}.lock"));
        let file = File::options().create(true).write(true).truncate(false).open(path)?;
        for tried in 0.. {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::Error(_)) => return Ok(None),
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_INTERVAL),
            }
            if tried == LOCKS_UNTIL_NOTE {
                log::warn!("another process is downloading the same model; waiting for it");
            }
        }
        Ok(None)
    }

    /// Gives contents the name of a file of a commit: by a link where that is possible and wanted, else by a copy.
    pub(super) fn link(&self, etag: &str, commit: &str, file: &str, links: bool) -> io::Result<PathBuf> {
        let path = self.snapshot(commit).join(file);
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let partial = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        // That of a killed process with the same id.
        let _ = fs::remove_file(&partial);
        let up: PathBuf = std::iter::repeat_n("..", file.matches('/').count() + 2).collect();
        if !links || symlink(&up.join("blobs").join(etag), &partial).is_err() {
            fs::copy(self.blob(etag), &partial)?;
        }
        fs::rename(&partial, &path)?;
        Ok(path)
    }
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
