//! Writes EDF+ files.

use std::path::Path;

use super::{
    annotations::END_OF_TEXT,
    header::{BLOCK, WIDTHS, sampling_rate},
};
use crate::{Error, ErrorKind, Recording, Result, ecg::Lead, files};

/// Longest record in bytes that the specification allows.
const LONGEST_RECORD: usize = 61_440;
/// Least and greatest value of a sample.
const DIGITAL: [f64; 2] = [-32_768.0, 32_767.0];
/// Steps of common converters in microvolts, the most common first. Signals on such a grid are stored without an error.
const STEPS: [f64; 12] = [1.0, 5.0, 2.5, 4.0, 2.0, 1.25, 10.0, 0.5, 0.25, 0.1, 20.0, 100.0];

/// Writes `recording` as an EDF+ file of 16 bits at `path`. Each lead has the physical range that stores it with the
/// smallest error. `comments` become annotations at the start. The fields of the patient and the date hold nothing.
///
/// # Errors
/// The sampling rate or the number of samples fits no whole records, an amplitude exceeds 10 V, the comments are too long,
/// or the file cannot be written.
pub(in crate::ecg::format) fn write(recording: &Recording, path: &Path, comments: &[String]) -> Result<()> {
    let lists = annotation_lists(comments);
    let records = Records::of(recording, lists.len())?;
    let leads: Result<Vec<Digitized>> = recording.leads().map(|(lead, signal)| Digitized::of(lead, signal)).collect();
    let leads = leads?;
    let mut bytes = header(&records, &leads);
    for record in 0..records.count {
        for lead in &leads {
            let samples = lead.samples.iter().skip(record * records.samples).take(records.samples);
            bytes.extend(samples.flat_map(|sample| sample.to_le_bytes()));
        }
        let mut annotations = records.onset(record).into_bytes();
        if record == 0 {
            annotations.extend(&lists);
        }
        annotations.resize(records.annotations, 0);
        bytes.extend(annotations);
    }
    files::write(path, &bytes)
}

/// Returns one annotation list at time 0 for each line of the comments.
fn annotation_lists(comments: &[String]) -> Vec<u8> {
    let lines = comments.iter().flat_map(|comment| comment.lines()).filter(|line| !line.trim().is_empty());
    // Control characters have a meaning in annotations.
    let list = |line: &str| format!("+0\u{14}{}\u{14}\0", line.replace(char::is_control, " "));
    lines.flat_map(|line| list(line).into_bytes()).collect()
}

/// How the samples are divided into records of one duration.
#[derive(Debug)]
struct Records {
    count: usize,
    /// Samples of a lead in a record.
    samples: usize,
    /// The duration in seconds as a decimal number: digits, and how many of them are behind the decimal point.
    duration: (u64, u32),
    /// Bytes for annotations in a record.
    annotations: usize,
}

impl Records {
    /// Divides a recording into whole records whose duration the header states exactly: of one second if possible, or
    /// else of the longest that the specification allows.
    fn of(recording: &Recording, comments: usize) -> Result<Self> {
        let (rate, samples) = (recording.sampling_rate(), recording.samples());
        let fits = |length: &usize| Self::with(rate, samples, *length, comments, recording.leads().len());
        let one_second = (rate.fract() == 0.0 && rate <= samples as f64).then_some(rate as usize);
        let one_second = one_second.filter(|length| samples.is_multiple_of(*length));
        let mut lengths: Vec<usize> =
            (1..).take_while(|n| n * n <= samples).filter(|n| samples.is_multiple_of(*n)).collect();
        lengths.extend(lengths.clone().iter().rev().map(|small| samples / small));
        one_second.iter().chain(lengths.iter().rev()).find_map(fits).ok_or_else(|| {
            let cause = format!("{samples} samples at {rate} Hz fit no whole records of EDF");
            Error::new(
                ErrorKind::Recording,
                cause,
                "cut the recording to whole seconds, resample it, or shorten the comments",
            )
        })
    }

