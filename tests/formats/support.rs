//! Reading the files of `tests/data`, and making small records and arrays.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use ecgpu::ecg::format::ReadOptions;
use ecgpu::ecg::{Lead, Unit, format};
use ecgpu::{Error, Recording, Result};
use ecgpu_testing::python;
use tempfile::TempDir;

pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

pub fn read(path: &Path) -> Result<Vec<Recording>> {
    format::read(path, &ReadOptions::default())
}

pub fn read_one(path: &Path) -> Recording {
    let recordings = read(path).unwrap();
    assert_eq!(recordings.len(), 1, "{}", path.display());
    recordings.into_iter().next().unwrap()
}

pub fn microvolts() -> ReadOptions {
    ReadOptions { unit: Some(Unit::Microvolt), ..Default::default() }
}

/// Asserts that `recording` holds the first samples of the values that every fixture holds.
pub fn assert_expected(recording: &Recording) {
    let expected = format::read_raw(&data("expected.npy")).unwrap();
    assert_eq!(expected.shape, [1, 12, 1000]);
    for (lead, values) in Lead::STANDARD.iter().zip(expected.values.chunks(1000)) {
        let signal = recording.lead(*lead).unwrap();
        let difference = signal.iter().zip(values).map(|(x, y)| (x - y).abs()).fold(0f32, f32::max);
        assert!(difference < 1e-6, "{} differs by {difference} mV in lead {lead}", recording.name());
    }
}

pub fn assert_says(error: &Error, cause: &str, remedy: &str) {
    assert!(error.cause().contains(cause), "cause: {}\nexpected: {cause}", error.cause());
    assert!(error.remedy().contains(remedy), "remedy: {}\nexpected: {remedy}", error.remedy());
    assert!(!error.to_string().contains('\n'), "one line: {error}");
    assert!(!error.to_string().ends_with('.'), "no full stop: {error}");
}

/// A small record in its own folder, in format 16. Its three samples per lead count up from 0 µV.
pub struct Record {
    pub folder: TempDir,
}

impl Record {
    pub fn of_leads(leads: &[&str]) -> Self {
        let count = leads.len() as i16;
        let mut header = format!("r {count} 100 3\n");
        for (first, lead) in (0..).zip(leads) {
            let checksum = 3 * first + 3 * count;
            header += &format!("r.dat 16 1000(0)/mV 16 0 {first} {checksum} 0 {lead}\n");
        }
        let record = Self { folder: TempDir::new().unwrap() };
        record.with_header(header).with_samples((0..3 * count).flat_map(i16::to_le_bytes).collect())
    }

    pub fn header(&self) -> PathBuf {
        self.folder.path().join("r.hea")
    }

    pub fn with_header(self, text: impl AsRef<[u8]>) -> Self {
        fs::write(self.header(), text).unwrap();
        self
    }

    pub fn with_samples(self, bytes: Vec<u8>) -> Self {
        fs::write(self.folder.path().join("r.dat"), bytes).unwrap();
        self
    }

    /// Replaces text in the header.
    pub fn changed(self, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(self.header()).unwrap();
        assert!(text.contains(from), "'{from}' is not in the header");
        self.with_header(text.replacen(from, to, 1))
    }

    pub fn error(&self) -> Error {
        let error = read(&self.header()).unwrap_err();
        assert!(error.cause().starts_with(&*self.header().to_string_lossy()), "the file is named first: {error}");
        error
    }
}

pub fn two_leads() -> Record {
    Record::of_leads(&["I", "II"])
}

/// Builds a `.npy` file with `bytes` zeros after its header.
pub fn npy(descr: &str, shape: &[usize], bytes: usize) -> Vec<u8> {
    ecgpu_testing::npy(descr, shape, &vec![0; bytes])
}

/// Reads an array as recordings and as a raw array. Each error must name the file first.
pub fn said_of(contents: &[u8]) -> [Result<()>; 2] {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.npy");
    fs::write(&path, contents).unwrap();
    let results = [read(&path).map(|_| ()), format::read_raw(&path).map(|_| ())];
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(error.cause().starts_with(&*path.to_string_lossy()), "the file is named first: {error}");
    }
    results
}

/// Writes a recording as a table: a column for each lead, in millivolts, and the leads' names in the first line.
pub fn as_table(recording: &Recording) -> String {
    let names: Vec<&str> = recording.leads().map(|(lead, _)| lead.name()).collect();
    let row = |n: usize| recording.leads().map(|(_, signal)| signal[n].to_string()).collect::<Vec<_>>().join(",");
    let rows: Vec<String> = (0..recording.samples()).map(row).collect();
    format!("{}\n{}\n", names.join(","), rows.join("\n"))
}

/// A script that writes files into a folder.
#[cfg_attr(not(feature = "all-formats"), allow(dead_code))]
#[derive(Debug, Clone, Copy)]
pub enum Script {
    Arrays,
    Dicom,
    Edf,
    Ishne,
    Wfdb,
}

impl Script {
    /// Returns the folder with the files, which are written once for all tests. Without Python it says that the test is
    /// skipped.
    pub fn folder(self) -> Option<&'static Path> {
        static FOLDERS: [OnceLock<Option<PathBuf>>; 5] = [const { OnceLock::new() }; 5];
        FOLDERS[self as usize].get_or_init(|| self.write()).as_deref()
    }

    fn write(self) -> Option<PathBuf> {
        let (packages, script) = match self {
            Self::Arrays => ("numpy, scipy.io, h5py", "formats/write_arrays.py"),
            Self::Dicom => ("pydicom, numpy", "formats/write_dicom.py"),
            Self::Edf => ("edfio, numpy", "formats/write_edf.py"),
            Self::Ishne => ("ishneholterlib, wfdb", "formats/write_ishne.py"),
            Self::Wfdb => ("wfdb, soundfile", "formats/write_wfdb.py"),
        };
        let run = python(packages, script)?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{self:?}"));
        // What an earlier run has left.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        run(&[folder.as_os_str()]);
        Some(folder)
    }
}

/// Writes a recording in the format of the path's extension.
pub fn write(recording: &Recording, path: &Path, comments: &[&str]) -> Result<()> {
    let comments: Vec<String> = comments.iter().map(|comment| comment.to_string()).collect();
    format::Writer::of(path)?.write(recording, path, &comments)
}
