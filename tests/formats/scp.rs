//! SCP-ECG records in every way of compression give the samples that were written.

use std::fs;

use ecgpu::{
    Recording, Result,
    ecg::{
        Condition, Lead,
        format::{self, ReadOptions},
        synthesize,
    },
};
use proptest::prelude::*;

use crate::scp_writer::{Beat, Coding, Record, Reference, crc, record};
use crate::support::{assert_expected, assert_says, data, read, read_one};

/// The codes of [`Lead::STANDARD`] in SCP-ECG.
const CODES: [u8; 12] = [1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8];

fn read_bytes(bytes: &[u8]) -> Result<Vec<Recording>> {
    format::read_bytes("r.scp", bytes, &ReadOptions::default())
}

/// Returns a synthetic ECG of ten seconds at 500 Hz, in steps of 2.5 µV.
fn ecg() -> Record {
    let recording = synthesize(Condition::Norm, 3, 500.0, 10.0).unwrap();
    let steps = |signal: &[f32]| signal.iter().map(|x| (x * 400.0).round() as i32).collect();
    let leads = CODES.into_iter().zip(recording.leads()).map(|(code, (_, signal))| (code, steps(signal)));
    Record::plain(leads.collect(), 2500, 2000)
}

/// Asserts that a record gives the samples that were written, and returns the recording.
fn assert_read(record: &Record) -> Recording {
    let recording = read_bytes(&record.bytes()).unwrap().remove(0);
    assert_eq!((recording.sampling_rate(), recording.samples()), (500.0, 5000));
    assert!(recording.warnings().is_empty(), "{:?}", recording.warnings());
    for ((lead, (_, _, steps)), signal) in Lead::STANDARD.iter().zip(&record.leads).zip(CODES) {
        let read = recording.lead(*lead).unwrap();
        let difference = steps.iter().zip(read).map(|(x, y)| (*x as f32 * 0.0025 - y).abs()).fold(0f32, f32::max);
        assert!(difference < 1e-6, "lead {lead} of code {signal} differs by {difference} mV");
    }
    recording
}

/// Returns the bytes of a record of `tests/data/expected.npy`, in steps of 1 µV.
pub fn expected(coding: Coding, differences: u8) -> Vec<u8> {
    let array = format::read_raw(&data("expected.npy")).unwrap();
    let lead = |(code, values): (u8, &[f32])| (code, values.iter().map(|x| (x * 1000.0).round() as i32).collect());
    let plain = Record::plain(CODES.into_iter().zip(array.values.chunks(1000)).map(lead).collect(), 1000, 10_000);
    Record { coding, differences, ..plain }.bytes()
}

/// Returns the samples of the R waves in lead II, from 1.
fn r_waves(record: &Record) -> Vec<u32> {
    let ii = &record.leads[1].2;
    let threshold = ii.iter().max().unwrap() * 6 / 10;
    let peak = |at: &usize| ii[*at] > threshold && ii[at - 60..at + 60].iter().max() == Some(&ii[*at]);
    let mut waves: Vec<u32> = (200..ii.len() - 400).filter(peak).map(|at| at as u32 + 1).collect();
    waves.dedup_by_key(|at| *at / 50);
    assert!(waves.len() >= 5, "{waves:?}");
    waves
}

/// Subtracts the second beat from all others but the last, which counts as of another type.
fn with_subtraction(mut record: Record) -> Record {
    let waves = r_waves(&record);
    let (before, after) = (150, 299);
    let begin = (waves[1] - 1 - before) as usize;
    let leads = record.leads.iter().map(|(_, _, steps)| steps[begin..=begin + (before + after) as usize].to_vec());
    record.reference = Some(Reference { leads: leads.collect(), fiducial: before as u16 + 1 });
    let last = waves.len() - 1;
    let beat = |(index, at): (usize, &u32)| Beat(u16::from(index == last), at - before, *at, at + after);
    record.beats = waves.iter().enumerate().map(beat).collect();
    record.protected = waves.iter().map(|at| protected(*at)).collect();
    record
}

