//! `ecgpu score`: archives in, a table of scores out.

mod journal;
mod output;
mod position;
mod progress;
mod sources;

use std::{
    fmt::Write as _,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::Instant,
};

use ecgpu::{
    Classified, Classifier, Error, ErrorKind, Hint, Result, Weights, ecg::format, engine::files,
    engine::network::file_of,
};
use serde_json::json;
use sha2::{Digest, Sha256};

use self::{
    journal::{Conditions, Counts, Entry, Journal, Outcome, Score},
    position::Stopped,
    progress::Progress,
    sources::{Found, Shard, Sources, Tag},
};
use crate::{Setup, check_free, input::Stated, interrupt, terminal, weights};

/// Score archives into a table of probabilities
///
/// Reads folders, single files, archives (.zip), data sets (.hdf5, .npy) and the files of a manifest, however many
/// recordings they hold, in constant memory. Reading, resampling and computing use all cores at the same time.
///
/// Every recording has one row in the scores, or one in the errors. Results are kept in a journal beside the scores until
/// the run has ended: a run that was stopped, in whatever way, goes on with --resume and gives the same result.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu score archive/ --out scores.parquet
  ecgpu score archive/ --out scores.parquet --resume          go on after a stop
  ecgpu score exams_part0.hdf5 --out scores.csv --unit mV
  ecgpu score --manifest list.csv --out scores.parquet        columns: path, sampling_rate, unit, leads
  ecgpu score archive/ --shard 3/16 --out scores-3.parquet    on the third of 16 machines

Columns: source, record, sampling_rate_hz, duration_s, probability_CLASS, logit_CLASS, labels, warnings. The file's metadata
state the hash of the weights, version, device and precision; those of scores.csv are in scores.metadata.json.

Exit code: 0 if every recording was scored, 1 if any was not, 2 for a request that makes no sense, 130 after Ctrl-C.")]
pub struct Arguments {
    #[arg(value_name = "SOURCE", required_unless_present = "manifest", help = format!("Folders, and files of {}", format::names()))]
    sources: Vec<PathBuf>,
    /// A CSV table of files: the column path, relative to the table, and optionally sampling_rate, unit and leads
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// The table of scores: .parquet or .csv
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The CSV table of what could not be scored; the name of the scores with .errors.csv if absent
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// Score only part N of M: each recording is in exactly one part
    #[arg(long, value_name = "N/M", default_value = "1/1")]
    shard: Shard,
    /// Go on with a run that was stopped; begin it if there is none
    #[arg(long)]
    resume: bool,
    /// Replace existing results, and begin a stopped run anew
    #[arg(long, conflicts_with = "resume")]
    force: bool,
    /// Recordings that are classified together
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    #[command(flatten)]
    setup: Setup,
    #[command(flatten)]
    stated: Stated,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let run = Run::new(arguments)?;
    let mut journal = run.open_journal()?;
    let stop = interrupt::flag()?;
    let before = journal.counts;
    let start = Instant::now();
    let scored = run.score(&mut journal, || stop.load(Ordering::Relaxed));
    if stop.load(Ordering::Relaxed) && scored.is_err() {
        scored.unwrap_or_else(|error| terminal::report(&error));
        terminal::leave(interrupt::EXIT_CODE);
    }
    scored?;
    let seconds = start.elapsed().as_secs_f64();
    output::write(&arguments.out, &run.errors, &run.conditions, journal.entries()?)?;
    let counts = journal.counts;
    journal.remove()?;
    run.summarise(before, counts, seconds);
    terminal::leave(u8::from(counts.errors > 0))
}

/// A run, ready to begin.
struct Run<'a> {
    arguments: &'a Arguments,
    sources: Sources,
    errors: PathBuf,
    classifier: Classifier,
    conditions: Conditions,
}

