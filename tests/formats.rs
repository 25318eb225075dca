//! Reads the files of `tests/data`, which PhysioNet's `wfdb` package and NumPy wrote (`tests/wfdb_package.py`), and
//! files with every mistake that the readers must explain.

#![cfg(feature = "formats")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use ecgpu::{
    Error, Recording, Result,
    ecg::{
        Condition, Lead, Unit,
        format::{self, ReadOptions},
        synthesize,
    },
};
use proptest::prelude::*;
use tempfile::TempDir;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn read(path: &Path) -> Result<Vec<Recording>> {
    format::read(path, &ReadOptions::default())
}

fn read_one(path: &Path) -> Recording {
    let recordings = read(path).unwrap();
    assert_eq!(recordings.len(), 1, "{}", path.display());
    recordings.into_iter().next().unwrap()
}

fn microvolts() -> ReadOptions {
    ReadOptions { unit: Some(Unit::Microvolt), ..Default::default() }
}

/// Asserts that `recording` holds the first samples of the values that every fixture holds.
fn assert_expected(recording: &Recording) {
    let expected = format::read_raw(&data("expected.npy")).unwrap();
    assert_eq!(expected.shape, [1, 12, 1000]);
    for (lead, values) in Lead::STANDARD.iter().zip(expected.values.chunks(1000)) {
        let signal = recording.lead(*lead).unwrap();
        let difference = signal.iter().zip(values).map(|(x, y)| (x - y).abs()).fold(0f32, f32::max);
        assert!(difference < 1e-6, "{} differs by {difference} mV in lead {lead}", recording.name());
    }
}

// What must be read.

#[test]
fn records_of_the_wfdb_package_are_read() {
    for name in ["format16", "format212", "permuted"] {
        let recording = read_one(&data(&format!("{name}.hea")));
        assert_eq!((recording.name(), recording.sampling_rate(), recording.samples()), (name, 100.0, 1000));
        let synthetic = "a synthetic signal, not a patient's";
        assert_eq!(recording.warnings(), [synthetic], "{name}: checksums and first samples agree");
        assert_expected(&recording);
    }
    let leads: Vec<Lead> = read_one(&data("permuted.hea")).leads().map(|(lead, _)| lead).collect();
    assert_eq!((leads[0], leads[11]), (Lead::V1, Lead::I), "the header's order is kept");
}

#[test]
fn a_record_may_be_called_by_its_name_or_its_signal_file() {
    assert_eq!(read_one(&data("format16")), read_one(&data("format16.hea")));
    assert_eq!(read_one(&data("format16.dat")), read_one(&data("format16.hea")));
}

#[test]
fn arrays_and_tables_hold_the_same_signal() {
    for name in ["expected.npy", "table.csv"] {
        let recording = read_one(&data(name));
        assert_expected(&recording);
        assert_eq!(recording.warnings().len(), 2, "unit and rate are assumed: {:?}", recording.warnings());
    }
    let recording = read_one(&data("samples_first_f64_big_endian.npy"));
    assert_eq!(recording.samples(), 250);
    assert_expected(&recording);
    let recordings = format::read(&data("microvolts_i16_fortran.npy"), &microvolts()).unwrap();
    assert_expected(&recordings[0]);
}

#[test]
fn a_batch_gives_several_recordings() {
    let recordings = read(&data("batch_fortran.npy")).unwrap();
    assert_eq!(recordings.iter().map(Recording::name).collect::<Vec<_>>(), ["batch_fortran[0]", "batch_fortran[1]"]);
    assert_expected(&recordings[0]);
    let [first, second] = [0, 1].map(|index| recordings[index].lead(Lead::V6).unwrap());
    assert!(first.iter().zip(second).all(|(x, y)| *x == -y));
}

