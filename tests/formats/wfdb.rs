//! WFDB records of every signal format and layout, compared with PhysioNet's own Python package where it is installed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ecgpu::{
    Error, Recording, Result,
    ecg::{
        Lead, Unit,
        format::{self, ReadOptions},
    },
};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::{Record, Script, assert_says, data, read, read_one, two_leads};

/// Named parts in memory.
#[derive(Clone, Default)]
struct Parts(Vec<(String, Vec<u8>)>);

impl Parts {
    fn with(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.0.push((name.into(), bytes.as_ref().to_vec()));
        self
    }

    /// Adds samples in format 16.
    fn with_samples(self, name: &str, samples: &[i16]) -> Self {
        self.with(name, samples.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
    }

    fn read_with(&self, options: &ReadOptions) -> Result<Recording> {
        let parts: Vec<(&str, &[u8])> = self.0.iter().map(|(name, bytes)| (&**name, &bytes[..])).collect();
        format::read_parts(&parts, options).map(|mut recordings| recordings.remove(0))
    }

    fn read(&self) -> Result<Recording> {
        self.read_with(&ReadOptions::default())
    }

    fn error(&self) -> Error {
        self.read().unwrap_err()
    }
}

/// Returns a lead's samples in microvolts, rounded.
fn microvolts(recording: &Recording, lead: Lead) -> Vec<i32> {
    recording.lead(lead).unwrap().iter().map(|x| (x * 1000.0).round() as i32).collect()
}

/// Signal formats of compressed files.
const COMPRESSED: [&str; 3] = ["508", "516", "524"];

#[test]
fn the_wfdb_package_finds_the_same_values_in_every_format_and_layout() {
    let Some(folder) = Script::Wfdb.folder() else { return };
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let expected: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "npy")).collect();
    assert!(expected.len() > 20, "{expected:?}");
    for path in expected {
        let header = path.with_extension("hea");
        let compressed =
            |line: &str| line.split(' ').nth(1).is_some_and(|field| COMPRESSED.contains(&&field[..field.len().min(3)]));
        if !cfg!(feature = "flac") && fs::read_to_string(&header).unwrap().lines().any(compressed) {
            assert_says(&read(&header).unwrap_err(), "compressed with FLAC, which this build cannot", "feature 'flac'");
            continue;
        }
        assert_has_values(&read_one(&header), &path);
    }
}

/// Asserts that `recording` has the values of an array. Missing ones are interpolated, and cut at the end.
fn assert_has_values(recording: &Recording, array: &Path) {
    let expected = format::read_raw(array).unwrap();
    let [1, leads, samples] = expected.shape[..] else { panic!("{:?}", expected.shape) };
    assert_eq!((recording.leads().count(), recording.sampling_rate()), (leads, 100.0), "{}", recording.name());
    let skewed = recording.name().starts_with("skewed");
    assert_eq!(recording.samples() < samples, skewed, "{}: {}", recording.name(), recording.samples());
    for ((lead, signal), values) in recording.leads().zip(expected.values.chunks(samples)) {
        let compared = signal.iter().zip(values).filter(|(_, expected)| **expected != -9999.0);
        let difference = compared.clone().map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-6, "{} differs by {difference} mV in lead {lead}", recording.name());
        assert!(compared.count() * 3 >= recording.samples(), "{} has no values in {lead}", recording.name());
    }
}

