//! Section 2 of an SCP-ECG record: how numbers are coded (EN 1064, 5.5 and annex C.3).

use crate::{
    Result,
    ecg::format::{
        damaged,
        little_endian::{i16_at, u16_at, u32_at},
    },
};

/// The number of tables that stands for the standard's own table.
const DEFAULT: u16 = 19_999;

/// The length of a code's definition.
const DEFINITION: usize = 9;

/// The most codes that are read. Real tables have about twenty.
const MOST_CODES: usize = 1 << 16;

/// What an undecodable signal calls for.
const REMEDY: &str = "the file is damaged: export or copy it again";

/// How the numbers of sections 5 and 6 are coded.
pub(super) enum Coding {
    /// As 16-bit numbers.
    Plain,
    /// By Huffman codes. Each table is sorted by [`Code::bits`].
    Huffman(Vec<Vec<Code>>),
}

/// A Huffman code: a prefix, and perhaps bits of a number that is added to a base.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code {
    /// The prefix, its first bit the highest of the 32.
    bits: u32,
    /// The number of bits of the prefix, at least one.
    prefix: u8,
    /// The number of bits of the code, those of the prefix included.
    length: u8,
    /// Whether the code switches to another table instead of giving a number.
    switches: bool,
    /// The number that is given or added to, or the number of the table, from 1.
    base: i16,
}

impl Coding {
    /// Reads the section. Without one, numbers are plain.
    pub(super) fn new(section: Option<&[u8]>) -> Result<Self> {
        match section.map(|section| u16_at(section, 0)) {
            None | Some(Some(0)) => Ok(Self::Plain),
            Some(Some(DEFAULT)) => Ok(Self::Huffman(vec![default_table()])),
            Some(count) => {
                let tables = count.zip(section).and_then(|(count, section)| tables(count, section.get(2..)?));
                tables.map(Self::Huffman).ok_or_else(|| damaged("section 2 holds no usable Huffman tables", REMEDY))
            }
        }
    }

    /// Decodes up to `count` numbers: fewer where the bytes end before.
    ///
    /// # Errors
    /// A code that is in no table.
    pub(super) fn decode(&self, bytes: &[u8], count: usize) -> Result<Vec<i32>> {
        match self {
            Self::Plain => {
                let number = |pair: &[u8]| i16_at(pair, 0).map(i32::from);
                Ok(bytes.chunks_exact(2).filter_map(number).take(count).collect())
            }
            Self::Huffman(tables) => huffman(tables, bytes, count),
        }
    }
}

/// Builds the standard's own table. A number of up to eight has as many ones, a zero and a bit for the sign; nine ones
/// and a zero precede eight bits, and ten ones sixteen bits.
fn default_table() -> Vec<Code> {
    let code = |base: i16, bits: u32, prefix: u8, length: u8| Code {
        bits: bits << (32 - prefix),
        prefix,
        length,
        switches: false,
        base,
    };
    let mut table = vec![code(0, 0, 1, 1)];
    for size in 1..=8u8 {
        let ones = (1 << size) - 1;
        let base = i16::from(size);
        table.extend([code(base, ones << 2, size + 2, size + 2), code(-base, ones << 2 | 1, size + 2, size + 2)]);
    }
    table.extend([code(0, 0x3FE, 10, 18), code(0, 0x3FF, 10, 26)]);
    table.sort_by_key(|code| code.bits);
    table
}

/// Reads `count` tables.
fn tables(count: u16, mut rest: &[u8]) -> Option<Vec<Vec<Code>>> {
    let mut tables = Vec::new();
    let mut codes = 0;
    for _ in 0..count {
        let length = usize::from(u16_at(rest, 0)?);
        codes += length;
        let definitions = rest.get(2..)?.get(..length * DEFINITION).filter(|_| (1..=MOST_CODES).contains(&codes))?;
        let mut table: Vec<Code> = definitions.chunks_exact(DEFINITION).map(Code::new).collect::<Option<_>>()?;
        table.sort_by_key(|code| code.bits);
        tables.push(table);
        rest = rest.get(2 + length * DEFINITION..)?;
    }
    Some(tables)
}

impl Code {
    fn new(definition: &[u8]) -> Option<Self> {
        let &[prefix, length, mode, ..] = definition else { return None };
        let (base, reversed) = (i16_at(definition, 3)?, u32_at(definition, 5)?);
        // The lowest bit of the stored prefix is the one that comes first.
        let mask = u32::MAX.checked_shl(32u32.checked_sub(prefix.into())?)?;
        let sound = prefix <= length && length - prefix <= 32;
        sound.then_some(Self { bits: reversed.reverse_bits() & mask, prefix, length, switches: mode == 0, base })
    }

    /// Whether 32 bits of a signal begin with this code's prefix.
    fn begins(&self, next: u32) -> bool {
        (next ^ self.bits) >> (32 - self.prefix) == 0
    }
}

