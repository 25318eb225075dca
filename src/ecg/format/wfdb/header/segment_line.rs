//! Parses the line of a header about one segment.

use super::fields::{missing, whole_number};
use crate::Result;

/// The contents of a header's line about one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct SegmentLine {
    /// The name of the segment's own record; none for a gap.
    pub(in super::super) name: Option<String>,
    /// Frames in the segment; zero for the layout of a record whose segments have different signals.
    pub(in super::super) frames: u64,
}

/// Parses `name samples`; the name `~` is a gap.
pub(super) fn parse(line: &str) -> Result<SegmentLine> {
    let mut fields = line.split_whitespace();
    let name = fields.next().ok_or_else(|| missing("segment's name"))?;
    let frames = whole_number(fields.next(), "number of samples")?.ok_or_else(|| missing("number of samples"))?;
    Ok(SegmentLine { name: (name != "~").then(|| name.to_string()), frames })
}

/// Whether a line has exactly the two fields of a segment.
pub(super) fn is_segment_line(line: &str) -> bool {
    line.split_whitespace().count() == 2 && parse(line).is_ok()
}
