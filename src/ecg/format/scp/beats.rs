//! Section 4 of an SCP-ECG record: where the beats are, from which of them the reference beat was subtracted, and which
//! parts keep their full sampling rate (EN 1064, 5.7).

use std::ops::Range;

use crate::{
    Result,
    ecg::format::{
        damaged,
        little_endian::{u16_at, u32_at},
    },
};

/// The length of the section's fixed part.
const HEADER: usize = 6;

/// The length of a beat: type, first sample, fiducial point, last sample.
const BEAT: usize = 14;

/// The length of a protected zone: first sample, last sample.
const ZONE: usize = 8;

/// The beats of a record. Samples are counted as in section 3, at the sampling rate before any reduction.
#[derive(Debug, Default)]
pub(super) struct Beats {
    /// The duration of the reference beat in milliseconds.
    pub(super) reference_ms: u16,
    /// The fiducial point of the reference beat, as the number of its sample, from 1.
    pub(super) fiducial: i64,
    /// The beats from which the reference beat was subtracted.
    pub(super) subtracted: Vec<Beat>,
    /// The samples of the QRS complexes, in ascending order, which keep the full sampling rate.
    pub(super) protected: Vec<Range<i64>>,
}

/// A beat from which the reference beat was subtracted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Beat {
    /// The samples from which it was subtracted.
    pub(super) zone: Range<i64>,
    /// The sample at which the fiducial point of the reference beat is.
    pub(super) fiducial: i64,
}

impl Beats {
    /// Reads the section.
    pub(super) fn new(section: &[u8]) -> Result<Self> {
        let cut_off = || damaged("section 4, the places of the beats, is cut off", "export or copy the file again");
        let number = |at| u16_at(section, at).ok_or_else(cut_off);
        let (reference_ms, fiducial, count) = (number(0)?, number(2)?, usize::from(number(4)?));
        let rest = section.get(HEADER..).unwrap_or_default();
        // Each of the two tables may be missing, which the length of the section tells.
        let has_beats = rest.len() >= count * BEAT;
        let (beats, zones) = if has_beats { rest.split_at(count * BEAT) } else { rest.split_at(0) };
        let zones = zones.get(..count * ZONE);
        if !has_beats && zones.is_none() {
            return Err(cut_off());
        }
        let mut subtracted: Vec<Beat> = beats.chunks_exact(BEAT).filter_map(Beat::new).collect();
        subtracted.sort_by_key(|beat| beat.zone.start);
        // Neighbours may overlap. More would be no beats, and make a small file much work.
        if subtracted.windows(3).any(|beats| beats[2].zone.start < beats[0].zone.end) {
            return Err(damaged("section 4 has three beats at one time", "export or copy the file again"));
        }
        let mut protected: Vec<Range<i64>> = match zones {
            Some(zones) => zones.chunks_exact(ZONE).filter_map(|zone| range(zone, 0, 4)).collect(),
            // Before version 1.3 the zones of the subtraction served as both.
            None => subtracted.iter().map(|beat| beat.zone.clone()).collect(),
        };
        protected.sort_by_key(|zone| zone.start);
        Ok(Self { reference_ms, fiducial: fiducial.into(), subtracted, protected })
    }
}

impl Beat {
    /// Reads a beat, if the reference beat, which is of type 0, was subtracted from it.
    fn new(bytes: &[u8]) -> Option<Self> {
        let zone = range(bytes, 2, 10).filter(|_| u16_at(bytes, 0) == Some(0))?;
        Some(Self { zone, fiducial: u32_at(bytes, 6)?.into() })
    }
}

/// Reads the first and the last sample of a zone that is not empty.
fn range(bytes: &[u8], first: usize, last: usize) -> Option<Range<i64>> {
    let [first, last] = [u32_at(bytes, first)?, u32_at(bytes, last)?].map(i64::from);
    (first <= last && last > 0).then_some(first..last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(count: u16, beats: &[(u16, u32, u32, u32)], zones: &[(u32, u32)]) -> Vec<u8> {
        let mut bytes: Vec<u8> = [1200, 200, count].into_iter().flat_map(u16::to_le_bytes).collect();
        for (kind, first, fiducial, last) in beats {
            bytes.extend(kind.to_le_bytes());
            [first, fiducial, last].into_iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        }
        zones.iter().for_each(|(first, last)| [first, last].into_iter().for_each(|x| bytes.extend(x.to_le_bytes())));
        bytes
    }

    #[test]
    fn beats_of_other_types_are_no_subtracted_beats_but_have_protected_zones() {
        let bytes = section(2, &[(1, 0, 600, 0), (0, 900, 1000, 1300)], &[(960, 1040), (560, 640)]);
        let beats = Beats::new(&bytes).unwrap();
        assert_eq!((beats.reference_ms, beats.fiducial), (1200, 200));
        assert_eq!(beats.subtracted, [Beat { zone: 900..1301, fiducial: 1000 }]);
        assert_eq!(beats.protected, [560..641, 960..1041]);
    }

    #[test]
    fn each_table_may_be_missing() {
        let beats = Beats::new(&section(1, &[(0, 900, 1000, 1300)], &[])).unwrap();
        assert_eq!(beats.protected.first(), Some(&(900..1301)));
        let zones = Beats::new(&section(2, &[], &[(10, 20), (30, 40)])).unwrap();
        assert_eq!((zones.subtracted.len(), zones.protected.len()), (0, 2));
        assert!(Beats::new(&section(0, &[], &[])).unwrap().protected.is_empty());
        assert!(Beats::new(&section(2, &[], &[(10, 20)])).is_err());
        let one = (0, 900, 1000, 1300);
        assert!(Beats::new(&section(2, &[one; 2], &[])).is_ok());
        assert_eq!(
            Beats::new(&section(3, &[one; 3], &[])).unwrap_err().cause(),
            "section 4 has three beats at one time"
        );
        assert!(Beats::new(&[0; 5]).is_err());
    }
}
