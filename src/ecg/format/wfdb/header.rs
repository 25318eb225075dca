//! Parses the header of a WFDB record, as header(5) of the WFDB Applications Guide describes it.
//!
//! A record line (name, number of signals, sampling rate, number of samples) is followed by one line per signal (file,
//! signal format, gain, checks, description). Most fields are optional.

use std::str::FromStr;

use super::{
    super::{damaged, shown},
    signal_format::SignalFormat,
};
use crate::{
    Hint, Result,
    ecg::{Lead, Unit},
};

/// Sampling rate in Hz where a header states none.
pub(super) const DEFAULT_RATE: f64 = 250.0;

/// Gain in steps of the converter (adu) per unit, where a header says 0 or nothing.
pub(super) const DEFAULT_GAIN: f64 = 200.0;

/// The contents of a header.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    /// Sampling rate in Hz, if stated.
    pub(super) sampling_rate: Option<f64>,
    /// Samples per signal, if stated.
    pub(super) samples: Option<u64>,
    pub(super) signals: Vec<Signal>,
    /// Whether a comment begins with "synthetic", as in the headers that this crate writes for its synthetic ECGs.
    pub(super) synthetic: bool,
}

/// The contents of a header's line about one signal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Signal {
    pub(super) file: String,
    pub(super) signal_format: SignalFormatField,
    /// Steps of the converter (adu) per unit, if known.
    pub(super) gain: Option<f64>,
    /// The converter's value at zero volts.
    pub(super) baseline: i64,
    pub(super) unit: String,
    /// The first sample's value, if stated.
    pub(super) initial: Option<i64>,
    /// The sum of the samples modulo 2^16, if stated.
    pub(super) checksum: Option<i64>,
    pub(super) description: String,
}

/// The field `format[xFRAMES][:SKEW][+OFFSET]` of a signal line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SignalFormatField {
    pub(super) number: u32,
    pub(super) samples_per_frame: u64,
    pub(super) skew: u64,
    /// Bytes before the first sample.
    pub(super) offset: u64,
}

impl Signal {
    /// Returns the standard lead that the description names.
    pub(super) fn lead(&self) -> Option<Lead> {
        self.description.parse().ok()
    }

    /// Returns the unit, if it is one of voltage.
    pub(super) fn voltage(&self) -> Result<Unit> {
        self.unit.parse().map_err(|_| {
            let cause = format!("lead {} is in '{}', which is no unit of voltage", self.description, self.unit);
            damaged(cause, "correct the header's unit, or state the true one").with_hint(Hint::StateUnit)
        })
    }

    /// Returns the signal format.
    ///
    /// # Errors
    /// The format or the layout is not supported; the error names it.
    pub(super) fn supported_signal_format(&self) -> Result<SignalFormat> {
        let Signal { description, signal_format: field, .. } = self;
        if field.samples_per_frame != 1 {
            let cause = format!("'{description}' has {} samples per frame", field.samples_per_frame);
            return Err(damaged(cause, "convert the record to one sample per frame, for instance with xform"));
        }
        if field.skew != 0 {
            let cause = format!("'{description}' is skewed by {} samples", field.skew);
            return Err(damaged(cause, "convert the record to one without skew, for instance with xform"));
        }
        SignalFormat::from_number(field.number).ok_or_else(|| {
            let cause = format!("'{description}' is stored in format {}, which is not supported", field.number);
            damaged(cause, "convert the record to format 16 (16, 24, 32, 61, 80, 160 and 212 can be read)")
        })
    }
}

/// Parses a header.
///
/// # Errors
/// The text is no header of a single-segment record; the error names the line.
pub(super) fn parse(bytes: &[u8]) -> Result<Header> {
    let text = std::str::from_utf8(bytes).map_err(|_| {
        damaged("the header is not UTF-8 text", "check that this is a WFDB header and save it as UTF-8")
    })?;
    let (comments, described): (Vec<_>, Vec<_>) = numbered(text).partition(|(_, line)| line.starts_with('#'));
    let synthetic =
        comments.iter().any(|(_, line)| line.trim_matches(['#', ' ']).to_lowercase().starts_with("synthetic"));
    let mut lines = described.into_iter();
    let (number, line) = lines.next().ok_or_else(|| {
        damaged("the header is empty", "give it a record line, such as 'name 12 500 5000', and one line per signal")
    })?;
    let record = RecordLine::parse(line).map_err(|error| error.at(format!("line {number}")))?;
    let mut signals = Vec::new();
    // The count comes from the file, so it limits the loop but reserves nothing.
    for (number, line) in lines.by_ref().take(usize::try_from(record.signals).unwrap_or(usize::MAX)) {
        signals.push(parse_signal(line).map_err(|error| error.at(format!("line {number}")))?);
    }
    // The file interleaves the samples of all signals, so a signal that is not counted would shift every other one. Text
    // other than signal lines may follow.
    let described = signals.len() + lines.filter(|(_, line)| parse_signal(line).is_ok()).count();
    if described as u64 != record.signals {
        let cause = format!("{} signals are declared and {described} described", record.signals);
        return Err(damaged(cause, "the header is cut off or its first line wrong: get it again"));
    }
    Ok(Header { sampling_rate: record.sampling_rate, samples: record.samples, signals, synthetic })
}

