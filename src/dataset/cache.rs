//! The signal cache: the samples of all records in one file that is mapped into memory.
//!
//! Reading 21,799 records takes seconds to minutes, mapping one file takes milliseconds. The file has a header of 64
//! bytes, the samples of each record as `[leads, samples]` in 16-bit microvolts, and one checksum per record. The header
//! holds a fingerprint of the records' names and of their files' sizes and modification times. Labels are not cached:
//! they are read from the tables each time. A file with an unexpected header, length or checksum is written again.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::UNIX_EPOCH,
};

use memmap2::Mmap;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{Options, ProgressCallback, Record, SamplingRate, problems, signals};
use crate::{
    Error, ErrorKind, Hint, Result,
    files::{self, PartialFile},
};

/// The first bytes of every cache; the digit is the version of the format.
const MAGIC: &[u8; 8] = b"ecgpuPX1";
/// Written in native byte order, so that a machine of the other byte order rejects the cache.
const BYTE_ORDER: u32 = 0x0102_0304;
/// Bytes of the header.
const HEADER: usize = 64;

/// Records that are read in parallel before they are written in order; 256 of 12 × 5000 samples take 31 MB.
const RECORDS_AT_A_TIME: usize = 256;

/// The file that holds the signal cache.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheFile {
    /// The path of the file.
    pub path: PathBuf,
    /// Why it had to be written, such as "there was none"; `None` if a valid cache existed.
    pub written: Option<String>,
}

/// The mapped samples of all records.
#[derive(Debug)]
pub(super) struct Cache {
    map: Mmap,
    /// Samples per record, all leads together.
    elements: usize,
    file: CacheFile,
}

impl Cache {
    /// Maps the cache of `records`. Writes it first if no valid one exists.
    pub(super) fn open(
        folder: &Path,
        records: &[Record],
        options: &Options,
        progress: ProgressCallback<'_>,
    ) -> Result<Self> {
        let candidates = candidates(folder, options);
        Source { folder, records, rate: options.sampling_rate }.open(&candidates, progress)
    }

    pub(super) fn file(&self) -> &CacheFile {
        &self.file
    }

    /// Returns the samples of a record in microvolts, `[leads, samples]`. Panics if the index is out of range.
    pub(super) fn record(&self, index: usize) -> &[i16] {
        let size = self.elements * size_of::<i16>();
        // A map begins on a page and the header has an even length, so the bytes are aligned.
        bytemuck::cast_slice(&self.map[HEADER + index * size..][..size])
    }
}

/// Lists the paths that a cache may have, in the order of preference.
fn candidates(folder: &Path, options: &Options) -> Vec<PathBuf> {
    let rate = options.sampling_rate.hz();
    // A folder may hold the caches of several copies, so the name depends on the path of the copy.
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

/// Returns the user's cache folder by the convention of the platform.
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

/// The records that a cache is made from.
struct Source<'a> {
    folder: &'a Path,
    records: &'a [Record],
    rate: SamplingRate,
}

