//! Joins the segments of a record: records of their own, and gaps between them.

use std::collections::HashMap;

use super::{
    super::{ReadOptions, Source, damaged},
    header::{Contents, Header, SegmentLine, Signal},
    read_header,
    record::{Record, skewed},
    segment::{Choice, Segment},
    signal_file::{check_name, open_beside},
};
use crate::Result;

/// The most bytes that the headers of all segments may have. A header that repeats its segments could ask for any number.
const LARGEST_HEADERS: u64 = 8 << 20;

/// The most segments of a record: those of a patient's stay of weeks are some thousand.
const MOST_SEGMENTS: usize = 1 << 14;

/// The most samples, those without a value included, that a record of several segments may have: twelve leads of 90 minutes
/// at 500 Hz. Its header states the lengths of gaps, so the files do not limit them.
const MOST_SAMPLES: u64 = 1 << 25;

/// A segment, or a gap.
struct Part<'h> {
    name: &'h str,
    frames: u64,
    /// The contents of the segment's own header; none of a gap.
    header: Option<(Option<f64>, Vec<Signal>)>,
}

impl Part<'_> {
    fn signals(&self) -> &[Signal] {
        self.header.as_ref().map_or(&[], |(_, signals)| signals)
    }
}

/// Reads a record of several segments. The first may be a layout of no samples that lists the signals of all others.
///
/// # Errors
/// A segment is missing, damaged, itself one of several segments, or contradicts the header.
pub(super) fn read(
    source: &Source,
    header: &Header,
    lines: &[SegmentLine],
    options: &ReadOptions,
    warnings: &mut Vec<String>,
) -> Result<Record> {
    let parts = parts(source, lines)?;
    let choice = Choice::of(parts.iter().flat_map(Part::signals), options);
    // A layout has no samples, and often does not say how many there are per frame.
    let with_samples = parts.iter().filter(|part| part.frames > 0);
    let samples_per_frame = choice.samples_per_frame(with_samples.flat_map(Part::signals))?;
    let sampling_rate = sampling_rate(header, &parts)?;
    let mut joined = Joined { samples_per_frame, ..Joined::default() };
    for part in &parts {
        joined.append(source, part, choice, warnings).map_err(|error| error.at(format!("segment {}", part.name)))?;
    }
    let total: u64 = parts.iter().map(|part| part.frames).sum();
    let declared = header.frames.unwrap_or(total);
    if declared > total {
        let cause = format!("{declared} samples are declared and the segments have {total}");
        return Err(damaged(cause, "the header is cut off or wrong: get the record again"));
    }
    if declared < total {
        warnings.push(format!("the segments have {total} samples, {declared} are declared: the rest is ignored"));
    }
    // No more are declared than there are, which fit into a usize.
    let samples = joined.samples.min((declared * samples_per_frame) as usize);
    let cut = joined.tail.saturating_sub(joined.samples - samples);
    warnings.extend(skewed(cut));
    let signals = joined.signals.into_iter().map(|signal| signal.of_length(samples - cut)).collect();
    Ok(Record { signals, sampling_rate, samples_per_frame })
}

/// Reads the headers of all segments.
fn parts<'h>(source: &Source, lines: &'h [SegmentLine]) -> Result<Vec<Part<'h>>> {
    if lines.len() > MOST_SEGMENTS {
        let cause = format!("a record of {} segments, more than {MOST_SEGMENTS}", lines.len());
        return Err(damaged(cause, "check that this is a WFDB header, and cut out the part that is wanted"));
    }
    let mut size = 0;
    let part = |line: &'h SegmentLine| {
        let Some(name) = &line.name else { return Ok(Part { name: "~", frames: line.frames, header: None }) };
        check_name(name, "segment")?;
        let file = open_beside(source, &format!("{name}.hea"), "segment")?;
        size += file.size;
        if size > LARGEST_HEADERS {
            let cause = format!("the headers of its segments have more than {LARGEST_HEADERS} bytes");
            return Err(damaged(cause, "check that this is a WFDB header"));
        }
        let header = read_header(file, name).map_err(|error| error.at(format!("segment {name}")))?;
        let Contents::Signals(signals) = header.contents else {
            let cause = format!("segment {name} is itself a record of several segments");
            return Err(damaged(cause, "name the segments of that record in the header"));
        };
        check_length(line.frames, header.frames).map_err(|error| error.at(format!("segment {name}")))?;
        Ok(Part { name, frames: line.frames, header: Some((header.sampling_rate, signals)) })
    };
    lines.iter().map(part).collect()
}

