//! Bounds what is decompressed, whatever the file's headers say.

/// What any file may decompress to, in bytes: 32 MiB, more than a thousand ECGs of ten seconds in 16 bits.
const ALWAYS: u64 = 32 << 20;

/// How many times its own size a file may decompress to beyond that. ECGs compress to a third or so, and their text to a
/// tenth.
const RATIO: u64 = 20;

/// What no file may exceed, in bytes: 1 GiB.
#[cfg(any(feature = "compressed", feature = "mat"))]
const NEVER: u64 = 1 << 30;

/// Returns how many bytes a file of `size` bytes may decompress to.
#[cfg(any(feature = "compressed", feature = "mat"))]
pub(super) fn decompressed(size: u64) -> u64 {
    plausible(size).min(NEVER)
}

/// Returns how many bytes of samples a file of `size` bytes can hold, if its header is right.
pub(super) fn plausible(size: u64) -> u64 {
    size.saturating_mul(RATIO).max(ALWAYS)
}

#[cfg(test)]
mod tests {
    #[cfg(any(feature = "compressed", feature = "mat"))]
    #[test]
    fn a_small_file_cannot_become_a_large_one() {
        use super::*;

        assert_eq!(decompressed(0), ALWAYS);
        assert_eq!(decompressed(10 << 20), 200 << 20);
        assert_eq!(decompressed(u64::MAX), NEVER);
    }
}