#[test]
fn options_override_a_header_and_say_so() {
    const UNIT_OVERRIDDEN: &str =
        "the header says mV: overridden with uV (I, II, III, aVR, aVL, aVF, V1, V2, V3, V4, V5, V6)";
    let options = ReadOptions { sampling_rate: Some(500.0), leads: Some(vec![Lead::I]), ..microvolts() };
    let recording = format::read(&data("format16.hea"), &options).unwrap().remove(0);
    assert_eq!(recording.sampling_rate(), 500.0);
    let warnings = recording.warnings();
    assert!(warnings.contains(&"the header says 100 Hz: overridden with 500 Hz".into()), "{warnings:?}");
    assert!(warnings.contains(&UNIT_OVERRIDDEN.into()), "{warnings:?}");
    assert!(warnings.iter().any(|text| text.contains("list of leads that was given is ignored")), "{warnings:?}");
    let millivolts = read_one(&data("format16.hea"));
    let [x, y] = [&recording, &millivolts].map(|recording| recording.lead(Lead::V6).unwrap()[40]);
    assert!((x * 1000.0 - y).abs() < 1e-6);
}

#[test]
fn other_leads_are_ignored_with_a_warning() {
    let folder = Record::of_leads(&["I", "vx", "II", "RESP"]);
    let recording = read_one(&folder.header());
    assert_eq!(recording.leads().map(|(lead, _)| lead).collect::<Vec<_>>(), [Lead::I, Lead::II]);
    assert_eq!(recording.warnings(), ["ignored, since no standard lead: vx, RESP"]);
    assert_eq!(recording.lead(Lead::II), Some(&[0.002, 0.006, 0.010][..]));
}

#[test]
fn units_are_converted() {
    for (unit, factor) in [("mV", 1.0), ("uV", 1e-3), ("\u{b5}V", 1e-3), ("V", 1e3)] {
        let folder = Record::of_leads(&["I"]).changed("/mV", &format!("/{unit}"));
        let first = read_one(&folder.header()).lead(Lead::I).unwrap()[1];
        assert!((first / factor - 0.001).abs() < 1e-6, "{unit}");
    }
}

#[test]
fn a_header_without_a_length_takes_it_from_the_file() {
    let folder = Record::of_leads(&["I", "II"]).changed("r 2 100 3", "r 2 100");
    assert_eq!(read_one(&folder.header()).samples(), 3);
}

#[test]
fn a_header_without_a_rate_has_wfdbs_default() {
    let recording = read_one(&two_leads().changed("r 2 100 3", "r 2").header());
    assert_eq!(recording.sampling_rate(), 250.0);
    assert_eq!(recording.warnings(), ["the header states no sampling rate: taken as WFDB's default, 250 Hz"]);
}

#[test]
fn five_thousand_samples_are_taken_for_ten_seconds() {
    let folder = TempDir::new().unwrap();
    for (samples, rate) in [(5000, 500.0), (5001, 100.0), (1000, 100.0)] {
        let path = folder.path().join("a.npy");
        fs::write(&path, npy("<f4", &[12, samples], 12 * samples * 4)).unwrap();
        let recording = read_one(&path);
        assert_eq!(recording.sampling_rate(), rate);
        assert!(recording.warnings().iter().any(|text| text.contains("the file states no sampling rate")));
    }
}

#[test]
fn a_raw_array_stays_as_it_is() {
    let raw = format::read_raw(&data("samples_first_f64_big_endian.npy")).unwrap();
    assert_eq!(raw.shape, [1, 250, 12]);
    let raw = format::read_raw(&data("microvolts_i16_fortran.npy")).unwrap();
    let expected = format::read_raw(&data("expected.npy")).unwrap();
    assert_eq!(raw.shape, expected.shape);
    assert!(raw.values.iter().zip(expected.values).all(|(x, y)| (x / 1000.0 - y).abs() < 1e-6));
    assert_eq!(format::read_raw(&data("batch_fortran.npy")).unwrap().shape, [2, 12, 200]);
}

