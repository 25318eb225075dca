//! Shows the library's log on standard error: warnings as notes, and more if `ECGPU_LOG` names a level.

use std::{
    io::Write,
    sync::{Mutex, OnceLock, PoisonError},
};

use indicatif::ProgressBar;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::terminal;

/// The environment variable that names the most detailed level to show: `off`, `error`, `warn`, `info`, `debug` or `trace`.
const VARIABLE: &str = "ECGPU_LOG";

/// The progress bar that must be hidden while a message is written.
static PROGRESS: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Takes the place of standard error.
static LISTENER: OnceLock<Listener> = OnceLock::new();

/// A function that takes a level and a message.
type Listener = Box<dyn Fn(Level, &str) + Send + Sync>;

struct Logger;

/// Makes the program show the library's log.
pub fn install() {
    let level = std::env::var(VARIABLE).ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::Warn);
    // It fails only if there is a logger already; the program installs one, once.
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(level);
    }
}

/// Hides a progress bar whenever a message is written. Code inside its [`ProgressBar::suspend`] must not log.
pub fn write_around(progress: &ProgressBar) {
    *PROGRESS.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress.clone());
}

/// Passes messages to `listener` from now on, instead of writing them.
#[cfg_attr(not(feature = "serve"), expect(dead_code))]
pub fn pass_to(listener: impl Fn(Level, &str) + Send + Sync + 'static) {
    let _ = LISTENER.set(Box::new(listener));
}

impl Log for Logger {
    /// Accepts messages of this project only: wgpu and the HTTP client have logs of their own.
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().split("::").next().is_some_and(|package| ["ecgpu", "ecgpu_server"].contains(&package))
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        if let Some(listener) = LISTENER.get() {
            return listener(record.level(), &text);
        }
        let write = || match record.level() {
            Level::Error | Level::Warn => terminal::note(&text),
            level => {
                let faint = terminal::FAINT;
                let level = level.as_str().to_lowercase();
                let _ = writeln!(anstream::stderr(), "{faint}{level}: {}{faint:#}", terminal::clean(&text));
            }
        };
        let progress = PROGRESS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match progress {
            Some(progress) => progress.suspend(write),
            None => write(),
        }
    }

    fn flush(&self) {}
}