impl<'a> Run<'a> {
    fn new(arguments: &'a Arguments) -> Result<Self> {
        let Arguments { sources, manifest, out, errors, shard, stated, setup, .. } = arguments;
        let errors = errors.clone().unwrap_or_else(|| out.with_extension("errors.csv"));
        let options = stated.options()?;
        let written = output::files(out, &errors)?;
        if errors == *out {
            let cause = format!("{} is the file of both scores and errors", out.display());
            return Err(Error::new(ErrorKind::Usage, cause, "give --errors another name"));
        }
        if !arguments.resume || !journal_path(out).exists() {
            let written: Vec<&Path> = written.iter().map(PathBuf::as_path).collect();
            check_free(&written, arguments.force)?;
        }
        let sources = Sources { paths: sources.clone(), manifest: manifest.clone(), options, shard: *shard };
        written.iter().try_for_each(|path| files::check_writable(path))?;
        // What is misspelt is found before the device is opened.
        drop(sources.pieces(Stopped::default())?);
        let (weights, weights_sha256) = weights_and_hash(setup, arguments.json)?;
        for text in &weights.notes {
            terminal::note(text);
        }
        let classifier = Classifier::on(weights, setup.device.open_one()?)?;
        let device = classifier.device();
        let conditions = Conditions {
            version: env!("CARGO_PKG_VERSION").into(),
            weights_sha256,
            network: classifier.folded().network.name.to_string(),
            classes: classifier.contract().classes.clone(),
            device: device.name,
            backend: device.backend,
            precision: device.storage.to_string(),
            sources: sources.to_string(),
            batch: arguments.batch as usize,
        };
        Ok(Self { arguments, sources, errors, classifier, conditions })
    }

    fn open_journal(&self) -> Result<Journal> {
        let path = journal_path(&self.arguments.out);
        match (path.exists(), self.arguments.resume, self.arguments.force) {
            (true, true, _) => return Journal::go_on(&path, &self.conditions),
            (true, false, true) => std::fs::remove_file(&path).map_err(|error| Error::file(&path, error))?,
            (true, false, false) => {
                let cause = format!("{} is the journal of a run that was stopped", path.display());
                return Err(Error::new(ErrorKind::Usage, cause, "go on with it").with_hint(Hint::Resume));
            }
            (false, ..) => {}
        }
        Journal::begin(&path, &self.conditions)
    }

    /// Scores what the journal does not have yet.
    fn score(&self, journal: &mut Journal, stopped: impl Fn() -> bool) -> Result<()> {
        let begin = journal.stopped;
        let progress = Progress::new(&self.sources, begin)?;
        let pieces = self.sources.pieces(begin)?.filter_map(|found| match found {
            Found::Piece(tag, piece) => Some((Some(tag), piece)),
            Found::Changed => Some((None, Err(changed()))),
            Found::Skipped(path) => {
                progress.skip(&path);
                None
            }
            Found::Note(note) => {
                progress.note(&note);
                None
            }
        });
        let scored = self.classifier.classify_files(pieces, self.arguments.batch as usize, |batch| {
            let (mut entries, mut next) = (Vec::new(), journal.stopped);
            for (tag, piece) in batch {
                let Some(tag) = tag else { return piece.map(drop) };
                next = Stopped { next: tag.position.next(), passed: tag.passed };
                entries.extend(entries_of(tag, piece)?);
            }
            let count = entries.len();
            journal.append(entries, next)?;
            progress.add(count as u64);
            if stopped() { Err(interrupted(journal.counts)) } else { Ok(()) }
        });
        progress.finish();
        scored
    }

    fn summarise(&self, before: Counts, now: Counts, seconds: f64) {
        let Arguments { out, json, .. } = self.arguments;
        let (scored, rate) = (now.scores, ((now.scores - before.scores) as f64 / seconds).round());
        if *json {
            let summary = json!({
                "out": out, "errors": self.errors, "scored": scored, "failed": now.errors, "seconds": seconds,
                "records_per_second": rate, "conditions": self.conditions,
            });
            return terminal::print(&format!("{summary}\n"));
        }
        let recordings = if scored == 1 { "recording" } else { "recordings" };
        let mut text = format!("{scored} {recordings} scored in {seconds:.1} s ({rate} a second)");
        if before != Counts::default() {
            let _ = write!(text, ", {} of them before the run was stopped", before.scores);
        }
        let _ = writeln!(text, ", on {}: {}", self.classifier.device(), out.display());
        if now.errors > 0 {
            let _ = writeln!(text, "{} could not be scored: {}", now.errors, self.errors.display());
        }
        terminal::print(&text);
    }
}