// What is written must be read.

#[test]
fn what_is_written_is_read_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("norm-1_a.hea");
    let written = synthesize(Condition::Norm, 1, 100.0, 10.0).unwrap();
    format::write_wfdb(&written, &path, &["Synthetic\nno patient".into()]).unwrap();
    let header = fs::read_to_string(&path).unwrap();
    assert!(header.starts_with("norm-1_a 12 100 1000\nnorm-1_a.dat 16 1000(0)/mV 16 0 "), "{header}");
    assert!(header.ends_with(" 0 V6\n# Synthetic\n# no patient\n"), "{header}");
    let again = read_one(&path);
    assert_eq!((again.name(), again.warnings()), ("norm-1_a", written.warnings()));
    for ((lead, x), (other, y)) in written.leads().zip(again.leads()) {
        assert_eq!(lead, other);
        assert!(x.iter().zip(y).all(|(x, y)| (x - y).abs() <= 0.000_501), "lead {lead}");
    }
}

/// A call of tests/wfdb_package.py by `PYTHON`, or else python3, where that has the package.
fn wfdb_package() -> Option<impl Fn(&str, &[&Path])> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let has_it = Command::new(&python).args(["-c", "import wfdb"]).output().is_ok_and(|output| output.status.success());
    if !has_it {
        ecgpu_testing::skip("no Python with PhysioNet's package: pip install wfdb, and set PYTHON if need be");
        return None;
    }
    Some(move |mode: &str, paths: &[&Path]| {
        let status = Command::new(&python).args(["tests/wfdb_package.py", mode]).args(paths).status().unwrap();
        assert!(status.success(), "{mode} {paths:?}");
    })
}

#[test]
fn the_wfdb_package_reads_what_is_written() {
    let Some(wfdb_package) = wfdb_package() else { return };
    let folder = TempDir::new().unwrap();
    let [header, table] = ["r.hea", "r.csv"].map(|name| folder.path().join(name));
    for condition in Condition::ALL {
        let recording = synthesize(condition, 3, 100.0, 10.0).unwrap();
        format::write_wfdb(&recording, &header, &["Synthetic".into()]).unwrap();
        fs::write(&table, as_table(&recording)).unwrap();
        wfdb_package("check", &[&header, &table]);
    }
}

#[test]
fn the_files_that_the_tests_read_are_what_the_wfdb_package_writes() {
    let Some(wfdb_package) = wfdb_package() else { return };
    let folder = TempDir::new().unwrap();
    wfdb_package("write", &[folder.path()]);
    let written: Vec<PathBuf> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(written.len() > 5, "{written:?}");
    for path in written {
        let kept = data(path.file_name().unwrap().to_str().unwrap());
        assert!(fs::read(&path).unwrap() == fs::read(&kept).unwrap(), "{}", kept.display());
    }
}

fn as_table(recording: &Recording) -> String {
    let names: Vec<&str> = recording.leads().map(|(lead, _)| lead.name()).collect();
    let row = |n: usize| recording.leads().map(|(_, signal)| signal[n].to_string()).collect::<Vec<_>>().join(",");
    let rows: Vec<String> = (0..recording.samples()).map(row).collect();
    format!("{}\n{}\n", names.join(","), rows.join("\n"))
}

#[test]
fn a_large_amplitude_is_written_in_coarser_steps() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("large.hea");
    let write = |peak: f32| {
        let recording = Recording::new("r", 360.5, vec![(Lead::I, vec![-peak, peak])]).unwrap();
        format::write_wfdb(&recording, &path, &[])
    };
    for (peak, gain) in [(32.767, 1000), (32.768, 500), (600.0, 50), (32_767.0, 1)] {
        write(peak).unwrap();
        let header = fs::read_to_string(&path).unwrap();
        assert!(header.starts_with(&format!("large 1 360.5 2\nlarge.dat 16 {gain}(0)/mV ")), "{header}");
        assert!((read_one(&path).lead(Lead::I).unwrap()[0] + peak).abs() < peak / 1000.0);
    }
    assert!(write(40_000.0).unwrap_err().cause().contains("which 16 bits cannot hold"));
}

