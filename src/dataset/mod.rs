//! Data sets: records with labels and folds, and their signals. PTB-XL (Wagner et al. 2020, doi
//! 10.1038/s41597-020-0495-6; PhysioNet, version 1.0.3) is read from its folder, one's own records from a table.
//!
//! The folder of PTB-XL has the structure that PhysioNet publishes: `ptbxl_database.csv`, `scp_statements.csv` and
//! `records100/` or `records500/`. A part of the records is enough, such as one fold. [`Dataset::open`] reads every record
//! once, refuses a copy that has any fault, and stores the samples in a [signal cache](CacheFile) that later starts map in
//! milliseconds. The files of one's own table are read at every start. [`check`](check()) reports what a copy contains and everything that is wrong with it. The module
//! `download` (feature `download`) fetches a copy.

mod cache;
mod check;
mod checksums;
#[cfg(feature = "download")]
pub mod download;
pub mod evaluation;
mod fraction;
mod metadata;
mod own_records;
mod problems;
mod record;
mod signals;
mod statements;
mod table;

use std::{
    collections::HashMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

pub use cache::CacheFile;
pub use check::{Counts, Report, check};
pub use record::{Record, Sex};

use sha2::{Digest, Sha256};

use self::{cache::Cache, metadata::Metadata, own_records::OwnRecords};
use crate::{Error, ErrorKind, Result, Weights, ecg::Lead, worker::shared_threads};

/// The diagnostic superclasses of PTB-XL, in the order of all labels and logits: normal, myocardial infarction, ST/T change,
/// hypertrophy, conduction disturbance.
pub const CLASSES: [&str; 5] = ["NORM", "MI", "STTC", "HYP", "CD"];

/// The number of leads of every record. They are stored in the order of [`Lead::STANDARD`].
pub const LEADS: usize = Lead::STANDARD.len();

/// The folds for training. The publishers recommend fold 9 for validation and fold 10 for testing.
pub(crate) const TRAINING_FOLDS: RangeInclusive<u8> = 1..=8;

/// The duration of every record of PTB-XL in seconds, and the longest that is read of other records.
const SECONDS: usize = 10;

/// The sampling rate at which signals are read; PTB-XL publishes each signal at both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SamplingRate {
    /// 100 Hz, from `records100`: 1000 samples per lead.
    #[default]
    Hz100,
    /// 500 Hz, from `records500`: 5000 samples per lead.
    Hz500,
}

impl SamplingRate {
    /// Returns the rate in Hz.
    pub fn hz(self) -> u32 {
        match self {
            SamplingRate::Hz100 => 100,
            SamplingRate::Hz500 => 500,
        }
    }

    /// Returns the number of samples per lead of a record.
    pub(crate) fn samples(self) -> usize {
        self.hz() as usize * SECONDS
    }

    /// Returns the number of samples of a record, all leads together.
    fn elements(self) -> usize {
        LEADS * self.samples()
    }

    /// Returns the column of `ptbxl_database.csv` that has the paths of the records.
    fn column(self) -> &'static str {
        match self {
            SamplingRate::Hz100 => "filename_lr",
            SamplingRate::Hz500 => "filename_hr",
        }
    }

    /// Returns the folder that contains all records of this rate.
    fn folder(self) -> &'static str {
        match self {
            SamplingRate::Hz100 => "records100",
            SamplingRate::Hz500 => "records500",
        }
    }
}

impl std::fmt::Display for SamplingRate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{} Hz", self.hz()))
    }
}

impl std::str::FromStr for SamplingRate {
    type Err = Error;

    /// Parses `100` or `500`.
    fn from_str(text: &str) -> Result<Self> {
        [SamplingRate::Hz100, SamplingRate::Hz500].into_iter().find(|rate| rate.hz().to_string() == text).ok_or_else(
            || {
                let cause = format!("PTB-XL was not published at '{text}' Hz");
                Error::new(ErrorKind::Usage, cause, "give a sampling rate of 100 or 500")
            },
        )
    }
}

/// Receives the progress of reading records: how many are done, and how many there are. It may be called from any thread.
pub type ProgressCallback<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// How to open a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The sampling rate of the signals.
    pub sampling_rate: SamplingRate,
    /// The folder for the signal cache. By default it is the data folder, or the user's cache folder if the data folder
    /// cannot be written.
    pub cache: Option<PathBuf>,
}

/// An opened data set: records sorted by `ecg_id`, with their signals.
#[derive(Debug)]
pub struct Dataset {
    records: Vec<Record>,
    classes: Vec<String>,
    statements: Vec<String>,
    sampling_rate: SamplingRate,
    samples: usize,
    signals: Signals,
    notes: Vec<String>,
}

/// Where the samples of a data set are stored.
#[derive(Debug)]
enum Signals {
    /// In PTB-XL's signal cache.
    Cache(Cache),
    /// In memory, in mV, `[records, leads, samples]`.
    Memory(Vec<f32>),
}

impl Dataset {
    /// Opens a data set: the folder of a copy of PTB-XL, or a table of one's own records, a file with the columns `file`,
    /// `labels`, `fold` and `patient`.
    ///
    /// The first time, all records of PTB-XL are read, reported to `progress` and written into the signal cache. Later the
    /// cache is compared with the names, sizes and modification times of the files.
    ///
    /// # Errors
    /// The metadata cannot be read; a row or a record has a fault, which for PTB-XL is one that [`check`](check()) would
    /// report (the error names the first ten); the cache cannot be written anywhere.
    pub fn open(path: &Path, options: &Options, progress: ProgressCallback<'_>) -> Result<Self> {
        shared_threads()?;
        let mut dataset = if path.is_file() {
            Self::of_own(path, options, progress)
        } else {
            Self::of_ptb_xl(path, options, progress)
        }?;
        dataset.notes.extend(patients_in_several_folds(&dataset.records));
        Ok(dataset)
    }

