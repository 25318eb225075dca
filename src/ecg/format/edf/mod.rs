//! EDF, EDF+, BDF and BDF+ files: a text header, then records of samples of 16 or 24 bits.

mod annotations;
mod header;
mod label;
mod records;
mod write;

use std::{io::BufReader, iter, ops::Range};

pub(super) use write::write;

use self::{
    header::{BLOCK, Signal, Start},
    records::{Conversion, Records},
};
use super::{Format, ReadOptions, Reading, Source, damaged, gain, shown, signals::Signals, voltage};
use crate::{
    Recording, Result,
    ecg::{Unit, synthetic::SYNTHETIC},
};

/// EDF and BDF files.
pub(super) const FORMAT: Format = Format {
    name: "EDF",
    extensions: &["edf", "bdf"],
    companions: &[],
    recognises: |start| header::sample_width(start).is_some() && Start::parse(start).is_ok(),
    plausible: None,
    reading: Reading::Whole(read),
};

/// A file of over 256 MiB is no 12-lead ECG that could be classified: it would last hours.
const LARGEST: u64 = 256 << 20;

/// Reads the recording of a file, or one recording for each part between the gaps of a discontinuous file.
fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    let mut part = source.open()?;
    if part.size > LARGEST {
        let cause = format!("a file of {} bytes, and {LARGEST} are read at most", part.size);
        return Err(damaged(cause, "cut it into shorter recordings"));
    }
    let unreadable = |error| source.unreadable(error);
    let start = Start::parse(&part.read_start(BLOCK as u64).map_err(unreadable)?)?;
    let fields = part.read_start((BLOCK * start.signals) as u64).map_err(unreadable)?;
    let signals = start.signals(&fields)?;
    let layout = records::layout(&start, &signals).filter(|(_, length)| *length > 0);
    let layout = layout.ok_or_else(|| damaged("a record of impossible length", "the header is damaged"))?;
    let mut warnings = Vec::new();
    let data = part.size.saturating_sub((BLOCK * (start.signals + 1)) as u64);
    let count = count_records(&start, data, layout.1 as u64, &mut warnings)?;
    let leads = choose_leads(&signals, options)?;
    let rate = sampling_rate(&start, &signals, &leads)?;
    let (unit, conversions) = conversions(&signals, &leads, options)?;
    let negative = conversions.iter().filter(|lead| lead.scale < 0.0);
    let negative: Vec<String> = negative.map(|lead| label::name(&signals[lead.signal].label)).collect();
    warnings.extend(gain::upside_down(&negative));
    let records = records::read(BufReader::new(part.reader), &start, &signals, &layout, count, &conversions);
    let file = File { signals: &signals, conversions: &conversions, unit, rate, warnings };
    file.recordings(&start, &records.map_err(unreadable)?, &source.stem(), options)
}

/// Returns the number of records to read from `data` bytes behind the header.
fn count_records(start: &Start, data: u64, length: u64, warnings: &mut Vec<String>) -> Result<u64> {
    let held = data / length;
    let count = start.records.unwrap_or(held);
    if count > held || count == 0 {
        let declared = start.records.map_or("an unknown number of".into(), |records| records.to_string());
        let cause = format!("{declared} records are declared, and the file holds {held}");
        return Err(damaged(cause, "the file is cut off or empty: get it again"));
    }
    if start.records.is_none() {
        warnings.push(format!("the recording was not closed: the file holds {held} records"));
    }
    let rest = data - count * length;
    if rest > 0 {
        warnings.push(format!("{rest} bytes behind the last record are ignored"));
    }
    Ok(count)
}

/// Returns the positions of the signals to read: those with the names of leads, or else all if the user names them.
fn choose_leads(signals: &[Signal], options: &ReadOptions) -> Result<Vec<usize>> {
    let positions = || (0..).zip(signals).filter(|(_, signal)| !signal.is_annotations());
    let named: Vec<usize> =
        positions().filter(|(_, signal)| label::lead(&signal.label).is_some()).map(|(at, _)| at).collect();
    if named.is_empty() && options.leads.is_some() {
        return Ok(positions().map(|(at, _)| at).collect());
    }
    if positions().next().is_none() {
        return Err(damaged("the file holds annotations and no signals", "give the file with the signals"));
    }
    Ok(named)
}

/// Returns the sampling rate that all leads share, if there are any.
fn sampling_rate(start: &Start, signals: &[Signal], leads: &[usize]) -> Result<Option<f64>> {
    let mut leads = leads.iter().filter_map(|at| signals.get(*at));
    let Some(first) = leads.next() else { return Ok(None) };
    let rate = |signal: &Signal| header::sampling_rate(signal.samples, start.duration);
    if first.samples == 0 || !rate(first).is_finite() {
        let cause = format!("{} samples in a record of {} s", first.samples, start.duration);
        return Err(damaged(cause, "the header is damaged: get the file again"));
    }
    if let Some(other) = leads.find(|other| other.samples != first.samples) {
        let [first_label, other_label] = [first, other].map(|signal| shown(signal.label.as_bytes()));
        let cause = format!(
            "the leads differ in sampling rate: '{first_label}' has {} Hz and '{other_label}' {} Hz",
            rate(first),
            rate(other)
        );
        return Err(damaged(cause, "resample the leads to one rate"));
    }
    Ok(Some(rate(first)))
}

