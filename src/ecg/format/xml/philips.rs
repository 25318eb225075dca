//! Reads the XML of Philips (Sierra ECG), versions 1.03, 1.04 and 1.04.01: the waveforms, not the representative beats.
//!
//! All leads are in one element, one after the other: as Base64, with or without XLI compression, or as plain numbers. The
//! names follow the XML schemas of the three versions.

use super::{
    super::{Format, ReadOptions, Reading, Source, damaged, shown, signals::Signals, text},
    base64,
    document::{Document, Element},
    has_root, number, open, read_bytes, recordings, xli,
};
use crate::{
    Recording, Result,
    ecg::{Lead, Unit},
};

/// The root element.
pub(super) const ROOT: &str = "restingecgdata";

/// XML of Philips.
pub(in super::super) const FORMAT: Format = Format {
    name: "Philips XML",
    extensions: &["xml"],
    companions: &[],
    recognises: |start| has_root(start, ROOT),
    plausible: Some(|start, _| has_root(start, ROOT)),
    reading: Reading::Whole(read),
};

/// The most samples of a lead that are read: 17 minutes at 500 Hz. Most devices record eleven seconds.
const LONGEST: usize = 1 << 19;

/// The most leads that are read. The schema knows devices of up to 24 wires.
const MOST_LEADS: usize = 32;

/// Acquisitions of the twelve standard leads in their usual order.
const STANDARD: [&str; 2] = ["STD-12", "10-WIRE"];

/// Reads the waveforms.
fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    let bytes = read_bytes(source)?;
    let (text, _) = text::decode(&bytes);
    let mut document = open(&text, ROOT)?;
    let mut description = Description::default();
    let mut data = None;
    while let Some(element) = document.child()? {
        match element.name() {
            "dataacquisition" => acquisition(&mut document, &mut description)?,
            "waveforms" => data = waveforms(&mut document, &mut description)?.or(data),
            _ => document.skip()?,
        }
    }
    let data = data.ok_or_else(|| {
        damaged("the file has no parsedwaveforms", "export the ECG with its waveforms, not apart from them")
    })?;
    let channels = description.channels(&data)?;
    recordings(vec![description.signals(channels)?], source, options)
}

/// Reads the signal characteristics at the time of the acquisition.
fn acquisition(document: &mut Document, description: &mut Description) -> Result<()> {
    while let Some(element) = document.child()? {
        if element.name() != "signalcharacteristics" {
            document.skip()?;
            continue;
        }
        while let Some(element) = document.child()? {
            let name = element.name().to_string();
            description.set(&name, document.text()?.trim())?;
        }
    }
    Ok(())
}

/// Reads the waveforms, and their characteristics, which may differ from those of the acquisition.
fn waveforms(document: &mut Document, description: &mut Description) -> Result<Option<String>> {
    let mut data = None;
    while let Some(element) = document.child()? {
        if element.name() == "parsedwaveforms" {
            description.set_from_attributes(&element)?;
            data = Some(document.text()?.into_owned());
        } else {
            document.skip()?;
        }
    }
    Ok(data)
}

/// What the file states about its waveforms. Version 1.03 names some properties differently from the later ones.
#[derive(Default)]
struct Description {
    sampling_rate: Option<f64>,
    /// Microvolts of one step.
    resolution: Option<f64>,
    /// Subtracted from every sample.
    offset: f64,
    unsigned: bool,
    bits: Option<f64>,
    acquisition: String,
    channels: Option<f64>,
    labels: String,
    encoding: String,
    compression: String,
    uncompressed: bool,
    milliseconds: Option<f64>,
}

impl Description {
    /// Notes a property by its name. Unknown ones are ignored.
    fn set(&mut self, name: &str, text: &str) -> Result<()> {
        match name {
            "samplingrate" | "samplespersecond" => self.sampling_rate = number(name, text)?.or(self.sampling_rate),
            "signalresolution" | "resolution" => self.resolution = number(name, text)?.or(self.resolution),
            "signaloffset" => self.offset = number(name, text)?.unwrap_or(self.offset),
            "signalsigned" => self.unsigned = text.eq_ignore_ascii_case("false"),
            "acquisitiontype" => self.acquisition = text.into(),
            "numberchannelsallocated" | "numberofleads" => self.channels = number(name, text)?.or(self.channels),
            "leadlabels" => self.labels = text.into(),
            // As an element, the number of bits is that of the converter.
            "nbitspersample" => self.bits = number(name, text)?,
            "dataencoding" => self.encoding = text.into(),
            "compressmethod" | "compression" => self.compression = text.into(),
            "compressflag" => self.uncompressed = text.eq_ignore_ascii_case("false"),
            "durationperchannel" => self.milliseconds = number(name, text)?,
            _ => {}
        }
        Ok(())
    }