/// Reduces the sampling rate between the beats by 4.
fn with_reduction(mut record: Record) -> Record {
    record.protected = r_waves(&record).iter().map(|at| protected(*at)).collect();
    record.factor = 4;
    record
}

/// Returns the zone of a QRS complex, between whose neighbours there is a multiple of four samples.
fn protected(at: u32) -> (u32, u32) {
    ((at - 60) / 4 * 4 + 1, (at + 60) / 4 * 4)
}

#[test]
fn a_subtracted_reference_beat_is_added_again() {
    for (coding, differences) in [(Coding::Plain, 0), (Coding::Default, 2), (Coding::Own, 1)] {
        let record = with_subtraction(Record { coding, differences, ..ecg() });
        assert!(record.bytes().len() > 1000);
        assert_read(&record);
    }
}

#[test]
fn a_reduced_sampling_rate_is_restored() {
    for record in [with_reduction(ecg()), with_reduction(with_subtraction(ecg()))] {
        let record = Record { coding: Coding::Default, differences: 2, ..record };
        let recording = read_bytes(&record.bytes()).unwrap().remove(0);
        assert_eq!((recording.sampling_rate(), recording.samples()), (500.0, 5000));
        for (lead, (_, _, steps)) in Lead::STANDARD.iter().zip(&record.leads) {
            let read = recording.lead(*lead).unwrap();
            let error = |at: usize| (steps[at] as f32 * 0.0025 - read[at]).abs();
            let in_zone =
                |at: &usize| record.protected.iter().any(|(first, last)| (*first..=*last).contains(&(*at as u32 + 1)));
            let largest = (0..5000).filter(in_zone).map(error).fold(0f32, f32::max);
            assert!(largest < 1e-6, "lead {lead}: {largest} mV within a QRS complex");
            let square = |at: usize| f64::from(error(at)).powi(2);
            let rms = ((0..5000).map(square).sum::<f64>() / 5000.0).sqrt();
            // What is lost is above all the noise.
            assert!(rms < 0.03, "lead {lead}: {rms} mV on average");
        }
    }
}

#[test]
fn a_reduced_sampling_rate_without_protected_zones_is_restored() {
    let ramp = |start: i32| (0..402).map(|n| start + 4 * n).collect::<Vec<_>>();
    let mut record = Record::plain(vec![(1, ramp(0)), (2, ramp(-300))], 1000, 2000);
    record.factor = 4;
    let recording = read_bytes(&record.bytes()).unwrap().remove(0);
    let i = recording.lead(Lead::I).unwrap();
    assert_eq!((recording.sampling_rate(), i.len()), (500.0, 402));
    let error = i.iter().enumerate().map(|(n, x)| (x - 0.004 * n as f32).abs()).fold(0f32, f32::max);
    // A stored sample is the mean of four, and stands half a sample to the left of their middle.
    assert!(error < 0.007, "{error}");
}

#[test]
fn the_files_of_tests_data_hold_what_the_writer_writes() {
    let mut compressed = with_reduction(with_subtraction(Record { coding: Coding::Own, differences: 1, ..ecg() }));
    compressed.leads.truncate(2);
    compressed.reference.as_mut().unwrap().leads.truncate(2);
    for (name, record) in [("huffman.scp", expected(Coding::Default, 2)), ("compressed.scp", compressed.bytes())] {
        if std::env::var_os("WRITE_TEST_DATA").is_some() {
            fs::write(data(name), &record).unwrap();
        }
        assert!(fs::read(data(name)).unwrap() == record, "{name}");
    }
    assert_eq!(read_one(&data("compressed.scp")).leads().len(), 2);
}

