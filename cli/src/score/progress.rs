//! Shows how far a run is.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use ecgpu::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    position::Stopped,
    sources::{Found, Sources},
};
use crate::{logger, terminal};

/// Files without an ECG that are named.
const NAMED: u64 = 3;

/// A bar on standard error while a person waits. The number of all recordings, and with it the time that is left, is known
/// once another thread has counted them.
pub struct Progress {
    bar: ProgressBar,
    skipped: AtomicU64,
}

impl Progress {
    /// Begins to show a run that goes on from where it stopped, and to count its recordings if anyone sees them.
    pub fn new(sources: &Sources, stopped: Stopped) -> Result<Self> {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style("{spinner} {pos} recordings, {per_sec}"));
        bar.enable_steady_tick(Duration::from_millis(200));
        logger::write_around(&bar);
        if !bar.is_hidden() {
            let (bar, sources) = (bar.clone(), sources.clone());
            // Without this thread only the time that is left stays unknown.
            let _ = std::thread::Builder::new().name("counter".into()).spawn(move || {
                let Ok(pieces) = sources.pieces(stopped) else { return };
                let recordings = |found: Found| match found {
                    Found::Piece(_, Ok(piece)) => piece.reader.recordings(piece.index) as u64,
                    Found::Piece(_, Err(_)) => 1,
                    _ => 0,
                };
                bar.set_length(pieces.map(recordings).sum());
                bar.set_style(style("{bar:32} {pos}/{len} recordings, {per_sec}, {eta} left"));
            });
        }
        Ok(Self { bar, skipped: AtomicU64::new(0) })
    }

    /// Says that more recordings are done.
    pub fn add(&self, recordings: u64) {
        self.bar.inc(recordings);
    }

    /// Shows a note.
    pub fn note(&self, text: &str) {
        self.bar.suspend(|| terminal::note(text));
    }

    /// Names the first files that hold no ECG.
    pub fn skip(&self, path: &Path) {
        if self.skipped.fetch_add(1, Ordering::Relaxed) < NAMED {
            self.note(&format!("{} holds no ECG and is skipped", path.display()));
        }
    }

    /// Removes the bar, and says how many files held no ECG.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
        let skipped = self.skipped.load(Ordering::Relaxed);
        if skipped > NAMED {
            terminal::note(&format!("{skipped} files hold no ECG and were skipped"));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