    fn set_from_attributes(&mut self, element: &Element) -> Result<()> {
        element.for_each_attribute(|name, text| match name {
            "bitspersample" => self.set("nbitspersample", text),
            _ => self.set(name, text),
        })
    }

    /// Returns the names of the channels; empty where the file names none.
    fn names(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = self.labels.split_whitespace().map(String::from).collect();
        let stated = self.channels.unwrap_or(if names.is_empty() { 12.0 } else { names.len() as f64 });
        if !(1.0..=MOST_LEADS as f64).contains(&stated) || stated.fract() != 0.0 {
            let cause = format!("{stated} leads are stated");
            return Err(damaged(cause, format!("it must be a number from 1 to {MOST_LEADS}")));
        }
        if names.is_empty() && STANDARD.contains(&self.acquisition.as_str()) {
            names = Lead::STANDARD.iter().map(ToString::to_string).collect();
        }
        names.resize(stated as usize, String::new());
        Ok(names)
    }

    /// Returns the number of samples of each lead, if the file states it.
    fn length(&self) -> Result<Option<usize>> {
        let (Some(duration), Some(rate)) = (self.milliseconds, self.sampling_rate) else { return Ok(None) };
        let samples = (duration * rate / 1000.0).round();
        if (2.0..=LONGEST as f64).contains(&samples) {
            return Ok(Some(samples as usize));
        }
        let cause = format!("a duration of {duration} ms at {rate} Hz");
        Err(damaged(cause, format!("up to {LONGEST} samples of a lead are read: correct it or cut the recording")))
    }

    /// Decodes the samples of each channel, in steps.
    fn channels(&self, data: &str) -> Result<Vec<(String, Vec<i32>)>> {
        let names = self.names()?;
        let is_compressed = !self.uncompressed && !matches!(self.compression.as_str(), "" | "None" | "Uncompressed");
        let samples = match (self.encoding.as_str(), is_compressed) {
            ("Plain", false) => self.split(plain(data)?, names.len())?,
            ("Base64" | "", false) => {
                let bytes = base64::decode(data, "the waveform data")?;
                self.split(self.whole_numbers(&bytes)?, names.len())?
            }
            ("Base64" | "", true) if self.compression == "XLI" => {
                let bytes = base64::decode(data, "the waveform data")?;
                let leads =
                    xli::decompress(&bytes, names.len(), self.length()?.map_or(LONGEST, |length| length + length))?;
                leads.into_iter().map(|lead| lead.into_iter().map(i32::from).collect()).collect()
            }
            _ => {
                let [encoding, compression] = [&self.encoding, &self.compression].map(|text| shown(text.as_bytes()));
                let cause = format!("waveforms in the encoding '{encoding}' with the compression '{compression}'");
                return Err(damaged(cause, "export the ECG as Base64, with XLI or without compression"));
            }
        };
        let mut channels: Vec<(String, Vec<i32>)> = names.into_iter().zip(samples).collect();
        if is_compressed {
            add_calculated(&mut channels);
        }
        Ok(channels)
    }

    /// Reads the 16-bit numbers of uncompressed data.
    fn whole_numbers(&self, bytes: &[u8]) -> Result<Vec<i32>> {
        if let Some(bits) = self.bits.filter(|bits| *bits != 16.0) {
            return Err(damaged(format!("samples of {bits} bits"), "export the ECG with 16 bits per sample"));
        }
        let value = |pair: &[u8; 2]| match self.unsigned {
            true => i32::from(u16::from_le_bytes(*pair)),
            false => i32::from(i16::from_le_bytes(*pair)),
        };
        Ok(bytes.as_chunks().0.iter().map(value).collect())
    }

    /// Splits the numbers of uncompressed data into channels. There may be more channels than are described.
    fn split(&self, numbers: Vec<i32>, channels: usize) -> Result<Vec<Vec<i32>>> {
        let length = self.length()?.unwrap_or(numbers.len() / channels);
        if length == 0 || numbers.len() < length * channels {
            let cause = format!("{channels} leads of {length} samples are stated and {} stored", numbers.len());
            return Err(damaged(cause, "the file is cut off or damaged: get it again"));
        }
        Ok(numbers.chunks_exact(length).take(channels).map(<[i32]>::to_vec).collect())
    }