/// Packs samples in a format that is not compressed, as signal(5) describes it.
fn packed(number: u32, samples: &[i32]) -> Vec<u8> {
    let bytes =
        |count: usize, add: i32| samples.iter().flat_map(move |x| (x + add).to_le_bytes().into_iter().take(count));
    let bits = |at: usize| samples.get(at).map_or(0, |x| *x as u32);
    match number {
        8 | 16 | 24 | 32 => bytes((number as usize).div_ceil(8), 0).collect(),
        61 => samples.iter().flat_map(|x| (*x as i16).to_be_bytes()).collect(),
        80 => bytes(1, 128).collect(),
        160 => bytes(2, 32_768).collect(),
        212 => {
            let pair =
                |at| [bits(at) & 0xFF, bits(at) >> 8 & 0xF | (bits(at + 1) >> 8 & 0xF) << 4, bits(at + 1) & 0xFF];
            (0..samples.len()).step_by(2).flat_map(|at| pair(at).map(|x| x as u8)).collect()
        }
        310 => {
            let high = |at| [bits(at + 2) << 11, bits(at + 2) >> 5 << 11];
            let words = |at| [0, 1].map(|n| ((bits(at + n) & 0x3FF) << 1 | high(at)[n]) as u16);
            (0..samples.len()).step_by(3).flat_map(|at| words(at).into_iter().flat_map(u16::to_le_bytes)).collect()
        }
        _ => {
            let word = |at| (0..3).fold(0, |word, n| word | (bits(at + n) & 0x3FF) << (10 * n));
            (0..samples.len()).step_by(3).flat_map(|at| word(at).to_le_bytes()).collect()
        }
    }
}

proptest! {
    #[test]
    fn what_is_packed_is_read(
        number in prop::sample::select(vec![8, 16, 24, 32, 61, 80, 160, 212, 310, 311]),
        frames in 1..40usize,
        per_frame in 1..4usize,
        others in 0..3usize,
        offset in 0..5usize,
        skews in prop::array::uniform2(0..3usize),
        stated: bool,
        seed in prop::collection::vec(-120..120i32, 400),
    ) {
        prop_assume!(skews.iter().all(|skew| *skew < frames));
        // Lead I, a signal of another rate, lead II.
        let per_frame = [per_frame, others, per_frame];
        let signals = per_frame.map(|count| frames * count);
        let mut rest = seed.iter().copied().cycle();
        let values = signals.map(|count| rest.by_ref().take(count).collect::<Vec<i32>>());
        let in_file = (0..frames).flat_map(|frame| {
            (0..3).flat_map(move |signal| (0..per_frame[signal]).map(move |n| (signal, frame * per_frame[signal] + n)))
        });
        let samples: Vec<i32> = in_file.map(|(signal, at)| {
            let before = if number == 8 && at > 0 { values[signal][at - 1] / 2 } else { 0 };
            if number == 8 { values[signal][at] / 2 - before } else { values[signal][at] }
        }).collect();
        // Samples that are not declared may complete the last block.
        let length = if stated || [212, 310, 311].contains(&number) { frames.to_string() } else { String::new() };
        let mut header = format!("r {} 100 {length}\n", 2 + usize::from(others > 0));
        for (signal, name) in ["I", "RESP", "II"].iter().enumerate().filter(|(signal, _)| per_frame[*signal] > 0) {
            let skew = [skews[0], 0, skews[1]][signal];
            header += &format!("r.dat {number}x{}:{skew}+{offset} 1000(0)/mV 16 0 0 0 0 {name}\n", per_frame[signal]);
        }
        let bytes = [vec![7; offset], packed(number, &samples)].concat();
        let recording = Parts::default().with("r.hea", &header).with("r.dat", bytes).read().unwrap();
        prop_assert_eq!(recording.sampling_rate(), 100.0 * per_frame[0] as f64);
        for (lead, values, skew) in [(Lead::I, &values[0], skews[0]), (Lead::II, &values[2], skews[1])] {
            let scale = |x: &i32| if number == 8 { x / 2 } else { *x };
            let expected: Vec<i32> = values.iter().skip(skew * per_frame[0]).map(scale).collect();
            let found = microvolts(&recording, lead);
            prop_assert_eq!(found.len(), (frames - skews[0].max(skews[1])) * per_frame[0]);
            prop_assert_eq!(&found[..], &expected[..found.len()]);
        }
    }
}

