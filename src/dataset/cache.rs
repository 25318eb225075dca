//! All samples in one file, which is mapped into memory.
//!
//! Reading 21,799 records takes seconds to minutes, mapping one file a moment. The file is a head of 64 bytes, the
//! samples of record after record as `[leads, samples]` in microvolts of 16 bits, and a checksum for each record. The
//! head holds a fingerprint of the records' names and of their files' sizes and times of change; labels are not in it,
//! since they are read anew each time. A file whose head, length or checksums are not as expected is written again.

use std::{
    fs::{self, File, TryLockError},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::UNIX_EPOCH,
};

use memmap2::Mmap;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{Options, Progress, Record, SamplingRate, problems, signals};
use crate::{Error, ErrorKind, Hint, Result};

/// What a cache begins with; the digit is the format's version.
const MAGIC: &[u8; 8] = b"ecgpuPX1";
/// Tells machines of the other byte order, whose samples would be read wrong.
const BYTE_ORDER: u32 = 0x0102_0304;
const HEAD: usize = 64;

/// Records that are read at once before they are written in their order; 256 of 5000 samples take 31 MB.
const AT_ONCE: usize = 256;

/// Where the cache lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// The file.
    pub path: PathBuf,
    /// Why it had to be written, such as "there was none"; nothing if it was there already.
    pub written: Option<String>,
}

/// The mapped samples of all records.
#[derive(Debug)]
pub(super) struct Cache {
    map: Mmap,
    /// Samples of a record.
    elements: usize,
    cached: Cached,
}

impl Cache {
    /// Maps the cache of `records`, after writing it if there is no sound one.
    pub(super) fn open(folder: &Path, records: &[Record], options: &Options, progress: Progress<'_>) -> Result<Self> {
        let places = places(folder, options);
        Source { folder, records, rate: options.sampling_rate }.open(&places, progress)
    }

    pub(super) fn cached(&self) -> &Cached {
        &self.cached
    }

    /// The samples of a record. Panics if there is none.
    pub(super) fn record(&self, index: usize) -> &[i16] {
        let size = self.elements * size_of::<i16>();
        // A map begins on a page and the head keeps even addresses, so the bytes are aligned.
        bytemuck::cast_slice(&self.map[HEAD + index * size..][..size])
    }
}

/// Where a cache may lie, the first choice first.
fn places(folder: &Path, options: &Options) -> Vec<PathBuf> {
    let rate = options.sampling_rate.hz();
    // Caches of several copies share a folder, so that one is named after where its copy lies.
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let digest = Sha256::digest(whole.as_os_str().as_encoded_bytes());
    let digits: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let elsewhere = format!("ptb-xl-{rate}hz-{digits}.cache");
    if let Some(cache) = &options.cache {
        return vec![cache.join(elsewhere)];
    }
    let own = folder.join(format!(".ecgpu-{rate}hz.cache"));
    [Some(own), user_folder().map(|user| user.join("ecgpu").join(elsewhere))].into_iter().flatten().collect()
}

/// The user's cache folder by the platform's convention.
fn user_folder() -> Option<PathBuf> {
    let named = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
    if cfg!(windows) {
        named("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        named("HOME").map(|home| home.join("Library/Caches"))
    } else {
        named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")))
    }
}

/// What a cache is made from.
struct Source<'a> {
    folder: &'a Path,
    records: &'a [Record],
    rate: SamplingRate,
}