/// Decodes a signal, which begins with the first table.
fn huffman(tables: &[Vec<Code>], bytes: &[u8], count: usize) -> Result<Vec<i32>> {
    let end = bytes.len() * 8;
    let mut numbers = Vec::with_capacity(count.min(end));
    let mut table = tables.first().map_or(&[][..], Vec::as_slice);
    let mut at = 0;
    while numbers.len() < count && at < end {
        let next = bits_at(bytes, at);
        // Of the prefixes that are not greater, the greatest is the only one that can match: none begins another.
        let found = table.partition_point(|code| code.bits <= next).checked_sub(1).and_then(|index| table.get(index));
        let code = found.filter(|code| code.begins(next));
        let Some(code) = code else {
            // What fills up the last byte need not be a code.
            if end - at < 8 {
                break;
            }
            return Err(damaged(format!("sample {} has a code that is in no table", numbers.len()), REMEDY));
        };
        let (prefix, length) = (usize::from(code.prefix), usize::from(code.length));
        if at + length > end {
            break;
        }
        if code.switches {
            let other = usize::try_from(code.base).ok().and_then(|number| tables.get(number.checked_sub(1)?));
            let missing = || damaged(format!("a code refers to table {}, which is missing", code.base), REMEDY);
            table = other.ok_or_else(missing)?;
        } else {
            let added = signed(bits_at(bytes, at + prefix), length - prefix);
            numbers.push(i32::from(code.base).wrapping_add(added));
        }
        at += length;
    }
    Ok(numbers)
}

/// Returns 32 bits from the bit at `at` on, counted from the highest of the first byte. Behind the end there are zeros.
fn bits_at(bytes: &[u8], at: usize) -> u32 {
    let mut window = [0; 8];
    let rest = bytes.get(at / 8..).unwrap_or_default();
    window.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    (u64::from_be_bytes(window) << (at % 8) >> 32) as u32
}

/// Takes the first `count` of 32 bits as a number in two's complement.
fn signed(bits: u32, count: usize) -> i32 {
    match count {
        0 => 0,
        count => bits as i32 >> (32 - count),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns bytes whose bits are written with ones and zeros.
    fn bytes(bits: &str) -> Vec<u8> {
        let bits: Vec<u8> = bits.bytes().filter(|bit| *bit != b' ').map(|bit| bit - b'0').collect();
        bits.chunks(8).map(|byte| byte.iter().enumerate().map(|(at, bit)| bit << (7 - at)).sum()).collect()
    }

    fn definition(prefix: u8, length: u8, mode: u8, base: i16, reversed: u32) -> Vec<u8> {
        [&[prefix, length, mode][..], &base.to_le_bytes(), &reversed.to_le_bytes()].concat()
    }

    #[test]
    fn the_standards_own_table_is_decoded() {
        let coding = Coding::new(Some(&DEFAULT.to_le_bytes())).unwrap();
        let stream =
            bytes("0 100 101 1100 11101 1111111100 1111111101 1111111110 11110110 1111111111 0000000100000000 0");
        assert_eq!(coding.decode(&stream, 10).unwrap(), [0, 1, -1, 2, -3, 8, -8, -10, 256, 0]);
        assert_eq!(coding.decode(&stream, 3).unwrap(), [0, 1, -1]);
        // The last code is not all there.
        assert_eq!(coding.decode(&bytes("100 11111"), 9).unwrap(), [1]);
    }

    #[test]
    fn tables_of_a_record_are_read_bits_reversed_and_switched_between() {
        // Table 1: 0 is 5, 10 switches to table 2, 110 precedes four bits that are added to 100.
        let first = [definition(1, 1, 1, 5, 0), definition(2, 2, 0, 2, 0b01), definition(3, 7, 1, 100, 0b011)].concat();
        // Table 2: 1 is -7, 0 switches to table 1.
        let second = [definition(1, 1, 1, -7, 1), definition(1, 1, 0, 1, 0)].concat();
        let section = [&2u16.to_le_bytes()[..], &3u16.to_le_bytes(), &first, &2u16.to_le_bytes(), &second].concat();
        let coding = Coding::new(Some(&section)).unwrap();
        let stream = bytes("0 10 1 1 0 110 1111 110 0111 0");
        assert_eq!(coding.decode(&stream, 6).unwrap(), [5, -7, -7, 99, 107, 5]);
        assert_eq!(
            coding.decode(&bytes("111 00000 00000000"), 6).unwrap_err().cause(),
            "sample 0 has a code that is in no table"
        );
    }

    #[test]
    fn unusable_tables_are_refused() {
        let table = |definition: Vec<u8>| [&[1, 0, 1, 0][..], &definition].concat();
        for section in [
            vec![1],
            vec![1, 0],
            vec![1, 0, 0, 0],
            vec![1, 0, 2, 0, 1, 1, 1],
            table(definition(0, 0, 1, 0, 0)),
            table(definition(33, 33, 1, 0, 0)),
            table(definition(4, 3, 1, 0, 0)),
            table(definition(4, 40, 1, 0, 0)),
        ] {
            assert!(Coding::new(Some(&section)).is_err(), "{section:?}");
        }
        let missing = Coding::new(Some(&table(definition(1, 1, 0, 9, 0)))).unwrap();
        assert_eq!(missing.decode(&[0], 1).unwrap_err().cause(), "a code refers to table 9, which is missing");
    }

    #[test]
    fn plain_numbers_need_no_section() {
        for section in [None, Some(&[0, 0][..])] {
            assert_eq!(Coding::new(section).unwrap().decode(&[1, 0, 0xFF, 0xFF, 7], 9).unwrap(), [1, -1]);
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(section: Vec<u8>, stream: Vec<u8>, count in 0..5000usize) {
            if let Ok(coding) = Coding::new(Some(&section)) {
                let _ = coding.decode(&stream, count);
            }
            let _ = Coding::new(Some(&DEFAULT.to_le_bytes())).unwrap().decode(&stream, count);
        }
    }
}