    /// Returns the records of `length` samples if the header can state their duration exactly and they are not too long.
    fn with(rate: f64, samples: usize, length: usize, comments: usize, leads: usize) -> Option<Self> {
        let seconds = length as f64 / rate;
        let decimals = (0..7).find(|decimals| {
            let text = format!("{seconds:.0$}", *decimals as usize);
            text.len() <= 8 && text.parse().is_ok_and(|exact| sampling_rate(length as u64, exact) == rate)
        })?;
        let digits = (seconds * 10f64.powi(decimals as i32)).round() as u64;
        let mut records =
            Self { count: samples / length, samples: length, duration: (digits, decimals), annotations: 0 };
        let onset = records.onset(records.count.saturating_sub(1)).len().max(records.onset(0).len() + comments);
        records.annotations = onset.next_multiple_of(2);
        (2 * leads * length + records.annotations <= LONGEST_RECORD).then_some(records)
    }

    /// Returns the decimal number of `times` durations.
    fn seconds(&self, times: usize) -> String {
        let (digits, decimals) = self.duration;
        let digits = u128::from(digits) * times as u128;
        let unit = 10u128.pow(decimals);
        match decimals {
            0 => digits.to_string(),
            _ => format!("{}.{:02$}", digits / unit, digits % unit, decimals as usize),
        }
    }

    /// Returns the annotation list that states when a record begins.
    fn onset(&self, record: usize) -> String {
        let end = char::from(END_OF_TEXT);
        format!("+{}{end}{end}\0", self.seconds(record))
    }
}

/// A lead as samples of 16 bits, and the range in microvolts that they stand for, as the header states it.
#[derive(Debug)]
struct Digitized {
    lead: Lead,
    range: [String; 2],
    samples: Vec<i16>,
}

impl Digitized {
    /// Digitizes a lead in millivolts with the range that gives the smallest error.
    fn of(lead: Lead, signal: &[f32]) -> Result<Self> {
        let microvolts: Vec<f64> = signal.iter().map(|sample| f64::from(*sample) * 1e3).collect();
        let candidates = STEPS.iter().filter_map(|step| grid(*step)).chain(tight(&microvolts));
        let tried = candidates.filter_map(|range| Self::with(lead, &microvolts, range));
        let best = tried.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, digitized)| digitized);
        best.ok_or_else(|| {
            let cause = format!("lead {lead} has an amplitude that the numbers of an EDF header cannot state");
            Error::new(ErrorKind::Recording, cause, "check the recording's unit")
        })
    }

    /// Digitizes with a range, and returns the largest error in microvolts; none if a sample is outside of the range.
    fn with(lead: Lead, microvolts: &[f64], range: [String; 2]) -> Option<(f64, Self)> {
        let [low, high]: [f64; 2] = [range[0].parse().ok()?, range[1].parse().ok()?];
        let step = (high - low) / (DIGITAL[1] - DIGITAL[0]);
        // Differences below the precision of the recording's samples are no errors.
        let peak = microvolts.iter().fold(0f64, |peak, value| peak.max(value.abs()));
        let mut largest = peak * f64::from(f32::EPSILON);
        let mut samples = Vec::with_capacity(microvolts.len());
        for value in microvolts {
            let sample = ((value - low) / step + DIGITAL[0]).round().clamp(DIGITAL[0], DIGITAL[1]);
            largest = largest.max(((sample - DIGITAL[0]) * step + low - value).abs());
            samples.push(sample as i16);
        }
        let fits = largest <= step && step > 0.0;
        fits.then_some((largest, Self { lead, range, samples }))
    }
}

/// Returns the range in which a sample of n stands for n steps.
fn grid(step: f64) -> Option<[String; 2]> {
    let [low, high] = DIGITAL.map(|limit| limit * step);
    let range = [field(low, f64::floor)?, field(high, f64::ceil)?];
    let exact = range[0].parse() == Ok(low) && range[1].parse() == Ok(high);
    exact.then_some(range)
}

/// Returns the smallest range that holds every value.
fn tight(microvolts: &[f64]) -> Option<[String; 2]> {
    let low = microvolts.iter().copied().fold(f64::INFINITY, f64::min);
    let high = microvolts.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // A lead without any change needs a range all the same.
    let margin = if low == high { 1.0 } else { 0.0 };
    Some([field(low - margin, f64::floor)?, field(high + margin, f64::ceil)?])
}

/// Rounds a number in a direction to as many decimals as a field of 8 characters holds.
fn field(number: f64, round: fn(f64) -> f64) -> Option<String> {
    (0..7).rev().find_map(|decimals| {
        let unit = 10f64.powi(decimals);
        let text = format!("{:.1$}", round(number * unit) / unit, decimals as usize);
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        (text.len() <= 8).then(|| text.to_string())
    })
}

