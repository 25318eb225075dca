//! Reads the signals that share a signal file.

use std::io::SeekFrom;

#[cfg(feature = "flac")]
use super::flac::{self, Compressed};
use super::{
    super::{Source, damaged, source::Part},
    header::Signal,
    signal_format::SignalFormat,
};
use crate::{Error, ErrorKind, Result};

/// The signals that share a signal file, with their positions in the header.
pub(super) struct Group<'h> {
    file: &'h str,
    signals: Vec<(usize, &'h Signal)>,
}

/// The samples of one signal, as the converter gave them.
pub(super) struct Samples {
    /// The signal's position in the header.
    pub(super) position: usize,
    pub(super) values: Vec<i32>,
    /// The value that marks a missing sample.
    pub(super) missing: Option<i32>,
}

/// How the samples of a signal file are stored.
#[derive(Clone, Copy)]
enum Storage {
    Plain(SignalFormat),
    /// FLAC, with this number of bits per sample.
    #[cfg(feature = "flac")]
    Flac(u32),
}

impl<'h> Group<'h> {
    /// Groups the signals of a header by file; files without a wanted signal are left out.
    pub(super) fn of(signals: &'h [Signal], is_wanted: impl Fn(&Signal) -> bool) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        let mut numbers = std::collections::HashMap::new();
        for (position, signal) in signals.iter().enumerate() {
            let number = *numbers.entry(&signal.file).or_insert(groups.len());
            if number == groups.len() {
                groups.push(Group { file: &signal.file, signals: Vec::new() });
            }
            groups[number].signals.push((position, signal));
        }
        groups.retain(|group| group.signals.iter().any(|(_, signal)| is_wanted(signal)));
        groups
    }

