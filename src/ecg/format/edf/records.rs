//! The data records of EDF and BDF files: the samples of every signal, one signal after the other.

use std::{
    io::{self, Read},
    ops::Range,
};

use super::{
    annotations,
    header::{Signal, Start},
};

/// How to convert the samples of a lead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conversion {
    /// Position of the lead among the signals.
    pub(super) signal: usize,
    pub(super) scale: f64,
    pub(super) offset: f64,
}

/// What the records hold.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// The converted samples of each lead that was asked for.
    pub(super) leads: Vec<Vec<f32>>,
    /// When each record begins, in seconds, where its annotations state it.
    pub(super) onsets: Vec<Option<f64>>,
    /// Whether an annotation marks the recording as synthetic.
    pub(super) synthetic: bool,
}

/// Returns the place of each signal in a record, in bytes, and the length of a record. None if the record is too large
/// for any computer.
pub(super) fn layout(start: &Start, signals: &[Signal]) -> Option<(Vec<Range<usize>>, usize)> {
    let mut end = 0usize;
    let mut places = Vec::with_capacity(signals.len());
    for signal in signals {
        let begin = end;
        end = usize::try_from(signal.samples).ok()?.checked_mul(start.width)?.checked_add(begin)?;
        places.push(begin..end);
    }
    Some((places, end))
}

/// Reads `count` records of the length that [`layout`] returned; the caller has checked that the file holds them.
pub(super) fn read(
    mut reader: impl Read,
    start: &Start,
    signals: &[Signal],
    (places, length): &(Vec<Range<usize>>, usize),
    count: u64,
    conversions: &[Conversion],
) -> io::Result<Records> {
    let mut records = Records { leads: vec![Vec::new(); conversions.len()], ..Records::default() };
    let annotations: Vec<_> = signals.iter().zip(places).filter(|(signal, _)| signal.is_annotations()).collect();
    let mut bytes = vec![0; *length];
    for _ in 0..count {
        reader.read_exact(&mut bytes)?;
        for (Conversion { signal, scale, offset }, lead) in conversions.iter().zip(&mut records.leads) {
            let place = places.get(*signal).cloned().unwrap_or_default();
            let samples = bytes.get(place).unwrap_or_default().chunks_exact(start.width);
            lead.extend(samples.map(|sample| (f64::from(whole(sample)) * scale + offset) as f32));
        }
        if start.plus {
            let mut texts = annotations.iter().filter_map(|(_, place)| bytes.get((*place).clone())).peekable();
            records.onsets.push(texts.peek().and_then(|first| annotations::onset(first)));
            records.synthetic |= texts.any(annotations::is_synthetic);
        }
    }
    Ok(records)
}

/// Converts a sample of 16 or 24 bits, the least significant byte first.
fn whole(sample: &[u8]) -> i32 {
    match *sample {
        [low, high] => i16::from_le_bytes([low, high]).into(),
        // The shift extends the sign.
        [low, middle, high] => i32::from_le_bytes([0, low, middle, high]) >> 8,
        _ => 0,
    }
}

/// Splits records into runs without a gap: a record of a run begins when the one before it ends, within `tolerance`
/// seconds, counted from the start of the run.
pub(super) fn runs(onsets: &[f64], duration: f64, tolerance: f64) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut first = 0;
    for (record, onset) in onsets.iter().enumerate().skip(1) {
        let expected = onsets[first] + (record - first) as f64 * duration;
        if (onset - expected).abs() > tolerance {
            runs.push(first..record);
            first = record;
        }
    }
    runs.push(first..onsets.len());
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_16_or_24_bits_with_a_sign() {
        assert_eq!(whole(&[0xfe, 0xff]), -2);
        assert_eq!(whole(&[0xff, 0x7f]), 32_767);
        assert_eq!(whole(&[0xfe, 0xff, 0xff]), -2);
        assert_eq!(whole(&[0, 0, 0x80]), -8_388_608);
    }

    #[test]
    fn a_gap_or_an_overlap_ends_a_run() {
        let whole = 0..3;
        assert_eq!(runs(&[0.0, 1.0, 2.0], 1.0, 0.002), [whole]);
        assert_eq!(runs(&[0.0, 1.001, 2.0, 3.5, 4.5, 4.6], 1.0, 0.002), [0..3, 3..5, 5..6]);
        let drift: Vec<f64> = (0..10).map(|n| f64::from(n) * 1.001).collect();
        assert!(runs(&drift, 1.0, 0.002).len() > 1, "small gaps that add up are gaps");
    }
}