/// Returns the header. Labels are those of EDF+'s standard texts.
fn header(records: &Records, leads: &[Digitized]) -> Vec<u8> {
    let signals = leads.len() + 1;
    let mut bytes = Vec::with_capacity(BLOCK * (signals + 1));
    let mut put = |text: &str, width: usize| bytes.extend(format!("{text:width$}").into_bytes());
    put("0", 8);
    put("X X X X", 80);
    put("Startdate X X X X", 80);
    // The date of files without one.
    put("01.01.85", 8);
    put("00.00.00", 8);
    put(&(BLOCK * (signals + 1)).to_string(), 8);
    put("EDF+C", 44);
    put(&records.count.to_string(), 8);
    put(&records.seconds(1), 8);
    put(&signals.to_string(), 4);
    for (field, width) in WIDTHS.into_iter().enumerate() {
        for lead in leads {
            put(&lead_field(lead, records, field), width);
        }
        put(&annotation_field(records, field), width);
    }
    bytes
}

/// Returns a field of a lead, in the order of [`WIDTHS`].
fn lead_field(lead: &Digitized, records: &Records, field: usize) -> String {
    match field {
        0 => format!("ECG {}", lead.lead),
        2 => "uV".into(),
        3 => lead.range[0].clone(),
        4 => lead.range[1].clone(),
        5 => DIGITAL[0].to_string(),
        6 => DIGITAL[1].to_string(),
        8 => records.samples.to_string(),
        _ => String::new(),
    }
}

/// Returns a field of the annotations, in the order of [`WIDTHS`]. EDF+ prescribes the digital range.
fn annotation_field(records: &Records, field: usize) -> String {
    match field {
        0 => "EDF Annotations".into(),
        3 => "-1".into(),
        4 => "1".into(),
        5 => DIGITAL[0].to_string(),
        6 => DIGITAL[1].to_string(),
        8 => (records.annotations / 2).to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(rate: f64, samples: usize) -> Result<(usize, usize, String)> {
        let recording = Recording::new("r", rate, vec![(Lead::I, vec![0.0; samples])])?;
        Records::of(&recording, 0).map(|records| (records.count, records.samples, records.seconds(1)))
    }

    #[test]
    fn records_divide_every_recording_exactly() {
        assert_eq!(records(500.0, 5000), Ok((10, 500, "1".into())));
        assert_eq!(records(500.0, 5001), Ok((1, 5001, "10.002".into())));
        assert_eq!(records(128.2, 1282), Ok((1, 1282, "10".into())));
        assert_eq!(records(360.5, 3605), Ok((1, 3605, "10".into())));
        assert_eq!(records(500.0, 61_440), Ok((3, 20_480, "40.96".into())));
        let error = records(360.5, 3604).unwrap_err();
        assert_eq!(error.cause(), "3604 samples at 360.5 Hz fit no whole records of EDF");
    }

    #[test]
    fn onsets_are_exact_decimal_numbers() {
        let records = Records { count: 4, samples: 1, duration: (2, 3), annotations: 0 };
        assert_eq!(records.onset(3), "+0.006\u{14}\u{14}\0");
    }

    #[test]
    fn a_signal_on_a_converters_grid_is_stored_without_an_error() {
        for step in [1.0, 2.5, 4.0, 0.5] {
            let signal: Vec<f32> = (-900..900).map(|n| (f64::from(n) * step / 1e3) as f32).collect();
            let digitized = Digitized::of(Lead::I, &signal).unwrap();
            let [low, high] = digitized.range.map(|limit| limit.parse::<f64>().unwrap());
            let scale = (high - low) / 65_535.0;
            let worst = signal.iter().zip(&digitized.samples).map(|(value, sample)| {
                let again = ((f64::from(*sample) + 32_768.0) * scale + low) / 1e3;
                (again as f32 - value).abs()
            });
            assert!(worst.fold(0.0, f32::max) < 1e-6, "{step} uV");
        }
    }

    #[test]
    fn an_amplitude_beyond_the_header_is_refused() {
        assert!(Digitized::of(Lead::V2, &[0.0, 9_000.0]).is_ok());
        let error = Digitized::of(Lead::V2, &[0.0, 1e9]).unwrap_err();
        assert!(error.cause().contains("lead V2"), "{error}");
    }
}
