//! One recording in every format, by whatever writes it, gives the same samples.

use std::fs;
use std::path::{Path, PathBuf};

use ecgpu::{
    Recording,
    ecg::{
        Lead, Unit,
        format::{self, ReadOptions, Writer},
    },
};
use tempfile::TempDir;

use crate::support::{Script, as_table, data};

/// Who has written a file.
enum By {
    /// An established library, long ago: a file of `tests/data`.
    Kept,
    /// An established library, for this test.
    Python(Script),
    /// The library under test.
    Library,
    /// An encoder of these tests, where no library writes the format.
    Encoder(fn() -> Vec<u8>),
}

/// A file that holds the recording of `tests/data/expected.npy`, and what must be read from it.
struct Row {
    file: &'static str,
    by: By,
    /// States what the file does not.
    options: ReadOptions,
    /// The leads in the order of the file.
    leads: Vec<Lead>,
    /// The step of the file's numbers in millivolts; zero where the recording's samples are whole steps.
    step: f32,
    warnings: &'static [&'static str],
    /// How often the file holds the recording.
    times: usize,
}

impl Row {
    fn new(file: &'static str, by: By) -> Self {
        let options = ReadOptions::default();
        Self { file, by, options, leads: Lead::STANDARD.to_vec(), step: 0.0, warnings: &[], times: 1 }
    }

    /// States the sampling rate, and this unit.
    fn stating(self, unit: Unit) -> Self {
        Self { options: ReadOptions { sampling_rate: Some(100.0), unit: Some(unit), leads: None }, ..self }
    }

    fn of_leads(self, leads: impl IntoIterator<Item = Lead>) -> Self {
        Self { leads: leads.into_iter().collect(), ..self }
    }

    fn in_steps_of(self, step: f32) -> Self {
        Self { step, ..self }
    }

    fn warning_of(self, warnings: &'static [&'static str]) -> Self {
        Self { warnings, ..self }
    }
}

fn kept(file: &'static str) -> Row {
    Row::new(file, By::Kept)
}

fn python(script: Script) -> impl Fn(&'static str) -> Row {
    move |file| Row::new(file, By::Python(script))
}

fn library(file: &'static str) -> Row {
    Row::new(file, By::Library)
}

fn encoded(file: &'static str, encoder: fn() -> Vec<u8>) -> Row {
    Row::new(file, By::Encoder(encoder))
}

/// The table: a function for each format.
fn rows() -> Vec<Row> {
    let formats = [
        wfdb(),
        numpy(),
        tables(),
        #[cfg(feature = "dicom")]
        dicom(),
        #[cfg(feature = "edf")]
        edf(),
        #[cfg(feature = "ishne")]
        ishne(),
        #[cfg(feature = "scp")]
        scp(),
        #[cfg(all(feature = "muse", feature = "aecg", feature = "philips"))]
        xml(),
        #[cfg(feature = "mat")]
        mat(),
        #[cfg(feature = "hdf5")]
        hdf5(),
        #[cfg(feature = "compressed")]
        compressed(),
    ];
    formats.into_iter().flatten().collect()
}

fn wfdb() -> Vec<Row> {
    const SYNTHETIC: &[&str] = &["a synthetic signal, not a patient's"];
    let written = python(Script::Wfdb);
    let eleven = |file| written(file).of_leads(Lead::STANDARD[..11].to_vec());
    let chest_first = [&Lead::STANDARD[6..], &[Lead::AVF, Lead::AVL, Lead::AVR, Lead::III, Lead::II, Lead::I]].concat();
    let mut rows = vec![
        kept("format16.hea").warning_of(SYNTHETIC),
        kept("format212.hea").warning_of(SYNTHETIC),
        kept("permuted.hea").of_leads(chest_first).warning_of(SYNTHETIC),
        written("f16.hea"),
        written("f24.hea"),
        written("f32.hea"),
        written("f212.hea"),
        written("f80.hea").in_steps_of(0.08),
        eleven("f61.hea"),
        eleven("f160.hea"),
        eleven("f310.hea").in_steps_of(0.02),
        eleven("f311.hea").in_steps_of(0.02),
        written("two16.hea"),
        written("two212.hea"),
        written("mixed.hea").warning_of(&["ignored, since no standard lead: RESP"]),
        written("fixed.hea"),
        library("written.hea"),
    ];
    if cfg!(feature = "flac") {
        rows.extend(["f516.hea", "f524.hea", "two516.hea"].map(&written));
        rows.push(written("f508.hea").in_steps_of(0.08));
    }
    rows
}

fn numpy() -> Vec<Row> {
    let written = python(Script::Arrays);
    let whole = ["int16.npy", "int32.npy", "int64.npy", "big_i2.npy", "big_i4.npy", "big_i8.npy"];
    let real = ["float32.npy", "float64.npy", "big_f4.npy", "big_f8.npy", "shape_1_12_1000_1.npy"];
    let mut rows = vec![
        kept("expected.npy").stating(Unit::Millivolt),
        kept("microvolts_i16_fortran.npy").stating(Unit::Microvolt),
        written("half.npy").stating(Unit::Millivolt).in_steps_of(0.001),
        Row { times: 2, ..written("fortran_batch.npy").stating(Unit::Millivolt) },
        library("written.npy").stating(Unit::Millivolt),
    ];
    rows.extend(whole.map(|file| written(file).stating(Unit::Microvolt)));
    rows.extend(real.map(|file| written(file).stating(Unit::Millivolt)));
    rows
}

