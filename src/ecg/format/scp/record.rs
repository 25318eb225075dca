//! The frame of an SCP-ECG record: its size, its checksums and where its sections are (EN 1064, 5.2 and 5.3).

use crate::{
    Result,
    ecg::format::{
        crc::crc_ccitt,
        damaged,
        little_endian::{u16_at, u32_at},
    },
};

/// The length of the header that every section begins with: checksum, number, length, two versions, six bytes reserved.
const SECTION_HEADER: usize = 16;

/// Where section 0, which says where the others are, begins: after the record's checksum and size.
const SECTION_0: usize = 6;

/// Where the first pointer of section 0 is.
const POINTERS: usize = SECTION_0 + SECTION_HEADER;

/// The length of a pointer: number, length and position of a section.
const POINTER: usize = 10;

/// The sections from which signals are read: Huffman tables, leads, beats, reference beat, rhythm.
const SIGNAL_SECTIONS: [u16; 5] = [2, 3, 4, 5, 6];

/// What a damaged frame calls for.
const REMEDY: &str = "the file is damaged: export or copy it again";

/// A record whose frame is sound.
pub(super) struct Record<'a> {
    bytes: &'a [u8],
    /// The bytes that belong to the record, as it says.
    size: usize,
    /// Number, length and offset of each section that is there.
    sections: Vec<(u16, usize, usize)>,
}

/// Whether a file begins like a record: with section 0, which names itself or points at itself.
pub(super) fn recognises(start: &[u8]) -> bool {
    let Some(length) = u32_at(start, SECTION_0 + 4) else { return false };
    let named = start.get(SECTION_0 + 10..).is_some_and(|rest| rest.starts_with(b"SCPECG"));
    // Its own pointer holds its number, its length and its position, which counts from 1.
    let itself = [&0u16.to_le_bytes()[..], &length.to_le_bytes(), &(SECTION_0 as u32 + 1).to_le_bytes()].concat();
    let points_at_itself = start.get(POINTERS..).is_some_and(|rest| rest.starts_with(&itself));
    u16_at(start, SECTION_0 + 2) == Some(0)
        && length as usize >= SECTION_HEADER + POINTER
        && (named || points_at_itself)
}

impl<'a> Record<'a> {
    /// Finds the sections of a record.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self> {
        let too_short = || damaged(format!("{} bytes, which is too short for SCP-ECG", bytes.len()), REMEDY);
        let size = u32_at(bytes, 2).ok_or_else(too_short)? as usize;
        let length = u32_at(bytes, SECTION_0 + 4).ok_or_else(too_short)? as usize;
        if !recognises(bytes) {
            let cause = "no SCP-ECG record: it does not begin with the list of its sections";
            return Err(damaged(cause, "check that this is an SCP-ECG file"));
        }
        if size > bytes.len() {
            let cause = format!("the record has {size} bytes, and the file holds {}", bytes.len());
            return Err(damaged(cause, "the file is cut off: export or copy it again"));
        }
        let pointers = bytes.get(POINTERS..SECTION_0.saturating_add(length)).unwrap_or_default();
        let sections = pointers.chunks_exact(POINTER).filter_map(|pointer| {
            let position = u32_at(pointer, 6)?.checked_sub(1)?;
            let length = u32_at(pointer, 2)? as usize;
            (length > SECTION_HEADER).then_some((u16_at(pointer, 0)?, length, position as usize))
        });
        Ok(Self { bytes, size, sections: sections.collect() })
    }

    /// Returns the contents of a section after its header, if the record has it.
    pub(super) fn section(&self, number: u16) -> Result<Option<&'a [u8]>> {
        let section = self.whole_section(number)?;
        Ok(section.and_then(|section| section.get(SECTION_HEADER..)))
    }

    fn whole_section(&self, number: u16) -> Result<Option<&'a [u8]>> {
        let Some((_, length, offset)) = self.sections.iter().find(|(other, _, _)| *other == number) else {
            return Ok(None);
        };
        let section = self.bytes.get(*offset..).and_then(|rest| rest.get(..*length));
        match section.filter(|section| u16_at(section, 2) == Some(number)) {
            Some(section) => Ok(Some(section)),
            None => Err(damaged(format!("section {number} is not where the record says"), REMEDY)),
        }
    }

    /// Compares the record with its checksum. Software that makes a record anonymous often leaves the old checksum, so
    /// that a wrong one is a warning. But where also a section that holds the signals contradicts a checksum of its own,
    /// the signals may be wrong.
    ///
    /// # Errors
    /// The checksums of the record and of such a section are wrong.
    pub(super) fn check(&self) -> Result<Option<String>> {
        let differs = |bytes: &[u8]| bytes.get(2..).is_some_and(|rest| u16_at(bytes, 0) != Some(crc_ccitt(rest)));
        if !self.bytes.get(..self.size).is_some_and(differs) {
            return Ok(None);
        }
        for number in SIGNAL_SECTIONS {
            // Zero stands for a checksum that was never computed.
            let wrong = |section: &[u8]| u16_at(section, 0) != Some(0) && differs(section);
            if self.whole_section(number)?.is_some_and(wrong) {
                let cause = format!("section {number} does not match its checksum, nor does the record");
                return Err(damaged(cause, REMEDY));
            }
        }
        Ok(Some("the record does not match its checksum: was it altered, such as to make it anonymous?".into()))
    }
}