#[test]
fn leads_other_than_the_standard_ones_are_named_and_ignored() {
    let record = Record::plain(vec![(1, vec![4; 9]), (12, vec![5; 9]), (65, vec![6; 9]), (99, vec![7; 9])], 1000, 2000);
    let recording = read_bytes(&record.bytes()).unwrap().remove(0);
    assert_eq!(recording.leads().map(|(lead, _)| lead).collect::<Vec<_>>(), [Lead::I]);
    assert_eq!(recording.warnings(), ["ignored, since no standard lead: V4R, -aVR, lead of code 99"]);
    let nameless = Record::plain(vec![(0, vec![1; 9]), (0, vec![2; 9])], 1000, 2000).bytes();
    assert_says(&read_bytes(&nameless).unwrap_err(), "none of its 2 signals has the name", "name the lead");
    let options = ReadOptions { leads: Some(vec![Lead::I, Lead::II]), ..Default::default() };
    let named = format::read_bytes("r.scp", &nameless, &options).unwrap().remove(0);
    assert_eq!(named.lead(Lead::II).unwrap(), [0.002; 9]);
}

#[test]
fn leads_that_were_recorded_one_after_the_other_are_refused_and_a_short_delay_is_filled() {
    let mut record = Record::plain(vec![(1, vec![1; 500]), (2, vec![2; 500])], 1000, 2000);
    record.leads[1].1 = 11;
    let recording = read_bytes(&record.bytes()).unwrap().remove(0);
    assert_eq!((recording.samples(), recording.warnings().len()), (510, 2));
    record.leads[1].1 = 501;
    assert_says(&read_bytes(&record.bytes()).unwrap_err(), "lead I has no value from 1.000 s to 2.000 s", "cut");
}

#[test]
fn a_signal_that_ends_early_is_filled_or_refused() {
    let mut record = Record::plain(vec![(1, vec![300; 500])], 1000, 2000);
    let mut sections = |missing: usize| {
        let whole = record.bytes();
        record.leads[0].2.truncate(500 - missing);
        let short = record.bytes();
        record.leads[0].2.resize(500, 300);
        // The definition of 500 samples with the rhythm of fewer.
        [(2, sections_of(&whole, 2)), (3, sections_of(&whole, 3)), (6, sections_of(&short, 6))]
    };
    let filled = read_bytes(&self::record(&sections(50))).unwrap().remove(0);
    assert_eq!(filled.warnings(), ["lead I has no value at 50 samples: interpolated"]);
    let refused = read_bytes(&self::record(&sections(200))).unwrap_err();
    assert_says(&refused, "lead I has no value from 0.600 s to 1.000 s", "cut");
}

/// Returns the contents of a section of a record.
fn sections_of(bytes: &[u8], number: u16) -> Option<Vec<u8>> {
    let number_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let pointer = (22..).step_by(10).find(|at| bytes[*at..at + 2] == number.to_le_bytes())?;
    let (length, position) = (number_at(pointer + 2), number_at(pointer + 6));
    (length > 0).then(|| bytes[position - 1 + 16..position - 1 + length].to_vec())
}

#[test]
fn a_record_whose_signals_contradict_their_checksum_is_refused() {
    let bytes = fs::read(data("huffman.scp")).unwrap();
    let mut in_signal = bytes.clone();
    *in_signal.last_mut().unwrap() ^= 1;
    assert_says(
        &read_bytes(&in_signal).unwrap_err(),
        "section 6 does not match its checksum, nor does the record",
        "again",
    );
}

#[test]
fn a_record_that_was_altered_outside_its_signals_is_read_with_a_warning() {
    let bytes = fs::read(data("huffman.scp")).unwrap();
    let name = bytes.windows(5).position(|window| window == b"Sando").unwrap();
    for at in [0, name] {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        let recording = read_bytes(&altered).unwrap().remove(0);
        assert_expected(&recording);
        let said = "the record does not match its checksum: was it altered, such as to make it anonymous?";
        assert_eq!(recording.warnings(), [said]);
        assert!(!format!("{recording:?}").contains("Sando"), "the patient's name is not kept");
    }
}

#[test]
fn what_follows_the_record_is_ignored() {
    let mut bytes = fs::read(data("huffman.scp")).unwrap();
    bytes.extend([7; 100]);
    assert_expected(&read_bytes(&bytes).unwrap().remove(0));
}