fn tables() -> Vec<Row> {
    let tabs = || as_table(&expected()).replace(',', "\t").into_bytes();
    let decimal_commas = || as_table(&expected()).replace(',', ";").replace('.', ",").into_bytes();
    vec![
        kept("table.csv").stating(Unit::Millivolt),
        encoded("tabs.tsv", tabs).stating(Unit::Millivolt),
        encoded("tabs.asc", tabs).stating(Unit::Millivolt),
        encoded("decimal_commas.txt", decimal_commas).stating(Unit::Millivolt),
        library("written.csv"),
    ]
}

#[cfg(feature = "dicom")]
fn dicom() -> Vec<Row> {
    let files = [
        "explicit.dcm",
        "implicit.dcm",
        "implicit_undefined.dcm",
        "big_endian.dcm",
        "deflated.dcm",
        "bare_implicit.dcm",
        "bare_explicit.dcm",
        "labels.dcm",
        "bits32.dcm",
        "bits32_big_endian.dcm",
        "unsigned.dcm",
        "unsigned32.dcm",
        "millivolts.dcm",
        "nanovolts.dcm",
        "split.dcm",
        "median.dcm",
        "zero_padding.dcm",
    ];
    files.map(python(Script::Dicom)).into()
}

#[cfg(feature = "edf")]
fn edf() -> Vec<Row> {
    let written = python(Script::Edf);
    // 10 mV in 16 bits, and 524 mV in 24 bits.
    vec![
        written("plus.edf").in_steps_of(0.000_16),
        written("rates.edf").in_steps_of(0.000_16).warning_of(&["ignored, since no standard lead: Resp chest"]),
        written("short_records.edf").in_steps_of(0.000_16),
        written("nanovolts.edf").in_steps_of(0.000_16),
        written("plus.bdf").in_steps_of(0.000_032),
        library("written.edf"),
    ]
}

#[cfg(feature = "ishne")]
fn ishne() -> Vec<Row> {
    vec![kept("holter.ecg"), python(Script::Ishne)("holter.ecg")]
}

#[cfg(feature = "scp")]
fn scp() -> Vec<Row> {
    use crate::{scp::expected as written, scp_writer::Coding};
    vec![
        kept("huffman.scp"),
        encoded("plain_0.scp", || written(Coding::Plain, 0)),
        encoded("plain_1.scp", || written(Coding::Plain, 1)),
        encoded("plain_2.scp", || written(Coding::Plain, 2)),
        encoded("default_0.scp", || written(Coding::Default, 0)),
        encoded("default_1.scp", || written(Coding::Default, 1)),
        encoded("default_2.scp", || written(Coding::Default, 2)),
        encoded("own_0.scp", || written(Coding::Own, 0)),
        encoded("own_1.scp", || written(Coding::Own, 1)),
        encoded("own_2.scp", || written(Coding::Own, 2)),
    ]
}

#[cfg(all(feature = "muse", feature = "aecg", feature = "philips"))]
fn xml() -> Vec<Row> {
    use crate::xml::{STORED, aecg, muse, philips};
    vec![
        encoded("muse.xml", || muse::of(1000).into()).of_leads(STORED).in_steps_of(0.004_88),
        encoded("aecg.xml", || aecg::of(1000).into()).of_leads(STORED),
        encoded("philips_1_03.xml", || philips::of(1000).into()),
        encoded("philips_1_03_base64.xml", || philips::base64_1_03().into()),
        encoded("philips_1_03_plain.xml", || philips::plain_1_03().into()),
        encoded("philips_1_04.xml", || philips::xli_1_04().into()),
        encoded("philips_1_04_base64.xml", || philips::base64_1_04().into()),
    ]
}

#[cfg(feature = "mat")]
fn mat() -> Vec<Row> {
    let written = python(Script::Arrays);
    let whole = ["level4.mat", "level5.mat", "level5_compressed.mat"];
    let mut rows = vec![
        written("level4_double.mat").stating(Unit::Millivolt),
        written("level5_single.mat").stating(Unit::Millivolt),
        written("stated.mat").of_leads(Lead::STANDARD.into_iter().rev()),
    ];
    rows.extend(whole.map(|file| written(file).stating(Unit::Microvolt)));
    if cfg!(feature = "hdf5") {
        rows.push(written("matlab73.mat").stating(Unit::Microvolt));
    }
    rows
}