    /// Scales the channels, and cuts off what is no ECG.
    fn signals(&self, mut channels: Vec<(String, Vec<i32>)>) -> Result<Signals> {
        let mut warnings = Vec::new();
        let resolution = self.resolution.filter(|resolution| *resolution > 0.0).ok_or_else(|| {
            damaged("the file states no signal resolution", "state the microvolts of one step, often 5")
        })?;
        let held = channels.first().map_or(0, |(_, samples)| samples.len());
        let stated = self.length()?.unwrap_or(held);
        if held < stated {
            let cause = format!("{stated} samples per lead are stated and {held} stored");
            return Err(damaged(cause, "the file is cut off or damaged: get it again"));
        }
        if held > stated {
            warnings.push(format!("{stated} of {held} stored samples are read, as the duration states"));
        }
        channels.iter_mut().for_each(|(_, samples)| samples.truncate(stated));
        let second = self.sampling_rate.map_or(0, |rate| rate.round() as usize);
        if ends_with_calibration(&channels, second, resolution) {
            channels.iter_mut().for_each(|(_, samples)| samples.truncate(stated - second));
        }
        let scale = |sample: &i32| ((f64::from(*sample) - self.offset) * resolution / 1000.0) as f32;
        let signals = channels.iter().map(|(name, samples)| (name.clone(), samples.iter().map(scale).collect()));
        Ok(Signals {
            signals: signals.collect(),
            sampling_rate: self.sampling_rate,
            unit: Some(Unit::Millivolt),
            calibrated: true,
            warnings,
        })
    }
}

/// Reads plain numbers.
fn plain(text: &str) -> Result<Vec<i32>> {
    let value = |(at, digits): (usize, &str)| {
        digits.parse().map_err(|_| {
            let cause = format!("waveform data, sample {at}: '{}' is no whole number", shown(digits.as_bytes()));
            damaged(cause, "the file is damaged: get it again")
        })
    };
    text.split_ascii_whitespace().enumerate().map(value).collect()
}

/// Completes III, aVR, aVL and aVF. Compressed data hold for each the difference of what follows from other leads and what
/// was recorded, up to the rounding of halves.
fn add_calculated(channels: &mut [(String, Vec<i32>)]) {
    // The divisions round down.
    let calculate = |lead: Lead, a: i32, b: i32| match lead {
        Lead::III => b - a,
        Lead::AVR => -((a + b) >> 1),
        Lead::AVL => (a - b) >> 1,
        _ => (a + b) >> 1,
    };
    for (lead, from) in [
        (Lead::III, [Lead::I, Lead::II]),
        (Lead::AVR, [Lead::I, Lead::II]),
        (Lead::AVL, [Lead::I, Lead::III]),
        (Lead::AVF, [Lead::II, Lead::III]),
    ] {
        let position = |lead: Lead| channels.iter().position(|(name, _)| name.parse() == Ok(lead));
        let (Some(at), [Some(a), Some(b)]) = (position(lead), from.map(position)) else { continue };
        let values: Vec<i32> = channels[a].1.iter().zip(&channels[b].1).map(|(a, b)| calculate(lead, *a, *b)).collect();
        channels[at].1.iter_mut().zip(values).for_each(|(sample, value)| *sample = value - *sample);
    }
}

/// Whether the last second is no ECG: it ends with a calibration pulse of about 1 mV and at least 100 ms, which is the same
/// in all leads.
fn ends_with_calibration(channels: &[(String, Vec<i32>)], second: usize, resolution: f64) -> bool {
    let Some(((_, first), others)) = channels.split_first() else { return false };
    if others.is_empty() || second == 0 || first.len() <= second {
        return false;
    }
    let same = |at: &usize| others.iter().all(|(_, samples)| samples.get(*at) == first.get(*at));
    let alike = (first.len() - second..first.len()).rev().take_while(same).count();
    let tail = &first[first.len() - alike..];
    let Some(rest) = tail.last() else { return false };
    let is_pulse = |sample: &&i32| (0.9..=1.1).contains(&(f64::from(**sample - rest) * resolution / 1000.0));
    tail.iter().filter(is_pulse).count() * 10 >= second
}
