//! The report of a comparison.

use std::fmt::Write;

use serde_json::json;

use super::{
    planned::Method,
    results::{Measured, Results},
};
use crate::terminal;

/// The macro AUROCs that were published for 10 % of the labels and fold 10, with one run each.
const PUBLISHED: [(Method, f64); 3] = [(Method::Simclr, 0.8717), (Method::Byol, 0.8565), (Method::Supervised, 0.8606)];

/// Mean and sample standard deviation.
fn mean_and_spread(values: &[f64]) -> (f64, Option<f64>) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()))
}

impl Results {
    fn fractions(&self) -> Vec<f64> {
        let mut fractions: Vec<f64> = self.measured.iter().map(|measured| measured.fraction).collect();
        fractions.sort_by(f64::total_cmp);
        fractions.dedup();
        fractions
    }

    /// The networks of a method and a fraction, in the order of their seeds.
    fn of(&self, method: Method, fraction: f64) -> Vec<&Measured> {
        self.measured.iter().filter(|measured| measured.method == method && measured.fraction == fraction).collect()
    }

    fn macro_aurocs(&self, method: Method, fraction: f64) -> Vec<f64> {
        self.of(method, fraction).iter().filter_map(|measured| measured.aurocs.mean()).collect()
    }
}

fn with_spread(values: &[f64]) -> String {
    match mean_and_spread(values) {
        (mean, Some(spread)) => format!("{mean:.4} ± {spread:.4}"),
        (mean, None) => format!("{mean:.4}"),
    }
}

/// The rows of the main table of a fraction: method, macro AUROC, difference to supervised, and the classes.
fn rows(results: &Results, fraction: f64) -> Vec<Vec<String>> {
    let supervised = results.macro_aurocs(Method::Supervised, fraction);
    let row = |method: Method| {
        let own = results.macro_aurocs(method, fraction);
        // Paired by seed: both networks saw the same labels.
        let differences: Vec<f64> = own.iter().zip(&supervised).map(|(own, supervised)| own - supervised).collect();
        let difference = match method {
            Method::Supervised => "–".into(),
            _ => match mean_and_spread(&differences) {
                (mean, Some(spread)) => format!("{mean:+.4} ± {spread:.4}"),
                (mean, None) => format!("{mean:+.4}"),
            },
        };
        let class = |class: usize| {
            let of = results.of(method, fraction);
            let values: Vec<f64> = of.iter().filter_map(|measured| measured.aurocs.classes[class]).collect();
            format!("{:.3}", mean_and_spread(&values).0)
        };
        let mut row = vec![method.to_string(), with_spread(&own), difference];
        row.extend((0..results.classes.len()).map(class));
        row
    };
    Method::ALL.into_iter().map(row).collect()
}

fn headings(results: &Results) -> Vec<String> {
    let fixed = ["method", "macro AUROC", "difference to supervised"].map(String::from);
    fixed.into_iter().chain(results.classes.iter().cloned()).collect()
}

/// Returns the main tables for the terminal.
pub fn table(results: &Results) -> String {
    let mut text = String::new();
    for fraction in results.fractions() {
        let _ = writeln!(text, "\n{} % of the labels, fold {}:", fraction * 100.0, results.fold);
        let headings = headings(results);
        let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
        text.extend(terminal::table(&headings, &rows(results, fraction)).iter().map(|line| format!("  {line}\n")));
    }
    text
}

fn markdown_row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// Returns the report.
pub fn markdown(results: &Results) -> String {
    let seeds = results.of(Method::Supervised, results.measured.first().map_or(0.0, |first| first.fraction)).len();
    let mut text = String::from("# SimCLR, BYOL and supervised training with few labels\n\n");
    let _ = writeln!(
        text,
        "PTB-XL, folds 1 to 8 for training, {} labelled records of fold {} measured, {seeds} seeds. Written by `ecgpu \
         reproduce`, version {}. Means over the seeds ± their sample standard deviation; a difference is that of two \
         networks with the same seed and so the same labels.{}",
        results.records,
        results.fold,
        results.version,
        if results.fold == 9 {
            " Fold 9 also chose the epoch of each network, so its figures are a little too good."
        } else {
            ""
        },
    );
    for fraction in results.fractions() {
        let _ = write!(text, "\n## {} % of the labels\n\n", fraction * 100.0);
        let headings = headings(results);
        text += &markdown_row(&headings);
        text += &markdown_row(&vec!["---".to_string(); headings.len()]);
        rows(results, fraction).iter().for_each(|row| text += &markdown_row(row));
        if fraction == 0.1 {
            let published: Vec<String> =
                PUBLISHED.iter().map(|(method, auroc)| format!("{method} {auroc:.4}")).collect();
            let _ = write!(text, "\nPublished, on fold 10, one run each: {}.\n", published.join(", "));
        }
    }
    text += &runs(results);
    text += "\n## Settings\n\nThose of the first seed; the others differ in the seed alone.\n";
    for (name, settings) in &results.settings {
        let _ = write!(text, "\n### {name}\n\n```toml\n{}```\n", settings);
    }
    let _ = write!(
        text,
        "\n## Data and program\n\n- SHA-256 of the data (names, folds, labels, samples): `{}`\n- SHA-256 of the program: `{}`\n",
        results.data, results.program
    );
    text
}

/// The table of all runs.
fn runs(results: &Results) -> String {
    let mut text = String::from(
        "\n## Runs\n\n| run | records | epochs | epoch kept | AUROC on fold 9 | AUROC measured | minutes | device |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let encoders = results.encoders.iter().map(|(name, finished)| (name, finished, None));
    let networks = results.measured.iter().map(|measured| (&measured.name, &measured.finished, measured.aurocs.mean()));
    let number = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.4}"));
    let mut seconds = 0.0;
    for (name, finished, auroc) in encoders.chain(networks) {
        seconds += finished.seconds;
        text += &markdown_row(&[
            name.clone(),
            finished.records.to_string(),
            finished.epochs.to_string(),
            finished.epoch.to_string(),
            number(finished.validation_auroc),
            number(auroc),
            format!("{:.1}", finished.seconds / 60.0),
            finished.device.clone(),
        ]);
    }
    let _ = write!(text, "\nAll runs took {:.0} minutes.\n", seconds / 60.0);
    text
}

/// Returns the report as JSON.
pub fn json(results: &Results) -> String {
    let network = |measured: &Measured| {
        json!({
            "name": measured.name,
            "method": measured.method,
            "label_fraction": measured.fraction,
            "seed": measured.seed,
            "macro_auroc": measured.aurocs.mean(),
            "auroc": measured.aurocs.classes,
            "run": measured.finished,
        })
    };
    let encoder = |(name, finished): &(String, super::results::Finished)| json!({ "name": name, "run": finished });
    let report = json!({
        "version": results.version,
        "fold": results.fold,
        "records": results.records,
        "classes": results.classes,
        "networks": results.measured.iter().map(network).collect::<Vec<_>>(),
        "encoders": results.encoders.iter().map(encoder).collect::<Vec<_>>(),
        "data_sha256": results.data,
        "program_sha256": results.program,
    });
    format!("{report:#}\n")
}
