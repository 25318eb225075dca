//! `ecgpu dataset`: counts and checks a copy of PTB-XL.

use std::path::PathBuf;

use ecgpu::{
    Result,
    dataset::{CLASSES, Counts, Report, SamplingRate, check},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::{
    SUCCESS,
    terminal::{BAD, FAINT, GOOD, STRONG, clean, print, report, table},
};

/// Number of records in PTB-XL 1.0.3.
const ALL: usize = 21_799;

/// Problems that are printed at most; --json has all of them.
const SHOWN: usize = 10;

/// Count the records of a copy of PTB-XL, and check every one
///
/// Reads the tables and all records at one sampling rate, and compares them with SHA256SUMS.txt if it exists.
/// Exits with 1 if anything is wrong.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu dataset ptb-xl
  ecgpu dataset ptb-xl --sampling-rate 500 --json")]
pub struct Arguments {
    /// The folder with ptbxl_database.csv
    #[arg(value_name = "PTBXL_DIR")]
    folder: PathBuf,
    /// Which copy of the signals: 100 or 500 Hz
    #[arg(long, default_value = "100", value_name = "HZ")]
    sampling_rate: SamplingRate,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let bar = progress_bar();
    let found = check(&arguments.folder, arguments.sampling_rate, &|done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let found = found?;
    if arguments.json {
        print(&format!("{}\n", object(&found, arguments)));
    } else {
        print(&text(&found, arguments));
        found.problems.iter().take(SHOWN).for_each(report);
    }
    Ok(if found.problems.is_empty() { SUCCESS } else { 1 })
}

fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} records, {per_sec}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style)
}

/// Counts the records of each fold that has any, and of all folds together.
fn counts(found: &Report) -> (Vec<(u8, Counts)>, Counts) {
    let of_fold = |fold| (fold, Counts::of(found.records.iter().filter(|record| record.fold == fold)));
    let folds = (1..=10).map(of_fold).filter(|(_, counts)| counts.records > 0).collect();
    (folds, Counts::of(&found.records))
}

fn text(found: &Report, arguments: &Arguments) -> String {
    let (folds, total) = counts(found);
    let heading: Vec<&str> = ["fold", "records", "unlabelled"].into_iter().chain(CLASSES).collect();
    let mut rows: Vec<Vec<String>> = folds.iter().map(|(fold, counts)| row(&fold.to_string(), counts)).collect();
    rows.push(row("all", &total));
    // Numbers are right-aligned in their columns.
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0).max(heading[column].len());
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let right = |cells: &[String]| cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
    let right_heading: Vec<String> = right(&heading.iter().map(ToString::to_string).collect::<Vec<_>>());
    let right_rows: Vec<Vec<String>> = rows.iter().map(|row| right(row)).collect();
    let folder = clean(&arguments.folder.display().to_string());
    let mut text = format!(
        "{STRONG}PTB-XL in {folder}{STRONG:#}, {}: {} of the {ALL} records of version 1.0.3\n\n",
        arguments.sampling_rate, total.records
    );
    let lines = table(&right_heading.iter().map(String::as_str).collect::<Vec<_>>(), &right_rows);
    for (index, line) in lines.iter().enumerate() {
        let style = if index == 0 || index + 1 == lines.len() { STRONG } else { Default::default() };
        text += &format!("{style}{line}{style:#}\n");
    }
    text += &format!(
        "\n{FAINT}A record may have several classes. Folds 1 to 8 train, 9 validates, 10 tests.{FAINT:#}\n{}",
        verdict(found)
    );
    text
}

fn row(name: &str, counts: &Counts) -> Vec<String> {
    let numbers = [counts.records, counts.unlabelled].into_iter().chain(counts.classes);
    std::iter::once(name.to_string()).chain(numbers.map(|number| number.to_string())).collect()
}

fn verdict(found: &Report) -> String {
    let checksums = match found.checksums {
        Some(agreeing) => format!("{agreeing} files agree with SHA256SUMS.txt"),
        None => "SHA256SUMS.txt is not there, so only the records' own checksums were compared".into(),
    };
    match found.problems.len() {
        0 => format!("{GOOD}Every record is sound{GOOD:#}; {checksums}.\n"),
        1 => format!("{BAD}1 problem{BAD:#}; {checksums}.\n"),
        many if many > SHOWN => format!("{BAD}{many} problems{BAD:#}, of which {SHOWN} follow; {checksums}.\n"),
        many => format!("{BAD}{many} problems{BAD:#}; {checksums}.\n"),
    }
}

fn object(found: &Report, arguments: &Arguments) -> Value {
    let (folds, total) = counts(found);
    let of = |counts: &Counts| {
        let classes: Map<String, Value> =
            CLASSES.iter().zip(counts.classes).map(|(class, count)| (class.to_string(), count.into())).collect();
        json!({ "records": counts.records, "unlabelled": counts.unlabelled, "classes": classes })
    };
    let by_fold: Map<String, Value> = folds.iter().map(|(fold, counts)| (fold.to_string(), of(counts))).collect();
    json!({
        "source": arguments.folder.display().to_string(),
        "sampling_rate": arguments.sampling_rate.hz(),
        "folds": by_fold,
        "all": of(&total),
        "checksums": found.checksums,
        "problems": found.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
