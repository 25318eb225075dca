//! Reads SCP-ECG records (EN 1064, ISO 11073-91064): plain or Huffman-coded rhythms, with or without the subtraction of a
//! reference beat and a reduced sampling rate between the beats. The section with the patient's data is not read.

mod beats;
mod huffman;
mod leads;
mod record;
mod restore;
mod waves;

use beats::Beats;
use huffman::Coding;
use leads::{Lead, Leads};
use record::Record;
use restore::Plan;
use waves::Waves;

use super::{Format, ReadOptions, Reading, Source, damaged, signals::Signals};
use crate::{Recording, Result, ecg::Unit};

/// SCP-ECG records.
pub(super) const FORMAT: Format = Format {
    name: "SCP-ECG",
    extensions: &["scp", "ecg"],
    companions: &[],
    recognises: record::recognises,
    plausible: None,
    reading: Reading::Whole(read),
};

/// The largest file that is read: 16 MiB. Rhythms take up less than 1 MiB; manufacturers add sections of their own.
const LARGEST: u64 = 16 << 20;

/// The most samples of all leads together. The largest rhythm that the standard's lengths allow has about as many.
const MOST_SAMPLES: usize = 1 << 23;

/// The largest reduction of the sampling rate that is undone. The standard reduces 500 Hz to 125 Hz.
const LARGEST_FACTOR: usize = 16;

/// Reads the rhythm of a record.
fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    let mut part = source.open()?;
    if part.size > LARGEST {
        let cause = format!("{} bytes, which is too large for SCP-ECG", part.size);
        return Err(damaged(cause, "check that this is an SCP-ECG file"));
    }
    let bytes = part.read_start(LARGEST).map_err(|error| source.unreadable(error))?;
    let signals = signals(&bytes)?;
    signals.recording(source.stem(), options).map(|recording| vec![recording])
}

/// Reads the signals of a record in memory.
fn signals(bytes: &[u8]) -> Result<Signals> {
    let record = Record::new(bytes)?;
    let warnings = record.check()?.into_iter().collect();
    let missing = |what: &str| damaged(format!("the record has no {what}"), "export the recording with its rhythm");
    let leads = Leads::new(record.section(3)?.ok_or_else(|| missing("definition of leads (section 3)"))?)?;
    let rhythm = record.section(6)?.ok_or_else(|| missing("rhythm (section 6)"))?;
    let rhythm = Waves::new(6, rhythm, leads.leads.len())?;
    let rhythm = Rhythm::new(&record, &leads, rhythm)?;
    let frame = Frame::around(&leads.leads)?;
    let signal = |(index, lead): (usize, &Lead)| {
        let samples = rhythm.lead(index, lead)?;
        Ok((lead.name.clone(), frame.filled(lead, samples)))
    };
    let signals = leads.leads.iter().enumerate().map(signal).collect::<Result<_>>()?;
    let sampling_rate = Some(1e6 / f64::from(rhythm.microseconds));
    Ok(Signals { signals, sampling_rate, unit: Some(Unit::Millivolt), calibrated: true, warnings })
}

/// A rhythm, and what its compression calls for.
struct Rhythm<'a> {
    coding: Coding,
    waves: Waves<'a>,
    /// The time between two samples in microseconds, once the sampling rate is restored.
    microseconds: u16,
    /// How many samples were made one between the beats.
    factor: usize,
    beats: Beats,
    /// The reference beat, if it was subtracted.
    reference: Option<Waves<'a>>,
}

impl<'a> Rhythm<'a> {
    fn new(record: &Record<'a>, leads: &Leads, waves: Waves<'a>) -> Result<Self> {
        let coding = Coding::new(record.section(2)?)?;
        let mut rhythm = Self {
            coding,
            microseconds: waves.microseconds,
            factor: 1,
            beats: Beats::default(),
            reference: None,
            waves,
        };
        if !leads.subtracted && !rhythm.waves.reduced {
            return Ok(rhythm);
        }
        // Section 5 states the sampling rate before the reduction, which section 6 states after it.
        let (Some(beats), Some(reference)) = (record.section(4)?, record.section(5)?) else {
            let cause =
                "the rhythm is compressed, and the record has no beats (section 4) or no reference beat (section 5)";
            return Err(damaged(cause, "export the recording again, without compression"));
        };
        let reference = Waves::new(5, reference, leads.leads.len())?;
        rhythm.beats = Beats::new(beats)?;
        rhythm.factor = factor(&reference, &rhythm.waves)?;
        rhythm.microseconds = reference.microseconds;
        if leads.subtracted {
            rhythm.reference = Some(reference);
        } else {
            rhythm.beats.subtracted.clear();
        }
        Ok(rhythm)
    }

    /// Returns the samples of a lead in millivolts. There are fewer than the lead declares where its bytes end before.
    fn lead(&self, index: usize, lead: &Lead) -> Result<Vec<f32>> {
        let plan = Plan {
            first: lead.first.into(),
            samples: lead.samples,
            factor: self.factor,
            protected: &self.beats.protected,
            subtracted: &self.beats.subtracted,
        };
        let stored = millivolts(&self.waves, index, &self.coding, plan.stored())?;
        let mut samples = plan.expand(&stored);
        if let Some(reference) = &self.reference {
            let count = usize::from(self.beats.reference_ms) * 1000 / usize::from(reference.microseconds);
            let beat = millivolts(reference, index, &self.coding, count)?;
            plan.add_reference(&mut samples, &beat, self.beats.fiducial);
        }
        Ok(samples.into_iter().map(|sample| sample as f32).collect())
    }
}

/// Returns how many samples of the sampling rate of `reference` one of `rhythm` stands for.
fn factor(reference: &Waves, rhythm: &Waves) -> Result<usize> {
    let [full, reduced] = [reference, rhythm].map(|waves| usize::from(waves.microseconds));
    if reduced % full != 0 || reduced / full > LARGEST_FACTOR {
        let cause = format!("a sample every {full} µs in the reference beat and every {reduced} µs in the rhythm");
        return Err(damaged(cause, "export the recording again, without compression"));
    }
    Ok(reduced / full)
}

fn millivolts(waves: &Waves, lead: usize, coding: &Coding, count: usize) -> Result<Vec<f64>> {
    let step = f64::from(waves.nanovolts) / 1e6;
    Ok(waves.decode(lead, coding, count)?.into_iter().map(|sample| f64::from(sample) * step).collect())
}

/// The time from the first sample of any lead to the last.
struct Frame {
    first: u32,
    samples: usize,
}

impl Frame {
    fn around(leads: &[Lead]) -> Result<Self> {
        let first = leads.iter().map(|lead| lead.first).min().unwrap_or(0);
        let end = |lead: &Lead| ((lead.first - first) as usize).saturating_add(lead.samples);
        let samples = leads.iter().map(end).max().unwrap_or(0);
        if samples.saturating_mul(leads.len()) > MOST_SAMPLES {
            let cause = format!("{} leads of {samples} samples, more than SCP-ECG can hold", leads.len());
            return Err(damaged(cause, "the file is damaged: export or copy it again"));
        }
        Ok(Self { first, samples })
    }

    /// Places the samples of a lead in the frame. Those that are missing have no value.
    fn filled(&self, lead: &Lead, samples: Vec<f32>) -> Vec<f32> {
        let before = (lead.first - self.first) as usize;
        let mut filled = vec![f32::NAN; self.samples];
        filled.iter_mut().skip(before).zip(samples).for_each(|(to, sample)| *to = sample);
        filled
    }
}
