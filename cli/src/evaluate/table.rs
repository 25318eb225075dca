//! The tables of an evaluation, for the terminal and as Markdown.

use ecgpu::{
    dataset::evaluation::{Estimate, Metrics, OF_AVERAGE, OF_CLASS, OF_POPULATION, Subgroup, Summary},
    evaluate::DRAWS,
};

use super::{Comparison, Evaluation};
use crate::terminal;

/// A table whose first column is text and whose other columns are numbers.
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Returns the table with aligned columns.
    pub fn text(&self) -> String {
        terminal::table(&self.headings, &self.rows).iter().map(|line| format!("  {line}\n")).collect()
    }

    /// Returns the table as Markdown.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let headings: Vec<String> = self.headings.iter().map(ToString::to_string).collect();
        let rule: Vec<String> =
            (0..headings.len()).map(|column| if column == 0 { "---" } else { "---:" }.to_string()).collect();
        let rows = self.rows.iter().map(|row| line(row));
        [line(&headings), line(&rule)].into_iter().chain(rows).collect()
    }
}

/// Writes a number that may not be defined.
fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".into(), |value| format!("{value:.digits$}"))
}

/// Writes an estimate with its interval.
pub fn with_interval(Estimate { value, interval }: Estimate, digits: usize) -> String {
    let interval = interval.map(|[low, high]| format!(" [{low:.digits$}, {high:.digits$}]"));
    number(value, digits) + &interval.unwrap_or_default()
}

/// The table of the classes and their averages.
pub fn classes(summary: &Summary) -> Table {
    let mut table = Table::new(&[
        "class",
        "records",
        "AUROC",
        "average precision",
        "threshold",
        "precision",
        "recall",
        "specificity",
        "F1",
        "accuracy",
        "Brier",
        "ECE",
    ]);
    let cells = |names: &[&str], metrics: &Metrics| -> Vec<String> {
        names.iter().map(|name| number(metrics.get(name).and_then(|metric| metric.value), 3)).collect()
    };
    for class in &summary.classes {
        let fixed = [
            class.class.clone(),
            class.support.to_string(),
            with_interval(class.auroc, 4),
            with_interval(class.average_precision, 3),
            format!("{:.3}", class.threshold),
        ];
        table.row(fixed.into_iter().chain(cells(&OF_CLASS, &class.metrics)));
    }
    let [auroc, precision] = [(summary.macro_auroc, 4), (summary.macro_average_precision, 3)]
        .map(|(estimate, digits)| with_interval(estimate, digits));
    let averages = [
        ("macro", auroc, precision, &summary.macro_average),
        ("micro", String::new(), String::new(), &summary.micro_average),
    ];
    for (name, auroc, precision, metrics) in averages {
        let fixed = [name.to_string(), String::new(), auroc, precision, String::new()];
        let rest = OF_CLASS.len() - OF_AVERAGE.len();
        table.row(fixed.into_iter().chain(cells(&OF_AVERAGE, metrics)).chain(vec![String::new(); rest]));
    }
    table
}

/// The line with the metrics of the whole population.
pub fn whole(summary: &Summary) -> String {
    let names = ["exact-match accuracy", "per-label accuracy", "Fmax"].into_iter().zip(OF_POPULATION);
    let metric = |(name, key)| summary.metrics.get(key).map(|metric| format!("{name} {}", with_interval(*metric, 4)));
    names.filter_map(metric).collect::<Vec<_>>().join(", ")
}

/// The table of the subgroups.
pub fn subgroups(subgroups: &[Subgroup]) -> Table {
    let mut table = Table::new(&["group", "records", "macro AUROC"]);
    for Subgroup { group, name, records, macro_auroc, .. } in subgroups {
        table.row([format!("{group}: {name}"), records.to_string(), with_interval(*macro_auroc, 4)]);
    }
    table
}

/// Writes a heading of a level, for the terminal without mark.
fn heading(markdown: bool, level: usize, text: &str) -> String {
    if markdown { format!("\n{} {text}\n\n", "#".repeat(level)) } else { format!("\n{text}\n") }
}

fn table(markdown: bool, table: &Table) -> String {
    if markdown { table.markdown() } else { table.text() }
}

/// Writes a whole evaluation, as Markdown or for the terminal.
pub fn report(evaluations: &[Evaluation], comparisons: &[Comparison], warnings: &[String], markdown: bool) -> String {
    let mut text = String::new();
    // On the terminal they are on standard error already.
    if markdown {
        warnings.iter().for_each(|warning| text += &format!("> **{warning}**\n\n"));
    }
    for Evaluation { weights, measured, robustness, .. } in evaluations {
        text += &heading(markdown, 2, weights);
        for summary in &measured.summaries {
            let Summary { population, records, patients, .. } = summary;
            text += &heading(markdown, 3, &format!("{population}: {records} records of {patients} patients"));
            text += &table(markdown, &classes(summary));
            text += &format!("{}{}\n", if markdown { "\n" } else { "  " }, whole(summary));
        }
        if !measured.subgroups.is_empty() {
            text += &heading(markdown, 3, "subgroups of the records with a label");
            text += &table(markdown, &subgroups(&measured.subgroups));
        }
        if !robustness.is_empty() {
            text += &heading(markdown, 3, "robustness, macro AUROC of the records with a label");
            text += &table(markdown, &super::robustness::table(robustness));
        }
    }
    if !comparisons.is_empty() {
        text += &heading(markdown, 2, "paired differences of the macro AUROC, records with a label");
        let mut differences = Table::new(&["networks", "difference"]);
        for Comparison { first, second, macro_auroc } in comparisons {
            differences.row([format!("{first} − {second}"), with_interval(*macro_auroc, 4)]);
        }
        text += &table(markdown, &differences);
    }
    text + &format!("\nIntervals: 95 %, bootstrap over patients, {DRAWS} draws.\n")
}
