//! Reads the XML of GE's MUSE system: the rhythm, not the median beat.
//!
//! Each `Waveform` has one `LeadData` per lead: whole numbers, little-endian, as Base64, with their unit. Eight leads are
//! stored. The meaning of the elements follows `restecg.dtd`, which the documents name and which is never fetched.

use std::borrow::Cow;

use super::{
    super::{Format, ReadOptions, Reading, Source, damaged, shown, signals::Signals, text},
    base64,
    document::Document,
    has_root, listed, open, read_bytes, recordings,
};
use crate::{Recording, Result, ecg::Unit};

/// The root element.
pub(super) const ROOT: &str = "RestingECG";

/// XML of GE MUSE.
pub(in super::super) const FORMAT: Format = Format {
    name: "GE MUSE XML",
    extensions: &["xml"],
    companions: &[],
    recognises: |start| has_root(start, ROOT),
    plausible: Some(|start, _| has_root(start, ROOT)),
    reading: Reading::Whole(read),
};

/// Reads every rhythm.
fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    let bytes = read_bytes(source)?;
    let (text, _) = text::decode(&bytes);
    let mut document = open(&text, ROOT)?;
    let mut rhythms = Vec::new();
    let mut others = Vec::new();
    while let Some(element) = document.child()? {
        if element.name() != "Waveform" {
            document.skip()?;
            continue;
        }
        let waveform = Waveform::read(&mut document)?;
        if waveform.kind.eq_ignore_ascii_case("Rhythm") {
            rhythms.push(waveform.signals()?);
        } else {
            others.push(waveform.kind);
        }
    }
    if rhythms.is_empty() {
        let cause = format!("no waveform of type 'Rhythm'; found: {}", listed(others.into_iter()));
        return Err(damaged(cause, "export the ECG with its rhythm waveform"));
    }
    recordings(rhythms, source, options)
}

/// One `Waveform`.
#[derive(Default)]
struct Waveform<'a> {
    kind: String,
    sample_base: Option<f64>,
    sample_exponent: Option<f64>,
    leads: Vec<LeadData<'a>>,
}

impl<'a> Waveform<'a> {
    fn read(document: &mut Document<'a>) -> Result<Self> {
        let mut waveform = Self::default();
        while let Some(element) = document.child()? {
            match element.name() {
                "WaveformType" => waveform.kind = document.text()?.trim().into(),
                "SampleBase" => waveform.sample_base = document.number("SampleBase")?,
                "SampleExponent" => waveform.sample_exponent = document.number("SampleExponent")?,
                "LeadData" => waveform.leads.push(LeadData::read(document)?),
                _ => document.skip()?,
            }
        }
        Ok(waveform)
    }

    fn signals(&self) -> Result<Signals> {
        let first = self
            .leads
            .first()
            .ok_or_else(|| damaged("the rhythm waveform has no LeadData", "export the ECG with its waveforms"))?;
        let apart = |lead: &&LeadData| lead.begins() != first.begins();
        if let Some(lead) = self.leads.iter().find(apart) {
            let cause = format!("leads {} and {} do not begin at the same time", first.name(), lead.name());
            return Err(damaged(cause, "export the ECG with simultaneous leads"));
        }
        let mut signals = Signals { unit: Some(Unit::Millivolt), calibrated: true, ..Signals::default() };
        signals.sampling_rate = self.sample_base.map(|base| base * 10f64.powf(self.sample_exponent.unwrap_or(0.0)));
        for lead in &self.leads {
            let samples = lead.samples(&mut signals.warnings)?;
            signals.signals.push((lead.id.clone(), samples));
        }
        Ok(signals)
    }
}

/// One `LeadData`: the samples of a lead, not decoded yet.
#[derive(Default)]
struct LeadData<'a> {
    id: String,
    units_per_bit: Option<f64>,
    units: String,
    byte_count: Option<f64>,
    sample_count: Option<f64>,
    sample_size: Option<f64>,
    /// Added to every sample before it is scaled.
    baseline: Option<f64>,
    time_offset: Option<f64>,
    first_sample: Option<f64>,
    off: bool,
    data: Cow<'a, str>,
}

