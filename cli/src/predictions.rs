//! Data sets on the terminal: progress bars while their records are read and classified.

use std::path::Path;

use ecgpu::{
    Result,
    dataset::{Dataset, Options},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Opens a data set, with a progress bar while its records are read; hidden if a program reads the output.
pub fn open(path: &Path, hidden: bool) -> Result<Dataset> {
    let bar = progress(0, hidden);
    let reading = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let dataset = Dataset::open(path, &Options::default(), &reading);
    bar.finish_and_clear();
    dataset
}

/// Makes a progress bar for a number of records; hidden if a program reads the output.
pub fn progress(records: usize, hidden: bool) -> ProgressBar {
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} records, {per_sec}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(records as u64), target).with_style(style)
}

/// Advances a progress bar by the records that are classified.
pub fn advance(bar: &ProgressBar) -> impl Fn(usize) -> Result<()> {
    |records| {
        bar.inc(records as u64);
        Ok(())
    }
}
