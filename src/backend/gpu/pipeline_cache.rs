//! Compiled pipelines in a file, so that a later process need not compile them: for Vulkan drivers that keep none
//! themselves. Nothing is written unless an application or `--pipeline-cache` names a file.
//!
//! The file is a header of our own before the driver's bytes: magic, version, the lengths of the key and of the data, an
//! FNV-1a checksum of all the rest, and the key, which says what it holds for: adapter, driver and build. A file that is
//! damaged or holds for something else costs a warning, is not used and is replaced; one that is no pipeline cache at all
//! is left alone. It is written beside its place, synchronised and renamed, so that a reader never sees a part of one.
//!
//! Predicted: nothing gained on Mesa 22.3's lavapipe, which compiles at the first dispatch. Measured from process start to
//! the first logits, 25 interleaved runs: 864 ms without and 885 ms with it, quartiles 800 and 814, within the noise.
//! The reason: its cache holds the 32 bytes of a header and no code. It is for drivers that compile with the pipeline.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{
    Machine, faults,
    tuning::{FNV_OFFSET, fnv1a},
};
use crate::{Error, ErrorKind, Result, files};

/// What a file begins with.
const MAGIC: [u8; 16] = *b"ecgpu pipelines\n";
/// The version of the format.
const VERSION: u32 = 1;
/// Magic, version, length of the key, length of the data, checksum.
const HEADER: usize = MAGIC.len() + 4 + 4 + 8 + 8;
/// Bytes that a file may have. A driver takes some ten kilobytes for a pipeline, of which a network has about ten.
const LARGEST: usize = 64 << 20;

/// Called with what went wrong; whatever it is, the GPU works as without a cache.
pub(super) type Warn = Box<dyn Fn(&Error) + Send + Sync>;

pub(super) struct PipelineCache {
    pub(super) cache: wgpu::PipelineCache,
    file: Place,
    key: String,
    /// The length of the data in the file. A driver's cache only ever grows.
    written: Mutex<usize>,
    warn: Warn,
}

/// Where the file is, and whether it may be written.
struct Place {
    path: PathBuf,
    ours: bool,
}

impl PipelineCache {
    /// Takes over the file's pipelines if it is sound and holds here. None, with a warning, where the device has no such
    /// caches.
    pub(super) fn open(device: &wgpu::Device, path: PathBuf, warn: Warn) -> Option<Self> {
        let machine = Machine::of(device);
        let adapter = wgpu::util::pipeline_cache_key(&device.adapter_info());
        let Some(adapter) = adapter.filter(|_| device.features().contains(wgpu::Features::PIPELINE_CACHE)) else {
            let cause = format!("{machine} gives no pipeline cache");
            warn(&Error::new(ErrorKind::PipelineCache, cause, "leave it out: only Vulkan drivers have one"));
            return None;
        };
        let key = format!("{adapter}, {machine}, ecgpu {}", env!("CARGO_PKG_VERSION"));
        let (contents, ours) = match read(&path) {
            Ok(contents) => (contents, true),
            Err(error) => {
                warn(&error);
                (None, false)
            }
        };
        let data = contents.as_deref().map(|contents| decode(contents, &key).map_err(|error| error.at(path.display())));
        let loaded = data.and_then(|data| {
            let cache = data.and_then(|data| create(device, Some(data)));
            cache.inspect_err(|error| warn(error)).ok()
        });
        // What the driver has taken over: SwiftShader's is 64 bytes longer than what it was given, each time.
        let (written, cache) = match loaded {
            Some(cache) => (cache.get_data().map_or(0, |data| data.len()), cache),
            None => (0, create(device, None).inspect_err(|error| warn(error)).ok()?),
        };
        let ours = ours && contents.is_none_or(|contents| begins_as_ours(&contents));
        Some(Self { cache, file: Place { path, ours }, key, written: Mutex::new(written), warn })
    }

    /// Writes the file anew if pipelines have been added.
    pub(super) fn save(&self) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(data) = self.cache.get_data().filter(|data| self.file.ours && data.len() > *written) else { return };
        // Also where it fails, so that it is tried and reported once.
        *written = data.len();
        if let Err(error) = files::replace(&self.file.path, &encode(&self.key, &data)) {
            (self.warn)(&Error::new(
                ErrorKind::File,
                format!("{}: the pipeline cache cannot be written: {error}", self.file.path.display()),
                "name a file in a folder that can be written",
            ));
        }
    }
}

/// A cache of the driver's with what `data`, as [`decode`] returned it, holds.
fn create(device: &wgpu::Device, data: Option<&[u8]>) -> Result<wgpu::PipelineCache> {
    // Without the fallback, wgpu too reports what it finds wrong with its own header inside the data.
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("ecgpu"), data, fallback: false };
    // SAFETY: the data must be what `get_data` gave, as drivers may trust it blindly. `decode` has checked that `save`
    // wrote it, for this adapter, driver and build, and that not a byte has changed since. The checksum guards against
    // damage, not against malice: who may write the file is up to whoever named it.
    faults::scoped(device, || Ok(unsafe { device.create_pipeline_cache(&descriptor) }))
        .map_err(|error| Error::new(ErrorKind::PipelineCache, error.cause(), REMEDY))
}

/// A file's contents; none where there is no file.
///
/// # Errors
/// It is there and cannot be read.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| Error::file(path, error))?,
    };
    let mut contents = Vec::new();
    // One byte more than is allowed tells a file that is too large, even one that never ends.
    file.take(LARGEST as u64 + 1).read_to_end(&mut contents).map_err(|error| Error::file(path, error))?;
    Ok(Some(contents))
}

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

/// Whether a file may be taken for a pipeline cache, however damaged, and so be replaced.
fn begins_as_ours(contents: &[u8]) -> bool {
    contents.iter().zip(&MAGIC).all(|(byte, magic)| byte == magic)
}

/// What helps against a file that does not hold: nothing need be done.
const REMEDY: &str = "pipelines are compiled as usual and the file is replaced";

/// The driver's bytes in a file that [`encode`] made for this key.
fn decode<'a>(contents: &'a [u8], key: &str) -> Result<&'a [u8]> {
    let refused = |cause: String| Error::new(ErrorKind::PipelineCache, cause, REMEDY);
    let damaged = |what: &str| refused(format!("a damaged pipeline cache, {what}"));
    if !begins_as_ours(contents) {
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
