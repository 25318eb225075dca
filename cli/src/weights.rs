//! Weights that an option names: files, those that come with the program, and those of repositories on the Hub.

use std::path::{Path, PathBuf};

use ecgpu::{
    Result, Weights,
    hub::{self, Event, Reference},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal::note;

/// Reads weights. A download is shown on standard error, unless it is `hidden` or there is no terminal.
pub fn open(path_or_name: &Path, hidden: bool) -> Result<Weights> {
    let bar = bar(hidden);
    let weights = Weights::open_with(path_or_name, &|event| show(&bar, event));
    bar.finish_and_clear();
    weights
}

/// Returns the absolute path of a file, so that a run can be continued from another folder. Names on the Hub stay as they are.
pub fn absolute(path_or_name: &Path) -> PathBuf {
    match Reference::of_path(path_or_name) {
        Ok(None) => std::path::absolute(path_or_name).unwrap_or_else(|_| path_or_name.into()),
        _ => path_or_name.into(),
    }
}

/// Replaces a name on the Hub by that of the same file at its commit, which names the same contents for ever. The file is
/// downloaded.
pub fn pin(path_or_name: &mut PathBuf, hidden: bool) -> Result<()> {
    if let Some(reference) = Reference::of_path(path_or_name)? {
        *path_or_name = fetched(&reference, hidden)?.reference.to_string().into();
    }
    Ok(())
}

/// Returns the file of weights on the disk: that of a path, or one on the Hub, once it has been downloaded.
pub fn file(path_or_name: &Path, hidden: bool) -> Result<PathBuf> {
    match Reference::of_path(path_or_name)? {
        Some(reference) => Ok(fetched(&reference, hidden)?.path),
        None => Ok(path_or_name.into()),
    }
}

/// Returns a name by which tables and files can call weights.
pub fn short_name(path_or_name: &Path) -> Result<String> {
    Ok(match Reference::of_path(path_or_name)? {
        Some(reference) => reference.short_name(),
        None => path_or_name.file_stem().map_or("weights".into(), |stem| stem.to_string_lossy().into_owned()),
    })
}

fn fetched(reference: &Reference, hidden: bool) -> Result<hub::Fetched> {
    let bar = bar(hidden);
    let fetched = hub::fetch(reference, &hub::Options::from_environment()?, &|event| show(&bar, event));
    bar.finish_and_clear();
    fetched
}

/// Makes the progress bar of a download. It is not drawn before the download begins.
fn bar(hidden: bool) -> ProgressBar {
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    ProgressBar::with_draw_target(None, target)
}

fn show(bar: &ProgressBar, event: Event<'_>) {
    match event {
        Event::Begun { reference, bytes, present } => {
            let template = match bytes {
                Some(_) => "{msg} {bar:32} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
                None => "{msg} {bytes}, {bytes_per_sec}",
            };
            bytes.into_iter().for_each(|bytes| bar.set_length(bytes));
            bar.set_message(reference.repository());
            bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_position(present);
            bar.reset_eta();
        }
        Event::Received(bytes) => bar.inc(bytes as u64),
        Event::Waiting { error, pause } => {
            let text = format!("{}; trying again in {:.0} s", error.cause(), pause.as_secs_f64());
            bar.suspend(|| note(&text));
        }
        _ => (),
    }
}
