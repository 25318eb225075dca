//! Classifies the recordings of many files: reading and preparing them, and computing, overlap.

use std::sync::Arc;

use super::{Classifier, Prediction, Prepared};
use crate::{Recording, Result, ecg::format::Reader};

/// A piece of a file, see [`Reader`].
#[derive(Clone)]
pub struct Piece {
    /// The file.
    pub reader: Arc<Reader>,
    /// The number of the piece, counted from 0.
    pub index: usize,
}

impl Piece {
    /// Returns all pieces of a file, in their order.
    pub fn all(reader: Reader) -> impl Iterator<Item = Self> {
        let reader = Arc::new(reader);
        (0..reader.pieces()).map(move |index| Self { reader: reader.clone(), index })
    }

    /// Returns the name of the piece: the path of the file, and in an archive the path within behind it.
    pub fn name(&self) -> String {
        self.reader.name(self.index)
    }

    /// Returns how many recordings the piece holds, as far as that is known before it is read.
    fn recordings(&self) -> usize {
        self.reader.recordings(self.index)
    }
}

/// A recording of a file, and its result.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Classified {
    /// The name of the record; empty if it cannot be read.
    pub record: String,
    /// The sampling rate in Hz; 0 if the recording cannot be read.
    pub sampling_rate: f64,
    /// The duration in seconds; 0 if the recording cannot be read.
    pub duration: f64,
    /// The prediction, or why there is none; the error names the file.
    pub outcome: Result<Prediction>,
}

/// A recording that was read and prepared.
struct Ready {
    /// The name of the piece, for an error that does not name it yet.
    piece: Option<String>,
    record: String,
    sampling_rate: f64,
    duration: f64,
    prepared: Result<Prepared>,
}

/// Pieces with what was read, or why they could not be.
type Read<T> = Vec<(T, Result<Vec<Ready>>)>;

impl Classifier {
    /// Classifies the recordings of pieces of files, each with a tag of the caller's, and passes them to `each`, in their order.
    /// A piece that cannot be read gives an error, and so does a piece that is an error.
    ///
    /// Pieces of at least `batch` recordings are read, classified and passed on together. While the device computes on a
    /// batch, other threads read and prepare the next ones, and `each` has the previous one; no more than a few batches are
    /// in memory. The same pieces from the beginning of a batch on form the same batches, so that results have the same bits
    /// when they are computed anew from there.
    ///
    /// # Errors
    /// An error of `each`, after which nothing more is read; or no thread can be started.
    pub fn classify_files<T: Send>(
        &self,
        pieces: impl Iterator<Item = (T, Result<Piece>)> + Send,
        batch: usize,
        each: impl FnMut(Vec<(T, Result<Vec<Classified>>)>) -> Result<()>,
    ) -> Result<()> {
        let batches = Batches { pieces, batch };
        let read = |(tag, piece): (T, Result<Piece>)| (tag, piece.and_then(|piece| self.read(&piece)));
        #[cfg(feature = "threads")]
        {
            use rayon::prelude::*;
            crate::worker::shared_threads()?;
            let read_all = |batch: Vec<_>| -> Read<T> { batch.into_par_iter().map(read).collect() };
            pipeline::run(batches, read_all, |read| self.classify_read(read), each)
        }
        #[cfg(not(feature = "threads"))]
        {
            let classify = |batch: Vec<_>| self.classify_read(batch.into_iter().map(read).collect());
            batches.map(classify).try_for_each(each)
        }
    }

