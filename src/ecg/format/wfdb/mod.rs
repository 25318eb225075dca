//! WFDB records, PhysioNet's format: a text header and one or more files of samples.

mod header;
mod signal_format;
mod write;

pub use write::write;

use self::{
    header::{DEFAULT_GAIN, DEFAULT_RATE, Header, Signal},
    signal_format::SignalFormat,
};
use super::{Format, ReadOptions, Source, damaged};
use crate::{
    Error, ErrorKind, Result,
    ecg::{Lead, Recording, Unit, synthetic::SYNTHETIC},
};

/// Largest header that is read, in bytes; a real one has a few hundred.
const LARGEST_HEADER: u64 = 1 << 20;

/// WFDB records: a header, and signal files beside it.
pub(super) const FORMAT: Format = Format {
    name: "WFDB",
    extensions: &["hea"],
    companions: &["dat"],
    recognises: header::recognises,
    plausible: None,
    read,
};

/// Reads the record of a header.
fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    let mut part = source.open()?;
    if part.size > LARGEST_HEADER {
        let cause = format!("the header has {} bytes, which no header needs", part.size);
        return Err(damaged(cause, "check that this is a WFDB header"));
    }
    let start = part.read_start(LARGEST_HEADER).map_err(|error| source.unreadable(error))?;
    let header = header::parse(&start)?;
    let mut warnings: Vec<String> = header.synthetic.then(|| SYNTHETIC.to_string()).into_iter().collect();
    let mut leads = Vec::new();
    for group in groups(&header)? {
        read_group(source, &header, &group, options, &mut leads, &mut warnings)?;
    }
    leads.sort_by_key(|(position, _, _)| *position);
    let leads = leads.into_iter().map(|(_, lead, signal)| (lead, signal)).collect();
    let mut recording = Recording::new(source.stem(), sampling_rate(&header, options, &mut warnings), leads)?;
    warnings.extend(missing_gains(&header));
    warnings.extend(overridden_units(&header, options));
    warnings.extend(ignored(&header));
    warnings.into_iter().for_each(|warning| recording.warn(warning));
    options.warn_of_unused_leads(&mut recording);
    Ok(vec![recording])
}

fn sampling_rate(header: &Header, options: &ReadOptions, warnings: &mut Vec<String>) -> f64 {
    match (options.sampling_rate, header.sampling_rate) {
        (Some(rate), Some(stated)) if rate != stated => {
            warnings.push(format!("the header says {stated} Hz: overridden with {rate} Hz"));
            rate
        }
        (Some(rate), _) | (None, Some(rate)) => rate,
        (None, None) => {
            warnings.push(format!("the header states no sampling rate: taken as WFDB's default, {DEFAULT_RATE} Hz"));
            DEFAULT_RATE
        }
    }
}

/// Warns about leads without a gain.
fn missing_gains(header: &Header) -> Option<String> {
    let leads = names(header, |lead, signal| lead.is_some() && signal.gain.is_none());
    leads
        .map(|leads| format!("the header states no gain: taken as WFDB's default, {DEFAULT_GAIN} adu a unit ({leads})"))
}

/// Warns about leads whose unit the options override.
fn overridden_units(header: &Header, options: &ReadOptions) -> Option<String> {
    let unit = options.unit?;
    let differs = |signal: &Signal| signal.voltage().ok() != Some(unit);
    let leads = names(header, |lead, signal| lead.is_some() && differs(signal))?;
    let stated = header.signals.iter().find(|signal| signal.lead().is_some() && differs(signal))?;
    Some(format!("the header says {}: overridden with {unit} ({leads})", stated.unit))
}

/// Warns about signals that are no standard leads.
fn ignored(header: &Header) -> Option<String> {
    names(header, |lead, _| lead.is_none()).map(|names| format!("ignored, since no standard lead: {names}"))
}

/// Lists the descriptions of the signals that `choose` selects, if there are any.
fn names(header: &Header, choose: impl Fn(Option<Lead>, &Signal) -> bool) -> Option<String> {
    let chosen = header.signals.iter().filter(|signal| choose(signal.lead(), signal));
    let names: Vec<&str> = chosen.map(|signal| &*signal.description).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The signals that share one signal file, with their positions in the header.
type Group<'h> = Vec<(usize, &'h Signal)>;

/// Groups the signals by file; files without any standard lead are left out.
fn groups(header: &Header) -> Result<Vec<Group<'_>>> {
    let mut groups: Vec<Group> = Vec::new();
    for (position, signal) in header.signals.iter().enumerate() {
        match groups.iter_mut().find(|group| group[0].1.file == signal.file) {
            Some(group) => group.push((position, signal)),
            None => groups.push(vec![(position, signal)]),
        }
    }
    groups.retain(|group| group.iter().any(|(_, signal)| signal.lead().is_some()));
    if groups.is_empty() {
        let found = names(header, |_, _| true).unwrap_or_default();
        let cause = format!("none of its signals is a standard lead: {found}");
        return Err(damaged(cause, "name the leads I, II, III, aVR, aVL, aVF, V1 to V6 in the header"));
    }
    Ok(groups)
}

