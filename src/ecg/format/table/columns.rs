//! Interprets the names of a table's columns: leads, units, times.

use std::borrow::Cow;

use super::times::Times;
use crate::ecg::{Lead, Unit};

/// Names of columns that number the samples.
const INDICES: [&str; 7] = ["sample", "samples", "sample number", "sample #", "index", "n", "#"];

/// What a column holds.
#[derive(Debug, Clone)]
pub(super) enum Column {
    /// Samples, with the name of the signal and its unit if the header states it.
    Signal(String, Option<Unit>),
    /// Times of the samples.
    Times(Times),
    /// Numbers of the samples.
    Index,
}

/// Interprets a line of names, and the line of units below it if there is one.
pub(super) fn interpret(names: &[Cow<str>], units: Option<&[Cow<str>]>) -> Vec<Column> {
    let unit_below = |at: usize| units.and_then(|units| units.get(at)).map(|unit| unit.as_ref());
    let mut columns: Vec<Column> = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let (bare, unit) = split_unit(name);
        let unit = unit_below(at).or(unit);
        let times = || Times::of(name, unit_below(at));
        columns.push(if bare.parse::<Lead>().is_ok() {
            Column::Signal(bare.into(), unit.and_then(|unit| unit.parse().ok()))
        } else if is_index(name, at) {
            Column::Index
        } else if let Some(times) = times() {
            Column::Times(times)
        } else {
            Column::Signal(name.to_string(), unit.and_then(|unit| unit.parse().ok()))
        });
    }
    columns
}

/// Whether a column numbers the samples. R and pandas leave the name of such a first column empty.
fn is_index(name: &str, at: usize) -> bool {
    let first = at == 0 && (name.is_empty() || name.eq_ignore_ascii_case("unnamed: 0"));
    first || INDICES.iter().any(|index| name.eq_ignore_ascii_case(index))
}

/// Whether a column's name is that of a lead, with or without a unit.
pub(super) fn is_lead(name: &str) -> bool {
    split_unit(name).0.parse::<Lead>().is_ok()
}

/// Whether a line states the unit of each column, as `rdsamp` writes it below the names.
pub(super) fn is_units(cells: &[Cow<str>]) -> bool {
    let is_voltage = |cell: &&Cow<str>| cell.parse::<Unit>().is_ok();
    let is_other = |cell: &&Cow<str>| {
        cell.is_empty()
            || Times::seconds_of(cell).is_some()
            || cell.contains(':')
            || is_index(cell, 1)
            || **cell == "time"
    };
    let voltages = cells.iter().filter(is_voltage).count();
    voltages > 0 && voltages + cells.iter().filter(is_other).count() == cells.len()
}

/// Splits `I (uV)`, `I [uV]`, `I/uV`, `I_uV` and `I uV` into name and unit.
fn split_unit(name: &str) -> (&str, Option<&str>) {
    let Some(at) = name.rfind(['(', '[', '/', '_', ' ']) else { return (name, None) };
    let unit = name[at + 1..].trim_end_matches([')', ']']).trim();
    match unit.parse::<Unit>() {
        Ok(_) => (name[..at].trim(), Some(unit)),
        Err(_) => (name, None),
    }
}