#[test]
fn a_records_name_must_be_valid() {
    let recording = synthesize(Condition::Norm, 1, 100.0, 1.0).unwrap();
    let write = |name: &str| format::write_wfdb(&recording, Path::new(name), &[]).unwrap_err();
    assert_says(&write("a b.hea"), "'a b' cannot be a WFDB record's name", "use letters, digits, _ and - only");
    assert_says(&write("a.dat"), "a.dat does not end in .hea", "name the header of the record");
    assert_says(&write("/no/such/folder/a.hea"), "/no/such/folder/a.dat", "check the path");
}

#[test]
fn the_recordings_of_a_folder_are_found_in_order() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("b/c")).unwrap();
    for name in ["z.hea", "z.dat", "b/c/y.NPY", "b/x.csv", "a.txt", "a.hea"] {
        fs::write(at(name), "").unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path(), at("b/circle")).unwrap();
    assert_eq!(format::find(folder.path()).unwrap(), ["a.hea", "b/c/y.NPY", "b/x.csv", "z.hea"].map(at));
    assert_eq!(format::find(&at("a.txt")).unwrap(), [at("a.txt")]);
    assert_eq!(format::find(&at("a")).unwrap(), [at("a")], "a record's name");
    assert_says(&format::find(&at("none")).unwrap_err(), "none: ", "check the path");
    let empty = TempDir::new().unwrap();
    assert_says(&format::find(empty.path()).unwrap_err(), "no recording in this folder", "name a folder with .hea");
}

// What is damaged at random must not cause a panic.

/// `bytes` with some replaced.
fn damaged(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    bytes
}

proptest! {
    #[test]
    fn damaged_files_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), 0..128u8), 1..6)) {
        let record = two_leads();
        let header = fs::read(record.header()).unwrap();
        let _ = read(&record.with_header(damaged(header, &changes)).header());
        let _ = said_of(&damaged(npy("<f4", &[2, 12, 5], 480), &changes));
    }
}

// What must be refused, with its cause and a remedy.

fn assert_says(error: &Error, cause: &str, remedy: &str) {
    assert!(error.cause().contains(cause), "cause: {}\nexpected: {cause}", error.cause());
    assert!(error.remedy().contains(remedy), "remedy: {}\nexpected: {remedy}", error.remedy());
    assert!(!error.to_string().contains('\n'), "one line: {error}");
    assert!(!error.to_string().ends_with('.'), "no full stop: {error}");
}

/// A small record in a folder of its own: three samples a lead, counted up from 0 µV, in format 16.
struct Record {
    folder: TempDir,
}

impl Record {
    fn of_leads(leads: &[&str]) -> Self {
        let count = leads.len() as i16;
        let mut header = format!("r {count} 100 3\n");
        for (first, lead) in (0..).zip(leads) {
            let checksum = 3 * first + 3 * count;
            header += &format!("r.dat 16 1000(0)/mV 16 0 {first} {checksum} 0 {lead}\n");
        }
        let record = Self { folder: TempDir::new().unwrap() };
        record.with_header(header).with_samples((0..3 * count).flat_map(i16::to_le_bytes).collect())
    }

    fn header(&self) -> PathBuf {
        self.folder.path().join("r.hea")
    }

    fn with_header(self, text: impl AsRef<[u8]>) -> Self {
        fs::write(self.header(), text).unwrap();
        self
    }

    fn with_samples(self, bytes: Vec<u8>) -> Self {
        fs::write(self.folder.path().join("r.dat"), bytes).unwrap();
        self
    }

