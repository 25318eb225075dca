//! The data set PTB-XL (Wagner et al. 2020, doi 10.1038/s41597-020-0495-6; PhysioNet, version 1.0.3): records with labels
//! and folds, and their signals from one memory-mapped file.
//!
//! The data folder has the structure that PhysioNet publishes: `ptbxl_database.csv`, `scp_statements.csv` and
//! `records100/` or `records500/`. A part of the records is enough, such as one fold. [`Dataset::open`] reads every record
//! once, refuses a copy that has any fault, and stores the samples in a [signal cache](CacheFile) that later starts map in
//! milliseconds. [`check`](check()) reports what a copy contains and everything that is wrong with it. The module
//! `download` (feature `download`) fetches a copy.

mod cache;
mod check;
mod checksums;
#[cfg(feature = "download")]
pub mod download;
mod fraction;
mod metadata;
mod problems;
mod signals;
mod statements;
mod table;

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

pub use cache::CacheFile;
pub use check::{Counts, Report, check};
pub use metadata::Record;

use self::{cache::Cache, metadata::Metadata};
use crate::{Error, ErrorKind, Result, ecg::Lead, worker::shared_threads};

/// The diagnostic superclasses, in the order of all labels and logits: normal, myocardial infarction, ST/T change,
/// hypertrophy, conduction disturbance.
pub const CLASSES: [&str; 5] = ["NORM", "MI", "STTC", "HYP", "CD"];

/// The number of leads of every record. They are stored in the order of [`Lead::STANDARD`].
pub const LEADS: usize = Lead::STANDARD.len();

/// The folds for training. The publishers recommend fold 9 for validation and fold 10 for testing.
pub(crate) const TRAINING_FOLDS: RangeInclusive<u8> = 1..=8;

/// The duration of every record in seconds.
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

/// An opened copy of PTB-XL: records sorted by `ecg_id`, with their signals.
#[derive(Debug)]
pub struct Dataset {
    records: Vec<Record>,
    sampling_rate: SamplingRate,
    cache: Cache,
}

impl Dataset {
    /// Opens the copy of PTB-XL in `folder`. The first time, all records are read, reported to `progress` and written into
    /// the signal cache. Later the cache is compared with the names, sizes and modification times of the files.
    ///
    /// # Errors
    /// The metadata cannot be read; a row or a record has a fault that [`check`](check()) would report (the error names
    /// the first ten); the cache cannot be written anywhere.
    pub fn open(folder: &Path, options: &Options, progress: ProgressCallback<'_>) -> Result<Self> {
        shared_threads()?;
        let Metadata { records, problems } = Metadata::read(folder, options.sampling_rate)?;
        problems::none(folder.display(), problems, problems::REPAIR)?;
        let cache = Cache::open(folder, &records, options, progress)?;
        Ok(Self { records, sampling_rate: options.sampling_rate, cache })
    }

    /// Returns all records, sorted by `ecg_id`. The other methods take indices into this slice.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Returns the sampling rate of the signals.
    pub(crate) fn sampling_rate(&self) -> SamplingRate {
        self.sampling_rate
    }

    /// Returns the path of the signal cache, and whether it had to be written.
    pub fn cache_file(&self) -> &CacheFile {
        self.cache.file()
    }

    /// Returns the samples of a record in microvolts, `[leads, samples]`.
    ///
    /// # Panics
    /// If the index is out of range.
    pub fn microvolts(&self, index: usize) -> &[i16] {
        self.cache.record(index)
    }

    /// Writes the samples of a record in mV, `[leads, samples]`, to `into`. They are bit-identical to what the WFDB reader
    /// returns.
    ///
    /// # Panics
    /// If the index is out of range, or `into` does not have [`LEADS`] × samples elements.
    pub fn signal(&self, index: usize, into: &mut [f32]) {
        let microvolts = self.microvolts(index);
        assert_eq!(into.len(), microvolts.len(), "a signal has leads × samples elements");
        for (into, x) in into.iter_mut().zip(microvolts) {
            *into = signals::millivolts(*x);
        }
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
        fraction::draw(&self.records, fraction, seed)
    }
}
