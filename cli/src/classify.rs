//! `ecgpu classify`: recordings in, probabilities out.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc::{Receiver, sync_channel},
    thread::Scope,
    time::{Duration, Instant},
};

use ecgpu::{
    Classifier, DeviceInfo, Error, ErrorKind, Prediction, Recording, Report, Result, class_in_words,
    ecg::{
        Condition,
        format::{self, ReadOptions},
        synthesize,
    },
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::prelude::*;

use crate::{Setup, input::Stated, logger, terminal};

/// Classify recordings in files and folders
///
/// Without a file, a synthetic sample is classified. Leads are matched by name, III, aVR, aVL and aVF derived where
/// missing, units converted, and other sampling rates resampled.
#[derive(clap::Args)]
#[command(mut_group("stated", |stated| stated.requires("paths")))]
#[command(after_help = "\
Examples:
  ecgpu classify                                 the built-in synthetic sample
  ecgpu classify record.hea                      a WFDB record
  ecgpu classify records/ --json > results.jsonl a folder, one JSON object per line
  ecgpu classify ecg.npy --sampling-rate 500 --unit uV
  ecgpu classify eight.csv --sampling-rate 250 --unit mV --leads I,II,V1,V2,V3,V4,V5,V6
  ecgpu classify inputs.npy --raw                [batch, leads, samples] straight into the network

Exit code: 0 if every recording was classified, 1 if any was not, 2 for a request that makes no sense.")]
pub struct Arguments {
    #[arg(value_name = "PATH", help = format!("Files of {}, and folders of them", format::names()))]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    setup: Setup,
    /// Print one JSON object per recording and line on standard output
    #[arg(long)]
    json: bool,
    /// Add the embedding to the JSON
    #[arg(long, requires = "json")]
    embedding: bool,
    /// Files that are read and classified together
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    #[command(flatten)]
    stated: Stated,
    /// Hand an array [batch, leads, samples] to the network as it is: no units, no resampling, no scaling
    #[arg(long, requires = "paths", conflicts_with = "stated")]
    raw: bool,
}

/// A result and where it comes from.
struct Item {
    source: String,
    record: String,
    /// What a person is told of the recording.
    about: String,
    outcome: Result<Prediction>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let start = Instant::now();
    let options = arguments.stated.options()?;
    let mut printer = Printer::new(arguments, start)?;
    if arguments.paths.is_empty() {
        printer.show(sample(&printer.classifier)?);
    }
    let mut files = Vec::new();
    for path in &arguments.paths {
        match format::find(path) {
            Ok(found) => files.extend(found),
            Err(error) => printer.fail(&error),
        }
    }
    let progress = progress_bar(files.len());
    logger::write_around(&progress);
    let show = |printer: &mut Printer, items: Vec<Item>, files: usize| {
        progress.suspend(|| items.into_iter().for_each(|item| printer.show(item)));
        progress.inc(files as u64);
    };
    if arguments.raw {
        for file in &files {
            let items = classify_raw(&printer.classifier, file);
            show(&mut printer, items, 1);
        }
    } else {
        std::thread::scope(|scope| -> Result<()> {
            for (files, read) in read_ahead(scope, &files, arguments.batch as usize, &options)? {
                let items = classify(&printer.classifier, files, read);
                show(&mut printer, items, files.len());
            }
            Ok(())
        })?;
    }
    progress.finish_and_clear();
    printer.finish();
    terminal::leave(u8::from(printer.failed > 0))
}

/// The built-in sample, made anew each time from the synthetic model.
fn sample(classifier: &Classifier) -> Result<Item> {
    let recording = synthesize(Condition::Norm, 1, 500.0, 10.0)?;
    let outcome = classifier.classify(&recording);
    Ok(Item {
        source: "built-in synthetic sample".into(),
        record: recording.name().into(),
        about: about(&recording),
        outcome,
    })
}

/// The recordings of each file.
type Read = Vec<Result<Vec<Recording>>>;

/// Reads files, `batch` at a time: those after the ones that are being classified while the device is at these.
fn read_ahead<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    files: &'env [PathBuf],
    batch: usize,
    options: &'env ReadOptions,
) -> Result<Receiver<(&'env [PathBuf], Read)>> {
    // Without room in between, no more than one batch waits in memory.
    let (sender, read) = sync_channel(0);
    let work = move || {
        for files in files.chunks(batch) {
            let read: Read = files.par_iter().map(|file| format::read(file, options)).collect();
            if sender.send((files, read)).is_err() {
                // The classifying thread has stopped.
                return;
            }
        }
    };
    std::thread::Builder::new().name("reader".into()).spawn_scoped(scope, work).map_err(|error| {
        let cause = format!("no thread can be started to read files: {error}");
        Error::new(ErrorKind::Device, cause, "end other programs, or raise the limit of threads")
    })?;
    Ok(read)
}

fn classify(classifier: &Classifier, files: &[PathBuf], read: Read) -> Vec<Item> {
    let mut recordings = Vec::new();
    let counts: Vec<Result<usize>> = read
        .into_iter()
        .map(|of_file| {
            of_file.map(|of_file| {
                let count = of_file.len();
                recordings.extend(of_file);
                count
            })
        })
        .collect();
    let mut results = recordings.iter().zip(classifier.classify_batch(&recordings));
    let mut items = Vec::new();
    for (file, count) in files.iter().zip(counts) {
        let source = file.display().to_string();
        match count {
            Ok(count) => items.extend(results.by_ref().take(count).map(|(recording, outcome)| Item {
                source: source.clone(),
                record: recording.name().into(),
                about: about(recording),
                outcome: outcome.map_err(|error| error.at(&source)),
            })),
            Err(error) => items.push(Item::failed(source, error)),
        }
    }
    items
}

