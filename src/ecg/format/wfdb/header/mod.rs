//! Parses the header of a WFDB record, as header(5) of the WFDB Applications Guide describes it.
//!
//! A record line (name, number of signals, sampling rate, number of samples) is followed by one line per signal (file,
//! signal format, gain, checks, description), or by one line per segment (name, number of samples), each a record of its
//! own. Most fields are optional.

mod fields;
mod record_line;
mod segment_line;
mod signal_line;

use std::borrow::Cow;

use self::record_line::{RecordLine, is_record_line};
pub(super) use self::{segment_line::SegmentLine, signal_line::Signal};
use super::super::{damaged, text};
use crate::Result;

/// Frames a second where a header states none.
pub(super) const DEFAULT_RATE: f64 = 250.0;

/// Gain in steps of the converter (adu) per unit, where a header says 0 or nothing.
pub(super) const DEFAULT_GAIN: f64 = 200.0;

/// The contents of a header.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    /// Frames a second, if stated. A frame has one or more samples of each signal.
    pub(super) sampling_rate: Option<f64>,
    /// Frames in the record, if stated.
    pub(super) frames: Option<u64>,
    pub(super) contents: Contents,
    /// Whether a comment begins with "synthetic", as in the headers that this crate writes for its synthetic ECGs.
    pub(super) synthetic: bool,
}

/// What a record consists of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Contents {
    /// Signals in files beside the header.
    Signals(Vec<Signal>),
    /// Records that follow each other.
    Segments(Vec<SegmentLine>),
}

/// Parses a header.
///
/// # Errors
/// The text is no header; the error names the line.
pub(super) fn parse(bytes: &[u8]) -> Result<Header> {
    let text = decode(bytes)?;
    let (comments, described): (Vec<_>, Vec<_>) = numbered(&text).partition(|(_, line)| line.starts_with('#'));
    let synthetic =
        comments.iter().any(|(_, line)| line.trim_matches(['#', ' ']).to_lowercase().starts_with("synthetic"));
    let Some(((number, first), lines)) = described.split_first() else {
        let remedy = "give it a record line, such as 'name 12 500 5000', and one line per signal";
        return Err(damaged("the header is empty", remedy));
    };
    let record = RecordLine::parse(first).map_err(|error| error.at(format!("line {number}")))?;
    let contents = match record.segments {
        None => {
            // The file interleaves the samples of all signals, so a signal that is not counted would shift every other one.
            Contents::Signals(counted(
                lines,
                record.signals,
                "signals",
                signal_line::parse,
                signal_line::is_signal_line,
            )?)
        }
        Some(count) => {
            Contents::Segments(counted(lines, count, "segments", segment_line::parse, segment_line::is_segment_line)?)
        }
    };
    Ok(Header { sampling_rate: record.sampling_rate, frames: record.frames, contents, synthetic })
}

/// Parses as many lines as are declared. Other text may follow, but no further line of the kind.
fn counted<T>(
    lines: &[(usize, &str)],
    declared: u64,
    what: &str,
    parse: fn(&str) -> Result<T>,
    is_of_kind: fn(&str) -> bool,
) -> Result<Vec<T>> {
    let mut parsed = Vec::new();
    let (lines, others) = lines.split_at(usize::try_from(declared).unwrap_or(usize::MAX).min(lines.len()));
    for (number, line) in lines {
        parsed.push(parse(line).map_err(|error| error.at(format!("line {number}")))?);
    }
    let described = parsed.len() + others.iter().filter(|(_, line)| is_of_kind(line)).count();
    if described as u64 != declared {
        let cause = format!("{declared} {what} are declared and {described} described");
        return Err(damaged(cause, "the header is cut off or its first line wrong: get it again"));
    }
    Ok(parsed)
}

/// Decodes a header's text: UTF-8, or else Latin-1, in which all bytes are text.
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>> {
    if bytes.contains(&0) {
        return Err(damaged("the header is no text", "check that this is a WFDB header and save it as UTF-8"));
    }
    Ok(text::utf_8_or_latin_1(bytes))
}