    fn of_ptb_xl(folder: &Path, options: &Options, progress: ProgressCallback<'_>) -> Result<Self> {
        let Metadata { records, problems, statements } = Metadata::read(folder, options.sampling_rate)?;
        problems::none(folder.display(), problems, problems::REPAIR)?;
        let signals = Signals::Cache(Cache::open(folder, &records, options, progress)?);
        let classes = CLASSES.map(String::from).to_vec();
        let (sampling_rate, samples) = (options.sampling_rate, options.sampling_rate.samples());
        Ok(Self { records, classes, statements, sampling_rate, samples, signals, notes: Vec::new() })
    }

    fn of_own(table: &Path, options: &Options, progress: ProgressCallback<'_>) -> Result<Self> {
        let sampling_rate = options.sampling_rate;
        let OwnRecords { records, classes, samples, signals, notes } =
            OwnRecords::read(table, sampling_rate, progress)?;
        let (signals, statements) = (Signals::Memory(signals), Vec::new());
        Ok(Self { records, classes, statements, sampling_rate, samples, signals, notes })
    }

    /// Returns all records, sorted by `ecg_id`. The other methods take indices into this slice.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Returns the names of the classes, in the order of [`Record::classes`].
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Checks that weights have the classes of the data set, in their order.
    ///
    /// # Errors
    /// They differ.
    pub fn check_classes(&self, weights: &Weights) -> Result<()> {
        if weights.contract.classes == self.classes {
            return Ok(());
        }
        let [has, needs] = [&weights.contract.classes, &self.classes].map(|classes| classes.join(", "));
        let cause = format!("{}: a network of the classes {has}, and the data have {needs}", weights.source);
        Err(Error::new(ErrorKind::Weights, cause, "give weights that were trained on the classes of the data"))
    }

    /// Returns the names of the SCP-ECG statements, which a table of one's own records does not have.
    pub(crate) fn statements(&self) -> &[String] {
        &self.statements
    }

    /// Returns remarks for the user, such as that a patient has records in several folds.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns the number of samples per lead of every record.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Returns the sampling rate of the signals.
    pub fn sampling_rate(&self) -> SamplingRate {
        self.sampling_rate
    }

    /// Returns the path of PTB-XL's signal cache, and whether it had to be written; `None` for one's own records.
    pub fn cache_file(&self) -> Option<&CacheFile> {
        match &self.signals {
            Signals::Cache(cache) => Some(cache.file()),
            Signals::Memory(_) => None,
        }
    }

    /// Writes the samples of a record in mV, `[leads, samples]`, to `into`. They are bit-identical to what the reader of
    /// the file's format returns.
    ///
    /// # Panics
    /// If the index is out of range, or `into` does not have [`LEADS`] × samples elements.
    pub fn signal(&self, index: usize, into: &mut [f32]) {
        let length = LEADS * self.samples;
        assert_eq!(into.len(), length, "a signal has leads × samples elements");
        match &self.signals {
            Signals::Memory(all) => into.copy_from_slice(&all[index * length..][..length]),
            Signals::Cache(cache) => {
                let microvolts = into.iter_mut().zip(cache.record(index));
                microvolts.for_each(|(into, x)| *into = signals::millivolts(*x));
            }
        }
    }

    /// Returns the SHA-256 of the records' names, folds, labels and samples in hexadecimal digits.
    pub fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        let mut signal = vec![0.0; LEADS * self.samples];
        hash.update(self.classes.join(","));
        for (index, record) in self.records.iter().enumerate() {
            hash.update(format!("{} {} {:?}", record.ecg_id, record.fold, record.classes));
            self.signal(index, &mut signal);
            let bytes: Vec<u8> = signal.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            hash.update(bytes);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the indices of all records in `folds`, labelled or not, in ascending order.
    pub fn in_folds(&self, folds: RangeInclusive<u8>) -> Vec<usize> {
        self.indices(|record| folds.contains(&record.fold))
    }

    /// Returns the indices of the labelled records in `folds`, in ascending order.
    pub fn labelled(&self, folds: RangeInclusive<u8>) -> Vec<usize> {
        self.indices(|record| folds.contains(&record.fold) && record.is_labelled())
    }

    fn indices(&self, chosen: impl Fn(&Record) -> bool) -> Vec<usize> {
        (0..self.records.len()).filter(|index| chosen(&self.records[*index])).collect()
    }

    /// Chooses a fraction of the labelled records of folds 1 to 8 at random and returns their indices in
    /// ascending order. Each combination of classes keeps its share to within one record. For one `seed` a smaller fraction
    /// is a subset of a larger one.
    ///
    /// # Errors
    /// The fraction is not above 0 and at most 1, or it leaves a class without any record.
    pub fn label_fraction(&self, fraction: f64, seed: u64) -> Result<Vec<usize>> {
        fraction::draw(&self.records, &self.classes, fraction, seed)
    }
}

/// Returns a remark if patients have records in several folds: a network that was trained on one of them recognises the
/// patient in the other, and its figures are too good.
fn patients_in_several_folds(records: &[Record]) -> Option<String> {
    let mut folds: HashMap<u32, u16> = HashMap::new();
    for record in records {
        *folds.entry(record.patient_id).or_default() |= 1 << record.fold;
    }
    let shared = folds.values().filter(|folds| folds.count_ones() > 1).count();
    (shared > 0).then(|| {
        format!(
            "WARNING: {shared} of {} patients have records in several folds: figures on one fold are too good for a network \
             that was trained on another",
            folds.len()
        )
    })
}
