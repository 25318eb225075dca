//! Files that are read, prepared and classified at the same time, while Python takes the results.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    },
    thread::Builder,
    time::Duration,
};

use ecgpu::{
    Classified, Error, ErrorKind, Piece, Result,
    ecg::format::{ReadOptions, Reader},
};
use pyo3::prelude::*;

use crate::{error::exception, outcome::Outcome};

/// How long a wait for results lasts until Ctrl-C is looked for.
const PERIOD: Duration = Duration::from_millis(50);

/// The results of a file or a piece of it, with the number of the file.
type Results = Vec<(usize, Result<Vec<Classified>>)>;

/// For each recording the number of its file, and the arguments of a prediction or an exception.
type Taken<'py> = Vec<(usize, Bound<'py, PyAny>)>;

/// Files under way to their results.
#[pyclass(frozen, module = "ecgpu._native")]
pub struct Stream {
    /// Takes files; none after the last.
    files: Mutex<Option<Sender<(usize, PathBuf)>>>,
    results: Mutex<Receiver<Results>>,
}

impl Stream {
    /// Starts the threads that read and compute.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(classifier: Arc<ecgpu::Classifier>, batch: usize, options: ReadOptions) -> Result<Self> {
        let (files, to_be_read) = channel();
        // One batch waits for Python; the threads wait when it does not take it.
        let (to_python, results) = sync_channel(1);
        let work = move || classify(&classifier, batch, &options, to_be_read, &to_python);
        Builder::new().name("ecgpu files".into()).spawn(work).map_err(|error| {
            let cause = format!("no thread can be started to read files: {error}");
            Error::new(ErrorKind::Device, cause, "end other programs, or raise the limit of threads").with_source(error)
        })?;
        Ok(Self { files: Mutex::new(Some(files)), results: Mutex::new(results) })
    }
}

/// Classifies files until there are no more, or Python has left.
fn classify(
    classifier: &ecgpu::Classifier,
    batch: usize,
    options: &ReadOptions,
    files: Receiver<(usize, PathBuf)>,
    to_python: &SyncSender<Results>,
) {
    let pieces = files.into_iter().flat_map(|(number, path)| {
        let pieces: Box<dyn Iterator<Item = Result<Piece>> + Send> = match Reader::open(&path, options) {
            Ok(reader) => Box::new(Piece::all(reader).map(Ok)),
            Err(error) => Box::new(std::iter::once(Err(error))),
        };
        pieces.map(move |piece| (number, piece))
    });
    let left = || Error::new(ErrorKind::Usage, "the results are not wanted", "take all of them");
    let outcome = classifier.classify_files(pieces, batch, |results| to_python.send(results).map_err(|_| left()));
    if let Err(error) = outcome {
        // It is lost where Python has left.
        let _ = to_python.send(vec![(0, Err(error))]);
    }
}

#[pymethods]
impl Stream {
    /// Adds a file, with its number.
    fn push(&self, number: usize, path: PathBuf) {
        // A stream that has failed takes no more files, and its results have the error.
        let _ =
            self.files.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|files| files.send((number, path)));
    }

    /// Says that there are no more files.
    fn finish(&self) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Waits for the next results: for each recording the number of its file and the arguments of a prediction or an exception.
    /// Nothing after the last.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Taken<'py>>> {
        let results = loop {
            py.check_signals()?;
            let wait = || self.results.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(PERIOD);
            match py.detach(wait) {
                Ok(results) => break results,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        };
        let mut all = Vec::new();
        for (number, piece) in results {
            match piece {
                Ok(recordings) => {
                    for Classified { record, sampling_rate, duration, outcome: prediction, .. } in recordings {
                        let outcome = Outcome { record, sampling_rate, duration, prediction };
                        all.push((number, outcome.to_python(py)?));
                    }
                }
                Err(error) => all.push((number, exception(py, &error)?)),
            }
        }
        Ok(Some(all))
    }
}