/// Numbers the lines of a header and leaves out empty ones.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.trim_start_matches('\u{feff}').lines().map(str::trim));
    lines.filter(|(_, line)| !line.is_empty())
}

/// Numbers of all formats that signal(5) describes, whether they can be read or not; 0 is a signal without samples.
const KNOWN_FORMATS: [u32; 14] = [0, 8, 16, 24, 32, 61, 80, 160, 212, 310, 311, 508, 516, 524];

/// Whether these are the first bytes of a header: after comments a record line and the line of a signal. What else is
/// wrong with the header is for [`parse`] to say.
pub(super) fn recognises(start: &[u8]) -> bool {
    if start.contains(&0) {
        return false;
    }
    let text = String::from_utf8_lossy(start);
    let mut lines = numbered(&text).map(|(_, line)| line).filter(|line| !line.starts_with('#'));
    lines.next().is_some_and(is_record_line) && lines.next().is_some_and(is_signal_line)
}

/// Whether every field of a line is one of a record line.
fn is_record_line(line: &str) -> bool {
    let name = line.split_whitespace().next().unwrap_or_default();
    let valid_name = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-');
    let mut time_and_date = line.split_whitespace().skip(4);
    valid_name
        && RecordLine::parse(line).is_ok()
        && time_and_date.all(|field| field.chars().all(|letter| letter.is_ascii_digit() || "[:./-]".contains(letter)))
}

/// Whether a line is one of a signal. Only the names of signal files tell it from numbers and from prose.
fn is_signal_line(line: &str) -> bool {
    signal_fields(line).is_ok_and(|Signal { file, signal_format, .. }| {
        let is_file = file.contains('.') && file.parse::<f64>().is_err();
        (is_file || file == "~" || file == "-") && KNOWN_FORMATS.contains(&signal_format.number)
    })
}

struct RecordLine {
    signals: u64,
    sampling_rate: Option<f64>,
    samples: Option<u64>,
}

impl RecordLine {
    /// Parses `name signals [rate[/counter rate[(counter)]] [samples [time [date]]]]`.
    fn parse(line: &str) -> Result<Self> {
        let mut fields = line.split_whitespace();
        let name = fields.next().unwrap_or_default();
        if name.contains('/') {
            let cause = format!("'{name}' is a record of several segments, which are not supported");
            return Err(damaged(cause, "name the header of one segment, or join them, for instance with xform"));
        }
        let signals = number(fields.next(), "number of signals")?.ok_or_else(|| missing("number of signals"))?;
        if signals == 0 {
            return Err(damaged("a record without signals", "check that this is the header of an ECG"));
        }
        let rate = fields.next().map(|field| field.split('/').next().unwrap_or_default());
        let sampling_rate: Option<f64> = number(rate, "sampling rate")?;
        if let Some(rate) = sampling_rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
            let cause = format!("a sampling rate of {rate} Hz");
            return Err(damaged(cause, "correct the header's first line: it must be a positive number"));
        }
        // Zero samples mean the same as none stated.
        let samples = number(fields.next(), "number of samples")?.filter(|samples| *samples > 0);
        Ok(Self { signals, sampling_rate, samples })
    }
}

/// Parses the line of a signal, which must have a description.
fn parse_signal(line: &str) -> Result<Signal> {
    let signal = signal_fields(line)?;
    if signal.description.is_empty() {
        let cause = format!("the signal in '{}' has no description, so its lead is unknown", signal.file);
        return Err(damaged(cause, "add the lead's name to the end of its line"));
    }
    Ok(signal)
}

