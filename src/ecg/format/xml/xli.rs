//! Decompresses XLI, the compression of leads in the XML of Philips.
//!
//! Each lead is a chunk: the size of its data in bytes (32 bits), an unused number and the first difference (16 bits each),
//! all little-endian, then the data. These are codes of LZW (Welch 1984) of ten bits, the most significant first. They give
//! the high bytes of all numbers and then the low bytes. Two numbers are samples, the others second differences, plus 64.
//! The format is documented by the project sierra-ecg-tools.

use super::damaged;
use crate::{Error, Result};

/// The length of a chunk's header in bytes.
const HEADER: usize = 8;

/// The first code that stands for several bytes.
const FIRST_STRING: usize = 256;

/// The code that ends a chunk, the largest of ten bits. All smaller ones may stand for bytes.
const END: usize = 1023;

/// What is added to every second difference.
const BIAS: i16 = 64;

/// Decompresses up to `leads` leads of up to `longest` samples each.
///
/// # Errors
/// There are fewer leads, one is longer, or the data are damaged.
pub(super) fn decompress(mut data: &[u8], leads: usize, longest: usize) -> Result<Vec<Vec<i16>>> {
    let mut decompressed = Vec::new();
    for position in 0..leads {
        let (codes, first, rest) = chunk(data).ok_or_else(|| bad(position, "it is cut off"))?;
        let bytes = lzw(codes, 2 * longest).map_err(|cause| bad(position, &cause))?;
        if bytes.len() < 4 || !bytes.len().is_multiple_of(2) {
            return Err(bad(position, &format!("it holds {} bytes", bytes.len())));
        }
        decompressed.push(samples(&bytes, first));
        data = rest;
    }
    Ok(decompressed)
}

fn bad(position: usize, cause: &str) -> Error {
    let cause = format!("XLI data, channel {}: {cause}", position + 1);
    damaged(cause, "the file is cut off or damaged: get it again")
}

/// Splits the first chunk off: its data, the first difference, and the chunks after it.
fn chunk(data: &[u8]) -> Option<(&[u8], i16, &[u8])> {
    let (header, rest) = data.split_first_chunk::<HEADER>()?;
    let [a, b, c, d, _, _, low, high] = *header;
    let size = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
    let (codes, rest) = rest.split_at_checked(size)?;
    Some((codes, i16::from_le_bytes([low, high]), rest))
}

/// Decodes codes of LZW to up to `most` bytes.
fn lzw(data: &[u8], most: usize) -> std::result::Result<Vec<u8>, String> {
    let mut bytes: Vec<u8> = Vec::new();
    // Each string has been decoded before: it is the string before it and one more byte. So it is kept as its place.
    let mut strings: Vec<(usize, usize)> = Vec::new();
    let mut previous: Option<(usize, usize)> = None;
    for code in codes(data).take_while(|code| *code != END) {
        if let Some((start, length)) = previous.filter(|_| FIRST_STRING + strings.len() < END) {
            strings.push((start, length + 1));
        }
        let start = bytes.len();
        match u8::try_from(code) {
            Ok(byte) => bytes.push(byte),
            Err(_) => {
                let string = strings.get(code - FIRST_STRING);
                let (from, length) = *string.ok_or_else(|| format!("code {code} comes before its string"))?;
                // One by one, since the newest string ends with the byte that is its own first.
                (from..from + length).for_each(|at| bytes.push(bytes[at]));
            }
        }
        if bytes.len() > most {
            return Err(format!("it holds over {} samples", most / 2));
        }
        previous = Some((start, bytes.len() - start));
    }
    Ok(bytes)
}

/// Iterates over the numbers of ten bits.
fn codes(data: &[u8]) -> impl Iterator<Item = usize> {
    (0..data.len() * 8 / 10).map(|position| {
        // Ten bits never span more than two bytes, as each begins at an even bit.
        let (byte, bit) = (position * 10 / 8, position * 10 % 8);
        let pair = u16::from_be_bytes([data[byte], data[byte + 1]]);
        usize::from(pair >> (6 - bit) & 0x3ff)
    })
}

/// Makes samples of the high bytes and the low bytes of differences.
fn samples(bytes: &[u8], first: i16) -> Vec<i16> {
    let (high, low) = bytes.split_at(bytes.len() / 2);
    let mut samples: Vec<i16> = high.iter().zip(low).map(|(high, low)| i16::from_be_bytes([*high, *low])).collect();
    let mut difference = first;
    for at in 2..samples.len() {
        // Differences of 16-bit samples are stored modulo 2^16.
        let [before, last] = [samples[at - 2], samples[at - 1]];
        let sample = last.wrapping_mul(2).wrapping_sub(before).wrapping_sub(difference);
        difference = samples[at].wrapping_sub(BIAS);
        samples[at] = sample;
    }
    samples
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Packs codes into bytes.
    fn packed(codes: &[usize]) -> Vec<u8> {
        let bits: Vec<u8> =
            codes.iter().flat_map(|code| (0..10).rev().map(move |bit| (code >> bit & 1) as u8)).collect();
        bits.chunks(8).map(|bits| (0..8).fold(0, |byte, at| byte << 1 | bits.get(at).unwrap_or(&0))).collect()
    }

    #[test]
    fn a_string_may_be_used_before_it_is_complete() {
        // a, aa, aaa: each string is the one that is being made.
        assert_eq!(lzw(&packed(&[97, 256, 257, END]), 100).unwrap(), b"aaaaaa");
        assert_eq!(lzw(&packed(&[97, 98, 256, 258, END, 5]), 100).unwrap(), b"abababa");
        assert!(lzw(&packed(&[97, 257, END]), 100).unwrap_err().contains("code 257"));
    }

    #[test]
    fn the_table_of_strings_holds_767() {
        let growing: Vec<usize> = std::iter::once(97).chain(256..1023).chain([1022, 1022]).collect();
        let bytes = lzw(&packed(&growing), 1 << 20).unwrap();
        assert_eq!(bytes.len(), (1..=768).sum::<usize>() + 2 * 768);
        assert!(lzw(&packed(&growing), 1000).unwrap_err().contains("over 500 samples"));
    }

    #[test]
    fn second_differences_give_samples() {
        // 3, 5, then 2·5 − 3 − 1 = 6, then 2·6 − 5 − (66 − 64) = 5.
        let numbers: [i16; 4] = [3, 5, 66, 0];
        let bytes: Vec<u8> = [0, 1].iter().flat_map(|byte| numbers.map(|x| x.to_be_bytes()[*byte])).collect();
        assert_eq!(samples(&bytes, 1), [3, 5, 6, 5]);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>, size in 0..300u32) {
            let _ = decompress(&bytes, 3, 1000);
            let _ = decompress(&[&size.to_le_bytes()[..], &[1, 0, 2, 0], &bytes].concat(), 2, 1000);
        }
    }
}
