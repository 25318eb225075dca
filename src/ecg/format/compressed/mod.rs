//! Compressed files: gzip and zip of every other format, and NumPy archives, which are zip files of arrays.
//!
//! One level is undone: a compressed file in a compressed file is not read, but for a NumPy archive.

mod archive;
mod gzip;
mod inflate;
mod npz;
mod zip;

pub(super) use self::{gzip::FORMAT as GZIP, npz::FORMAT as NPZ, zip::FORMAT as ZIP};

use super::{Source, damaged, recognise::Recognised};
use crate::Result;

/// The largest compressed file that is read, in bytes: 512 MiB. It is held in memory.
const LARGEST: u64 = 512 << 20;

/// Reads a whole compressed file.
fn read_whole(source: &Source) -> Result<Vec<u8>> {
    let mut part = source.open()?;
    if part.size > LARGEST {
        let cause = format!("a compressed file of {} MiB", part.size >> 20);
        return Err(damaged(cause, "unpack it, and give the files"));
    }
    part.read_start(LARGEST).map_err(|error| source.unreadable(error))
}

/// Whether a file within a compressed file is itself one that is not read there.
fn is_nested(recognised: &Recognised) -> bool {
    [GZIP.name, ZIP.name].contains(&recognised.name())
}
