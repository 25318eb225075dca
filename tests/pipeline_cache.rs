//! Tests of a file of compiled pipelines: nothing is logged for a valid file, and any problem is one logged warning, never a
//! failure.

use std::{
    fs,
    path::Path,
    sync::{Mutex, Once, PoisonError},
};

use ecgpu::{
    Classifier, Weights,
    engine::backend::gpu::{Gpu, adapters},
};
use ecgpu_testing::skip;

/// Keeps the warnings that are logged.
struct Warnings(Mutex<Vec<String>>);

static WARNINGS: Warnings = Warnings(Mutex::new(Vec::new()));

impl Warnings {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl log::Log for Warnings {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.level() <= log::Level::Warn && metadata.target().starts_with("ecgpu")
    }

    fn log(&self, record: &log::Record) {
        if self.enabled(record.metadata()) {
            self.0.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Runs on a device with a cache in `file`. Returns the logits and the logged warnings.
fn run(file: Option<&Path>) -> Option<(Vec<f32>, Vec<String>)> {
    let Some(adapter) = adapters().into_iter().next() else {
        skip("no Vulkan, Metal or DX12 adapter");
        return None;
    };
    if !adapter.features().contains(&("pipeline_cache", true)) {
        skip("an adapter without pipeline caches");
        return None;
    }
    static LOGGER: Once = Once::new();
    LOGGER.call_once(|| {
        log::set_logger(&WARNINGS).unwrap();
        log::set_max_level(log::LevelFilter::Warn);
    });
    // One run at a time, so that each has its own warnings.
    static RUNNING: Mutex<()> = Mutex::new(());
    let _running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    WARNINGS.take();
    let mut gpu = Gpu::open(&adapter).unwrap();
    if let Some(file) = file {
        gpu = gpu.with_pipeline_cache(file);
    }
    let classifier = Classifier::on(Weights::built_in().unwrap(), Box::new(gpu)).unwrap();
    let input: Vec<f32> = (0..12 * 200).map(|at| (at as f32 * 0.01).sin()).collect();
    let logits = classifier.run(&input, 1, 200).unwrap().logits;
    Some((logits, WARNINGS.take()))
}

/// A file of the documented format: magic, version, lengths, FNV-1a checksum, key, data.
fn file_for(key: &str, data: &[u8]) -> Vec<u8> {
    let mut head = b"ecgpu pipelines\n\x01\0\0\0".to_vec();
    head.extend((key.len() as u32).to_le_bytes());
    head.extend((data.len() as u64).to_le_bytes());
    let bytes = head.iter().chain(key.as_bytes()).chain(data);
    let sum =
        bytes.fold(0xcbf2_9ce4_8422_2325u64, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    [&head, &sum.to_le_bytes()[..], key.as_bytes(), data].concat()
}

/// The key and the data of a file.
fn parts(file: &[u8]) -> (String, &[u8]) {
    let key = 40..40 + u32::from_le_bytes(file[20..24].try_into().unwrap()) as usize;
    (String::from_utf8(file[key.clone()].to_vec()).unwrap(), &file[key.end..])
}

#[test]
fn a_cache_is_written_once_and_read_again_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gpu.pipelines");
    let Some((without, _)) = run(None) else { return };
    for _ in 0..2 {
        assert_eq!(run(Some(&file)), Some((without.clone(), Vec::new())));
        let contents = fs::read(&file).unwrap();
        let (key, data) = parts(&contents);
        assert!(key.ends_with(concat!("ecgpu ", env!("CARGO_PKG_VERSION"))) && !data.is_empty(), "{key}");
        assert_eq!(contents, file_for(&key, data));
    }
    // The cache has nothing new, so it is not written again.
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    run(Some(&file));
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left in the folder");
}

#[test]
fn a_damaged_or_foreign_cache_is_replaced_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gpu.pipelines");
    let Some((expected, _)) = run(Some(&file)) else { return };
    let good = fs::read(&file).unwrap();
    let (key, data) = parts(&good);
    let flipped = |at: usize| {
        let mut file = good.clone();
        file[at] ^= 4;
        file
    };
    let mut of_another_driver = data.to_vec();
    // Inside wgpu's own header, where the driver's identity is.
    of_another_driver[40] ^= 0xff;
    for (bad, says) in [
        (Vec::new(), "cut short"),
        (good[..30].to_vec(), "cut short"),
        (good[..good.len() - 1].to_vec(), "are declared"),
        (flipped(17), "of version"),
        (flipped(45), "checksum"),
        (flipped(good.len() - 1), "checksum"),
        (file_for(&key.replacen("pipeline_cache", "pipeline_cache_of_another", 1), data), "and this is"),
        (file_for(&key.replace("ecgpu 0", "ecgpu 9"), data), "and this is"),
        (file_for(&key, &of_another_driver), "out of date"),
        (file_for(&key, b"nonsense"), "truncated"),
    ] {
        fs::write(&file, &bad).unwrap();
        let (logits, warnings) = run(Some(&file)).unwrap();
        assert_eq!((logits, warnings.len()), (expected.clone(), 1), "{warnings:?}");
        assert!(warnings[0].contains(says) && warnings[0].contains("the file is replaced"), "{says}: {warnings:?}");
        assert!(fs::read(&file).unwrap() == good, "{says}: a good file is in its place");
    }
}

#[test]
fn a_file_that_is_no_cache_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    fs::write(&file, b"precious").unwrap();
    let Some((_, warnings)) = run(Some(&file)) else { return };
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("the file is left as it is"), "{warnings:?}");
    assert_eq!(fs::read(&file).unwrap(), b"precious");
}

#[test]
fn a_path_that_cannot_be_read_or_written_gives_one_warning() {
    let folder = tempfile::tempdir().unwrap();
    let Some((expected, _)) = run(None) else { return };
    for (place, says) in [("none/gpu.pipelines", "cannot be written"), (".", "name a file, not a folder")] {
        let (logits, warnings) = run(Some(&folder.path().join(place))).unwrap();
        assert_eq!((logits, warnings.len()), (expected.clone(), 1), "{warnings:?}");
        assert!(warnings[0].contains(says), "{warnings:?}");
    }
}