    /// The record after a change of its header's text.
    fn changed(self, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(self.header()).unwrap();
        assert!(text.contains(from), "'{from}' is not in the header");
        self.with_header(text.replacen(from, to, 1))
    }

    fn error(&self) -> Error {
        let error = read(&self.header()).unwrap_err();
        assert!(error.cause().starts_with(&*self.header().to_string_lossy()), "the file is named first: {error}");
        error
    }
}

fn two_leads() -> Record {
    Record::of_leads(&["I", "II"])
}

#[test]
fn samples_that_were_altered_are_noticed() {
    let record = two_leads().with_samples([9i16, 1, 2, 3, 4, 5].into_iter().flat_map(i16::to_le_bytes).collect());
    assert_eq!(
        read_one(&record.header()).warnings(),
        [
            "lead I begins with 9, not with 0 as the header says: was it altered?",
            "lead I has checksum 15, not 6 as the header says: was it altered?"
        ]
    );
}

#[test]
fn a_missing_gain_is_assumed_with_a_warning() {
    let recording = read_one(&two_leads().changed("1000(0)/mV", "0").header());
    assert_eq!(recording.warnings(), ["the header states no gain: taken as WFDB's default, 200 adu a unit (I)"]);
    assert_eq!(recording.lead(Lead::I), Some(&[0.0, 0.01, 0.02][..]));
}

#[test]
fn a_damaged_header_is_explained() {
    let said = |text: &[u8], cause, remedy| assert_says(&two_leads().with_header(text).error(), cause, remedy);
    said(b"", "the header is empty", "give it a record line");
    said(b"\x89PNG\r\n\x1a\n\0\0", "the header is not UTF-8 text", "check that this is a WFDB header");
    said(b"Dear Sir,\nthank you", "line 1: 'Sir,' is no number of signals", "correct this line");
    said(b"r 12 100 3\nr.dat 16 1000 16 0 0 0 0 I", "12 signals are declared and 1 described", "get it again");
    said(&vec![b'#'; 2 << 20], "the header has 2097152 bytes", "check that this is a WFDB header");
}

#[test]
fn a_damaged_signal_line_is_explained() {
    let said = |from, to, cause, remedy| assert_says(&two_leads().changed(from, to).error(), cause, remedy);
    said(" 0 I\n", " 0\n", "line 2: the signal in 'r.dat' has no description", "add the lead's name");
    said("/mV", "/mmHg", "lead I is in 'mmHg', which is no unit of voltage", "state the true one");
    said("r.dat 16 ", "r.dat 516 ", "'I' is stored in format 516, which is not supported", "16, 24, 32, 61, 80");
    said("r.dat 16 ", "r.dat 16x2 ", "'I' has 2 samples per frame", "xform");
    said("r.dat 16 ", "r.dat 16:7 ", "'I' is skewed by 7 samples", "xform");
    said("r.dat 16 ", "r.dat 24 ", "'I' and 'II' share a file in different formats", "correct the header");
    said(" 0 II\n", " 0 I\n", "lead I is there twice", "keep one of the two");
    said("r 2 ", "r/5 2 ", "'r/5' is a record of several segments", "join them");
    said("r 2 100 ", "r 2 0 ", "line 1: a sampling rate of 0 Hz", "it must be a positive number");
}

#[test]
fn a_record_without_a_standard_lead_is_refused() {
    let error = Record::of_leads(&["vx", "ABP"]).error();
    assert_says(&error, "none of its signals is a standard lead: vx, ABP", "name the leads I, II");
}

#[test]
fn a_signal_file_outside_the_folder_is_refused() {
    for name in ["/etc/passwd", "../r.dat", "a/r.dat", "..", "..\\r.dat", "C:r.dat"] {
        let error = two_leads().changed("r.dat", name).error();
        assert_says(&error, "outside its own folder", "put the file beside its header");
    }
    assert_says(&two_leads().changed("r.dat", "~").error(), "'~' instead of a signal file", "with its signal files");
}