/// Returns the common unit of the leads and how each is converted to it.
fn conversions(signals: &[Signal], leads: &[usize], options: &ReadOptions) -> Result<(Unit, Vec<Conversion>)> {
    let chosen: Vec<(usize, &Signal)> = leads.iter().filter_map(|at| Some((*at, signals.get(*at)?))).collect();
    let stated = |signal: &'_ Signal| label::name(&signal.label);
    let names: Vec<String> = chosen.iter().map(|(_, signal)| stated(signal)).collect();
    let units = chosen.iter().zip(&names).map(|((_, signal), lead)| voltage::Stated { lead, unit: &signal.unit });
    let units: Vec<voltage::Stated> = units.collect();
    let common = voltage::common(&units, options.unit)?;
    let conversion = |((signal, fields), unit): (&(usize, &Signal), &voltage::Stated)| {
        let (scale, offset) = fields.scale()?;
        let factor = unit.factor(common);
        Ok(Conversion { signal: *signal, scale: scale * factor, offset: offset * factor })
    };
    let conversions: Result<_> = chosen.iter().zip(&units).map(conversion).collect();
    Ok((common, conversions?))
}

/// What all recordings of a file share.
struct File<'a> {
    signals: &'a [Signal],
    conversions: &'a [Conversion],
    unit: Unit,
    rate: Option<f64>,
    warnings: Vec<String>,
}

impl File<'_> {
    /// Makes one recording of every run of records without a gap.
    fn recordings(
        mut self,
        start: &Start,
        records: &Records,
        stem: &str,
        options: &ReadOptions,
    ) -> Result<Vec<Recording>> {
        if records.synthetic {
            self.warnings.push(SYNTHETIC.into());
        }
        let runs = self.runs(start, records)?;
        if let [whole] = &runs[..] {
            return self.signals(whole, records).recording(stem.into(), options).map(|recording| vec![recording]);
        }
        let part = |(number, run): (usize, &Range<usize>)| {
            let mut signals = self.signals(run, records);
            let onset = records.onsets.get(run.start).copied().flatten().unwrap_or_default();
            let place = format!("part {} of {} of a recording with gaps: begins at {onset} s", number + 1, runs.len());
            signals.warnings.push(place);
            signals.recording(format!("{stem}[{number}]"), options)
        };
        runs.iter().enumerate().map(part).collect()
    }

    /// Returns the runs of records without a gap.
    fn runs(&self, start: &Start, records: &Records) -> Result<Vec<Range<usize>>> {
        let samples = self.conversions.first().and_then(|lead| self.signals.get(lead.signal)).map(|lead| lead.samples);
        let count = match (samples, records.leads.first()) {
            (Some(samples), Some(lead)) => lead.len() / usize::try_from(samples).unwrap_or(usize::MAX).max(1),
            _ => 0,
        };
        let onsets: Option<Vec<f64>> = records.onsets.iter().copied().collect();
        match onsets.filter(|onsets| start.plus && onsets.len() == count && count > 0) {
            // A shift by one sample cannot be seen in an ECG; onsets are often rounded to milliseconds.
            Some(onsets) => Ok(records::runs(&onsets, start.duration, (1.0 / self.rate.unwrap_or(1e3)).max(1e-3))),
            None if start.discontinuous => {
                let unknown = records.onsets.iter().position(Option::is_none).unwrap_or_default();
                let cause = format!("the file declares gaps, and record {} does not state when it begins", unknown + 1);
                Err(damaged(cause, "export the recording without gaps"))
            }
            None => Ok(iter::once(0..count).collect()),
        }
    }

    /// Returns the signals of some records. Those that are no leads have a name only.
    fn signals(&self, run: &Range<usize>, records: &Records) -> Signals {
        let samples = |(at, signal): (usize, &Signal)| {
            let read = self.conversions.iter().position(|lead| lead.signal == at);
            let lead = read.and_then(|position| records.leads.get(position));
            let length = usize::try_from(signal.samples).unwrap_or(usize::MAX);
            let [from, to] = [run.start, run.end].map(|record| record.saturating_mul(length));
            (label::name(&signal.label), lead.and_then(|lead| lead.get(from..to)).unwrap_or_default().to_vec())
        };
        let signals = (0..).zip(self.signals).filter(|(_, signal)| !signal.is_annotations()).map(samples);
        Signals {
            signals: signals.collect(),
            sampling_rate: self.rate,
            unit: Some(self.unit),
            warnings: self.warnings.clone(),
            ..Signals::default()
        }
    }
}
