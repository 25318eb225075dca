//! Training runs.

use std::{ops::ControlFlow, path::PathBuf};

use ecgpu::{
    Error, ErrorKind,
    dataset::{Dataset, Options},
    engine::backend,
    train::{DatasetRun, Event, RunFolder, RunKind, Settings, StartMode},
};
use pyo3::{prelude::*, types::PyDict};

use crate::error::{detached, raised};

/// The kinds of runs.
const KINDS: [RunKind; 4] = [RunKind::Train, RunKind::Finetune, RunKind::Simclr, RunKind::Byol];

/// Returns the kind of run of this name.
fn kind(name: &str) -> ecgpu::Result<RunKind> {
    KINDS.into_iter().find(|kind| kind.to_string() == name).ok_or_else(|| {
        let names = KINDS.map(|kind| kind.to_string()).join(", ");
        Error::new(ErrorKind::Usage, format!("a run of kind '{name}'"), format!("use one of {names}"))
    })
}

/// Trains with settings as TOML in a folder and returns the best epoch as JSON, or nothing if `event` returned False. With
/// `resume` the settings must be those of the run in the folder.
#[pyfunction]
#[pyo3(signature = (name, settings, folder, resume, force, threads, event))]
#[allow(clippy::too_many_arguments, reason = "those of the function of Python")]
pub fn train(
    py: Python<'_>,
    name: &str,
    settings: &str,
    folder: PathBuf,
    resume: bool,
    force: bool,
    threads: Option<usize>,
    event: Option<Py<PyAny>>,
) -> PyResult<Option<String>> {
    let own = |error| raised(py, &error);
    let (settings, mode) = merged(name, settings, &folder, resume, force).map_err(own)?;
    let data = settings
        .data
        .clone()
        .ok_or_else(|| own(missing("data", "name the folder of PTB-XL, or a table of records")))?;
    let dataset = detached(py, || Dataset::open(&data, &Options::default(), &|_, _| ()))?;
    let run = DatasetRun::new(&settings, &dataset).map_err(own)?;
    let backend = detached(py, || backend::open_one(&settings.device.parse()?, threads))?;
    let mut interrupt = None;
    let outcome = detached(py, || {
        run.start(backend.as_ref(), &folder, mode, &mut |happened| {
            Python::attach(|py| heard(py, event.as_ref(), &happened)).unwrap_or_else(|error| {
                interrupt = Some(error);
                ControlFlow::Break(())
            })
        })
    });
    match (interrupt, outcome?) {
        (Some(raised), _) => Err(raised),
        (None, outcome) => Ok(outcome.map(|outcome| serde_json::to_string(&outcome.best).unwrap_or_default())),
    }
}

fn missing(what: &str, remedy: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("a run without {what}"), remedy)
}

/// Merges the settings of the recipe or of the run in the folder with those that are given.
fn merged(
    name: &str,
    given: &str,
    folder: &std::path::Path,
    resume: bool,
    force: bool,
) -> ecgpu::Result<(Settings, StartMode)> {
    let kind = kind(name)?;
    if !resume {
        return Ok((Settings::read(kind, given)?, StartMode::New { force }));
    }
    let stored = RunFolder::settings(folder)?;
    let started_with = Settings::read(kind, &stored)?;
    let settings = started_with.with(given)?;
    settings.check_same(&started_with)?;
    Ok((settings, StartMode::Resume))
}

/// Tells Python of an event, and looks for Ctrl-C.
fn heard(py: Python<'_>, event: Option<&Py<PyAny>>, happened: &Event) -> PyResult<ControlFlow<()>> {
    py.check_signals()?;
    let Some(event) = event else { return Ok(ControlFlow::Continue(())) };
    let told = PyDict::new(py);
    match happened {
        Event::Note(text) => {
            told.set_item("note", text)?;
        }
        Event::Step { epoch, step, steps, loss } => {
            told.set_item("epoch", epoch)?;
            told.set_item("step", step)?;
            told.set_item("steps", steps)?;
            told.set_item("loss", loss)?;
        }
        Event::Epoch(epoch) => {
            let json = py.import("json")?;
            let text = serde_json::to_string(epoch).unwrap_or_default();
            told.update(json.call_method1("loads", (text,))?.cast::<pyo3::types::PyMapping>()?)?;
        }
        _ => return Ok(ControlFlow::Continue(())),
    }
    let go_on = event.call1(py, (told,))?;
    Ok(if go_on.extract::<bool>(py).is_ok_and(|go_on| !go_on) {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    })
}