/// Parses `file format [gain [resolution [zero [initial [checksum [block size [description]]]]]]]`.
fn signal_fields(line: &str) -> Result<Signal> {
    let mut rest = line;
    let mut next = || {
        let field;
        (field, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        rest = rest.trim_start();
        (!field.is_empty()).then_some(field)
    };
    let file = next().ok_or_else(|| missing("signal file"))?.to_string();
    let signal_format = next().ok_or_else(|| missing("storage format"))?.parse()?;
    let gain_field = next();
    let _resolution: Option<i64> = number(next(), "resolution of the converter")?;
    let zero = number(next(), "zero of the converter")?;
    let initial = number(next(), "initial value")?;
    let checksum = number(next(), "checksum")?;
    let _block_size: Option<i64> = number(next(), "block size")?;
    let description = rest.trim().to_string();
    let (gain, baseline, unit) = parse_gain(gain_field.unwrap_or("0"))?;
    let baseline = baseline.or(zero).unwrap_or(0);
    Ok(Signal { file, signal_format, gain, baseline, unit, initial, checksum, description })
}

/// Parses `gain[(baseline)][/unit]`. A gain of 0 means that it is unknown.
fn parse_gain(field: &str) -> Result<(Option<f64>, Option<i64>, String)> {
    let (numbers, unit) = field.split_once('/').unwrap_or((field, "mV"));
    let (gain, baseline) = match numbers.split_once('(') {
        Some((gain, baseline)) => (gain, number(baseline.strip_suffix(')').or(Some(baseline)), "baseline")?),
        None => (numbers, None),
    };
    let gain: f64 = number(Some(gain), "gain")?.unwrap_or(0.0);
    if !gain.is_finite() {
        return Err(damaged(format!("a gain of {gain}"), "correct the header: it must be a finite number"));
    }
    Ok(((gain != 0.0).then_some(gain), baseline, unit.to_string()))
}

impl FromStr for SignalFormatField {
    type Err = crate::Error;

    fn from_str(field: &str) -> Result<Self> {
        let (rest, offset) = split_number(field, '+', "byte offset")?;
        let (rest, skew) = split_number(rest, ':', "skew")?;
        let (rest, frame) = split_number(rest, 'x', "samples per frame")?;
        let format = number(Some(rest), "storage format")?.ok_or_else(|| missing("storage format"))?;
        let [offset, skew] = [offset, skew].map(|field| field.unwrap_or(0));
        Ok(Self { number: format, samples_per_frame: frame.unwrap_or(1), skew, offset })
    }
}

/// Splits `field` into the text before `mark` and the number after it, if there is one.
fn split_number<'t>(field: &'t str, mark: char, what: &str) -> Result<(&'t str, Option<u64>)> {
    match field.split_once(mark) {
        Some((before, after)) => Ok((before, number(Some(after), what)?)),
        None => Ok((field, None)),
    }
}

/// Parses a field's number, if the field is present.
fn number<T: FromStr>(field: Option<&str>, what: &str) -> Result<Option<T>> {
    field
        .map(|text| {
            let error = |_| damaged(format!("'{}' is no {what}", shown(text.as_bytes())), REMEDY);
            text.parse().map_err(error)
        })
        .transpose()
}

fn missing(what: &str) -> crate::Error {
    damaged(format!("the {what} is missing"), REMEDY)
}

const REMEDY: &str = "check that this is a WFDB header and correct this line";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signal(line: &str) -> Signal {
        parse_signal(line).unwrap()
    }

    #[test]
    fn a_full_header_is_understood() {
        let header = parse(
            b"# a comment\r\n100 2 360/720(5) 650000 12:00:00 1/2/2000\r\n\
              100.dat 212x1:0+0 200(1024)/uV 11 1000 995 -22131 0 MDC_ECG_LEAD_II\r\n\
              100.dat 212 100.5 11 1024 1011 20052 0 chest V5\r\n# another\r\n",
        )
        .unwrap();
        assert_eq!((header.sampling_rate, header.samples, header.signals.len()), (Some(360.0), Some(650_000), 2));
        let [first, second] = &header.signals[..] else { panic!("two signals") };
        assert_eq!((first.gain, first.baseline, first.unit.as_str()), (Some(200.0), 1024, "uV"));
        assert_eq!((first.initial, first.checksum, first.lead()), (Some(995), Some(-22131), Some(Lead::II)));
        assert_eq!((second.gain, second.baseline, second.unit.as_str()), (Some(100.5), 1024, "mV"));
        assert_eq!((second.description.as_str(), second.lead()), ("chest V5", None));
    }

    #[test]
    fn omitted_fields_stay_unknown() {
        let header = parse(b"r 1\nr.dat 16 0 12 7 5 6 0 I").unwrap();
        assert_eq!((header.sampling_rate, header.samples), (None, None));
        assert_eq!((header.signals[0].gain, header.signals[0].unit.as_str()), (None, "mV"));
        assert_eq!(header.signals[0].baseline, 7, "the converter's zero");
        assert_eq!(parse(b"r 1 500 0\nr.dat 16 0 12 0 5 6 0 I").unwrap().samples, None);
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
        assert_eq!(cause(b"\xff\xfe\x00"), "the header is not UTF-8 text");
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
        assert_eq!(cause(b"r/3 12 500 5000"), "line 1: 'r/3' is a record of several segments, which are not supported");
        assert_eq!(cause(b"r 1 100 5\nr.dat"), "line 2: the storage format is missing");
        assert_eq!(cause(b"r 1 100 5\nr.dat 16z"), "line 2: '16z' is no storage format");
        assert_eq!(cause(b"r 1 100 5\nr.dat 16 1e999 0 0 0 0 0 I"), "line 2: a gain of inf");
        assert_eq!(
            cause(b"r 1 100 5\nr.dat 16 1000 16 0"),
            "line 2: the signal in 'r.dat' has no description, so its lead is unknown"
        );
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
        }
    }
}
