//! The checksum of SCP-ECG and ISHNE files: the CRC of CCITT, with the polynomial x¹⁶ + x¹² + x⁵ + 1.

/// Computes the checksum of `bytes`, beginning with all ones and the highest bit first.
pub(super) fn crc_ccitt(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc: u16, byte| {
        // The eight steps of one byte at once, as EN 1064 gives them in its annex on the checksum.
        let mut crc = crc.rotate_left(8) ^ u16::from(*byte);
        crc ^= (crc & 0xFF) >> 4;
        crc ^= crc << 12;
        crc ^ (crc & 0xFF) << 5
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_has_its_published_check_value() {
        assert_eq!(crc_ccitt(b"123456789"), 0x29B1);
        assert_eq!(crc_ccitt(b""), 0xFFFF);
    }
}
