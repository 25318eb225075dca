//! How a WFDB signal file stores its samples, as signal(5) of the WFDB Applications Guide describes it.

/// The storage formats that can be read. The file holds frame after frame, a frame one sample of each signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
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

impl Storage {
    /// The format that a header calls by `number`.
    pub(super) fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            16 => Storage::Format16,
            24 => Storage::Format24,
            32 => Storage::Format32,
            61 => Storage::Format61,
            80 => Storage::Format80,
            160 => Storage::Format160,
            212 => Storage::Format212,
            _ => return None,
        })
    }

    /// The bytes that two samples take.
    fn bytes_of_two(self) -> u64 {
        match self {
            Storage::Format80 => 2,
            Storage::Format212 => 3,
            Storage::Format16 | Storage::Format61 | Storage::Format160 => 4,
            Storage::Format24 => 6,
            Storage::Format32 => 8,
        }
    }

    /// The bytes that `samples` take, or nothing if their number overflows. A last half pair of format 212 takes two.
    pub(super) fn bytes(self, samples: u64) -> Option<u64> {
        (samples / 2).checked_mul(self.bytes_of_two())?.checked_add((samples % 2) * self.bytes_of_two().div_ceil(2))
    }

    /// The samples that fit into `bytes`.
    pub(super) fn samples(self, bytes: u64) -> u64 {
        let rest = bytes % self.bytes_of_two();
        bytes / self.bytes_of_two() * 2 + u64::from(rest >= self.bytes_of_two().div_ceil(2))
    }

    /// The value that marks a missing sample: the lowest one.
    pub(super) fn missing(self) -> i32 {
        match self {
            Storage::Format80 => -(1 << 7),
            Storage::Format212 => -(1 << 11),
            Storage::Format16 | Storage::Format61 | Storage::Format160 => -(1 << 15),
            Storage::Format24 => -(1 << 23),
            Storage::Format32 => i32::MIN,
        }
    }

    /// Sample number `index` of a file's samples, or nothing beyond their end.
    pub(super) fn sample(self, bytes: &[u8], index: usize) -> Option<i32> {
        Some(match self {
            Storage::Format16 => i16::from_le_bytes(*at(bytes, index)?).into(),
            Storage::Format24 => {
                let [low, middle, high] = *at(bytes, index)?;
                i32::from_le_bytes([0, low, middle, high]) >> 8
            }
            Storage::Format32 => i32::from_le_bytes(*at(bytes, index)?),
            Storage::Format61 => i16::from_be_bytes(*at(bytes, index)?).into(),
            Storage::Format80 => i32::from(*bytes.get(index)?) - 128,
            Storage::Format160 => i32::from(u16::from_le_bytes(*at(bytes, index)?)) - 32_768,
            Storage::Format212 => {
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

/// The `index`-th group of N bytes.
fn at<const N: usize>(bytes: &[u8], index: usize) -> Option<&[u8; N]> {
    bytes.get(index.checked_mul(N)?..)?.first_chunk()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(storage: Storage, bytes: &[u8]) -> Vec<i32> {
        (0..).map_while(|index| storage.sample(bytes, index)).collect()
    }

    #[test]
    fn each_format_gives_its_numbers() {
        assert_eq!(decoded(Storage::Format16, &[1, 0, 0xFE, 0xFF, 0, 0x80]), [1, -2, -32_768]);
        assert_eq!(decoded(Storage::Format61, &[0, 1, 0xFF, 0xFE]), [1, -2]);
        assert_eq!(decoded(Storage::Format24, &[1, 0, 0, 0xFE, 0xFF, 0xFF, 0, 0, 0x80]), [1, -2, -8_388_608]);
        assert_eq!(decoded(Storage::Format32, &[1, 0, 0, 0, 0xFE, 0xFF, 0xFF, 0xFF]), [1, -2]);
        assert_eq!(decoded(Storage::Format80, &[129, 126, 0]), [1, -2, -128]);
        assert_eq!(decoded(Storage::Format160, &[1, 0x80, 0xFE, 0x7F]), [1, -2]);
        assert_eq!(decoded(Storage::Format212, &[0x01, 0xF0, 0xFE]), [1, -2]);
        assert_eq!(decoded(Storage::Format212, &[0xFF, 0x87, 0x00, 0x05, 0x00]), [2047, -2048, 5]);
    }

    #[test]
    fn bytes_and_samples_agree() {
        use Storage::*;
        for storage in [Format16, Format24, Format32, Format61, Format80, Format160, Format212] {
            for samples in 0..50 {
                let bytes = storage.bytes(samples).unwrap();
                assert_eq!(storage.samples(bytes), samples, "{storage:?}");
                let held = vec![0; bytes as usize];
                assert_eq!(decoded(storage, &held).len() as u64, samples, "{storage:?}");
            }
            assert_eq!(storage.bytes(u64::MAX).is_some(), storage == Format80);
        }
    }
}
