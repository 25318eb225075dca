//! The measurement of a network on a fold.

use std::{
    cell::{Cell, RefCell},
    path::PathBuf,
};

use ecgpu::{
    Classifier, Error, ErrorKind,
    dataset::{
        Dataset, Options,
        evaluation::{Evaluation, Fold, doubts},
    },
};
use pyo3::{prelude::*, types::PyByteArray};

use crate::{
    classifier::{open_backend, open_weights},
    error::detached,
    outcome::doubles,
};

/// The JSON of an evaluation, and the probabilities and labels of the records with a label.
type Measured<'py> = (String, Bound<'py, PyByteArray>, Bound<'py, PyByteArray>);

/// What a measurement needs.
struct Measurement {
    data: PathBuf,
    fold: u8,
    weights: Option<String>,
    device: String,
    threads: Option<usize>,
    seed: u64,
}

/// Measures weights on a fold of a data set. `progress` is called with the number of records that are classified and of all.
#[pyfunction]
#[pyo3(signature = (data, fold, weights, device, threads, seed, progress))]
#[allow(clippy::too_many_arguments, reason = "those of the function of Python")]
pub fn evaluate<'py>(
    py: Python<'py>,
    data: PathBuf,
    fold: u8,
    weights: Option<String>,
    device: String,
    threads: Option<usize>,
    seed: u64,
    progress: Option<Py<PyAny>>,
) -> PyResult<Measured<'py>> {
    let mut interrupt = None;
    let measurement = Measurement { data, fold, weights, device, threads, seed };
    let measured = detached(py, || {
        let failed = RefCell::new(None);
        let heard = |done: usize, all: usize| {
            let tell = |py: Python<'_>| {
                py.check_signals()?;
                progress.as_ref().map_or(Ok(()), |progress| progress.call1(py, (done, all)).map(drop))
            };
            Python::attach(tell).map_err(|error| {
                failed.replace(Some(error));
                Error::new(ErrorKind::Usage, "the evaluation was interrupted", "start it again")
            })
        };
        let measured = measurement.run(&heard);
        interrupt = failed.into_inner();
        measured
    });
    if let Some(raised) = interrupt {
        return Err(raised);
    }
    let (json, evaluation) = measured?;
    let labels: Vec<u8> = evaluation.labelled.labels().iter().map(|&label| u8::from(label)).collect();
    Ok((json, doubles(py, evaluation.labelled.probabilities()), PyByteArray::new(py, &labels)))
}

impl Measurement {
    /// Opens data and device, and measures. `heard` gets the number of records that are classified and of all.
    fn run(self, heard: &dyn Fn(usize, usize) -> ecgpu::Result<()>) -> ecgpu::Result<(String, Evaluation)> {
        let Self { data, fold, weights, device, threads, seed } = self;
        let weights = open_weights(weights.as_deref(), None)?;
        let dataset = Dataset::open(&data, &Options::default(), &|_, _| ())?;
        dataset.check_classes(&weights)?;
        let chosen = Fold::new(&dataset, fold)?;
        let (source, provenance) = (weights.source.clone(), weights.contract.provenance.clone());
        let mut warnings = dataset.notes().to_vec();
        warnings.extend(doubts(&source, &provenance, fold));
        let classifier = Classifier::on(weights, open_backend(&device, threads, "f32")?)?;
        let done = Cell::new(0);
        let advance = |records: usize| {
            done.set(done.get() + records);
            heard(done.get(), chosen.all.len())
        };
        let evaluation = Evaluation::new(&classifier, &dataset, &chosen, seed, &advance)?;
        let mut json = serde_json::to_value(&evaluation).unwrap_or_default();
        if let Some(object) = json.as_object_mut() {
            object.insert("weights".into(), source.into());
            object.insert("provenance".into(), provenance.into());
            object.insert("fold".into(), fold.into());
            object.insert("warnings".into(), warnings.into());
            object.insert("classes".into(), dataset.classes().into());
        }
        Ok((json.to_string(), evaluation))
    }
}
