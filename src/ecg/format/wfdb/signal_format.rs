//! Decodes the samples of WFDB signal files, as signal(5) of the WFDB Applications Guide describes them.

/// The signal formats that can be read. A file is a sequence of frames; a frame has one sample of each signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignalFormat {
    /// 16-bit two's complement, least significant byte first.
    Format16,
    /// 24-bit two's complement, least significant byte first.
    Format24,
    /// 32-bit two's complement, least significant byte first.
    Format32,
    /// 16-bit two's complement, most significant byte first.
    Format61,
    /// 8-bit offset binary.
    Format80,
    /// 16-bit offset binary, least significant byte first.
    Format160,
    /// 12-bit two's complement, two samples in three bytes: the low byte of the first, the high four bits of both (the
    /// first's in the lower half), the low byte of the second.
    Format212,
}

impl SignalFormat {
    /// Returns the format with this `number` in a header.
    pub(super) fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            16 => SignalFormat::Format16,
            24 => SignalFormat::Format24,
            32 => SignalFormat::Format32,
            61 => SignalFormat::Format61,
            80 => SignalFormat::Format80,
            160 => SignalFormat::Format160,
            212 => SignalFormat::Format212,
            _ => return None,
        })
    }

    /// Returns the size of two samples in bytes.
    fn bytes_of_two(self) -> u64 {
        match self {
            SignalFormat::Format80 => 2,
            SignalFormat::Format212 => 3,
            SignalFormat::Format16 | SignalFormat::Format61 | SignalFormat::Format160 => 4,
            SignalFormat::Format24 => 6,
            SignalFormat::Format32 => 8,
        }
    }

    /// Returns the size of `samples` in bytes, or nothing if it overflows. Half a pair of format 212, at the end, has two
    /// bytes.
    pub(super) fn bytes(self, samples: u64) -> Option<u64> {
        (samples / 2).checked_mul(self.bytes_of_two())?.checked_add((samples % 2) * self.bytes_of_two().div_ceil(2))
    }

    /// Returns the number of samples that fit into `bytes`.
    pub(super) fn samples(self, bytes: u64) -> u64 {
        let rest = bytes % self.bytes_of_two();
        bytes / self.bytes_of_two() * 2 + u64::from(rest >= self.bytes_of_two().div_ceil(2))
    }

    /// Returns the value that marks a missing sample: the lowest one.
    pub(super) fn missing(self) -> i32 {
        match self {
            SignalFormat::Format80 => -(1 << 7),
            SignalFormat::Format212 => -(1 << 11),
            SignalFormat::Format16 | SignalFormat::Format61 | SignalFormat::Format160 => -(1 << 15),
            SignalFormat::Format24 => -(1 << 23),
            SignalFormat::Format32 => i32::MIN,
        }
    }

    /// Decodes sample number `index` of a file, or nothing beyond its end.
    pub(super) fn sample(self, bytes: &[u8], index: usize) -> Option<i32> {
        Some(match self {
            SignalFormat::Format16 => i16::from_le_bytes(*at(bytes, index)?).into(),
            SignalFormat::Format24 => {
                let [low, middle, high] = *at(bytes, index)?;
                i32::from_le_bytes([0, low, middle, high]) >> 8
            }
            SignalFormat::Format32 => i32::from_le_bytes(*at(bytes, index)?),
            SignalFormat::Format61 => i16::from_be_bytes(*at(bytes, index)?).into(),
            SignalFormat::Format80 => i32::from(*bytes.get(index)?) - 128,
            SignalFormat::Format160 => i32::from(u16::from_le_bytes(*at(bytes, index)?)) - 32_768,
            SignalFormat::Format212 => {
                let pair = bytes.get(index / 2 * 3..)?;
                let (low, high) = match index % 2 {
                    0 => (*pair.first()?, pair.get(1)? & 0x0F),
                    _ => (*pair.get(2)?, pair.get(1)? >> 4),
                };
                // The sign is bit 11; shifted to the top and back it fills the bits above.
                (i32::from(high) << 28 | i32::from(low) << 20) >> 20
            }
        })
    }
}

/// Returns the `index`-th group of N bytes.
fn at<const N: usize>(bytes: &[u8], index: usize) -> Option<&[u8; N]> {
    bytes.get(index.checked_mul(N)?..)?.first_chunk()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(signal_format: SignalFormat, bytes: &[u8]) -> Vec<i32> {
        (0..).map_while(|index| signal_format.sample(bytes, index)).collect()
    }

    #[test]
    fn each_format_gives_its_numbers() {
        assert_eq!(decoded(SignalFormat::Format16, &[1, 0, 0xFE, 0xFF, 0, 0x80]), [1, -2, -32_768]);
        assert_eq!(decoded(SignalFormat::Format61, &[0, 1, 0xFF, 0xFE]), [1, -2]);
        assert_eq!(decoded(SignalFormat::Format24, &[1, 0, 0, 0xFE, 0xFF, 0xFF, 0, 0, 0x80]), [1, -2, -8_388_608]);
        assert_eq!(decoded(SignalFormat::Format32, &[1, 0, 0, 0, 0xFE, 0xFF, 0xFF, 0xFF]), [1, -2]);
        assert_eq!(decoded(SignalFormat::Format80, &[129, 126, 0]), [1, -2, -128]);
        assert_eq!(decoded(SignalFormat::Format160, &[1, 0x80, 0xFE, 0x7F]), [1, -2]);
        assert_eq!(decoded(SignalFormat::Format212, &[0x01, 0xF0, 0xFE]), [1, -2]);
        assert_eq!(decoded(SignalFormat::Format212, &[0xFF, 0x87, 0x00, 0x05, 0x00]), [2047, -2048, 5]);
    }

    #[test]
    fn bytes_and_samples_agree() {
        use SignalFormat::*;
        for signal_format in [Format16, Format24, Format32, Format61, Format80, Format160, Format212] {
            for samples in 0..50 {
                let bytes = signal_format.bytes(samples).unwrap();
                assert_eq!(signal_format.samples(bytes), samples, "{signal_format:?}");
                let held = vec![0; bytes as usize];
                assert_eq!(decoded(signal_format, &held).len() as u64, samples, "{signal_format:?}");
            }
            assert_eq!(signal_format.bytes(u64::MAX).is_some(), signal_format == Format80);
        }
    }
}
