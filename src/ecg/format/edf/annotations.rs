//! The annotations of EDF+ and BDF+ files: lists of an onset and texts in each record.
//!
//! A list is `+ONSET`, optionally a byte 21 and a duration, then texts that each end in a byte 20, then a byte 0. The first
//! list of a record has an empty text first, and its onset is the time when the record begins (EDF+, section 2.2.4).

/// The byte behind an onset or a text.
pub(super) const END_OF_TEXT: u8 = 20;
/// The byte between an onset and a duration.
const DURATION: u8 = 21;

/// Returns the seconds from the start of the file to the start of the record whose annotations are `bytes`.
pub(super) fn onset(bytes: &[u8]) -> Option<f64> {
    let end = bytes.iter().position(|byte| [END_OF_TEXT, DURATION].contains(byte))?;
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let signed = text.starts_with(['+', '-']);
    text.parse().ok().filter(|onset: &f64| signed && onset.is_finite())
}

/// Whether a text of the annotations begins with "synthetic", as in the files that this crate writes of its synthetic
/// ECGs.
pub(super) fn is_synthetic(bytes: &[u8]) -> bool {
    let synthetic = b"synthetic";
    let begins = |text: &[u8]| text.get(..synthetic.len()).is_some_and(|start| start.eq_ignore_ascii_case(synthetic));
    bytes.split(|byte| *byte == 0).any(|list| list.split(|byte| *byte == END_OF_TEXT).skip(1).any(begins))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_list_of_a_record_states_when_it_begins() {
        assert_eq!(onset(b"+12.5\x14\x14\0+13\x14beat\x14\0\0"), Some(12.5));
        assert_eq!(onset(b"-0.5\x151\x14\x14\0"), Some(-0.5));
        for bytes in [&b""[..], b"\0\0\0", b"12\x14\x14\0", b"+\x14", b"+1e999\x14\x14", b"+nan\x14\x14"] {
            assert_eq!(onset(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_synthetic_recording_is_known_by_its_annotation() {
        assert!(is_synthetic(b"+0\x14\x14\0+0\x14Synthetic ECG\x14\0"));
        assert!(!is_synthetic(b"+0\x14\x14\0+0\x14not synthetic\x14\0"));
    }
}
