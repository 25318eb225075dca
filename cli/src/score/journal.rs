//! The journal of a run: every result in order, so that a run that was killed goes on where it stopped.
//!
//! The first line states what the run computes and on what. Each further line is one result in JSON, or the end of a batch.
//! What comes after the last end of a batch is cut off when the run goes on. The same batches are then formed again, so that
//! the results have the same bits as those of a run that was not stopped.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use ecgpu::{Error, ErrorKind, Hint, Result};
use serde::{Deserialize, Serialize};

use super::position::Stopped;

/// What a run computes and on what. Runs whose conditions differ must not be joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    pub version: String,
    /// SHA-256 of the weights file, in hexadecimal.
    pub weights_sha256: String,
    pub network: String,
    pub classes: Vec<String>,
    pub device: String,
    pub backend: String,
    pub precision: String,
    /// The sources and what is stated of them, in words.
    pub sources: String,
    /// Recordings of a batch.
    pub batch: usize,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Result(Entry),
    /// The end of a batch: where the next one begins.
    Batch(Stopped),
}

/// The result of a recording, or the error of a recording or of a file that could not be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub source: String,
    pub record: String,
    pub outcome: Outcome,
}

/// A score or an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Score(Score),
    Error { cause: String, remedy: String },
}

/// The score of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub sampling_rate_hz: f64,
    pub duration_s: f64,
    pub probabilities: Vec<f64>,
    pub logits: Vec<f32>,
    pub labels: Vec<String>,
    pub warnings: Vec<String>,
}

/// A journal that is being written. It is locked, so that no two processes write it.
pub struct Journal {
    path: PathBuf,
    file: BufWriter<File>,
    /// Where the next batch begins.
    pub stopped: Stopped,
    pub counts: Counts,
}

/// How many results there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub scores: u64,
    pub errors: u64,
}

impl Counts {
    fn add(&mut self, entry: &Entry) {
        match entry.outcome {
            Outcome::Score(_) => self.scores += 1,
            Outcome::Error { .. } => self.errors += 1,
        }
    }
}

impl Journal {
    /// Begins a journal at `path`, where there is none.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(path: &Path, conditions: &Conditions) -> Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let mut journal = Self::of(path, file.map_err(|error| Error::file(path, error))?)?;
        journal.write(conditions)?;
        journal.flush()?;
        Ok(journal)
    }

    /// Goes on with the journal at `path`, after cutting off a batch that is not complete.
    ///
    /// # Errors
    /// It cannot be read, is damaged, is being written, or is that of a run under other conditions.
    pub fn go_on(path: &Path, conditions: &Conditions) -> Result<Self> {
        let failed = |error| Error::file(path, error);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        let mut journal = Self::of(path, file)?;
        let mut reader = BufReader::new(journal.file.get_ref());
        let mut text = String::new();
        let mut end = reader.read_line(&mut text).map_err(failed)? as u64;
        let begun: Conditions = serde_json::from_str(&text).map_err(|error| damaged(path, &error))?;
        if let Some(difference) = begun.difference(conditions) {
            let cause = format!("{}: the run began with {difference}", path.display());
            return Err(
                Error::new(ErrorKind::Usage, cause, "go on with the same, or begin anew").with_hint(Hint::Overwrite)
            );
        }
        let (mut at, mut counts, mut stopped, mut counted) =
            (end, Counts::default(), Stopped::default(), Counts::default());
        loop {
            text.clear();
            let read = reader.read_line(&mut text).map_err(failed)?;
            // The last line may have been cut off.
            let line = text.strip_suffix('\n').and_then(|text| serde_json::from_str::<Line>(text).ok());
            at += read as u64;
            match line {
                Some(Line::Result(entry)) => counts.add(&entry),
                Some(Line::Batch(next)) => (end, stopped, counted) = (at, next, counts),
                None => break,
            }
        }
        let file = journal.file.get_mut();
        file.set_len(end).and_then(|()| file.seek(SeekFrom::End(0))).map_err(failed)?;
        (journal.stopped, journal.counts) = (stopped, counted);
        Ok(journal)
    }

    fn of(path: &Path, file: File) -> Result<Self> {
        // A file system without locks is no reason to refuse.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            let cause = format!("{} is being written by another process", path.display());
            return Err(Error::new(ErrorKind::Usage, cause, "wait for it, or choose another name for the result"));
        }
        let (stopped, counts) = (Stopped::default(), Counts::default());
        Ok(Self { path: path.into(), file: BufWriter::with_capacity(1 << 20, file), stopped, counts })
    }

    /// Appends the results of a batch. The next one begins at `next`.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn append(&mut self, entries: Vec<Entry>, next: Stopped) -> Result<()> {
        for entry in entries {
            self.counts.add(&entry);
            self.write(&Line::Result(entry))?;
        }
        self.stopped = next;
        self.write(&Line::Batch(next))?;
        self.flush()
    }

    fn write(&mut self, value: &impl Serialize) -> Result<()> {
        let written = serde_json::to_writer(&mut self.file, value).map_err(std::io::Error::from);
        written.and_then(|()| self.file.write_all(b"\n")).map_err(|error| Error::file(&self.path, error))
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(|error| Error::file(&self.path, error))
    }

    /// Iterates over the results, in order.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn entries(&self) -> Result<impl Iterator<Item = Result<Entry>> + use<>> {
        let failed = |error| Error::file(&self.path, error);
        let mut lines = BufReader::new(File::open(&self.path).map_err(failed)?).lines();
        // The conditions.
        lines.next();
        let path = self.path.clone();
        Ok(lines.filter_map(move |line| {
            let parse = |line: String| serde_json::from_str(&line).map_err(|error| damaged(&path, &error));
            match line.map_err(|error| Error::file(&path, error)).and_then(parse) {
                Ok(Line::Result(entry)) => Some(Ok(entry)),
                Ok(Line::Batch(_)) => None,
                Err(error) => Some(Err(error)),
            }
        }))
    }

    /// Removes the journal of a run that has ended.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|error| Error::file(&self.path, error))
    }
}

impl Conditions {
    /// Returns each condition by its name, in words.
    pub fn metadata(&self) -> impl Iterator<Item = (&'static str, String)> {
        [
            ("version", self.version.clone()),
            ("weights_sha256", self.weights_sha256.clone()),
            ("network", self.network.clone()),
            ("classes", self.classes.join(", ")),
            ("device", self.device.clone()),
            ("backend", self.backend.clone()),
            ("precision", self.precision.clone()),
            ("batch", self.batch.to_string()),
            ("sources", self.sources.clone()),
        ]
        .into_iter()
    }

    /// Describes the first condition that differs from those of another run.
    fn difference(&self, other: &Self) -> Option<String> {
        let different = self.metadata().zip(other.metadata()).find(|(begun, now)| begun != now);
        different.map(|((what, begun), (_, now))| format!("{what} {begun}, not {now}"))
    }
}

fn damaged(path: &Path, error: &serde_json::Error) -> Error {
    let cause = format!("{} is no journal of this command ({error})", path.display());
    Error::new(ErrorKind::File, cause, "remove it and begin anew")
}