#[cfg(feature = "hdf5")]
fn hdf5() -> Vec<Row> {
    let written = python(Script::Arrays);
    // HDF5 lists the data sets of a group by their names, of which a small letter comes after V.
    let sorted = [&Lead::STANDARD[..3], &Lead::STANDARD[6..], &[Lead::AVF, Lead::AVL, Lead::AVR]].concat();
    vec![
        written("stated.h5").of_leads(Lead::STANDARD.into_iter().rev()),
        written("leads.h5").stating(Unit::Millivolt).of_leads(sorted),
        written("half.h5").stating(Unit::Millivolt).in_steps_of(0.001),
    ]
}

#[cfg(feature = "compressed")]
fn compressed() -> Vec<Row> {
    let written = python(Script::Arrays);
    let files = ["one.npz", "preferred.npz", "leads.npz", "array.npy.gz", "one.npz.gz"];
    let mut rows: Vec<Row> = files.map(|file| written(file).stating(Unit::Millivolt)).into();
    rows.push(written("stated.npz").of_leads(Lead::STANDARD.into_iter().rev()));
    rows
}

/// The recording that every file holds.
fn expected() -> Recording {
    let array = format::read_raw(&data("expected.npy")).unwrap();
    let leads = Lead::STANDARD.into_iter().zip(array.values.chunks(1000)).map(|(lead, x)| (lead, x.to_vec()));
    Recording::new("expected", 100.0, leads.collect()).unwrap()
}

/// Returns the path of a row's file; nothing without Python.
fn file(row: &Row, folder: &Path) -> Option<PathBuf> {
    let path = folder.join(row.file);
    match &row.by {
        By::Kept => return Some(data(row.file)),
        By::Python(script) => return Some(script.folder()?.join(row.file)),
        By::Library => Writer::of(&path).unwrap().write(&expected(), &path, &[]).unwrap(),
        By::Encoder(encoder) => fs::write(&path, encoder()).unwrap(),
    }
    Some(path)
}

/// Asserts that a recording has the rate, the leads and, within a step, the samples that are expected.
fn assert_same(row: &Row, recording: &Recording, expected: &Recording) {
    assert_eq!((recording.sampling_rate(), recording.samples()), (100.0, 1000), "{}", row.file);
    assert_eq!(recording.leads().map(|(lead, _)| lead).collect::<Vec<_>>(), row.leads, "{}", row.file);
    // Those that follow from I and II too, whether the file has them or not.
    let leads = [&row.leads[..], &Lead::STANDARD[2..6]].concat();
    for (lead, signal) in leads.iter().zip(recording.in_order(&leads).unwrap()) {
        let differences = signal.iter().zip(expected.lead(*lead).unwrap()).map(|(x, y)| (x - y).abs());
        let largest = differences.fold(0f32, f32::max);
        assert!(largest <= row.step + 1e-6, "{} differs by {largest} mV in lead {lead}", row.file);
    }
}

#[test]
fn one_recording_has_the_same_samples_in_every_format() {
    let (expected, folder) = (expected(), TempDir::new().unwrap());
    for row in rows() {
        let Some(path) = file(&row, folder.path()) else { continue };
        let recordings = format::read(&path, &row.options).unwrap_or_else(|error| panic!("{}: {error}", row.file));
        let stem = row.file.split('.').next().unwrap();
        let names = (0..row.times).map(|at| if row.times == 1 { stem.into() } else { format!("{stem}[{at}]") });
        assert_eq!(recordings.iter().map(Recording::name).collect::<Vec<_>>(), names.collect::<Vec<_>>());
        for recording in &recordings {
            assert_eq!(recording.warnings(), row.warnings, "{}", row.file);
            assert_same(&row, recording, &expected);
        }
        if !row.file.ends_with(".hea") {
            let unnamed = format::read_bytes("unnamed", &fs::read(&path).unwrap(), &row.options);
            let unnamed = unnamed.unwrap_or_else(|error| panic!("{} without its name: {error}", row.file));
            assert!(unnamed[0].leads().eq(recordings[0].leads()), "{} without its name", row.file);
        }
    }
}

#[test]
#[cfg(all(feature = "dicom", feature = "aecg", feature = "scp"))]
fn three_exports_of_a_device_hold_one_recording() {
    use crate::support::read_one;
    let Some(folder) = ecgpu_testing::shared_folder("ECGPU_FORMATS", "shared/formats") else { return };
    let dicom = read_one(&folder.join("demo.dcm"));
    let first = [Lead::I, Lead::II, Lead::V1].map(|lead| (dicom.lead(lead).unwrap()[0] / 0.0025).round());
    assert_eq!(first, [-2.0, -7.0, 43.0], "the rhythm, and not the median beat");
    for name in ["demo.dcm", "demo-aecg.xml", "demo.scp"] {
        let recording = read_one(&folder.join(name));
        assert_eq!((recording.sampling_rate(), recording.samples(), recording.leads().len()), (500.0, 5000, 12));
        assert!(recording.warnings().is_empty(), "{name}: {:?}", recording.warnings());
        for (lead, signal) in dicom.leads() {
            let same = signal.iter().zip(recording.lead(lead).unwrap()).all(|(x, y)| (x - y).abs() < 1e-6);
            assert!(same, "{name}: lead {lead}");
        }
    }
}
