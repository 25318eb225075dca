//! A training run on the terminal: its device, its progress bar and its epochs.

use ecgpu::train::{DatasetRun, Epoch, Event, Settings};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::terminal::{FAINT, STRONG, clean, note, print};

/// Shows a run: a progress bar on standard error, and one line per epoch on standard output.
pub struct RunDisplay {
    bar: ProgressBar,
    epochs: usize,
    batch: usize,
    json: bool,
}

impl RunDisplay {
    pub fn new(settings: &Settings, json: bool) -> Self {
        let target = if json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let style = ProgressStyle::with_template("{bar:32} {pos}/{len} {msg}, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(0), target).with_style(style);
        Self { bar, epochs: settings.epochs, batch: settings.batch, json }
    }

    pub fn reading(&self, done: usize, all: usize) {
        self.bar.set_length(all as u64);
        self.bar.set_position(done as u64);
        self.bar.set_message("records read");
    }

    pub fn begin(&self, run: &DatasetRun, device: &str) {
        self.bar.reset();
        if !self.json {
            let (records, network) = (run.training_records(), &run.task().network.name);
            print(&format!(
                "{STRONG}Network {network}, {records} records{STRONG:#} {FAINT}on {}{FAINT:#}\n",
                clean(device)
            ));
        }
    }

    pub fn show(&self, event: &Event) {
        match event {
            Event::Note(text) => self.bar.suspend(|| note(text)),
            Event::Step { epoch, step, steps, loss } => {
                self.bar.set_length((self.epochs * steps) as u64);
                let done = ((epoch - 1) * steps + step) as u64;
                if self.bar.position() + 1 < done {
                    // A continued run: earlier steps say nothing about the time that is left.
                    self.bar.set_position(done - 1);
                    self.bar.reset_eta();
                }
                self.bar.set_position(done);
                let rate = self.bar.per_sec() * self.batch as f64;
                self.bar
                    .set_message(format!("steps, epoch {epoch}/{}, loss {loss:.4}, {rate:.0} records/s", self.epochs));
            }
            Event::Epoch(epoch) => {
                let line = if self.json { json!(epoch).to_string() } else { self.line(epoch) };
                self.bar.suspend(|| print(&format!("{line}\n")));
            }
            _ => (),
        }
    }

    fn line(&self, epoch: &Epoch) -> String {
        let mut line = format!("epoch {:>3}/{}  loss {:.4}", epoch.epoch, self.epochs, epoch.loss);
        if let (Some(loss), Some(auroc)) = (epoch.validation_loss, epoch.auroc) {
            line += &format!("  validation: loss {loss:.4}, {STRONG}AUROC {auroc:.4}{STRONG:#}");
        }
        let rate = epoch.records_per_second;
        line + &format!("  {FAINT}{rate:.0} records/s, learning rate {:.2e}{FAINT:#}", epoch.learning_rate)
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