/// Returns the results of a piece.
///
/// # Errors
/// The device failed, which says nothing of the recording: the run must stop, and can go on later.
fn entries_of(tag: Tag, piece: Result<Vec<Classified>>) -> Result<Vec<Entry>> {
    let failed = |error: Error| match error.kind() {
        ErrorKind::Device => Err(error.with_hint(Hint::Resume)),
        _ => Ok(Outcome::Error { cause: error.cause().into(), remedy: error.remedy().into() }),
    };
    let source = tag.name;
    let entry = |recording: Classified| {
        let Classified { record, sampling_rate, duration, outcome, .. } = recording;
        let outcome = match outcome {
            Err(error) => failed(error)?,
            Ok(prediction) => Outcome::Score(Score {
                sampling_rate_hz: sampling_rate,
                duration_s: duration,
                probabilities: prediction.probabilities,
                logits: prediction.logits,
                labels: prediction.labels,
                warnings: prediction.warnings,
            }),
        };
        Ok(Entry { source: source.clone(), record, outcome })
    };
    match piece {
        Err(error) => Ok(vec![Entry { source, record: String::new(), outcome: failed(error)? }]),
        Ok(recordings) => recordings.into_iter().map(entry).collect(),
    }
}

fn journal_path(out: &Path) -> PathBuf {
    let mut path = out.as_os_str().to_owned();
    path.push(".journal");
    path.into()
}

/// More bytes of a weights file are not read: 256 MiB, a hundred times the largest network.
const LARGEST_WEIGHTS: u64 = 256 << 20;

/// Returns the weights, and the SHA-256 of their file in hexadecimal.
fn weights_and_hash(setup: &Setup, hidden: bool) -> Result<(Weights, String)> {
    let hash = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    match &setup.weights {
        None => Ok((Weights::built_in()?, hash(Weights::built_in_file()))),
        Some(name) => {
            if let Some((name, bytes)) = file_of(name) {
                return Ok((Weights::from_bytes(bytes, name)?, hash(bytes)));
            }
            let path = &weights::file(name, hidden)?;
            let mut bytes = Vec::new();
            let read = File::open(path).and_then(|file| file.take(LARGEST_WEIGHTS).read_to_end(&mut bytes));
            read.map_err(|error| Error::file(path, error))?;
            Ok((Weights::from_bytes(&bytes, &path.display().to_string())?, hash(&bytes)))
        }
    }
}

fn changed() -> Error {
    let cause = "the sources do not have the files any more that this run has passed";
    Error::new(ErrorKind::Usage, cause, "restore them, or begin anew").with_hint(Hint::Overwrite)
}

fn interrupted(counts: Counts) -> Error {
    let cause = format!("stopped after {} recordings, whose results are kept", counts.scores + counts.errors);
    Error::new(ErrorKind::Usage, cause, "go on later").with_hint(Hint::Resume)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_device_stops_the_run_and_a_bad_recording_does_not() {
        let tag = || Tag { position: Default::default(), passed: Default::default(), name: "a.hea".into() };
        let lost = Error::new(ErrorKind::Device, "the GPU was lost", "start the driver again");
        let stopped = entries_of(tag(), Err(lost)).unwrap_err();
        assert_eq!((stopped.cause(), stopped.hint()), ("the GPU was lost", Some(Hint::Resume)));
        let bad = Error::new(ErrorKind::Recording, "lead V6 is missing", "add it");
        let entries = entries_of(tag(), Err(bad)).unwrap();
        let outcome = Outcome::Error { cause: "lead V6 is missing".into(), remedy: "add it".into() };
        assert_eq!(entries, [Entry { source: "a.hea".into(), record: String::new(), outcome }]);
    }
}
