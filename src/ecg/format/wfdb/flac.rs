//! Decodes signal files that are compressed with FLAC: one channel a signal, the samples in the order of time.

use std::io::{Read, Seek, SeekFrom};

use super::super::{damaged, source::Part};
use crate::Result;

/// How a signal file is compressed and what of it is wanted.
pub(super) struct Compressed<'c> {
    /// The most bits a sample may have: 8, 16 or 24 by the signal format.
    pub(super) bits: u32,
    /// Whether the channel of each signal is wanted.
    pub(super) wanted: &'c [bool],
    /// Samples per channel before the first one of the record.
    pub(super) offset: u64,
    /// Samples per channel in the record; all if unknown.
    pub(super) samples: Option<u64>,
}

impl Compressed<'_> {
    /// Returns the value that marks a missing sample: the lowest one.
    pub(super) fn missing(&self) -> i32 {
        -(1 << (self.bits - 1))
    }
}

/// Samples of all channels that are decoded from a file of any size. Larger files may give more.
const FEW: u64 = 1 << 24;

/// The most samples a byte may give on average, beyond [`FEW`]. ECGs give one or two.
const MOST_PER_BYTE: u64 = 8;

/// Decodes the wanted channels of a file; the others stay empty. A file that ends early gives fewer samples.
///
/// # Errors
/// The file is damaged, or its channels or bits are not those that the header describes.
pub(super) fn decode(part: Part, name: &str, compressed: &Compressed) -> Result<Vec<Vec<i32>>> {
    let Part { mut reader, size } = part;
    reader.seek(SeekFrom::Start(0)).map_err(|error| unreadable(name, 0, &error.into()))?;
    let mut reader = claxon::FlacReader::new(reader.by_ref()).map_err(|error| unreadable(name, 0, &error))?;
    let (channels, bits) = (reader.streaminfo().channels, reader.streaminfo().bits_per_sample);
    if channels as usize != compressed.wanted.len() {
        let cause = format!("{name} has {channels} channels, and {} signals are described", compressed.wanted.len());
        return Err(damaged(cause, "correct the header: a compressed file has one channel a signal"));
    }
    if bits > compressed.bits {
        let cause = format!("{name} has {bits} bits a sample, and its format has {}", compressed.bits);
        return Err(damaged(cause, "correct the signal format: 508, 516 and 524 have 8, 16 and 24 bits"));
    }
    let end = compressed.samples.map_or(u64::MAX, |samples| samples.saturating_add(compressed.offset));
    let most = size.saturating_mul(MOST_PER_BYTE).max(FEW) / u64::from(channels);
    let mut decoded = vec![Vec::new(); compressed.wanted.len()];
    let (mut blocks, mut buffer, mut done) = (reader.blocks(), Vec::new(), 0);
    while done < end {
        let block = blocks.read_next_or_eof(buffer).map_err(|error| unreadable(name, done, &error))?;
        let Some(block) = block else { break };
        if block.channels() != channels {
            return Err(unreadable(name, done, &claxon::Error::FormatError("another number of channels")));
        }
        let next = done + u64::from(block.duration());
        if next > most {
            let cause = format!("{name} decompresses to more than {most} samples, which its size does not explain");
            return Err(damaged(cause, "check that this is the signal file of an ECG"));
        }
        // Positions within a block fit into a usize, as its samples do.
        let [from, to] = [compressed.offset, end].map(|at| (at.clamp(done, next) - done) as usize);
        for (channel, samples) in (0..).zip(&mut decoded).filter(|(channel, _)| compressed.wanted[*channel as usize]) {
            samples.extend_from_slice(&block.channel(channel)[from..to]);
        }
        done = next;
        buffer = block.into_buffer();
    }
    Ok(decoded)
}

fn unreadable(name: &str, samples: u64, error: &claxon::Error) -> crate::Error {
    let cause = format!("{name} cannot be decompressed after {samples} samples ({error})");
    damaged(cause, "the signal file is cut off or damaged: get the record again")
}