/// Numbers the lines of a header, which end as on any system, and leaves out empty ones.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    // The systems of old end lines with a carriage return alone.
    let end = if text.contains('\n') { '\n' } else { '\r' };
    let lines = text.trim_start_matches('\u{feff}').split(end);
    (1..).zip(lines.map(str::trim)).filter(|(_, line)| !line.is_empty())
}

/// Whether these are the first bytes of a header: after comments a record line and the line of a signal or a segment. What
/// else is wrong with the header is for [`parse`] to say.
pub(super) fn recognises(start: &[u8]) -> bool {
    if start.contains(&0) {
        return false;
    }
    let text = String::from_utf8_lossy(start);
    let mut lines = numbered(&text).map(|(_, line)| line).filter(|line| !line.starts_with('#'));
    let (Some(record), Some(second)) = (lines.next(), lines.next()) else { return false };
    let of_segments = record.split_whitespace().next().is_some_and(|name| name.contains('/'));
    let is_described = signal_line::is_signal_line(second) || of_segments && segment_line::is_segment_line(second);
    is_record_line(record) && is_described
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{signal_line::SignalFormatField, *};
    use crate::ecg::Lead;

    fn signal(line: &str) -> Signal {
        signal_line::parse(line).unwrap()
    }

    fn signals(header: &Header) -> &[Signal] {
        match &header.contents {
            Contents::Signals(signals) => signals,
            Contents::Segments(_) => panic!("segments"),
        }
    }

    #[test]
    fn a_full_header_is_understood() {
        let header = parse(
            b"# a comment\r\n100 2 360/720(5) 650000 12:00:00 1/2/2000\r\n\
              100.dat 212x1:0+0 200(1024)/uV 11 1000 995 -22131 0 MDC_ECG_LEAD_II\r\n\
              100.dat 212 100.5 11 1024 1011 20052 0 chest V5\r\n# another\r\n",
        )
        .unwrap();
        assert_eq!((header.sampling_rate, header.frames, signals(&header).len()), (Some(360.0), Some(650_000), 2));
        let [first, second] = signals(&header) else { panic!("two signals") };
        assert_eq!((first.gain, first.baseline, first.unit.as_str()), (Some(200.0), 1024, "uV"));
        assert_eq!((first.initial, first.checksum, first.lead()), (Some(995), Some(-22131), Some(Lead::II)));
        assert_eq!((second.gain, second.baseline, second.unit.as_str()), (Some(100.5), 1024, "mV"));
        assert_eq!((second.description.as_str(), second.lead()), ("chest V5", None));
    }

    #[test]
    fn omitted_fields_stay_unknown() {
        let header = parse(b"r 1\nr.dat 16 0 12 7 5 6 0 I").unwrap();
        assert_eq!((header.sampling_rate, header.frames), (None, None));
        assert_eq!((signals(&header)[0].gain, signals(&header)[0].unit.as_str()), (None, "mV"));
        assert_eq!(signals(&header)[0].baseline, 7, "the converter's zero");
        assert_eq!(parse(b"r 1 500 0\nr.dat 16 0 12 0 5 6 0 I").unwrap().frames, None);
    }

    #[test]
    fn a_storage_field_has_four_parts() {
        let field = signal("r.dat 212x3:4+5 200 12 0 0 0 0 I").signal_format;
        assert_eq!(field, SignalFormatField { number: 212, samples_per_frame: 3, skew: 4, offset: 5 });
        let field = signal("r.dat 16+24 200 12 0 0 0 0 I").signal_format;
        assert_eq!(field, SignalFormatField { number: 16, samples_per_frame: 1, skew: 0, offset: 24 });
    }

    #[test]
    fn an_invalid_header_is_explained_with_its_line() {
        let cause = |text: &[u8]| parse(text).unwrap_err().cause().to_string();
        assert_eq!(cause(b""), "the header is empty");
        assert_eq!(cause(b"# only\n\n# comments"), "the header is empty");
        assert_eq!(cause(b"\xff\xfe\x00"), "the header is no text");
        assert_eq!(cause(b"r"), "line 1: the number of signals is missing");
        assert_eq!(cause(b"r twelve"), "line 1: 'twelve' is no number of signals");
        assert_eq!(cause(b"r 99999999999999999999"), "line 1: '99999999999999999999' is no number of signals");
        assert_eq!(cause(b"r 0"), "line 1: a record without signals");
        assert_eq!(cause(b"r 1 0"), "line 1: a sampling rate of 0 Hz");
        assert_eq!(cause(b"r 1 nan"), "line 1: a sampling rate of NaN Hz");
        assert_eq!(cause(b"r 1 -100"), "line 1: a sampling rate of -100 Hz");
        assert_eq!(cause(b"r 1 100 -5"), "line 1: '-5' is no number of samples");
        assert_eq!(cause(b"r 2 100 5\nr.dat 16 1 0 0 0 0 0 I"), "2 signals are declared and 1 described");
        let two = b"r 1 100 5\nr.dat 16 1 0 0 0 0 0 I\nr.dat 16 1 0 0 0 0 0 II";
        assert_eq!(cause(two), "1 signals are declared and 2 described");
        assert_eq!(cause(b"r/0 12 500 5000"), "line 1: a record of zero segments");
        assert_eq!(cause(b"r/3 12 500 5000\nr_1 10\n~ 5"), "3 segments are declared and 2 described");
        assert_eq!(cause(b"r/2 12 500 5000\nr_1 10\nr_2"), "line 3: the number of samples is missing");
        assert_eq!(cause(b"r 1 100 5\nr.dat"), "line 2: the storage format is missing");
        assert_eq!(cause(b"r 1 100 5\nr.dat 16z"), "line 2: '16z' is no storage format");
        assert_eq!(cause(b"r 1 100 5\nr.dat 16 1e999 0 0 0 0 0 I"), "line 2: a gain of inf");
    }

    #[test]
    fn a_description_may_follow_any_field_or_be_absent() {
        for (line, description) in [
            ("r.dat 16", ""),
            ("r.dat 16 1000", ""),
            ("r.dat 16 1000 16 0 0 0 0", ""),
            ("r.dat 16 aVR", "aVR"),
            ("r.dat 16 1000 lead I", "lead I"),
            ("r.dat 16 1000/mV 16 0 V1", "V1"),
            ("r.dat 16 1000/mV 16 0 0 0 0 5 V", "5 V"),
        ] {
            assert_eq!(signal(line).description, description, "{line}");
        }
    }

    #[test]
    fn gains_are_read_as_writers_print_them() {
        for (field, gain, baseline, unit) in [
            ("1e3(5.0)/uV", Some(1000.0), 5, "uV"),
            ("-1000(-7)", Some(-1000.0), -7, "mV"),
            ("0(3)/nV", None, 3, "nV"),
            ("(3)/", None, 3, "mV"),
            ("2.5E-1/", Some(0.25), 0, "mV"),
        ] {
            let signal = signal(&format!("r.dat 16 {field} 16 0 0 0 0 I"));
            assert_eq!((signal.gain, signal.baseline, signal.unit.as_str()), (gain, baseline, unit), "{field}");
        }
    }

    #[test]
    fn every_encoding_and_end_of_line_is_understood() {
        let text = "r 1 500 5000.0\nr.dat 16 1(0)/\u{b5}V 16 0 0 0 0 I\n# M\u{fc}ller\n";
        let latin_1 = |text: &str| text.chars().map(|letter| letter as u8).collect::<Vec<_>>();
        let expected = parse(text.as_bytes()).unwrap();
        assert_eq!((signals(&expected)[0].unit.as_str(), expected.frames), ("\u{b5}V", Some(5000)));
        for end in ["\n", "\r\n", "\r", "  \r\n\r\n"] {
            let text = text.replace('\n', end);
            assert_eq!(parse(text.as_bytes()).unwrap(), expected, "{end:?}");
            assert_eq!(parse(&latin_1(&text)).unwrap(), expected, "{end:?} in Latin-1");
        }
        assert_eq!(parse(format!("\u{feff}{text}").as_bytes()).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        #[test]
        fn random_fields_never_panic(text in "([-r0-9x:+()/.#mVeE\u{b5} \t\n]|nan|inf){0,80}") {
            let _ = parse(text.as_bytes());
            let _ = parse(format!("r 1\nr.dat {text} I").as_bytes());
            let _ = parse(format!("r/2 1\n{text}").as_bytes());
        }
    }
}