    /// Reads a piece and prepares its recordings.
    fn read(&self, piece: &Piece) -> Result<Vec<Ready>> {
        let recordings = piece.reader.read(piece.index)?;
        let ready = |recording: Result<Recording>| match recording {
            Ok(recording) => Ready {
                piece: Some(piece.name()),
                record: recording.name().into(),
                sampling_rate: recording.sampling_rate(),
                duration: recording.duration(),
                prepared: Prepared::new(&self.shared.contract, &recording),
            },
            Err(error) => {
                Ready { piece: None, record: String::new(), sampling_rate: 0.0, duration: 0.0, prepared: Err(error) }
            }
        };
        #[cfg(feature = "threads")]
        if recordings.len() > 1 {
            use rayon::prelude::*;
            return Ok(recordings.into_par_iter().map(ready).collect());
        }
        Ok(recordings.into_iter().map(ready).collect())
    }

    /// Classifies what was read.
    fn classify_read<T>(&self, read: Read<T>) -> Vec<(T, Result<Vec<Classified>>)> {
        let (mut prepared, mut names) = (Vec::new(), Vec::new());
        let mut pieces: Vec<(T, Result<Vec<Classified>>)> = Vec::with_capacity(read.len());
        for (tag, ready) in read {
            let waiting = ready.map(|ready| {
                let waiting = |Ready { piece, record, sampling_rate, duration, prepared: input }| {
                    names.push(piece);
                    prepared.push(input);
                    Classified { record, sampling_rate, duration, outcome: Ok(Prediction::default()) }
                };
                ready.into_iter().map(waiting).collect()
            });
            pieces.push((tag, waiting));
        }
        let waiting = pieces.iter_mut().filter_map(|(_, piece)| piece.as_mut().ok()).flatten();
        for ((classified, name), outcome) in waiting.zip(names).zip(self.shared.classify_at_once(prepared)) {
            classified.outcome = outcome.map_err(|error| match name {
                Some(name) => error.at(name),
                None => error,
            });
        }
        pieces
    }
}

/// Cuts pieces into batches of at least a number of recordings.
struct Batches<I> {
    pieces: I,
    batch: usize,
}

impl<T, I: Iterator<Item = (T, Result<Piece>)>> Iterator for Batches<I> {
    type Item = Vec<I::Item>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut batch, mut recordings) = (Vec::new(), 0);
        while recordings < self.batch.max(1) {
            let Some(item) = self.pieces.next() else { break };
            recordings += item.1.as_ref().map_or(1, Piece::recordings).max(1);
            batch.push(item);
        }
        (!batch.is_empty()).then_some(batch)
    }
}

/// Three stages at once: one thread reads, one computes, and the caller's takes the results.
#[cfg(feature = "threads")]
mod pipeline {
    use std::{
        sync::mpsc::sync_channel,
        thread::{Builder, Scope},
    };

    use crate::{Error, ErrorKind, Result};

    /// Batches that wait between two stages.
    const WAITING: usize = 1;

    pub(super) fn run<B: Send, R: Send, C: Send>(
        batches: impl Iterator<Item = B> + Send,
        read: impl Fn(B) -> R + Send,
        compute: impl Fn(R) -> C + Send,
        mut each: impl FnMut(C) -> Result<()>,
    ) -> Result<()> {
        let (to_compute, to_be_computed) = sync_channel(WAITING);
        let (to_caller, computed) = sync_channel(WAITING);
        std::thread::scope(|scope| {
            // A stage whose successor has stopped stops as well.
            spawn(scope, "reader", move || {
                let _ = batches.map(read).try_for_each(|batch| to_compute.send(batch));
            })?;
            spawn(scope, "classifier", move || {
                let _ = to_be_computed.into_iter().map(compute).try_for_each(|batch| to_caller.send(batch));
            })?;
            computed.into_iter().try_for_each(&mut each)
        })
    }

    fn spawn<'scope>(scope: &'scope Scope<'scope, '_>, name: &str, work: impl FnOnce() + Send + 'scope) -> Result<()> {
        let spawned = Builder::new().name(name.into()).spawn_scoped(scope, work);
        spawned.map(drop).map_err(|error| {
            let cause = format!("no thread can be started to read files: {error}");
            Error::new(ErrorKind::Device, cause, "end other programs, or raise the limit of threads").with_source(error)
        })
    }
}