/// Checks the length of a segment that the record's header states against the one in its own.
fn check_length(declared: u64, own: Option<u64>) -> Result<()> {
    match own {
        Some(own) if own < declared => {
            let cause = format!("the record's header declares {declared} samples and the segment's own {own}");
            Err(damaged(cause, "the segment is cut off, or one of the two is wrong: get the record again"))
        }
        _ => Ok(()),
    }
}

/// Returns the frames a second, which the segments must not contradict.
fn sampling_rate(header: &Header, parts: &[Part]) -> Result<Option<f64>> {
    let stated = parts.iter().filter_map(|part| Some((part.name, part.header.as_ref()?.0?)));
    let rate = header.sampling_rate.or_else(|| stated.clone().next().map(|(_, rate)| rate));
    for (name, other) in stated {
        if rate.is_some_and(|rate| rate != other) {
            let cause =
                format!("segment {name} has a sampling rate of {other} Hz, the record {} Hz", rate.unwrap_or(0.0));
            return Err(damaged(cause, "correct the header that is wrong, or convert the segments to one rate"));
        }
    }
    Ok(rate)
}

/// The signals of the segments so far.
#[derive(Default)]
struct Joined {
    signals: Vec<JoinedSignal>,
    /// The positions of the signals of each name.
    places: HashMap<String, Vec<usize>>,
    /// Samples so far, which a signal may lack at its end.
    samples: usize,
    samples_per_frame: u64,
    /// Samples of all signals that the files of the segments hold, whether they are read or not.
    stored: u64,
    /// Samples at the end at which a skewed signal has no value.
    tail: usize,
}

struct JoinedSignal {
    name: String,
    /// None if the signal is not read.
    values: Option<Vec<f32>>,
}

impl JoinedSignal {
    /// Returns the name and the samples, those at the end without a value if there are too few.
    fn of_length(self, samples: usize) -> (String, Vec<f32>) {
        let values = self.values.map(|mut values| {
            values.resize(samples, f32::NAN);
            values
        });
        (self.name, values.unwrap_or_default())
    }
}

impl Joined {
    /// Appends a segment or a gap.
    fn append(&mut self, source: &Source, part: &Part, choice: Choice, warnings: &mut Vec<String>) -> Result<()> {
        let positions = self.positions(part.signals(), choice);
        let end = self.check_size(part)?;
        self.tail = 0;
        if let Some((_, signals)) = part.header.as_ref().filter(|_| part.frames > 0) {
            let mut found = Vec::new();
            let segment = Segment::read(source, signals, Some(part.frames), choice, &mut found)?;
            warnings.extend(found.into_iter().map(|warning| format!("segment {}: {warning}", part.name)));
            for (position, values) in positions.into_iter().zip(segment.signals) {
                if let Some(joined) = &mut self.signals[position].values {
                    joined.resize(self.samples, f32::NAN);
                    joined.extend(values);
                }
            }
            self.tail = segment.tail;
        }
        self.samples = end;
        Ok(())
    }

    /// Finds the place of each signal of a segment by its name; signals that were not there before get a new one. The
    /// second of two signals of one name belongs to the second of that name before it.
    fn positions(&mut self, signals: &[Signal], choice: Choice) -> Vec<usize> {
        let mut used: HashMap<String, usize> = HashMap::new();
        let position = |signal: &Signal| {
            // The segments may spell a lead differently.
            let name = signal.lead().map_or_else(|| signal.description.clone(), |lead| lead.to_string());
            let places = self.places.entry(name.clone()).or_default();
            let used = used.entry(name).or_default();
            *used += 1;
            if places.len() < *used {
                places.push(self.signals.len());
                let values = choice.wants(signal).then(Vec::new);
                self.signals.push(JoinedSignal { name: signal.description.clone(), values });
            }
            places[*used - 1]
        };
        signals.iter().map(position).collect()
    }

    /// Returns the number of samples with a further segment or gap, unless there are then too many.
    fn check_size(&mut self, part: &Part) -> Result<usize> {
        let in_frame = part.signals().iter().fold(0u64, |sum, x| sum.saturating_add(x.signal_format.samples_per_frame));
        self.stored = self.stored.saturating_add(part.frames.saturating_mul(in_frame));
        let read = self.signals.iter().filter(|signal| signal.values.is_some()).count() as u64;
        let end = part.frames.saturating_mul(self.samples_per_frame).saturating_add(self.samples as u64);
        if self.stored.max(end.saturating_mul(read.max(1))) > MOST_SAMPLES {
            let cause = format!("the record has more than {MOST_SAMPLES} samples up to here");
            return Err(damaged(cause, "cut out the part that is wanted, for instance with xform"));
        }
        // So many samples fit into a usize.
        Ok(end as usize)
    }
}
