//! Keeps compiled pipelines in a file, so that a later process need not compile them. It is for Vulkan drivers that have no
//! cache of their own. Nothing is written unless the application names a file.
//!
//! The file has a header before the driver's bytes: magic, version, the lengths of the key and of the data, an FNV-1a
//! checksum of everything else, and the key, which names the adapter, the driver and the build. A file that is damaged or
//! was made for something else is not used: a warning is logged and the file is replaced. A file that is no pipeline cache
//! is not changed. A file is replaced as a whole, so that a reader never finds a part of one.
//!
//! The measurements are in `docs/measurements/gpu-host-path.md`.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{
    Machine, faults,
    tuning::{FNV_OFFSET, fnv1a},
    waiting::block_on,
};
use crate::{Error, ErrorKind, Result, files};

/// The first bytes of a file.
const MAGIC: [u8; 16] = *b"ecgpu pipelines\n";
/// The version of the format.
const VERSION: u32 = 1;
/// The bytes of the header: magic, version, length of the key, length of the data, checksum.
const HEADER: usize = MAGIC.len() + 4 + 4 + 8 + 8;
/// The largest file in bytes. A network has about ten pipelines, and drivers take about ten kilobytes for each.
const LARGEST: usize = 64 << 20;

/// A driver's pipeline cache with its file.
pub(super) struct PipelineCache {
    pub(super) cache: wgpu::PipelineCache,
    file: CacheFile,
    /// The adapter, the driver and the build.
    key: String,
    /// The length of the data in the file. A driver's cache never shrinks.
    written: Mutex<usize>,
}

/// The path of the file, and whether the file may be replaced.
struct CacheFile {
    path: PathBuf,
    replaceable: bool,
}

impl PipelineCache {
    /// Loads the pipelines of a file if it is valid here. Returns none, and logs a warning, if the device has no pipeline
    /// caches.
    pub(super) fn open(device: &wgpu::Device, machine: &Machine, path: PathBuf) -> Option<Self> {
        let adapter = wgpu::util::pipeline_cache_key(&device.adapter_info());
        let Some(adapter) = adapter.filter(|_| device.features().contains(wgpu::Features::PIPELINE_CACHE)) else {
            let cause = format!("{machine} gives no pipeline cache");
            let remedy = "leave it out: only Vulkan drivers have one";
            warn(&Error::new(ErrorKind::PipelineCache, cause, remedy));
            return None;
        };
        let key = format!("{adapter}, {machine}, ecgpu {}", env!("CARGO_PKG_VERSION"));
        let (contents, readable) = match read(&path) {
            Ok(contents) => (contents, true),
            Err(error) => {
                warn(&error);
                (None, false)
            }
        };
        let data = contents.as_deref().map(|contents| decode(contents, &key).map_err(|error| error.at(path.display())));
        let loaded = data.and_then(|data| {
            let cache = data.and_then(|data| create(device, Some(data)));
            cache.inspect_err(warn).ok()
        });
        // The length that the driver reports: SwiftShader's cache grows by 64 bytes each time it is loaded.
        let (written, cache) = match loaded {
            Some(cache) => (cache.get_data().map_or(0, |data| data.len()), cache),
            None => (0, create(device, None).inspect_err(warn).ok()?),
        };
        log::debug!("pipeline cache {}: {written} bytes loaded", path.display());
        let replaceable = readable && contents.is_none_or(|contents| is_pipeline_cache(&contents));
        Some(Self { cache, file: CacheFile { path, replaceable }, key, written: Mutex::new(written) })
    }

    /// Replaces the file if pipelines have been added.
    pub(super) fn save(&self) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(data) = self.cache.get_data().filter(|data| self.file.replaceable && data.len() > *written) else {
            return;
        };
        // Set even if writing fails, so that a failure is reported once.
        *written = data.len();
        log::debug!("pipeline cache {}: {} bytes saved", self.file.path.display(), data.len());
        if let Err(error) = files::replace(&self.file.path, &encode(&self.key, &data)) {
            warn(&Error::new(
                ErrorKind::File,
                format!("{}: the pipeline cache cannot be written: {error}", self.file.path.display()),
                "name a file in a folder that can be written",
            ));
        }
    }
}

/// Logs a problem. The GPU works as without a cache.
fn warn(error: &Error) {
    log::warn!("{error}");
}