impl Source<'_> {
    fn open(&self, places: &[PathBuf], progress: Progress<'_>) -> Result<Cache> {
        let head = self.head();
        let mut why = "there was none".to_string();
        for path in places {
            match self.map(path, &head) {
                Ok(map) => return Ok(self.mapped(map, path, None)),
                Err(Some(reason)) => why = reason,
                Err(None) => (),
            }
        }
        let (path, partial) = Partial::create_first(places)?;
        self.write(partial, path, &head, progress)?;
        let map = self.map(path, &head).map_err(|reason| {
            let reason = reason.unwrap_or_else(|| "it was removed".into());
            let cause = format!("{}: just written, but {reason}", path.display());
            Error::new(ErrorKind::File, cause, "check the disk, or choose another folder for the cache")
        })?;
        Ok(self.mapped(map, path, Some(why)))
    }

    fn mapped(&self, map: Mmap, path: &Path, written: Option<String>) -> Cache {
        Cache { map, elements: self.rate.elements(), cached: Cached { path: path.into(), written } }
    }

    /// The head that a sound cache of these records has now.
    fn head(&self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(MAGIC);
        head[8..12].copy_from_slice(&BYTE_ORDER.to_ne_bytes());
        head[12..16].copy_from_slice(&self.rate.hz().to_le_bytes());
        head[16..24].copy_from_slice(&(self.records.len() as u64).to_le_bytes());
        head[24..56].copy_from_slice(&self.fingerprint());
        head
    }

    fn fingerprint(&self) -> [u8; 32] {
        let of_record = |record: &Record| {
            [record.header(self.folder), record.samples(self.folder)].map(|file| size_and_time(&file))
        };
        let all: Vec<_> = self.records.par_iter().map(of_record).collect();
        let mut hash = Sha256::new();
        for (record, files) in self.records.iter().zip(all) {
            let path = record.path.as_os_str().as_encoded_bytes();
            hash.update((path.len() as u64).to_le_bytes());
            hash.update(path);
            files.iter().flatten().for_each(|number| hash.update(number.to_le_bytes()));
        }
        hash.finalize().into()
    }

    /// Maps a sound cache; else says what is wrong with the file, or nothing if there is none.
    fn map(&self, path: &Path, head: &[u8; HEAD]) -> std::result::Result<Mmap, Option<String>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(None),
            opened => opened.map_err(|error| Some(format!("it could not be read ({error})")))?,
        };
        // SAFETY: a map is sound as long as nobody shortens or changes its file. Caches are written under another name
        // and never changed after they take theirs; a program that writes into one on purpose is not guarded against.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| Some(format!("it could not be mapped ({error})")))?;
        let faulty = |fault: &str| Err(Some(fault.to_string()));
        if map.get(..MAGIC.len()) != Some(MAGIC) {
            return faulty("the file there was no cache of this version");
        }
        if map.get(..HEAD) != Some(head) {
            return faulty("the records have changed since it was written");
        }
        let size = self.rate.elements() * size_of::<i16>();
        if map.len() != HEAD + self.records.len() * (size + size_of::<u64>()) {
            return faulty("it was cut off");
        }
        let (samples, checksums) = map[HEAD..].split_at(self.records.len() * size);
        let checksums = checksums.par_chunks_exact(size_of::<u64>());
        if !samples.par_chunks_exact(size).zip(checksums).all(|(record, sum)| checksum(record).to_le_bytes() == sum) {
            return faulty("it was damaged");
        }
        Ok(map)
    }

    /// Reads all records into `partial`, which takes its name at the end.
    fn write(&self, mut partial: Partial, path: &Path, head: &[u8; HEAD], progress: Progress<'_>) -> Result<()> {
        let (mut problems, mut checksums, done) = (Vec::new(), Vec::new(), AtomicUsize::new(0));
        let read = |record| {
            let samples = signals::read(self.folder, record, self.rate);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, self.records.len());
            samples
        };
        partial.append(head)?;
        for records in self.records.chunks(AT_ONCE) {
            for samples in records.par_iter().map(read).collect::<Vec<_>>() {
                match samples {
                    Ok(samples) => {
                        let bytes = bytemuck::cast_slice(&samples);
                        checksums.push(checksum(bytes).to_le_bytes());
                        // The rest is still read, to name what else is wrong, but no longer of use.
                        if problems.is_empty() {
                            partial.append(bytes)?;
                        }
                    }
                    Err(problem) => problems.push(problem),
                }
            }
        }
        problems::none(self.folder.display(), problems, &problems::repair(self.folder))?;
        partial.append(&checksums.concat())?;
        partial.rename(path)
    }
}