#[test]
fn a_record_is_recognised_by_its_content_and_may_have_the_other_extension() {
    let bytes = fs::read(data("huffman.scp")).unwrap();
    let named = |name: &str| format::read_bytes(name, &bytes, &ReadOptions::default()).unwrap().remove(0);
    for (name, warnings) in [("r", 0), ("r.ECG", 0), ("r.csv", 1)] {
        assert_eq!(named(name).warnings().len(), warnings, "{name}: {:?}", named(name).warnings());
    }
    // Version 1.0 does not name itself.
    let mut unnamed = bytes.clone();
    unnamed[16..22].fill(0);
    assert_expected(&format::read_bytes("r", &unnamed, &ReadOptions::default()).unwrap()[0]);
}

#[test]
fn what_a_record_lacks_is_said() {
    let whole = ecg().bytes();
    let section = |number: u16| (number, sections_of(&whole, number));
    let without = |sections: &[(u16, Option<Vec<u8>>)]| read_bytes(&record(sections)).unwrap_err();
    assert_says(&without(&[section(6)]), "no definition of leads (section 3)", "export");
    assert_says(&without(&[section(3)]), "no rhythm (section 6)", "export");
    let whole = with_reduction(ecg()).bytes();
    let section = |number: u16| (number, sections_of(&whole, number));
    assert_says(&without(&[section(3), section(6)]), "the rhythm is compressed", "without compression");
    for (bytes, cause) in [
        (&whole[..0], "0 bytes, which is too short"),
        (&whole[..2000], "and the file holds 2000"),
        (&[b'x'; 500][..], "no SCP-ECG record"),
    ] {
        assert_says(&read_bytes(bytes).unwrap_err(), cause, "file");
    }
    assert_says(&read(&data("none.scp")).unwrap_err(), "none.scp", "check the path");
}

#[test]
fn declared_lengths_beyond_the_file_are_refused_at_once() {
    let bytes = fs::read(data("compressed.scp")).unwrap();
    // The last sample of the first lead in section 3.
    let definitions = sections_of(&bytes, 3).unwrap();
    let place = bytes.windows(definitions.len()).position(|window| window == definitions).unwrap();
    for last in [u32::MAX, 1 << 28, 1 << 22, 5001] {
        let mut longer = bytes.clone();
        longer[place + 6..place + 10].copy_from_slice(&last.to_le_bytes());
        let sections: Vec<(u16, Option<Vec<u8>>)> =
            (1..7).map(|number| (number, sections_of(&longer, number))).collect();
        let _ = read_bytes(&record(&sections));
    }
}

/// Reads damaged bytes. An error has a remedy.
fn survives(bytes: &[u8]) {
    if let Err(error) = read_bytes(bytes) {
        assert!(!error.remedy().is_empty(), "{error}");
    }
}

#[test]
fn truncated_and_altered_records_never_panic() {
    for name in ["huffman.scp", "compressed.scp"] {
        let bytes = fs::read(data(name)).unwrap();
        for length in (0..bytes.len()).step_by(97) {
            assert!(read_bytes(&bytes[..length]).is_err(), "{name} of {length} bytes");
        }
        for at in (0..400).chain((400..bytes.len()).step_by(61)) {
            let mut altered = bytes.clone();
            altered[at] ^= 1 << (at % 8);
            survives(&altered);
            // With the checksum made right, nothing but the structure can tell.
            let checksum = crc(&altered[2..]).to_le_bytes();
            altered[..2].copy_from_slice(&checksum);
            survives(&altered);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_sections_never_panic(
        tables: Option<Vec<u8>>, definitions: Vec<u8>, places: Option<Vec<u8>>, beat: Option<Vec<u8>>, rhythm: Vec<u8>,
    ) {
        let sections = [(2, tables), (3, Some(definitions)), (4, places), (5, beat), (6, Some(rhythm))];
        survives(&record(&sections));
    }

    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>) {
        survives(&bytes);
        survives(&[&fs::read(data("huffman.scp")).unwrap()[..200], &bytes].concat());
    }
}