fn classify_raw(classifier: &Classifier, file: &Path) -> Vec<Item> {
    let source = file.display().to_string();
    let run = || {
        let array = format::read_raw(file)?;
        let [batch, leads, samples] = array.shape;
        let expected = classifier.folded().network.in_channels();
        if leads != expected {
            let cause =
                format!("an array [{batch}, {leads}, {samples}] where [batch, {expected}, samples] is expected");
            return Err(Error::new(ErrorKind::Shape, cause, format!("give {expected} leads")).at(&source));
        }
        let output = classifier.run(&array.values, batch, samples).map_err(|error| error.at(&source))?;
        Ok((batch, samples, output))
    };
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    match run() {
        Ok((batch, samples, output)) => (0..batch)
            .map(|index| Item {
                source: source.clone(),
                record: if batch == 1 { stem.to_string() } else { format!("{stem}[{index}]") },
                about: format!("{samples} samples per lead, unchanged"),
                outcome: Ok(classifier.interpret(&output, index, batch)),
            })
            .collect(),
        Err(error) => vec![Item::failed(source, error)],
    }
}

impl Item {
    fn failed(source: String, error: Error) -> Self {
        Self { source, record: String::new(), about: String::new(), outcome: Err(error) }
    }
}

fn about(recording: &Recording) -> String {
    format!("{:.1} s at {} Hz", recording.duration(), recording.sampling_rate())
}

/// A bar on standard error while a person waits for several files.
fn progress_bar(files: usize) -> ProgressBar {
    let target = if files > 1 { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} files, {per_sec}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(files as u64), target).with_style(style)
}

/// Writes results as they come and counts them.
struct Printer<'a> {
    arguments: &'a Arguments,
    classifier: Classifier,
    opened: Duration,
    start: Instant,
    /// How many were classified on each device.
    classified: Vec<(usize, DeviceInfo)>,
    failed: usize,
}

impl<'a> Printer<'a> {
    fn new(arguments: &'a Arguments, start: Instant) -> Result<Self> {
        let weights = arguments.setup.weights()?;
        for text in &weights.notes {
            terminal::note(text);
        }
        let classifier = Classifier::on(weights, arguments.setup.device.open()?)?;
        let (opened, classified) = (start.elapsed(), Vec::new());
        Ok(Self { arguments, classifier, opened, start, classified, failed: 0 })
    }

    fn fail(&mut self, error: &Error) {
        self.failed += 1;
        terminal::report(error);
    }

    fn count(&mut self, device: &DeviceInfo) {
        match self.classified.iter_mut().find(|(_, known)| known == device) {
            Some((count, _)) => *count += 1,
            None => self.classified.push((1, device.clone())),
        }
    }

    fn show(&mut self, item: Item) {
        match &item.outcome {
            Err(error) => self.fail(error),
            Ok(prediction) => {
                self.count(&prediction.device);
                let report = Report::new(&item.source, &item.record, prediction);
                terminal::print(&if self.arguments.json {
                    report.to_json(self.arguments.embedding) + "\n"
                } else {
                    text(&item, &report, &prediction.warnings)
                });
            }
        }
    }

    fn finish(&self) {
        if self.arguments.json || self.classified.is_empty() {
            return;
        }
        let count: usize = self.classified.iter().map(|(count, _)| count).sum();
        let recordings = if count == 1 { "recording" } else { "recordings" };
        let took = terminal::duration(self.start.elapsed().saturating_sub(self.opened));
        let devices = match &self.classified[..] {
            [(_, device)] => {
                let opened = terminal::duration(self.opened);
                format!(" on {} ({}), which took {opened} to open", device.name, device.backend_and_storage())
            }
            several => {
                let on = several
                    .iter()
                    .map(|(count, device)| format!("{count} on {} ({})", device.name, device.backend_and_storage()));
                format!(": {}", on.collect::<Vec<_>>().join(", "))
            }
        };
        let faint = terminal::FAINT;
        terminal::print(&format!(
            "{count} {recordings} in {took}{devices}.\n\
             {faint}Network {}. For research only: not a medical device.{faint:#}\n",
            self.classifier.folded().network.name,
        ));
    }
}

/// Formats a recording's result for a person: a bar per class, and the warnings.
fn text(item: &Item, report: &Report, warnings: &[String]) -> String {
    let (strong, faint, good, doubtful) = (terminal::STRONG, terminal::FAINT, terminal::GOOD, terminal::DOUBTFUL);
    let [record, source] = [&item.record, &item.source].map(|name| terminal::clean(name));
    let mut text = format!("{strong}{record}{strong:#}  {faint}{}, {source}{faint:#}\n", item.about);
    for class in report.classes() {
        let (style, mark) = if class.is_label { (good, "●") } else { (anstyle::Style::new(), " ") };
        let bar = terminal::bar(class.probability);
        text += &format!(
            "  {style}{:6}{bar} {:5.1} % {mark}{style:#} {faint}{}{faint:#}\n",
            terminal::clean(class.name),
            class.probability * 100.0,
            class_in_words(class.name).unwrap_or_default()
        );
    }
    for warning in warnings {
        text += &format!("  {doubtful}warning:{doubtful:#} {}\n", terminal::clean(warning));
    }
    text + "\n"
}
