//! Reads Holter recordings in the standard output format of the ISHNE, version 1.0 (Badilini 1998, "The ISHNE Holter
//! Standard Output File Format"). Names, dates of birth and identifiers in the header are not read.

use std::io::{Read, SeekFrom};

use super::{
    Format, ReadOptions, Reading, Source,
    crc::crc_ccitt,
    damaged,
    little_endian::{i16_at, u16_at, u32_at},
    shown,
    signals::Signals,
    source::Part,
};
use crate::{Recording, Result, ecg::Unit};

/// What every file begins with.
const MAGIC: &[u8] = b"ISHNE1.0";

/// Where the header begins: after the magic and the checksum of the header.
const HEADER: usize = 10;

/// The length of the magic, the checksum and the fixed part of the header.
const FIXED: usize = 522;

/// The largest header, 1 MiB. The variable part has notes of a few lines.
const LARGEST_HEADER: usize = 1 << 20;

/// The number of leads for which the header has room.
const MOST_LEADS: usize = 12;

/// A sample that means that the lead failed.
const FAILED: i16 = i16::MIN;

/// What a damaged header calls for.
const REMEDY: &str = "the file is damaged: export or copy it again";

/// ISHNE Holter recordings.
pub(super) const FORMAT: Format = Format {
    name: "ISHNE",
    extensions: &["ecg"],
    companions: &[],
    recognises: |start| start.starts_with(MAGIC),
    plausible: None,
    reading: Reading::Whole(read),
};

/// Reads the recording of a file.
fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    let failed = |error: std::io::Error| source.unreadable(error);
    let mut part = source.open()?;
    let start = part.read_start(LARGEST_HEADER as u64).map_err(failed)?;
    let header = Header::new(&start)?;
    let frames = header.frames(part.size)?;
    part.reader.seek(SeekFrom::Start(header.samples_at as u64)).map_err(failed)?;
    let samples = samples(&mut part, frames, &header.leads).map_err(failed)?;
    let names = header.leads.iter().map(|(code, _)| name(*code));
    let signals = Signals {
        signals: names.zip(samples).collect(),
        sampling_rate: Some(header.sampling_rate),
        unit: Some(Unit::Millivolt),
        calibrated: true,
        warnings: header.warnings,
    };
    signals.recording(source.stem(), options).map(|recording| vec![recording])
}

/// What a file says about its samples.
struct Header {
    /// Code and step in nanovolts of each lead.
    leads: Vec<(i16, i16)>,
    /// In Hz.
    sampling_rate: f64,
    /// The number of samples: of one lead or of all together, on which writers differ.
    declared: u32,
    /// Where the samples begin.
    samples_at: usize,
    warnings: Vec<String>,
}

impl Header {
    fn new(start: &[u8]) -> Result<Self> {
        if !start.starts_with(MAGIC) {
            let cause = format!("no ISHNE 1.0 file: it begins with '{}'", shown(start.get(..8).unwrap_or(start)));
            return Err(damaged(cause, "export the recording in a format that can be read"));
        }
        let cut_off = || damaged(format!("a header of {} bytes instead of {FIXED}", start.len()), REMEDY);
        let fixed = start.get(..FIXED).ok_or_else(cut_off)?;
        let number = |at| i16_at(fixed, at).ok_or_else(cut_off);
        let count = usize::try_from(number(156)?).ok().filter(|count| (1..=MOST_LEADS).contains(count));
        let Some(count) = count else {
            return Err(damaged(format!("{} leads are declared, of 1 to {MOST_LEADS}", number(156)?), REMEDY));
        };
        let lead = |index: usize| Ok((number(158 + 2 * index)?, number(206 + 2 * index)?));
        let leads: Vec<(i16, i16)> = (0..count).map(lead).collect::<Result<_>>()?;
        if let Some((index, (_, step))) = leads.iter().enumerate().find(|(_, (_, step))| *step <= 0) {
            return Err(damaged(format!("lead {} has steps of {step} nV", index + 1), REMEDY));
        }
        let sampling_rate = number(272)?;
        if sampling_rate <= 0 {
            return Err(damaged(format!("a sampling rate of {sampling_rate} Hz"), REMEDY));
        }
        let samples_at = u32_at(fixed, 22).ok_or_else(cut_off)? as usize;
        let Some(header) = start.get(HEADER..samples_at).filter(|header| header.len() >= FIXED - HEADER) else {
            return Err(damaged(format!("the samples are said to begin at byte {samples_at}"), REMEDY));
        };
        let warning = "the header does not match its checksum: was it altered, such as to make it anonymous?";
        let altered = u16_at(fixed, MAGIC.len()) != Some(crc_ccitt(header));
        Ok(Self {
            leads,
            sampling_rate: sampling_rate.into(),
            declared: u32_at(fixed, 14).ok_or_else(cut_off)?,
            samples_at,
            warnings: altered.then(|| warning.to_string()).into_iter().collect(),
        })
    }

    /// Returns the number of samples of each lead that a file of `size` bytes holds.
    ///
    /// # Errors
    /// There are none, or fewer than the header declares.
    fn frames(&self, size: u64) -> Result<u64> {
        let leads = self.leads.len() as u64;
        let held = size.saturating_sub(self.samples_at as u64) / 2 / leads;
        let declared = u64::from(self.declared);
        if held == 0 || declared > held && declared.div_ceil(leads) != held && declared / leads != held {
            let cause = format!("{declared} samples are declared, and the file holds {held} of each of {leads} leads");
            return Err(damaged(cause, "the file is cut off: export or copy it again"));
        }
        // What follows is not part of the recording. A writer that does not know the number leaves it zero.
        Ok(if (1..held).contains(&declared) { declared } else { held })
    }
}

/// Reads `frames` samples of each lead, in millivolts. NaN stands for a lead that failed.
fn samples(part: &mut Part, frames: u64, leads: &[(i16, i16)]) -> std::io::Result<Vec<Vec<f32>>> {
    let mut signals = vec![Vec::new(); leads.len()];
    let frame = 2 * leads.len();
    // Whole frames, about 64 KiB at once: a recording of a day has hundreds of MiB.
    let mut chunk = vec![0; frame * 2048];
    let mut left = frames;
    while left > 0 {
        let count = left.min(2048);
        let bytes = &mut chunk[..frame * count as usize];
        part.reader.read_exact(bytes)?;
        for (index, (signal, (_, step))) in signals.iter_mut().zip(leads).enumerate() {
            let millivolts = |sample: i16| match sample {
                FAILED => f32::NAN,
                _ => (f64::from(sample) * f64::from(*step) / 1e6) as f32,
            };
            signal.extend(bytes.chunks_exact(frame).filter_map(|frame| i16_at(frame, 2 * index)).map(millivolts));
        }
        left -= count;
    }
    Ok(signals)
}

/// Returns the name of a lead by its code. A lead of unknown or no particular place has none.
fn name(code: i16) -> String {
    const NAMES: [&str; 18] =
        ["X", "Y", "Z", "I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6", "ES", "AS", "AI"];
    match code {
        0 | 1 => String::new(),
        _ => {
            let known = usize::try_from(code.saturating_sub(2)).ok().and_then(|index| NAMES.get(index));
            known.map_or_else(|| format!("lead of code {code}"), |name| name.to_string())
        }
    }
}