#[test]
fn a_sample_without_a_value_is_derived_or_interpolated_or_refused() {
    let header = "r 3 100 4\nr.dat 16 1000 16 0 0 0 0 I\nr.dat 16 1000 16 0 0 0 0 II\nr.dat 16 1000 16 0 0 0 0 aVF\n";
    const NONE: i16 = i16::MIN;
    let with = |samples: &[i16]| Parts::default().with("r.hea", header).with_samples("r.dat", samples);
    let recording = with(&[10, 20, NONE, 30, 40, NONE, 50, NONE, 45, 70, 80, NONE]).read().unwrap();
    assert_eq!(microvolts(&recording, Lead::II), [20, 40, 60, 80]);
    assert_eq!(microvolts(&recording, Lead::AVF), [15, 25, 45, 45]);
    assert_eq!(
        recording.warnings(),
        ["lead II has no value at 1 sample: interpolated", "lead aVF has no value at 3 samples: derived from I and II"]
    );
    assert_says(&with(&[NONE; 12]).error(), "lead I has no value from 0.000 s to 0.040 s", "cut the recording there");
}

#[test]
fn leads_of_different_rates_are_refused() {
    let header = "r 2 100 2\nr.dat 16x2 1000 16 0 0 0 0 I\nr.dat 16x4 1000 16 0 0 0 0 II\n";
    let error = Parts::default().with("r.hea", header).with_samples("r.dat", &[0; 12]).error();
    assert_says(&error, "'I' has 2 samples per frame and 'II' 4", "one sampling rate for all leads");
}

#[test]
fn signals_without_names_take_the_leads_that_are_given() {
    let header = "r 2 100 2\nr.dat 16 1000\nr.dat 16 2000/mV 16 0 0 0 0\n";
    let parts = Parts::default().with("r.hea", header).with_samples("r.dat", &[1, 20, 3, 40]);
    assert_says(&parts.error(), "none of its 2 signals has the name of a standard lead: '', ''", "name the lead");
    let given = ReadOptions { leads: Some(vec![Lead::V2, Lead::V1]), ..ReadOptions::default() };
    let recording = parts.read_with(&given).unwrap();
    assert_eq!((microvolts(&recording, Lead::V2), microvolts(&recording, Lead::V1)), (vec![1, 3], vec![10, 20]));
    let named = Parts::default().with("r.hea", header.replace("1000\n", "1000 aVR\n"));
    let named = named.with_samples("r.dat", &[1, 20, 3, 40]);
    assert_eq!(named.read().unwrap().warnings(), ["ignored, since no standard lead: signal 2 without a name"]);
}

#[test]
fn a_unit_that_is_none_of_voltage_must_be_stated() {
    let record = Record::of_leads(&["I"]).changed("/mV", "/NU");
    assert_says(&record.error(), "lead I is in 'NU', which is no unit of voltage", "state the true one");
    let stated = ReadOptions { unit: Some(Unit::Nanovolt), ..ReadOptions::default() };
    let recording = format::read(&record.header(), &stated).unwrap().remove(0);
    assert_eq!(recording.lead(Lead::I).unwrap()[1], 1e-9);
    assert_eq!(recording.warnings(), ["the header says NU: overridden with nV (I)"]);
}

#[test]
fn comments_are_never_shown() {
    let text = "# Name: Muster\nr 1 100 3\n#Name: Muster\nr.dat 16 x\n# Muster\n";
    let said = two_leads().with_header(text).error();
    assert!(!said.to_string().contains("Muster"), "{said}");
    let record = Record::of_leads(&["I"]);
    let header = fs::read_to_string(record.header()).unwrap();
    let recording = read_one(&record.with_header(format!("# Muster\n{header}# Muster")).header());
    assert!(!format!("{recording:?}").contains("Muster"));
}

/// A record of two segments of leads I and II, in format 16.
fn two_segments(main: &str) -> Parts {
    let segment =
        |name: &str| format!("{name} 2 100 2\n{name}.dat 16 1000 16 0 0 0 0 I\n{name}.dat 16 1000 16 0 0 0 0 II\n");
    let parts = Parts::default().with("m.hea", main).with("a.hea", segment("a")).with("b.hea", segment("b"));
    parts.with_samples("a.dat", &[1, 10, 2, 20]).with_samples("b.dat", &[5, 50, 6, 60])
}

