//! Reads little-endian numbers out of bytes whose length is not to be trusted.

/// Returns the unsigned 16-bit number at `offset`, if the bytes reach that far.
pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u16::from_le_bytes(*chunk))
}

/// Returns the signed 16-bit number at `offset`, if the bytes reach that far.
pub(super) fn i16_at(bytes: &[u8], offset: usize) -> Option<i16> {
    bytes.get(offset..)?.first_chunk().map(|chunk| i16::from_le_bytes(*chunk))
}

/// Returns the unsigned 32-bit number at `offset`, if the bytes reach that far.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}