#[test]
fn a_missing_signal_file_is_named_with_its_header() {
    let record = two_leads();
    fs::remove_file(record.folder.path().join("r.dat")).unwrap();
    let error = record.error();
    assert_says(&error, "r.hea: its signal file", "into one folder");
    assert!(error.cause().contains("r.dat"), "{error}");
}

#[test]
fn a_cut_off_signal_file_is_measured() {
    let cut = |bytes: usize| two_leads().with_samples(vec![0; bytes]).error();
    assert_says(&cut(11), "3 samples are declared and r.dat holds 2", "get the record again");
    assert_says(&cut(0), "3 samples are declared and r.dat holds 0", "cut off or empty");
    let error = two_leads().changed("r 2 100 3", "r 2 100 750000000").error();
    assert_says(&error, "750000000 samples are declared and r.dat holds 3", "the header wrong");
    let error = two_leads().changed("r 2 100 3", "r 2 100 18446744073709551615").error();
    assert_says(&error, "18446744073709551615 samples are declared", "the header wrong");
    let error = two_leads().changed("r.dat 16 ", "r.dat 16+99999999999 ").error();
    assert_says(&error, "share a file in different formats", "share format and offset");
}

#[test]
fn a_missing_sample_is_named() {
    let samples: [i16; 6] = [0, 1, 2, 3, 4, -32_768];
    let error = two_leads().with_samples(samples.into_iter().flat_map(i16::to_le_bytes).collect()).error();
    assert_says(&error, "lead II has no value at sample 2", "interpolate the gap");
    let record = Record::of_leads(&["I"]).changed("r.dat 16 ", "r.dat 212 ").changed("r 1 100 3", "r 1 100 2");
    let error = record.with_samples(vec![0, 0x80, 0]).error();
    assert_says(&error, "lead I has no value at sample 1", "interpolate the gap");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    for rate in [0.0, -100.0, f64::NAN, f64::INFINITY] {
        let options = ReadOptions { sampling_rate: Some(rate), ..Default::default() };
        assert_says(&format::read(&data("format16.hea"), &options).unwrap_err(), "a sampling rate of", "positive");
    }
    let options = ReadOptions { leads: Some(Vec::new()), ..Default::default() };
    assert_says(&format::read(&data("expected.npy"), &options).unwrap_err(), "an empty list of leads", "at least one");
}

#[test]
fn an_unknown_format_is_refused_with_those_that_are_known() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.edf");
    fs::write(&path, "").unwrap();
    assert_says(&read(&path).unwrap_err(), "extension 'edf', which stands for no known format", ".hea or .dat");
    assert_says(&read(folder.path()).unwrap_err(), "is a folder", "name one of its files");
    for missing in ["a.hea", "a.npy", "a.csv", "a", "b.edf"] {
        assert_says(&read(&folder.path().join(missing)).unwrap_err(), missing, "check the path");
    }
}

/// A `.npy` file with `bytes` zeros after its header.
fn npy(descr: &str, shape: &[usize], bytes: usize) -> Vec<u8> {
    ecgpu_testing::npy(descr, shape, &vec![0; bytes])
}

/// What is said of an array, whether it is read as recordings or raw.
fn said_of(contents: &[u8]) -> [Result<()>; 2] {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.npy");
    fs::write(&path, contents).unwrap();
    let results = [read(&path).map(|_| ()), format::read_raw(&path).map(|_| ())];
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(error.cause().starts_with(&*path.to_string_lossy()), "the file is named first: {error}");
    }
    results
}