#[test]
fn segments_are_joined_and_short_gaps_interpolated() {
    let recording = two_segments("m/2 2 100 4\na 2\nb 2\n").read().unwrap();
    assert_eq!((recording.name(), recording.warnings().len()), ("m", 0));
    assert_eq!(microvolts(&recording, Lead::II), [10, 20, 50, 60]);
    let recording = two_segments("m/3 2 100 6\na 2\n~ 2\nb 2\n").read().unwrap();
    assert_eq!(microvolts(&recording, Lead::I), [1, 2, 3, 4, 5, 6]);
    assert_eq!(recording.warnings()[0], "lead I has no value at 2 samples: interpolated");
    let error = two_segments("m/3 2 100 104\na 2\n~ 100\nb 2\n").error();
    assert_says(&error, "m.hea: lead I has no value from 0.020 s to 1.020 s", "cut the recording there");
    // The record's header may ask for a part of the last segment.
    let recording = two_segments("m/2 2 100 3\na 2\nb 2\n").read().unwrap();
    assert_eq!(microvolts(&recording, Lead::II), [10, 20, 50]);
    assert_eq!(recording.warnings(), ["the segments have 4 samples, 3 are declared: the rest is ignored"]);
}

#[test]
fn segments_may_differ_in_order_gain_and_signals() {
    let layout = "l 3 100 0\n~ 0 200 16 0 0 0 0 II\n~ 0 200 16 0 0 0 0 III\n~ 0 200 16 0 0 0 0 I\n";
    let a = "a 2 100 2\na.dat 16 1000 16 0 0 0 0 I\na.dat 16 2000 16 0 0 0 0 II\n";
    let b = "b 4 100 2\nb.dat 16 1000 16 0 0 0 0 ABP\nb.dat 16 1/uV 16 0 0 0 0 III\nb.dat 16 1000 16 0 0 0 0 II\n\
             b.dat 16 100 16 0 0 0 0 I\n";
    let parts = Parts::default().with("m.hea", "m/3 3 100 4\nl 0\na 2\nb 2\n").with("l.hea", layout);
    let parts = parts.with("a.hea", a).with_samples("a.dat", &[1, 20, 2, 40]);
    let recording = parts.with("b.hea", b).with_samples("b.dat", &[9, 7, 30, 1, 9, 8, 50, 2]).read().unwrap();
    let leads: Vec<Lead> = recording.leads().map(|(lead, _)| lead).collect();
    assert_eq!(leads, [Lead::II, Lead::III, Lead::I], "the order of the layout");
    assert_eq!(microvolts(&recording, Lead::I), [1, 2, 10, 20]);
    assert_eq!(microvolts(&recording, Lead::II), [10, 20, 30, 50]);
    assert_eq!(microvolts(&recording, Lead::III), [9, 18, 7, 8], "derived where it is absent");
    assert!(
        recording.warnings().contains(&"ignored, since no standard lead: ABP".into()),
        "{:?}",
        recording.warnings()
    );
}

