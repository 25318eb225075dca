//! Decodes the samples of WFDB signal files, as signal(5) of the WFDB Applications Guide describes them.

/// The formats of signal files that are not compressed. A file is a sequence of frames; a frame has one or more samples of
/// each signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignalFormat {
    /// 8-bit two's complement differences: each sample less the one before it.
    Format8,
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
    /// 10-bit two's complement, three samples in two 16-bit words, the least significant byte first: bits 1 to 10 of the
    /// first word, bits 1 to 10 of the second, bits 11 to 15 of the first and above them those of the second.
    Format310,
    /// 10-bit two's complement, three samples in a 32-bit word, the least significant byte first: bits 0 to 9, 10 to 19 and
    /// 20 to 29.
    Format311,
}

impl SignalFormat {
    /// Returns the format with this `number` in a header.
    pub(super) fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            8 => SignalFormat::Format8,
            16 => SignalFormat::Format16,
            24 => SignalFormat::Format24,
            32 => SignalFormat::Format32,
            61 => SignalFormat::Format61,
            80 => SignalFormat::Format80,
            160 => SignalFormat::Format160,
            212 => SignalFormat::Format212,
            310 => SignalFormat::Format310,
            311 => SignalFormat::Format311,
            _ => return None,
        })
    }

    /// Returns the sizes in bytes of one sample, of two, and so on to those of a block, which ends on a whole byte.
    fn sizes(self) -> &'static [u64] {
        match self {
            SignalFormat::Format8 | SignalFormat::Format80 => &[1],
            SignalFormat::Format16 | SignalFormat::Format61 | SignalFormat::Format160 => &[2],
            SignalFormat::Format24 => &[3],
            SignalFormat::Format32 => &[4],
            SignalFormat::Format212 => &[2, 3],
            SignalFormat::Format310 => &[2, 4, 4],
            SignalFormat::Format311 => &[2, 3, 4],
        }
    }

    /// Returns the number of samples of a block and its size in bytes.
    fn block(self) -> (u64, u64) {
        let sizes = self.sizes();
        (sizes.len() as u64, sizes[sizes.len() - 1])
    }

    /// Returns the size of `samples` in bytes, or nothing if it overflows. The last block may be incomplete.
    pub(super) fn bytes(self, samples: u64) -> Option<u64> {
        let (in_block, size) = self.block();
        let rest = match (samples % in_block) as usize {
            0 => 0,
            rest => self.sizes()[rest - 1],
        };
        (samples / in_block).checked_mul(size)?.checked_add(rest)
    }

    /// Returns the number of samples that fit into `bytes`.
    pub(super) fn samples(self, bytes: u64) -> u64 {
        let (in_block, size) = self.block();
        let rest = bytes % size;
        bytes / size * in_block + self.sizes().iter().filter(|size| **size <= rest).count() as u64
    }

    /// Returns how many samples some writers add to complete the last block.
    pub(super) fn padding(self, samples: u64) -> u64 {
        samples.next_multiple_of(self.block().0) - samples
    }

    /// Returns the value that marks a missing sample: the lowest one. Differences have none.
    pub(super) fn missing(self) -> Option<i32> {
        Some(match self {
            SignalFormat::Format8 => return None,
            SignalFormat::Format80 => -(1 << 7),
            SignalFormat::Format310 | SignalFormat::Format311 => -(1 << 9),
            SignalFormat::Format212 => -(1 << 11),
            SignalFormat::Format16 | SignalFormat::Format61 | SignalFormat::Format160 => -(1 << 15),
            SignalFormat::Format24 => -(1 << 23),
            SignalFormat::Format32 => i32::MIN,
        })
    }

    /// Decodes number `index` of a file, or nothing beyond its end: a sample, or a difference in format 8.
    pub(super) fn sample(self, bytes: &[u8], index: usize) -> Option<i32> {
        Some(match self {
            SignalFormat::Format8 => i8::from_le_bytes(*at(bytes, index)?).into(),
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
                signed(u32::from(high) << 8 | u32::from(low), 12)
            }
            SignalFormat::Format310 => {
                let words = bytes.get(index / 3 * 4..)?;
                let word = |number: usize| Some(u32::from(u16::from_le_bytes(*at(words, number)?)));
                let bits = match index % 3 {
                    2 => (word(0)? >> 11) | (word(1)? >> 11) << 5,
                    number => word(number)? >> 1,
                };
                signed(bits, 10)
            }
            SignalFormat::Format311 => {
                // Each sample lies within two bytes.
                let number = index % 3;
                let pair = bytes.get((index / 3 * 4).checked_add(number)?..)?;
                signed(u32::from(u16::from_le_bytes(*at(pair, 0)?)) >> (2 * number), 10)
            }
        })
    }
}

/// Reads the lowest `bits` of a word as two's complement.
fn signed(word: u32, bits: u32) -> i32 {
    let above = u32::BITS - bits;
    // The sign is shifted to the top, and back it fills the bits above.
    ((word << above) as i32) >> above
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
        assert_eq!(decoded(SignalFormat::Format8, &[1, 0xFE, 0x80]), [1, -2, -128]);
        // 1, -2 and 341, of which the lower five bits (10101) are in the first word and the upper five (01010) in the second.
        let words = [0b10101 << 11 | 1 << 1, 0b01010 << 11 | 0x3FE << 1 | 1, 0x200u16 << 1];
        let bytes: Vec<u8> = words.into_iter().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decoded(SignalFormat::Format310, &bytes), [1, -2, 341, -512]);
        // The two highest bits mean nothing.
        let word = 0b11u32 << 30 | 341 << 20 | 0x3FE << 10 | 1;
        assert_eq!(decoded(SignalFormat::Format311, &word.to_le_bytes()), [1, -2, 341]);
        assert_eq!(decoded(SignalFormat::Format311, &[0, 2]), [-512]);
    }

    #[test]
    fn bytes_and_samples_agree() {
        use SignalFormat::*;
        for signal_format in
            [Format8, Format16, Format24, Format32, Format61, Format80, Format160, Format212, Format310, Format311]
        {
            for samples in 0..50 {
                let bytes = signal_format.bytes(samples).unwrap();
                // Two samples of format 310 take as many bytes as three.
                let held = samples + u64::from(signal_format == Format310 && samples % 3 == 2);
                assert_eq!(signal_format.samples(bytes), held, "{signal_format:?}");
                let zeros = vec![0; bytes as usize];
                assert_eq!(decoded(signal_format, &zeros).len() as u64, held, "{signal_format:?}");
            }
            assert_eq!(signal_format.bytes(u64::MAX).is_some(), matches!(signal_format, Format8 | Format80));
        }
    }
}