impl Source<'_> {
    /// Maps the first valid cache among `candidates`. Writes a new one if none is valid.
    fn open(&self, candidates: &[PathBuf], progress: ProgressCallback<'_>) -> Result<Cache> {
        let header = self.header();
        let mut why = "there was none".to_string();
        for path in candidates {
            match self.map(path, &header) {
                Ok(map) => return Ok(self.mapped(map, path, None)),
                Err(Some(reason)) => why = reason,
                Err(None) => (),
            }
        }
        let (path, partial) = create_first(candidates)?;
        self.write(partial, path, &header, progress)?;
        let map = self.map(path, &header).map_err(|reason| {
            let reason = reason.unwrap_or_else(|| "it was removed".into());
            let cause = format!("{}: just written, but {reason}", path.display());
            Error::new(ErrorKind::File, cause, "check the disk, or choose another folder for the cache")
        })?;
        Ok(self.mapped(map, path, Some(why)))
    }

    fn mapped(&self, map: Mmap, path: &Path, written: Option<String>) -> Cache {
        Cache { map, elements: self.rate.elements(), file: CacheFile { path: path.into(), written } }
    }

    /// Returns the header that a valid cache of these records has.
    fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&BYTE_ORDER.to_ne_bytes());
        header[12..16].copy_from_slice(&self.rate.hz().to_le_bytes());
        header[16..24].copy_from_slice(&(self.records.len() as u64).to_le_bytes());
        header[24..56].copy_from_slice(&self.fingerprint());
        header
    }

    /// Hashes the names of all records with the sizes and modification times of their files.
    fn fingerprint(&self) -> [u8; 32] {
        let of_record = |record: &Record| {
            [record.header_file(self.folder), record.signal_file(self.folder)].map(|file| size_and_time(&file))
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

    /// Maps a valid cache. Otherwise returns what is wrong with the file, or `None` if there is no file.
    fn map(&self, path: &Path, header: &[u8; HEADER]) -> std::result::Result<Mmap, Option<String>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(None),
            opened => opened.map_err(|error| Some(format!("it could not be read ({error})")))?,
        };
        // SAFETY: a map is sound as long as its file is neither shortened nor changed. Caches are written under a
        // temporary name and never change after the rename. A program that deliberately writes into one is not guarded
        // against.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| Some(format!("it could not be mapped ({error})")))?;
        let faulty = |fault: &str| Err(Some(fault.to_string()));
        if map.get(..MAGIC.len()) != Some(MAGIC) {
            return faulty("the file there was no cache of this version");
        }
        if map.get(..HEADER) != Some(header) {
            return faulty("the records have changed since it was written");
        }
        let size = self.rate.elements() * size_of::<i16>();
        if map.len() != HEADER + self.records.len() * (size + size_of::<u64>()) {
            return faulty("it was cut off");
        }
        let (samples, checksums) = map[HEADER..].split_at(self.records.len() * size);
        let checksums = checksums.par_chunks_exact(size_of::<u64>());
        if !samples.par_chunks_exact(size).zip(checksums).all(|(record, sum)| checksum(record).to_le_bytes() == sum) {
            return faulty("it was damaged");
        }
        Ok(map)
    }

    /// Reads all records and writes them into `partial`, which is renamed to `path` at the end.
    fn write(
        &self,
        mut partial: PartialFile,
        path: &Path,
        header: &[u8; HEADER],
        progress: ProgressCallback<'_>,
    ) -> Result<()> {
        let failed = |error: std::io::Error| Error::file(path, error);
        let (mut problems, mut checksums, done) = (Vec::new(), Vec::new(), AtomicUsize::new(0));
        let read = |record| {
            let samples = signals::read(self.folder, record, self.rate);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, self.records.len());
            samples
        };
        partial.write_all(header).map_err(failed)?;
        for records in self.records.chunks(RECORDS_AT_A_TIME) {
            for samples in records.par_iter().map(read).collect::<Vec<_>>() {
                match samples {
                    Ok(samples) => {
                        let bytes = bytemuck::cast_slice(&samples);
                        checksums.push(checksum(bytes).to_le_bytes());
                        // After a problem the remaining records are only read to find further problems.
                        if problems.is_empty() {
                            partial.write_all(bytes).map_err(failed)?;
                        }
                    }
                    Err(problem) => problems.push(problem),
                }
            }
        }
        problems::none(self.folder.display(), problems, problems::REPAIR)?;
        partial.write_all(&checksums.concat()).map_err(failed)?;
        partial.publish().map_err(failed)
    }
}

/// Returns a file's size and its modification time in nanoseconds, or numbers that no file has.
fn size_and_time(path: &Path) -> [u64; 2] {
    let found = path.metadata().ok().and_then(|metadata| {
        let time = metadata.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Some([metadata.len(), time.as_nanos() as u64])
    });
    found.unwrap_or([u64::MAX; 2])
}

/// Computes FNV-1a (Fowler, Noll and Vo) over words of 8 bytes. It checks several GB per second and detects faults of a
/// disk, not manipulation.
fn checksum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8).map(bytemuck::pod_read_unaligned::<u64>);
    words.fold(0xcbf2_9ce4_8422_2325, |hash, word| (hash ^ word).wrapping_mul(0x0100_0000_01b3))
}

/// Begins a cache at the first of `paths` where a file can be created.
fn create_first(paths: &[PathBuf]) -> Result<(&PathBuf, PartialFile)> {
    let mut refusals = Vec::new();
    for path in paths {
        let created = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            // Killed processes leave files of hundreds of megabytes.
            files::remove_abandoned(path);
            PartialFile::create(path)
        });
        match created {
            Ok(partial) => return Ok((path, partial)),
            Err(error) => refusals.push(format!("{}: {error}", path.display())),
        }
    }
    let cause = format!("no place for the cache of the signals: {}", refusals.join("; "));
    Err(Error::new(ErrorKind::File, cause, "give a folder that can be written").with_hint(Hint::NameCacheFolder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_created_at_the_first_writable_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let paths = [file.join("under a file"), folder.path().join("new/a.cache"), folder.path().join("third")];
        let (path, partial) = create_first(&paths).unwrap();
        assert_eq!(path, &paths[1]);
        partial.publish().unwrap();
        assert!(paths[1].exists() && fs::read_dir(folder.path().join("new")).unwrap().count() == 1);
        let error = create_first(&paths[..1]).err().unwrap();
        assert!(error.cause().contains("under a file: "), "{error}");
    }

    #[test]
    fn the_data_folder_is_preferred_to_the_users_cache_folder() {
        let paths = candidates(Path::new("/data"), &Options::default());
        assert_eq!(paths[0], Path::new("/data/.ecgpu-100hz.cache"));
        assert!(paths.len() == 1 || paths[1].file_name().unwrap().to_string_lossy().starts_with("ptb-xl-100hz-"));
        let chosen = Options { cache: Some("/chosen".into()), sampling_rate: SamplingRate::Hz500 };
        let paths = candidates(Path::new("/data"), &chosen);
        assert!(paths.len() == 1 && paths[0].starts_with("/chosen"), "{paths:?}");
    }
}