#[test]
fn a_wrong_record_of_segments_is_explained() {
    let said = |main: &str, cause, remedy| assert_says(&two_segments(main).error(), cause, remedy);
    said("m/2 2 100 4\na 2\n", "m.hea: 2 segments are declared and 1 described", "get it again");
    said("m/2 2 100 5\na 2\nb 2\n", "5 samples are declared and the segments have 4", "get the record again");
    said("m/2 2 100 5\na 3\nb 2\n", "segment a: the record's header declares 3 samples and the segment's own 2", "get");
    said("m/2 2 100 4\na 2\nc 2\n", "m.hea: its segment c.hea was not given", "its segments into one folder");
    said("m/2 2 100 4\na 2\nm 2\n", "segment m is itself a record of several segments", "name the segments of that");
    said("m/2 2 250 4\na 2\nb 2\n", "segment a has a sampling rate of 100 Hz, the record 250 Hz", "to one rate");
    said("m/2 2 100 4\na 2\nb two\n", "line 3: 'two' is no number of samples", "correct this line");
    said("m/1 2 100\n~ 0\n", "none of its 0 signals has the name of a standard lead", "name the lead");
    said("m/1 2 100\n~ 99999999999\n", "segment ~: the record has more than 33554432 samples", "cut out the part");
    let repeated = format!("m/20000 2 100\n{}", "a 2\n".repeat(20_000));
    said(&repeated, "a record of 20000 segments, more than 16384", "check that this is a WFDB header");
    let long = two_segments(&format!("m/99 2 100\n{}", "a 2\n".repeat(99)));
    let comments = format!("{}#{}\n", String::from_utf8_lossy(&long.0[1].1), "x".repeat(100_000));
    let long = Parts(vec![long.0[0].clone(), ("a.hea".into(), comments.into()), long.0[3].clone()]);
    assert_says(&long.error(), "the headers of its segments have more than 8388608 bytes", "check that this is a WFDB");
    for name in ["../a", "/etc/a", "a/b", "..", "c:a"] {
        let error = two_segments(&format!("m/2 2 100 4\na 2\n{name} 2\n")).error();
        assert_says(&error, "the header names the segment", "put the file beside its header");
    }
    let layout = "l 1 100 0\n~ 0 200 16 0 0 0 0 II\n";
    assert_says(&Parts::default().with("l.hea", layout).error(), "'~' instead of a signal file", "name that record");
}

/// A header of a MAT file, and the file: MAT version 4 has the samples behind a header of 24 bytes.
fn mat_record() -> Parts {
    let header = "E1 2 100 2\nE1.mat 16x1+24 1000/mV 16 0 0 0 0 I\nE1.mat 16x1+24 1000/mV 16 0 0 0 0 II\n";
    let numbers = [30i32, 2, 2, 0, 4].into_iter().flat_map(i32::to_le_bytes);
    let samples = [1i16, 10, 2, 20].into_iter().flat_map(i16::to_le_bytes);
    let mat: Vec<u8> = numbers.chain(*b"val\0").chain(samples).collect();
    Parts::default().with("E1.hea", header).with("E1.mat", mat)
}