/// Creates a driver's cache with `data`, which [`decode`] returned.
fn create(device: &wgpu::Device, data: Option<&[u8]>) -> Result<wgpu::PipelineCache> {
    // Without the fallback, wgpu reports errors in its own header within the data.
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("ecgpu"), data, fallback: false };
    // SAFETY: the data must come from `get_data`, because drivers may not check it. `decode` has checked that `save` wrote
    // it for this adapter, driver and build, and that no byte has changed. The checksum protects against damage, not
    // against attacks: the application must name a file that only trusted users can write.
    block_on(faults::scoped(device, || Ok(unsafe { device.create_pipeline_cache(&descriptor) })))
        .map_err(|error| Error::new(ErrorKind::PipelineCache, error.cause(), REMEDY))
}

/// Reads a file. Returns none if it does not exist.
///
/// # Errors
/// The file exists and cannot be read.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| Error::file(path, error))?,
    };
    let mut contents = Vec::new();
    // One byte more than the largest size detects a file that is too large, even an endless one.
    file.take(LARGEST as u64 + 1).read_to_end(&mut contents).map_err(|error| Error::file(path, error))?;
    Ok(Some(contents))
}

/// Returns the contents of a file with the driver's bytes.
fn encode(key: &str, data: &[u8]) -> Vec<u8> {
    let [key_length, data_length] = [key.len(), data.len()].map(|length| length as u64);
    let head = [&MAGIC[..], &VERSION.to_le_bytes(), &(key_length as u32).to_le_bytes(), &data_length.to_le_bytes()];
    let head = head.concat();
    let checksum = checksum(&[&head, key.as_bytes(), data]);
    [&head, &checksum.to_le_bytes()[..], key.as_bytes(), data].concat()
}

fn checksum(parts: &[&[u8]]) -> u64 {
    fnv1a(FNV_OFFSET, parts.iter().flat_map(|part| part.iter().copied().map(u64::from)))
}

/// Whether a file is a pipeline cache, possibly damaged, and may be replaced. The beginning of the magic is enough.
fn is_pipeline_cache(contents: &[u8]) -> bool {
    contents.iter().zip(&MAGIC).all(|(byte, magic)| byte == magic)
}

/// The remedy for a file that is not valid: nothing need be done.
const REMEDY: &str = "pipelines are compiled as usual and the file is replaced";

/// Returns the driver's bytes of a file that [`encode`] made for this key.
///
/// # Errors
/// The file is damaged, no pipeline cache, or was made for another key.
fn decode<'a>(contents: &'a [u8], key: &str) -> Result<&'a [u8]> {
    let refused = |cause: String| Error::new(ErrorKind::PipelineCache, cause, REMEDY);
    let damaged = |what: &str| refused(format!("a damaged pipeline cache, {what}"));
    if !is_pipeline_cache(contents) {
        let remedy = "the file is left as it is: name another, or delete it";
        return Err(Error::new(ErrorKind::PipelineCache, "no pipeline cache", remedy));
    }
    if contents.len() > LARGEST {
        return Err(refused(format!("more than {LARGEST} bytes are too large for a pipeline cache")));
    }
    let (header, rest) = contents.split_at_checked(HEADER).ok_or_else(|| damaged("cut short in its header"))?;
    let (head, checksum) = header.split_at(HEADER - 8);
    let number = |at: usize, length: usize| {
        let bytes = head[at..at + length].iter().rev();
        bytes.fold(0u64, |number, &byte| number << 8 | u64::from(byte))
    };
    let [version, key_length, data_length] = [(16, 4), (20, 4), (24, 8)].map(|(at, length)| number(at, length));
    if version != u64::from(VERSION) {
        return Err(refused(format!("a pipeline cache of version {version} where this build has {VERSION}")));
    }
    if key_length.checked_add(data_length) != Some(rest.len() as u64) {
        return Err(damaged(&format!("{} bytes where {key_length} and {data_length} are declared", rest.len())));
    }
    if self::checksum(&[head, rest]).to_le_bytes() != checksum {
        return Err(damaged("its checksum is wrong"));
    }
    let (made_for, data) = rest.split_at(key_length as usize);
    if made_for != key.as_bytes() {
        let made_for = String::from_utf8_lossy(made_for);
        return Err(refused(format!("a pipeline cache for {made_for}, and this is {key}")));
    }
    Ok(data)
}

#[cfg(test)]
#[path = "pipeline_cache_tests.rs"]
mod tests;