/// A file's size and time of change in nanoseconds, or numbers that no file has.
fn size_and_time(path: &Path) -> [u64; 2] {
    let found = path.metadata().ok().and_then(|metadata| {
        let time = metadata.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Some([metadata.len(), time.as_nanos() as u64])
    });
    found.unwrap_or([u64::MAX; 2])
}

/// FNV-1a (Fowler, Noll and Vo) over words of 8 bytes: several GB a second, against a disk's faults and not an attacker's.
fn checksum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8).map(bytemuck::pod_read_unaligned::<u64>);
    words.fold(0xcbf2_9ce4_8422_2325, |hash, word| (hash ^ word).wrapping_mul(0x0100_0000_01b3))
}

/// A cache under construction. It is locked while it is written and removed if it does not take its name.
struct Partial {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Partial {
    /// Begins a cache at the first of `places` that can be written.
    fn create_first(places: &[PathBuf]) -> Result<(&PathBuf, Self)> {
        let mut refusals = Vec::new();
        for path in places {
            match Self::create(path) {
                Ok(partial) => return Ok((path, partial)),
                Err(error) => refusals.push(format!("{}: {error}", path.display())),
            }
        }
        let cause = format!("no place for the cache of the signals: {}", refusals.join("; "));
        Err(Error::new(ErrorKind::File, cause, "give a folder that can be written").with_hint(Hint::NameCacheFolder))
    }

    fn create(path: &Path) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        remove_abandoned(path);
        let partial = path.with_extension(format!("{}.partial", std::process::id()));
        let file = File::options().write(true).create(true).truncate(false).open(&partial)?;
        // Two containers may have the same process id. A disk without locks is no reason to do without a cache.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(std::io::Error::other("another process is writing it"));
        }
        file.set_len(0)?;
        Ok(Self { path: partial, file: BufWriter::with_capacity(1 << 20, file) })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| Error::file(&self.path, error))
    }

    /// Gives the finished file its name, once its contents are on the disk.
    fn rename(mut self, path: &Path) -> Result<()> {
        let kept = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        kept.and_then(|()| fs::rename(&self.path, path)).map_err(|error| Error::file(path, error))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Nothing is there any more under this name after `rename`.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes what a process that was killed left of the cache at `path`: files of hundreds of megabytes that nobody locks.
fn remove_abandoned(path: &Path) {
    let (Some(folder), Some(stem)) = (path.parent(), path.file_stem()) else { return };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let (name, stem) = (name.to_string_lossy(), stem.to_string_lossy());
        let ours = name.strip_prefix(&*stem).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".partial"));
        if ours && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_that_can_be_written_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let places = [file.join("under a file"), folder.path().join("new/place.cache"), folder.path().join("third")];
        let (path, partial) = Partial::create_first(&places).unwrap();
        assert_eq!(path, &places[1]);
        partial.rename(path).unwrap();
        assert!(places[1].exists() && fs::read_dir(folder.path().join("new")).unwrap().count() == 1);
        let error = Partial::create_first(&places[..1]).err().unwrap();
        assert!(error.cause().contains("under a file: "), "{error}");
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_another_writes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cache");
        let [abandoned, busy, other] =
            ["a.1.partial", "a.2.partial", "b.1.partial"].map(|name| folder.path().join(name));
        [&abandoned, &busy, &other].into_iter().for_each(|path| fs::write(path, "part").unwrap());
        let writer = File::open(&busy).unwrap();
        writer.lock().unwrap();
        drop(Partial::create(&path).unwrap());
        assert_eq!([&abandoned, &busy, &other].map(|path| path.exists()), [false, true, true]);
    }

    #[test]
    fn the_users_folder_comes_after_the_datas_own() {
        let places = places(Path::new("/data"), &Options::default());
        assert_eq!(places[0], Path::new("/data/.ecgpu-100hz.cache"));
        assert!(places.len() == 1 || places[1].file_name().unwrap().to_string_lossy().starts_with("ptb-xl-100hz-"));
        let chosen = Options { cache: Some("/chosen".into()), sampling_rate: SamplingRate::Hz500 };
        let places = super::places(Path::new("/data"), &chosen);
        assert!(places.len() == 1 && places[0].starts_with("/chosen"), "{places:?}");
    }
}
