//! Files that are either complete or absent: written under a temporary name, synchronised to the disk, then renamed.

use std::{
    fs::{self, File, TryLockError},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use crate::{Error, ErrorKind, Result};

/// Replaces the contents of a file. A reader finds the old contents or the new ones at any moment, also after a power
/// failure. A link stays, and the file that it names is replaced; a link to no file is replaced itself. What is no file, such as a pipe, is written to.
///
/// # Errors
/// The file could not be written. The old one is unchanged.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "check the path: its folder must exist",
            _ => "make room on its disk and check its permissions; what was there before is unchanged",
        };
        Error::new(ErrorKind::File, format!("{}: {error}", path.display()), remedy).with_source(error)
    })
}

/// Does what [`write()`] does and returns the operating system's error.
///
/// # Errors
/// The file could not be written. The old one is unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A rename would replace a link or a device itself.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => fs::write(path, bytes),
        _ => {
            let mut partial = PartialFile::create(&path)?;
            partial.write_all(bytes)?;
            partial.publish()
        }
    }
}

/// Checks that a file can be written at `path`, which a long run will do only at its end. Creates the folder and removes
/// what killed processes left there.
///
/// # Errors
/// The folder or a file in it cannot be created.
pub fn check_writable(path: &Path) -> Result<()> {
    let create = || {
        fs::create_dir_all(folder_of(path))?;
        remove_abandoned(path);
        PartialFile::create(path).map(drop)
    };
    create().map_err(|error| Error::file(path, error))
}

/// A file under construction. It has a temporary name beside its final one, is locked while it is written, and is removed
/// unless [`PartialFile::publish`] succeeds.
pub struct PartialFile {
    /// The temporary name; none after the rename, when it may already be another writer's.
    partial: Option<PathBuf>,
    path: PathBuf,
    file: BufWriter<File>,
}

impl PartialFile {
    /// Begins the file that will be called `path`. Its folder must exist, since a rename does not cross disks.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        for number in 0..MOST_WRITERS {
            let mut name = path.file_name().unwrap_or_default().to_os_string();
            name.push(format!(".{}-{number}{PARTIAL}", std::process::id()));
            let partial = path.with_file_name(name);
            if is_abandoned(&partial) {
                let _ = fs::remove_file(&partial);
            }
            // Only a new file is written: the name can be guessed, and a link of this name may lead anywhere.
            let file = match File::options().write(true).create_new(true).open(&partial) {
                // It belongs to another thread, or to a process with the same id in another container.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            // Another writer may have taken the file for an abandoned one before it was locked. A file system without
            // locks is no reason to refuse.
            if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || !partial.exists() {
                continue;
            }
            return Ok(Self {
                partial: Some(partial),
                path: path.into(),
                file: BufWriter::with_capacity(1 << 20, file),
            });
        }
        Err(io::Error::other(format!("{MOST_WRITERS} others are writing it")))
    }

    /// Gives the file its final name once its contents are on the disk.
    ///
    /// # Errors
    /// The contents cannot be written or the file cannot be renamed.
    pub fn publish(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        if let Some(partial) = &self.partial {
            fs::rename(partial, &self.path)?;
        }
        self.partial = None;
        // The rename is on the disk once the folder is; only Unix can synchronise folders.
        if cfg!(unix) { File::open(folder_of(&self.path))?.sync_all() } else { Ok(()) }
    }
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            let _ = fs::remove_file(partial);
        }
    }
}

/// What the name of a file under construction ends with.
const PARTIAL: &str = ".partial";
/// How many writers a file may have at once. The last to finish wins.
const MOST_WRITERS: usize = 64;

/// Removes the unfinished files that killed processes left beside `path`. Files that are being written are locked and stay.
pub(crate) fn remove_abandoned(path: &Path) {
    let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { return };
    for entry in fs::read_dir(folder_of(path)).into_iter().flatten().flatten() {
        let other = entry.file_name().to_string_lossy().into_owned();
        let ours = other.strip_prefix(&name).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(PARTIAL));
        if ours && is_abandoned(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a file under construction has no writer: it is a file that is not locked, or a link, which no writer makes.
fn is_abandoned(partial: &Path) -> bool {
    match partial.symlink_metadata() {
        Ok(found) if found.is_symlink() => true,
        Ok(found) => found.is_file() && File::open(partial).is_ok_and(|file| file.try_lock().is_ok()),
        Err(_) => false,
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        let [mut first, second] = [(); 2].map(|()| PartialFile::create(&path).unwrap());
        assert_ne!(first.partial, second.partial, "two writers do not meet");
        first.write_all(b"first").unwrap();
        first.publish().unwrap();
        drop(second);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = write(&folder.path().join("no folder/a.txt"), b"").unwrap_err();
        assert!(error.kind() == ErrorKind::File && error.cause().contains("a.txt: "), "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn a_link_and_a_socket_stay_what_they_are() {
        use std::os::unix::{fs::FileTypeExt, fs::symlink, net::UnixListener};
        let folder = tempfile::tempdir().unwrap();
        let [file, link, socket] = ["a.txt", "link", "socket"].map(|name| folder.path().join(name));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(link.is_symlink() && fs::read(&file).unwrap() == b"new");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert!(write(&socket, b"new").is_err(), "a socket cannot be opened, as a pipe can");
        assert!(socket.metadata().unwrap().file_type().is_socket());
    }

    #[test]
    #[cfg(unix)]
    fn a_prepared_link_is_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let [path, precious] = ["a.txt", "precious"].map(|name| folder.path().join(name));
        fs::write(&precious, "precious").unwrap();
        for number in 0..2 {
            let partial = format!("a.txt.{}-{number}.partial", std::process::id());
            std::os::unix::fs::symlink(&precious, folder.path().join(partial)).unwrap();
        }
        let pipe = folder.path().join(format!("a.txt.{}-2.partial", std::process::id()));
        let _listener = std::os::unix::net::UnixListener::bind(&pipe).unwrap();
        let writers = [(); 3].map(|()| PartialFile::create(&path).unwrap());
        drop(writers);
        write(&path, b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap(), fs::read(&precious).unwrap()), (b"new".to_vec(), b"precious".to_vec()));
        // A link to no file is replaced, and what it names is not made.
        let [link, named] = ["link", "named"].map(|name| folder.path().join(name));
        std::os::unix::fs::symlink(&named, &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(link.is_file() && !link.is_symlink() && !named.exists());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, b"old").unwrap();
        let mut partial = PartialFile::create(&path).unwrap();
        // Linux reports a full disk for every write to this device.
        let full = File::options().write(true).open("/dev/full").unwrap();
        partial.file = BufWriter::with_capacity(0, full);
        let error = partial.write_all(b"new").and_then(|()| partial.publish()).unwrap_err();
        assert!(error.to_string().contains("No space left"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn abandoned_files_are_removed_and_locked_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cache");
        let [abandoned, busy, other] =
            ["a.cache.1-0.partial", "a.cache.2-0.partial", "b.cache.1-0.partial"].map(|name| folder.path().join(name));
        [&abandoned, &busy, &other].into_iter().for_each(|path| fs::write(path, "part").unwrap());
        let writer = File::open(&busy).unwrap();
        writer.lock().unwrap();
        check_writable(&path).unwrap();
        assert_eq!([&abandoned, &busy, &other].map(|path| path.exists()), [false, true, true]);
    }
}
