//! Damaged weights, tunings and settings are read or refused: no panic, no hang, and no more memory than a small multiple of
//! a file. Recordings are in `tests/formats`, checkpoints in `tests/runs`.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use ecgpu::{Error, Weights, engine::random::Random};

/// The system's allocator, which notes the largest allocation.
struct Noting;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does all the work.
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller guarantees what the system's allocator demands.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller guarantees what the system's allocator demands.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Noting = Noting;

/// What a file of `len` bytes may allocate at a time.
fn bound(len: usize) -> usize {
    4 * len + (4 << 20)
}

/// Reads a file damaged in many ways. Damage is within its first `changed` bytes.
fn damage<T>(file: &[u8], changed: usize, read: impl Fn(&[u8]) -> Result<T, Error>) {
    let mut random = Random::new(std::process::id().into(), 3);
    let mut refused = 0;
    let mut check = |bytes: &[u8]| {
        LARGEST.store(0, Ordering::Relaxed);
        if let Err(error) = read(bytes) {
            assert!(!error.cause().is_empty() && !error.remedy().is_empty(), "an error without cause or remedy");
            refused += 1;
        }
        let largest = LARGEST.load(Ordering::Relaxed);
        assert!(largest <= bound(bytes.len()), "{largest} bytes for a file of {}", bytes.len());
    };
    for _ in 0..400 {
        let mut bytes = file.to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(changed.min(bytes.len()));
            match random.below(4) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = b"0192\"{}[],:-eE. \n\xff"[random.below(18)],
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"09\"{}[],"[random.below(8)]),
            }
        }
        check(&bytes);
    }
    for len in (0..changed).step_by(changed / 50 + 1) {
        check(&file[..len]);
    }
    assert!(refused > 50, "{refused} files were refused, too few to say anything");
}

// One test, because what another test allocates at the same time would be noted too.
#[test]
fn damaged_files_are_read_or_refused_in_little_memory() {
    let weights = include_bytes!("../weights/ssl-ecg-542k.safetensors");
    let header = 8 + u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    damage(weights, header, |bytes| Weights::from_bytes(bytes, "damaged"));
    #[cfg(feature = "gpu")]
    damage(TUNING.as_bytes(), TUNING.len(), ecgpu::engine::backend::gpu::Tuning::from_bytes);
    #[cfg(feature = "train")]
    {
        use ecgpu::train::{RunKind, Settings};
        let settings =
            "kind = \"train\"\nepochs = 3\nbatch = 64\nlearning_rate = 1e-3\nnetwork = \"55k\"\ncrop = 2.5\n";
        let read = |bytes: &[u8]| Settings::read(RunKind::Train, &String::from_utf8_lossy(bytes));
        damage(settings.as_bytes(), settings.len(), read);
    }
}

/// A tuning of one step.
#[cfg(feature = "gpu")]
const TUNING: &str = "\
ecgpu tuning 4
adapter: A GPU
backend: vulkan
driver: maker
driver_info: 1.2
shaders: 0123456789abcdef
steps: 1
linear batch=1 in_features=64 out_features=5 x_base_offset=0 x_offset=0 x_pitch=8 y_base_offset=0 y_offset=0 y_pitch=8 \
x=f32 y=f32 weights=f32 -> plain
";
