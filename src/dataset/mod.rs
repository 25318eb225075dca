//! PTB-XL (Wagner et al. 2020, doi 10.1038/s41597-020-0495-6; PhysioNet, version 1.0.3) as training reads it: records
//! with labels and folds, and their signals from one memory-mapped file.
//!
//! The folder is the one that PhysioNet publishes: `ptbxl_database.csv`, `scp_statements.csv` and `records100/` or
//! `records500/`. Any part of it will do, such as one fold. [`Dataset::open`] reads every record once, refuses a copy
//! with anything wrong in it, and keeps the samples in a [cache](Cached) that a later start maps in a moment.
//! [`check`](check()) says what a copy holds and all that is wrong with it; `download` (with the feature of that name)
//! fetches one.

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

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

pub use cache::Cached;
pub use check::{Counts, Report, check};
pub use metadata::Record;
pub use statements::CLASSES;

use self::{cache::Cache, metadata::Metadata};
use crate::{Error, ErrorKind, Result, ecg::Lead};

/// Leads of every record, in the order of [`Lead::STANDARD`], which is the published one.
pub const LEADS: usize = Lead::STANDARD.len();

/// The folds that train; fold 9 validates and fold 10 tests, as the publishers recommend.
pub const TRAINING_FOLDS: RangeInclusive<u8> = 1..=8;

/// Seconds of every record.
const SECONDS: usize = 10;

/// Which of the two published copies of each signal to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SamplingRate {
    /// `records100`: 1000 samples a lead.
    #[default]
    Hz100,
    /// `records500`: 5000 samples a lead.
    Hz500,
}

impl SamplingRate {
    /// Samples a second.
    pub fn hz(self) -> u32 {
        match self {
            SamplingRate::Hz100 => 100,
            SamplingRate::Hz500 => 500,
        }
    }

    /// Samples of each lead of a record.
    pub fn samples(self) -> usize {
        self.hz() as usize * SECONDS
    }

    /// Samples of all leads of a record.
    fn elements(self) -> usize {
        LEADS * self.samples()
    }

    /// The column of `ptbxl_database.csv` that names the record.
    fn column(self) -> &'static str {
        match self {
            SamplingRate::Hz100 => "filename_lr",
            SamplingRate::Hz500 => "filename_hr",
        }
    }

    /// The folder that all records of this rate are in.
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

    /// Reads `100` or `500`.
    fn from_str(text: &str) -> Result<Self> {
        [SamplingRate::Hz100, SamplingRate::Hz500].into_iter().find(|rate| rate.hz().to_string() == text).ok_or_else(
            || {
                let cause = format!("PTB-XL was not published at '{text}' Hz");
                Error::new(ErrorKind::Usage, cause, "give a sampling rate of 100 or 500")
            },
        )
    }
}

/// How a long piece of work tells how far it is: called with what is done and with all there is, from any thread.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// What to open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Which signals.
    pub sampling_rate: SamplingRate,
    /// The folder for the cache; if absent the data's own, or the user's cache folder where that cannot be written.
    pub cache: Option<PathBuf>,
}

/// Records in the order of their `ecg_id`, with their signals.
#[derive(Debug)]
pub struct Dataset {
    records: Vec<Record>,
    sampling_rate: SamplingRate,
    cache: Cache,
}

impl Dataset {
    /// Opens the copy of PTB-XL in `folder`. The first time all records are read and written into the cache, which
    /// `progress` hears of; afterwards the cache is checked against the files' names, sizes and times of change.
    ///
    /// # Errors
    /// No metadata; anything that [`check`](check()) finds wrong with rows or records, the first ten of it named; no
    /// place for the cache.
    pub fn open(folder: &Path, options: &Options, progress: Progress<'_>) -> Result<Self> {
        let Metadata { records, problems } = Metadata::read(folder, options.sampling_rate)?;
        problems::none(folder.display(), problems, &problems::repair(folder))?;
        let cache = Cache::open(folder, &records, options, progress)?;
        Ok(Self { records, sampling_rate: options.sampling_rate, cache })
    }

    /// Every record, in the order of `ecg_id`; its place is the index that the other methods take.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Samples a second.
    pub fn sampling_rate(&self) -> SamplingRate {
        self.sampling_rate
    }

    /// Where the cache lies and whether it had to be written.
    pub fn cached(&self) -> &Cached {
        self.cache.cached()
    }

    /// A record's samples in microvolts, `[leads, samples]`.
    ///
    /// # Panics
    /// If there is no such record.
    pub fn microvolts(&self, index: usize) -> &[i16] {
        self.cache.record(index)
    }

    /// Writes a record's samples in millivolts, `[leads, samples]`, into `into`: the same numbers, to the last bit, that
    /// `ecg::format::read` gives.
    ///
    /// # Panics
    /// If there is no such record, or `into` does not have [`LEADS`] × [`SamplingRate::samples`] elements.
    pub fn signal(&self, index: usize, into: &mut [f32]) {
        let microvolts = self.microvolts(index);
        assert_eq!(into.len(), microvolts.len(), "elements of a signal, leads times samples");
        for (into, x) in into.iter_mut().zip(microvolts) {
            *into = signals::millivolts(*x);
        }
    }

    /// The indices of all records in `folds`, labelled or not, in order.
    pub fn in_folds(&self, folds: RangeInclusive<u8>) -> Vec<usize> {
        self.indices(|record| folds.contains(&record.fold))
    }

    /// The indices of the labelled records in `folds`, in order.
    pub fn labelled(&self, folds: RangeInclusive<u8>) -> Vec<usize> {
        self.indices(|record| folds.contains(&record.fold) && record.is_labelled())
    }

    fn indices(&self, chosen: impl Fn(&Record) -> bool) -> Vec<usize> {
        (0..self.records.len()).filter(|index| chosen(&self.records[*index])).collect()
    }

    /// The indices of a part of the labelled records of the [`TRAINING_FOLDS`], in order: `fraction` of them to the
    /// nearest record, drawn by `seed` so that each combination of classes keeps its share within one record. A smaller
    /// fraction of the same seed is a part of a larger one.
    ///
    /// # Errors
    /// A fraction that is not above 0 and at most 1, or one that leaves a class without any record.
    pub fn label_fraction(&self, fraction: f64, seed: u64) -> Result<Vec<usize>> {
        fraction::draw(&self.records, fraction, seed)
    }
}