#[test]
fn a_damaged_array_is_explained() {
    let said = |contents: &[u8], cause, remedy| {
        for result in said_of(contents) {
            assert_says(&result.unwrap_err(), cause, remedy);
        }
    };
    said(b"", "no NumPy array", "numpy.save");
    said(b"PK\x03\x04 an npz", "no NumPy array", "numpy.save");
    said(&npy("<f4", &[12, 1000], 47_999), "[12, 1000] is declared, and 47999 bytes follow", "cut off");
    said(&npy("<f4", &[12, 1 << 30], 100), "is declared, and 100 bytes follow", "cut off");
    said(&npy("<f4", &[12, 1 << 31, 1 << 31], 100), "too large for any computer", "save the array again");
    said(&npy("<i4", &[12, 9], 432), "an array of type '<i4'", "float32, float64 or int16");
    said(&npy("|u1", &[12, 9], 108), "an array of type '|u1'", "float32, float64 or int16");
    said(&npy("|O", &[12, 9], 108), "an array of type '|O'", "float32, float64 or int16");
    said(&npy("<f4", &[108], 432), "an array of shape [108]", "give [12, samples]");
    said(&npy("<f4", &[12, 0], 0), "an array of shape [12, 0]", "none of them empty");
    said(&npy("<f4", &[1, 1, 12, 9], 432), "an array of shape [1, 1, 12, 9]", "a batch of these");
}

#[test]
fn an_array_of_other_leads_is_refused_as_a_recording() {
    for leads in [11, 13] {
        let [recording, raw] = said_of(&npy("<f4", &[leads, 100], leads * 400));
        let error = recording.unwrap_err();
        assert_says(&error, &format!("shape [{leads}, 100], and none of its sides is 12"), "name the");
        assert!(raw.is_ok(), "raw arrays have any number of channels");
    }
    let [recording, _] = said_of(&npy("<i2", &[12, 100], 2400));
    assert_says(&recording.unwrap_err(), "whole numbers without a unit", "such as uV");
}

#[test]
fn an_array_of_named_leads_is_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.npy");
    fs::write(&path, npy("<f4", &[100, 2], 800)).unwrap();
    let options = ReadOptions { leads: Some(vec![Lead::II, Lead::V5]), ..Default::default() };
    let recording = format::read(&path, &options).unwrap().remove(0);
    assert_eq!((recording.samples(), recording.lead(Lead::V5).is_some()), (100, true));
}

#[test]
fn as_many_samples_as_leads_are_taken_as_leads_first() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.npy");
    fs::write(&path, npy("<f4", &[12, 12], 576)).unwrap();
    let warnings = read_one(&path).warnings().to_vec();
    assert!(warnings.contains(&"as many samples as leads: taken as [12 leads, 12 samples]".into()), "{warnings:?}");
}

#[test]
fn a_value_that_is_not_finite_is_named() {
    let mut contents = npy("<f4", &[12, 100], 4800);
    let at = contents.len() - 4800 + 4 * (100 + 7);
    contents[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let [recording, raw] = said_of(&contents);
    assert_says(&recording.unwrap_err(), "lead II has NaN at sample 7", "interpolate the gap");
    assert_says(&raw.unwrap_err(), "NaN at index [1, 7]", "not finite");
}

#[test]
fn a_table_cannot_be_read_raw() {
    let error = format::read_raw(&data("table.csv")).unwrap_err();
    assert_says(&error, "table.csv is no .npy file", "numpy.save");
}

#[test]
fn a_bad_table_is_explained_with_its_line() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.csv");
    let said = |text: &str, cause, remedy| {
        fs::write(&path, text).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.cause().starts_with(&*path.to_string_lossy()), "the file is named first: {error}");
        assert_says(&error, cause, remedy);
    };
    said("", "an empty file", "a column a lead");
    said("I;II\n1;0,5\n", "line 2, column 2 (lead II): '0,5' is no number", "decimal point");
    said("I,II\n1,2\n3\n", "line 3 has 1 columns and the first line 2", "same number of columns");
    said("a,b\n1,2\n", "the first line names no lead: a, b", "name the columns I, II");
    said("1,2\n3,4\n", "2 columns without names, and 12 leads are expected", "name the leads");
}