/// Reads the standard leads of one signal file into `leads`, in millivolts.
fn read_group(
    source: &Source,
    header: &Header,
    group: &Group,
    options: &ReadOptions,
    leads: &mut Vec<(usize, Lead, Vec<f32>)>,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let file = read_samples(source, header, group, warnings)?;
    for (column, (position, signal)) in group.iter().enumerate() {
        let Some(lead) = signal.lead() else { continue };
        let unit = options.unit.map_or_else(|| signal.voltage(), Ok)?;
        let samples = file.signal(column);
        if let Some(at) = samples.iter().position(|x| *x == file.signal_format.missing()) {
            let cause = format!("lead {lead} has no value at sample {at} (WFDB's mark of a missing sample)");
            return Err(damaged(cause, "cut the recording there or interpolate the gap"));
        }
        warnings.extend(mismatches(lead, signal, &samples));
        leads.push((*position, lead, millivolts(&samples, signal, unit)));
    }
    Ok(())
}

fn millivolts(samples: &[i32], signal: &Signal, unit: Unit) -> Vec<f32> {
    // The baseline comes from the file: as an f64 it cannot overflow.
    let (baseline, scale) = (signal.baseline as f64, unit.millivolts() / signal.gain.unwrap_or(DEFAULT_GAIN));
    samples.iter().map(|x| ((f64::from(*x) - baseline) * scale) as f32).collect()
}

/// Warns where a lead's samples contradict its first value or its checksum in the header. Zero means that a writer did not
/// fill the field in.
fn mismatches(lead: Lead, signal: &Signal, samples: &[i32]) -> Vec<String> {
    let mut found = Vec::new();
    if let (Some(expected), Some(first)) = (signal.initial, samples.first())
        && expected != 0
        && expected != i64::from(*first)
    {
        found.push(format!("lead {lead} begins with {first}, not with {expected} as the header says: was it altered?"));
    }
    let sum = checksum(samples);
    // Some writers print the sum as a signed number, some as an unsigned one.
    if let Some(expected) = signal.checksum
        && expected != 0
        && expected as i16 != sum
    {
        found.push(format!("lead {lead} has checksum {sum}, not {expected} as the header says: was it altered?"));
    }
    found
}

/// Returns the sum of the samples modulo 2^16, as a header states it.
fn checksum(samples: &[i32]) -> i16 {
    samples.iter().fold(0i16, |sum, x| sum.wrapping_add(*x as i16))
}

/// The samples of one signal file.
struct SignalFile {
    signal_format: SignalFormat,
    bytes: Vec<u8>,
    /// Signals in the file.
    signals: usize,
    /// Samples per signal.
    samples: usize,
}

impl SignalFile {
    fn signal(&self, column: usize) -> Vec<i32> {
        (0..self.samples).map_while(|n| self.signal_format.sample(&self.bytes, n * self.signals + column)).collect()
    }
}

/// Reads a group's file after checking that it holds what the header declares.
fn read_samples(source: &Source, header: &Header, group: &Group, warnings: &mut Vec<String>) -> Result<SignalFile> {
    let (signal_format, offset) = layout(group)?;
    let name = &group[0].1.file;
    check_name(name)?;
    let mut part = source.open_beside(name).map_err(|error| {
        let cause = format!("{}: its signal file {}", source.name(), error.cause());
        Error::new(ErrorKind::File, cause, "put the header and its signal files into one folder")
    })?;
    let signals = group.len();
    let held = signal_format.samples(part.size.saturating_sub(offset)) / signals as u64;
    let declared = header.samples.unwrap_or(held);
    if declared > held || held == 0 {
        let stated = header.samples.map_or("some".into(), |samples| samples.to_string());
        let cause = format!("{stated} samples are declared and {name} holds {held}");
        return Err(damaged(cause, "the signal file is cut off or empty, or the header wrong: get the record again"));
    }
    let total = declared.checked_mul(signals as u64);
    let end = total.and_then(|total| signal_format.bytes(total)).and_then(|bytes| bytes.checked_add(offset));
    let end = end.ok_or_else(|| damaged("a record too large for this computer", "check the header"))?;
    if held > declared {
        warnings.push(format!("{name} holds {held} samples, {declared} are declared: the rest is ignored"));
    }
    let read = part.read_start(end);
    let mut bytes = read.map_err(|error| Error::file(&source.path().with_file_name(name), error))?;
    bytes.drain(..usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len()));
    Ok(SignalFile { signal_format, bytes, signals, samples: usize::try_from(declared).unwrap_or(usize::MAX) })
}

/// Returns the signal format of a group's file and the offset of the first sample, in bytes. All signals of the group
/// must agree on both.
fn layout(group: &Group) -> Result<(SignalFormat, u64)> {
    let first = group[0].1;
    for (_, signal) in group {
        signal.supported_signal_format()?;
        if signal.signal_format != first.signal_format {
            let cause =
                format!("'{}' and '{}' share a file in different formats", first.description, signal.description);
            return Err(damaged(cause, "correct the header: signals of one file share format and offset"));
        }
    }
    Ok((first.supported_signal_format()?, first.signal_format.offset))
}

/// Refuses a signal file outside the header's folder: a header from an untrusted source must not open other files.
fn check_name(name: &str) -> Result<()> {
    if name == "-" || name == "~" {
        let cause = format!("the header names '{name}' instead of a signal file");
        return Err(damaged(cause, "get the record with its signal files"));
    }
    if name.contains(['/', '\\', ':', '\0']) || name == ".." || name == "." {
        let cause = format!("the header names the signal file '{}', outside its own folder", name.escape_debug());
        return Err(damaged(cause, "put the file beside its header and correct the header"));
    }
    Ok(())
}