    /// Reads the wanted signals, all frames of the file if their number is not known.
    ///
    /// # Errors
    /// The file is missing, is not as the header describes it, or holds fewer samples than it declares.
    pub(super) fn read(
        &self,
        source: &Source,
        frames: Option<u64>,
        is_wanted: impl Fn(&Signal) -> bool,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Samples>> {
        check_name(self.file, "signal file")?;
        let storage = self.storage()?;
        let mut part = open_beside(source, self.file, "signal file")?;
        refuse_mat_file(&mut part, self.file).map_err(|error| self.unreadable(error))??;
        let wanted: Vec<bool> = self.signals.iter().map(|(_, signal)| is_wanted(signal)).collect();
        match storage {
            Storage::Plain(signal_format) => self.read_plain(part, signal_format, frames, &wanted, warnings),
            #[cfg(feature = "flac")]
            Storage::Flac(bits) => self.read_flac(part, bits, frames, &wanted),
        }
    }

    /// Returns how the file is stored. All signals of the group must agree on it.
    fn storage(&self) -> Result<Storage> {
        let first = self.signals[0].1;
        let of_file = |signal: &Signal| (signal.signal_format.number, signal.signal_format.offset);
        if let Some((_, other)) = self.signals.iter().find(|(_, signal)| of_file(signal) != of_file(first)) {
            let cause = format!("'{}' and '{}' share a file in different formats", first.name(), other.name());
            return Err(damaged(cause, "correct the header: signals of one file share format and offset"));
        }
        Ok(match first.signal_format.number {
            #[cfg(feature = "flac")]
            number @ (508 | 516 | 524) => Storage::Flac(number - 500),
            #[cfg(not(feature = "flac"))]
            508 | 516 | 524 => {
                let cause = format!("{} is compressed with FLAC, which this build cannot read", self.file);
                let remedy =
                    "build with the feature 'flac', or convert the record to format 16, for instance with xform";
                return Err(damaged(cause, remedy));
            }
            number => Storage::Plain(SignalFormat::from_number(number).ok_or_else(|| {
                let cause = format!("'{}' is stored in format {number}, which WFDB does not know", first.name());
                damaged(cause, "correct the header: usual formats are 16 and 212")
            })?),
        })
    }

    /// Returns the samples of all signals in a frame.
    fn samples_per_frame(&self) -> Result<u64> {
        let mut each = self.signals.iter().map(|(_, signal)| signal.signal_format.samples_per_frame);
        let sum = each.try_fold(0u64, |sum, samples| sum.checked_add(samples));
        sum.ok_or_else(|| damaged("a frame of too many samples", "correct the samples per frame in the header"))
    }

    fn read_plain(
        &self,
        mut part: Part,
        signal_format: SignalFormat,
        frames: Option<u64>,
        wanted: &[bool],
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Samples>> {
        let (offset, in_frame) = (self.signals[0].1.signal_format.offset, self.samples_per_frame()?);
        let held = signal_format.samples(part.size.saturating_sub(offset));
        let frames = self.check_length(frames, held / in_frame)?;
        // As many samples are in the file, so neither their number nor their size overflows.
        let samples = frames * in_frame;
        if held - samples > signal_format.padding(samples) {
            let rest = held / in_frame;
            warnings.push(format!("{} holds {rest} samples, {frames} are declared: the rest is ignored", self.file));
        }
        let bytes = part
            .reader
            .seek(SeekFrom::Start(offset))
            .and_then(|_| part.read_start(signal_format.bytes(samples).unwrap_or(u64::MAX)));
        let bytes = bytes.map_err(|error| self.unreadable(error))?;
        let mut columns = Vec::new();
        let mut before = 0;
        for ((position, signal), wanted) in self.signals.iter().zip(wanted) {
            let count = signal.signal_format.samples_per_frame as usize;
            if *wanted {
                let place = Place { frames: frames as usize, in_frame: in_frame as usize, before, count };
                let values = column(signal_format, &bytes, place, signal.initial);
                columns.push(Samples { position: *position, values, missing: signal_format.missing() });
            }
            before += count;
        }
        Ok(columns)
    }

    #[cfg(feature = "flac")]
    fn read_flac(&self, part: Part, bits: u32, frames: Option<u64>, wanted: &[bool]) -> Result<Vec<Samples>> {
        let field = &self.signals[0].1.signal_format;
        if self.signals.iter().any(|(_, signal)| signal.signal_format.samples_per_frame != field.samples_per_frame) {
            let cause = format!("the signals of {} differ in their samples per frame", self.file);
            return Err(damaged(cause, "correct the header: the channels of a compressed file share one rate"));
        }
        let samples = frames.map(|frames| frames.saturating_mul(field.samples_per_frame));
        let compressed = Compressed { bits, wanted, offset: field.offset, samples };
        let mut channels = flac::decode(part, self.file, &compressed)?;
        let held = channels.iter().map(|values| values.len() as u64 / field.samples_per_frame).max().unwrap_or(0);
        let samples = self.check_length(frames, held)? * field.samples_per_frame;
        let mut columns = Vec::new();
        for (((position, _), values), _) in
            self.signals.iter().zip(&mut channels).zip(wanted).filter(|(_, wanted)| **wanted)
        {
            values.truncate(samples as usize);
            let values = std::mem::take(values);
            columns.push(Samples { position: *position, values, missing: Some(compressed.missing()) });
        }
        Ok(columns)
    }

    /// Returns the number of frames to read: those that are declared, or else those that the file holds.
    fn check_length(&self, declared: Option<u64>, held: u64) -> Result<u64> {
        let frames = declared.unwrap_or(held);
        if frames <= held && held > 0 {
            return Ok(frames);
        }
        let stated = declared.map_or("some".into(), |frames| frames.to_string());
        let cause = format!("{stated} samples are declared and {} holds {held}", self.file);
        Err(damaged(cause, "the signal file is cut off or empty, or the header wrong: get the record again"))
    }

    fn unreadable(&self, error: std::io::Error) -> Error {
        Error::file(std::path::Path::new(self.file), error)
    }
}

/// Where the samples of one signal are in a file.
#[derive(Clone, Copy)]
struct Place {
    frames: usize,
    /// Samples of all signals in a frame.
    in_frame: usize,
    /// Samples of other signals at the beginning of a frame.
    before: usize,
    /// Samples of this signal in a frame.
    count: usize,
}

/// Decodes the samples of one signal. Differences are added to the `initial` value.
fn column(signal_format: SignalFormat, bytes: &[u8], place: Place, initial: Option<i64>) -> Vec<i32> {
    let Place { frames, in_frame, before, count } = place;
    // The usual format is decoded without the index of each sample.
    if signal_format == SignalFormat::Format16 && count == 1 {
        let samples = bytes.as_chunks().0;
        // The file may have been cut since its size was asked for.
        let whole = frames.min(samples.len() / in_frame);
        let of_signal = samples.get(before..).unwrap_or_default().iter().step_by(in_frame);
        return of_signal.take(whole).map(|bytes| i16::from_le_bytes(*bytes).into()).collect();
    }
    let first = |frame: usize| frame * in_frame + before;
    let indices = (0..frames).flat_map(|frame| first(frame)..first(frame) + count);
    // The file may have been cut since its size was asked for.
    let mut values: Vec<i32> = indices.map_while(|index| signal_format.sample(bytes, index)).collect();
    if signal_format == SignalFormat::Format8 {
        let mut sum = initial.unwrap_or(0) as i32;
        for value in &mut values {
            sum = sum.wrapping_add(*value);
            *value = sum;
        }
    }
    values
}

/// Opens a part that the header names.
pub(super) fn open_beside<'s>(source: &'s Source, name: &str, what: &str) -> Result<Part<'s>> {
    source.open_beside(name).map_err(|error| match error.kind() {
        ErrorKind::File => {
            let cause = format!("{}: its {what} {}", source.name(), error.cause());
            Error::new(ErrorKind::File, cause, format!("put the header and its {what}s into one folder"))
        }
        _ => error,
    })
}

/// Refuses a part outside the header's folder: a header from an untrusted source must not open other files.
pub(super) fn check_name(name: &str, what: &str) -> Result<()> {
    if name == "-" || name == "~" {
        let cause = format!("the header names '{name}' instead of a {what}");
        let remedy = "get the record with its signal files; if this is the layout of a record of several segments, name \
                      that record";
        return Err(damaged(cause, remedy));
    }
    if name.contains(['/', '\\', ':', '\0']) || name == ".." || name == "." {
        let cause = format!("the header names the {what} '{}', outside its own folder", name.escape_debug());
        return Err(damaged(cause, "put the file beside its header and correct the header"));
    }
    Ok(())
}

/// Refuses a MAT file of level 5 or later, whose first bytes are text. Level 4 has one matrix of samples behind a header of
/// 24 bytes, which a WFDB header can describe.
fn refuse_mat_file(part: &mut Part, name: &str) -> std::io::Result<Result<()>> {
    let start = part.read_start(10)?;
    let level = start.strip_prefix(b"MATLAB ").filter(|level| [b"5.0", b"7.3"].iter().any(|known| level == known));
    Ok(level.map_or(Ok(()), |level| {
        let level = String::from_utf8_lossy(level);
        let cause = format!(
            "{name} is a MAT file of version {level}, whose bytes are not the samples that the header describes"
        );
        Err(damaged(cause, "save the samples in MAT version 4, for instance with scipy.io.savemat and format='4'"))
    }))
}