#[test]
fn a_mat_file_is_read_through_the_header_that_lists_it() {
    let mut parts = mat_record();
    assert_eq!(microvolts(&parts.read().unwrap(), Lead::II), [10, 20]);
    let folder = TempDir::new().unwrap();
    for (name, bytes) in &parts.0 {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    assert_eq!(read_one(&folder.path().join("E1.mat")), parts.read().unwrap());
    assert_eq!(format::find(folder.path(), &ReadOptions::default()).unwrap().files, [folder.path().join("E1.hea")]);
    // Another header of the same file does not matter where one has its name.
    parts.0.rotate_left(1);
    let other = parts.0[1].1.clone();
    parts.0.insert(1, ("other.hea".into(), other));
    assert_eq!(parts.read().unwrap().name(), "E1");
}

#[test]
fn a_header_is_preferred_to_a_signal_file_of_a_format_of_its_own() {
    // A table that a header lists is its signal file, and one that it does not list is a table.
    let table = "I,II\n".to_string() + &"0.1,0.2\n".repeat(30);
    let listed = |name: &str| format!("r 1 100 3\n{name} 16 1000(0)/mV 16 0 0 0 0 I\n");
    let parts = Parts::default().with("r.dat", &table).with("r.hea", listed("r.dat")).with("x.dat", [0; 6]);
    assert_eq!(parts.read().unwrap().leads().count(), 1);
    let parts = Parts::default().with("r.dat", &table).with("r.hea", listed("x.dat")).with("x.dat", [0; 6]);
    let options = ReadOptions { sampling_rate: Some(100.0), ..ReadOptions::default() };
    assert_eq!(parts.read_with(&options).unwrap().leads().count(), 2);
}

#[test]
fn a_mat_file_of_another_version_is_refused() {
    for version in ["5.0", "7.3"] {
        let mut parts = mat_record();
        parts.0[1].1 = format!("MATLAB {version} MAT-file, Platform: posix{}", " ".repeat(100)).into();
        assert_says(&parts.error(), &format!("E1.mat is a MAT file of version {version}"), "format='4'");
    }
}

#[test]
fn a_signal_file_is_found_in_any_case() {
    let record = two_leads();
    let expected = read_one(&record.header());
    let at = |name: &str| record.folder.path().join(name);
    fs::rename(at("r.dat"), at("R.Dat")).unwrap();
    assert_eq!(read_one(&at("r.hea")), expected);
    fs::rename(at("r.hea"), at("r.HEA")).unwrap();
    assert_eq!(read_one(&at("r")), expected, "a record's name");
    let header = fs::read(at("r.HEA")).unwrap();
    let parts = Parts::default().with("R.HEA", header).with("R.DAT", fs::read(at("R.Dat")).unwrap());
    assert!(parts.read().unwrap().leads().eq(expected.leads()));
}

#[test]
#[cfg(unix)]
fn a_signal_file_may_be_a_link_out_of_the_folder_only_where_the_header_is_one() {
    use std::os::unix::fs::symlink;
    let (store, record, links) = (two_leads(), two_leads(), TempDir::new().unwrap());
    let expected = read_one(&store.header());
    let samples = record.folder.path().join("r.dat");
    // Within the folder.
    fs::rename(&samples, record.folder.path().join("other")).unwrap();
    symlink("other", &samples).unwrap();
    assert_eq!(read_one(&record.header()), expected);
    // Out of the folder of a header that is no link itself.
    fs::remove_file(&samples).unwrap();
    symlink(store.folder.path().join("r.dat"), &samples).unwrap();
    assert_says(&record.error(), "r.dat is a link out of the folder of its header", "cp -L");
    // A folder of links to a store, as git-annex and others make it.
    for name in ["r.hea", "r.dat"] {
        symlink(store.folder.path().join(name), links.path().join(name)).unwrap();
    }
    assert_eq!(read_one(&links.path().join("r.hea")), expected);
    assert_eq!(read_one(&links.path().join("r.dat")), expected);
    // A folder is no signal file.
    fs::remove_file(&samples).unwrap();
    fs::create_dir(&samples).unwrap();
    assert_says(&record.error(), "r.dat is no regular file", "put the file itself beside its header");
}

#[test]
fn differences_begin_with_the_initial_value() {
    let header = "r 1 100 4\nr.dat 8 1000(0)/mV 16 0 500 0 0 I\n";
    let recording = Parts::default().with("r.hea", header).with("r.dat", [1, 0xFF, 0x80, 0x7F]).read().unwrap();
    assert_eq!(microvolts(&recording, Lead::I), [501, 500, 372, 499]);
    assert!(recording.warnings().is_empty(), "{:?}", recording.warnings());
}

/// Small records of which every byte matters.
fn small_records() -> Vec<Parts> {
    let differences = "r 1 100\nr.dat 8:1 1000 16 0 3 0 0 I\n";
    let blocks =
        "r 3 100 5\nr.dat 311x1 1000 16 0 0 0 0 I\nr.dat 311x3 1000 16 0 0 0 0 x\nr.dat 311 200 9 9 9 9 9 V1\n";
    let mut records = vec![
        two_segments("m/3 2 100 6\na 2\n~ 2\nb 2\n"),
        mat_record(),
        Parts::default().with("r.hea", differences).with("r.dat", [1; 20]),
        Parts::default().with("r.hea", blocks).with("r.dat", [0x21; 36]),
    ];
    if cfg!(feature = "flac") {
        let [header, samples] = ["flac.hea", "flac.dat"].map(|name| fs::read(data(name)).unwrap());
        records.push(Parts::default().with("flac.hea", header).with("flac.dat", samples));
    }
    records
}

/// Reads a record that may be damaged.
fn must_not_panic(parts: &Parts) {
    if let Err(error) = parts.read() {
        assert!(!error.remedy().is_empty(), "{error}");
    }
}

#[test]
fn damaged_records_never_panic() {
    for record in small_records() {
        record.read().unwrap();
        for part in 0..record.0.len() {
            let bytes = record.0[part].1.clone();
            for end in (0..bytes.len()).step_by(3) {
                let mut cut = record.clone();
                cut.0[part].1.truncate(end);
                must_not_panic(&cut);
            }
            // Every bit of a byte in turn.
            for bit in (0..bytes.len() * 8).step_by(5) {
                let mut flipped = record.clone();
                flipped.0[part].1[bit / 8] ^= 1 << (bit % 8);
                must_not_panic(&flipped);
            }
        }
    }
}

proptest! {
    #[test]
    fn random_signal_files_never_panic(
        number in prop::sample::select(vec![8, 16, 24, 32, 61, 80, 160, 212, 310, 311, 508, 516, 524]),
        field in "(x[0-9]{1,3})?(:[0-9]{1,2})?(\\+[0-9]{1,3})?",
        length in "[0-9]{0,20}",
        bytes: Vec<u8>,
    ) {
        let line = |name: &str| format!("r.dat {number}{field} 1000 16 0 0 0 0 {name}\n");
        let header = format!("r 2 100 {length}\n{}{}", line("I"), line("II"));
        must_not_panic(&Parts::default().with("r.hea", &header).with("r.dat", &bytes));
        must_not_panic(&Parts::default().with("r.hea", &header).with("r.dat", [b"fLaC".to_vec(), bytes].concat()));
    }
}

#[test]
#[cfg(feature = "flac")]
fn a_wrong_compressed_file_is_explained() {
    let [header, samples] = ["flac.hea", "flac.dat"].map(|name| fs::read(data(name)).unwrap());
    let header = String::from_utf8(header).unwrap();
    let said = |from: &str, to: &str, cause, remedy| {
        assert!(header.contains(from), "{header}");
        let parts = Parts::default().with("flac.hea", header.replace(from, to)).with("flac.dat", &samples);
        assert_says(&parts.error(), cause, remedy);
    };
    said(" 516 ", " 508 ", "flac.dat has 16 bits a sample, and its format has 8", "508, 516 and 524");
    said(" 250\n", " 251\n", "251 samples are declared and flac.dat holds 250", "get the record again");
    said("flac.dat 516 200.0(0)/mV 16 0 10", "x.dat 516 200.0(0)/mV 16 0 10", "x.dat was not given", "one folder");
    let cut = Parts::default().with("flac.hea", &header).with("flac.dat", &samples[..samples.len() / 2]);
    assert_says(&cut.error(), "flac.dat cannot be decompressed after 0 samples", "cut off or damaged");
    let none = Parts::default().with("flac.hea", &header).with("flac.dat", [0; 3000]);
    assert_says(&none.error(), "flac.dat cannot be decompressed", "get the record again");
}

#[test]
#[cfg(feature = "flac")]
fn a_compressed_file_is_read_from_its_offset() {
    let [header, samples] = ["flac.hea", "flac.dat"].map(|name| fs::read(data(name)).unwrap());
    let header = String::from_utf8(header).unwrap();
    let whole = Parts::default().with("flac.hea", &header).with("flac.dat", &samples).read().unwrap();
    for (length, held) in [(" 240\n", 240), ("\n", 243)] {
        let header = header.replace(" 250\n", length).replace(" 516 ", " 516+7 ");
        let recording = Parts::default().with("flac.hea", header).with("flac.dat", &samples).read().unwrap();
        assert_eq!(recording.samples(), held);
        assert_eq!(recording.lead(Lead::II).unwrap(), &whole.lead(Lead::II).unwrap()[7..7 + held]);
    }
}

#[test]
fn a_negative_gain_gives_a_warning() {
    let record = two_leads().changed("1000(0)/mV", "-1000(0)/mV");
    let warnings = read_one(&record.header()).warnings().join("; ");
    assert!(warnings.contains("a negative gain, which turns leads upside down: is it meant? (I)"), "{warnings}");
    let warnings = read_one(&two_leads().header()).warnings().join("; ");
    assert!(!warnings.contains("negative"), "{warnings}");
}
