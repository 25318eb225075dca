//! Sections 5 and 6 of an SCP-ECG record, the reference beat and the rhythm, which have one layout (EN 1064, 5.8, 5.9).

use super::huffman::Coding;
use crate::{
    Result,
    ecg::format::{damaged, little_endian::u16_at},
};

/// The length of the fixed part: step, sampling interval, differences, sampling rate reduction.
const HEADER: usize = 6;

/// The largest sample in steps: 20 bits, where the standard has 16. Sums of damaged differences grow beyond it.
const LARGEST: i64 = 1 << 20;

/// The signals of a section, not yet decoded.
pub(super) struct Waves<'a> {
    /// The section's number, for messages.
    number: u16,
    /// The step of the samples in nanovolts.
    pub(super) nanovolts: u16,
    /// The time between two samples in microseconds.
    pub(super) microseconds: u16,
    /// How many times differences were taken.
    differences: u8,
    /// Whether the sampling rate is reduced outside the protected zones. Of no meaning in section 5.
    pub(super) reduced: bool,
    /// The bytes of each lead.
    leads: Vec<&'a [u8]>,
}

impl<'a> Waves<'a> {
    /// Reads a section with `count` leads.
    pub(super) fn new(number: u16, section: &'a [u8], count: usize) -> Result<Self> {
        let cut_off = || damaged(format!("section {number} is cut off"), "export or copy the file again");
        let (Some(nanovolts), Some(microseconds)) = (u16_at(section, 0), u16_at(section, 2)) else {
            return Err(cut_off());
        };
        let &[.., differences, reduced] = section.get(..HEADER).ok_or_else(cut_off)? else { return Err(cut_off()) };
        if nanovolts == 0 || microseconds == 0 || differences > 2 {
            let cause = format!(
                "section {number} has steps of {nanovolts} nV, {microseconds} µs between samples and differences of \
                 order {differences}"
            );
            return Err(damaged(cause, "the file is damaged: export or copy it again"));
        }
        let lengths = section.get(HEADER..HEADER + 2 * count).ok_or_else(cut_off)?;
        let mut rest = section.get(HEADER + 2 * count..).unwrap_or_default();
        let mut leads = Vec::new();
        for length in lengths.chunks_exact(2).filter_map(|length| u16_at(length, 0)) {
            let (lead, others) = rest.split_at_checked(length.into()).ok_or_else(cut_off)?;
            leads.push(lead);
            rest = others;
        }
        Ok(Self { number, nanovolts, microseconds, differences, reduced: reduced != 0, leads })
    }

    /// Decodes up to `count` samples of a lead, in steps: fewer where its bytes end before.
    ///
    /// # Errors
    /// Bytes that are no code, or samples that no ECG has.
    pub(super) fn decode(&self, lead: usize, coding: &Coding, count: usize) -> Result<Vec<i32>> {
        let bytes = self.leads.get(lead).copied().unwrap_or_default();
        let place = || format!("lead {} of section {}", lead + 1, self.number);
        let mut samples = coding.decode(bytes, count).map_err(|error| error.at(place()))?;
        // The first samples, as many as differences were taken, stand for themselves.
        let (mut before, mut last) = (0i64, 0i64);
        for (position, sample) in samples.iter_mut().enumerate() {
            let expected = match (self.differences, position) {
                (0, _) | (_, 0) | (2, 1) => 0,
                (1, _) => last,
                _ => 2 * last - before,
            };
            let value = expected + i64::from(*sample);
            if value.abs() > LARGEST {
                let cause = format!("{} leaves the range of any ECG at sample {position}", place());
                return Err(damaged(cause, "the file is damaged: export or copy it again"));
            }
            (before, last) = (last, value);
            // Within the range of 20 bits.
            *sample = value as i32;
        }
        Ok(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(differences: u8, samples: &[i16]) -> Vec<u8> {
        let header = [&2500u16.to_le_bytes()[..], &2000u16.to_le_bytes(), &[differences, 0]].concat();
        let samples: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        [&header[..], &(samples.len() as u16).to_le_bytes(), &samples].concat()
    }

    #[test]
    fn differences_are_summed_up() {
        for (differences, stored) in [(0, [3, 5, 9, 8]), (1, [3, 2, 4, -1]), (2, [3, 5, 2, -5])] {
            let section = section(differences, &stored);
            let waves = Waves::new(6, &section, 1).unwrap();
            assert_eq!(waves.decode(0, &Coding::Plain, 9).unwrap(), [3, 5, 9, 8], "order {differences}");
        }
    }

    #[test]
    fn sums_without_end_and_impossible_headers_are_refused() {
        let growing = section(2, &[30_000; 20]);
        let error = Waves::new(6, &growing, 1).unwrap().decode(0, &Coding::Plain, 20).unwrap_err();
        assert_eq!(error.cause(), "lead 1 of section 6 leaves the range of any ECG at sample 9");
        for (changed, value) in [(0, 0), (2, 0), (4, 3)] {
            let mut section = section(0, &[1]);
            section[changed..changed + 2].fill(value);
            assert!(Waves::new(6, &section, 1).is_err(), "byte {changed}");
        }
        let whole = section(0, &[1]);
        assert!((0..whole.len()).all(|length| Waves::new(6, &whole[..length], 1).is_err()));
    }
}