impl<'a> LeadData<'a> {
    fn read(document: &mut Document<'a>) -> Result<Self> {
        let mut lead = Self::default();
        while let Some(element) = document.child()? {
            match element.name() {
                "LeadID" => lead.id = document.text()?.trim().into(),
                "LeadAmplitudeUnitsPerBit" => lead.units_per_bit = document.number("LeadAmplitudeUnitsPerBit")?,
                "LeadAmplitudeUnits" => lead.units = document.text()?.trim().into(),
                "LeadByteCountTotal" => lead.byte_count = document.number("LeadByteCountTotal")?,
                "LeadSampleCountTotal" => lead.sample_count = document.number("LeadSampleCountTotal")?,
                "LeadSampleSize" => lead.sample_size = document.number("LeadSampleSize")?,
                "FirstSampleBaseline" => lead.baseline = document.number("FirstSampleBaseline")?,
                "LeadTimeOffset" => lead.time_offset = document.number("LeadTimeOffset")?,
                "LeadOffsetFirstSample" => lead.first_sample = document.number("LeadOffsetFirstSample")?,
                "LeadOff" => lead.off = document.text()?.trim().eq_ignore_ascii_case("true"),
                "WaveFormData" => lead.data = document.text()?,
                _ => document.skip()?,
            }
        }
        Ok(lead)
    }

    /// Returns the lead's name for messages.
    fn name(&self) -> String {
        shown(self.id.as_bytes())
    }

    /// Returns when the lead begins, in the file's own units.
    fn begins(&self) -> [f64; 2] {
        [self.time_offset, self.first_sample].map(Option::unwrap_or_default)
    }

    /// Returns the samples in millivolts.
    fn samples(&self, warnings: &mut Vec<String>) -> Result<Vec<f32>> {
        let bytes = base64::decode(&self.data, &format!("the data of lead {}", self.name()))?;
        let size = self.bytes_per_sample()?;
        let count = self.count(bytes.len(), size, warnings)?;
        let scale = self.scale()?;
        let baseline = self.baseline.unwrap_or(0.0);
        if self.off {
            warnings.push(format!("the device reports that an electrode of lead {} was off", self.name()));
        }
        let millivolts = |raw: i32, missing: i32| {
            if raw == missing { f32::NAN } else { ((f64::from(raw) + baseline) * scale) as f32 }
        };
        let samples = bytes.chunks_exact(size).take(count);
        Ok(samples
            .map(|sample| match *sample {
                [a, b] => millivolts(i16::from_le_bytes([a, b]).into(), i16::MIN.into()),
                [a, b, c, d] => millivolts(i32::from_le_bytes([a, b, c, d]), i32::MIN),
                _ => f32::NAN,
            })
            .collect())
    }

    fn bytes_per_sample(&self) -> Result<usize> {
        match self.sample_size {
            None | Some(2.0) => Ok(2),
            Some(4.0) => Ok(4),
            Some(size) => {
                let cause = format!("lead {} has {size} bytes per sample", self.name());
                Err(damaged(cause, "export the ECG with 2 bytes per sample"))
            }
        }
    }

    /// Returns the number of samples, which must be there.
    fn count(&self, bytes: usize, size: usize, warnings: &mut Vec<String>) -> Result<usize> {
        let held = bytes / size;
        let by_bytes = self.byte_count.map(|count| count / size as f64);
        let stated = self.sample_count.or(by_bytes).unwrap_or(held as f64);
        let most = stated.max(by_bytes.unwrap_or(stated));
        if !bytes.is_multiple_of(size) || held == 0 || most > held as f64 || stated < 1.0 || stated.fract() != 0.0 {
            let cause = format!("lead {}: {stated} samples are stated and {bytes} bytes stored", self.name());
            return Err(damaged(cause, "the file is cut off or damaged: get it again"));
        }
        if stated < held as f64 {
            warnings.push(format!("lead {}: {stated} of {held} stored samples are read, as stated", self.name()));
        }
        Ok(stated as usize)
    }

    /// Returns the millivolts of one step.
    fn scale(&self) -> Result<f64> {
        let name = self.name();
        let step = self.units_per_bit.filter(|step| *step != 0.0);
        let step = step.ok_or_else(|| {
            damaged(
                format!("lead {name} states no LeadAmplitudeUnitsPerBit"),
                "state the size of its steps, often 4.88",
            )
        })?;
        // Without a unit, MUSE means microvolts.
        let unit = if self.units.is_empty() { "MICROVOLTS" } else { &self.units };
        let unit = unit.parse().map(Unit::millivolts).map_err(|_| {
            let cause = format!("lead {name} is in '{}', which is no unit of voltage", shown(unit.as_bytes()));
            damaged(cause, "state LeadAmplitudeUnits, such as MICROVOLTS")
        })?;
        Ok(step * unit)
    }
}
