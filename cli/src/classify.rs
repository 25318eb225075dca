//! `ecgpu classify`: recordings in, probabilities out.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use ecgpu::{
    Classified, Classifier, DeviceInfo, Error, ErrorKind, Piece, Prediction, Report, Result, class_in_words,
    ecg::{
        Condition,
        format::{self, ReadOptions, Reader},
        synthesize,
    },
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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
    /// Recordings that are classified together
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

pub fn run(arguments: &Arguments) -> Result<u8> {
    let start = Instant::now();
    let options = arguments.stated.options()?;
    let mut printer = Printer::new(arguments, start)?;
    if arguments.paths.is_empty() {
        printer.show(sample(&printer.classifier)?);
    }
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    for path in &arguments.paths {
        match format::find(path, &options) {
            Ok(found) => {
                files.extend(found.files);
                skipped.extend(found.skipped);
                found.failed.iter().for_each(|error| printer.fail(error));
            }
            Err(error) => printer.fail(&error),
        }
    }
    note_skipped(&skipped);
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
        let classifier = printer.classifier.clone();
        let pieces = files.iter().flat_map(|file| pieces(file, &options));
        classifier.classify_files(pieces, arguments.batch as usize, |batch| {
            for (Tag { source, last }, classified) in batch {
                show(&mut printer, items(source, classified), usize::from(last));
            }
            Ok(())
        })?;
    }
    progress.finish_and_clear();
    printer.finish();
    terminal::leave(u8::from(printer.failed > 0))
}

/// Says which files of the folders hold no ECG.
fn note_skipped(files: &[PathBuf]) {
    const SHOWN: usize = 3;
    let names: Vec<String> = files.iter().take(SHOWN).map(|file| file.display().to_string()).collect();
    let rest = if files.len() > SHOWN { ", …" } else { "" };
    match files.len() {
        0 => {}
        1 => terminal::note(&format!("1 file that holds no ECG is skipped: {}", names[0])),
        count => terminal::note(&format!("{count} files that hold no ECG are skipped: {}{rest}", names.join(", "))),
    }
}

/// The built-in sample, made anew each time from the synthetic model.
fn sample(classifier: &Classifier) -> Result<Item> {
    let recording = synthesize(Condition::Norm, 1, 500.0, 10.0)?;
    let outcome = classifier.classify(&recording);
    Ok(Item {
        source: "built-in synthetic sample".into(),
        record: recording.name().into(),
        about: about(recording.duration(), recording.sampling_rate()),
        outcome,
    })
}

/// Where a piece of a file comes from.
struct Tag {
    /// The name of the piece.
    source: String,
    /// Whether it is the last of its file.
    last: bool,
}

/// Returns the pieces of a file.
fn pieces(file: &Path, options: &ReadOptions) -> Vec<(Tag, Result<Piece>)> {
    match Reader::open(file, options) {
        Ok(reader) => {
            if let Some(note) = reader.note() {
                terminal::note(&format!("{}: {note}", file.display()));
            }
            let last = reader.pieces().saturating_sub(1);
            let tag = |piece: &Piece| Tag { source: piece.name(), last: piece.index == last };
            Piece::all(reader).map(|piece| (tag(&piece), Ok(piece))).collect()
        }
        Err(error) => vec![(Tag { source: file.display().to_string(), last: true }, Err(error))],
    }
}

/// Returns what is shown of a piece.
fn items(source: String, classified: Result<Vec<Classified>>) -> Vec<Item> {
    let item = |classified: Classified| Item {
        source: source.clone(),
        about: about(classified.duration, classified.sampling_rate),
        record: classified.record,
        outcome: classified.outcome,
    };
    match classified {
        Ok(classified) => classified.into_iter().map(item).collect(),
        Err(error) => vec![Item::failed(source, error)],
    }
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

fn about(duration: f64, sampling_rate: f64) -> String {
    format!("{duration:.1} s at {sampling_rate} Hz")
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
    classifier: Arc<Classifier>,
    opened: Duration,
    start: Instant,
    /// How many were classified on each device.
    classified: Vec<(usize, DeviceInfo)>,
    failed: usize,
}

impl<'a> Printer<'a> {
    fn new(arguments: &'a Arguments, start: Instant) -> Result<Self> {
        let weights = arguments.setup.weights(arguments.json)?;
        for text in &weights.notes {
            terminal::note(text);
        }
        let classifier = Arc::new(Classifier::on(weights, arguments.setup.device.open()?)?);
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
