//! Interprets the header of a table: leads, units, times.

use std::borrow::Cow;

use super::{
    super::{damaged, shown},
    times::Times,
};
use crate::{
    Result,
    ecg::{Lead, Unit},
};

/// Columns that number the samples.
const INDICES: [&str; 7] = ["", "sample", "samples", "sample number", "index", "n", "#"];

/// What a column holds.
#[derive(Debug, Clone)]
pub(super) enum Column {
    /// A lead, and its unit if the header states it.
    Lead(Lead, Option<Unit>),
    Times(Times),
    /// Numbers of the samples, or what is no standard lead.
    Ignored,
}

/// The columns of a table, and what was noticed.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) columns: Vec<Column>,
    pub(super) warnings: Vec<String>,
}

impl Columns {
    /// Interprets a line of names, and the line of units below it if there is one.
    ///
    /// # Errors
    /// No name is that of a lead.
    pub(super) fn named(names: &[Cow<str>], units: Option<&[Cow<str>]>) -> Result<Self> {
        let unit_below = |at: usize| units.and_then(|units| units.get(at)).map(|unit| unit.as_ref());
        let (mut columns, mut others) = (Vec::new(), Vec::new());
        for (at, name) in names.iter().enumerate() {
            let (bare, unit) = split_unit(name);
            let unit = unit_below(at).or(unit);
            columns.push(if let Ok(lead) = bare.parse::<Lead>() {
                Column::Lead(lead, unit.and_then(|unit| unit.parse().ok()))
            } else if let Some(times) =
                Times::of(&unit_below(at).map_or(name.to_string(), |unit| format!("{name} ({unit})")))
            {
                Column::Times(times)
            } else {
                if !INDICES.iter().any(|index| name.eq_ignore_ascii_case(index)) {
                    others.push(shown(name.as_bytes()));
                }
                Column::Ignored
            });
        }
        if !columns.iter().any(|column| matches!(column, Column::Lead(..))) {
            let cause = format!("the header names no lead: {}", others.join(", "));
            return Err(damaged(cause, "name the columns I, II, III, aVR, aVL, aVF, V1 to V6"));
        }
        let warnings = match &others[..] {
            [] => Vec::new(),
            _ => vec![format!("ignored, since no standard lead: {}", others.join(", "))],
        };
        Ok(Self { columns, warnings })
    }
}

/// Whether a line states the unit of each column, as `rdsamp` writes it below the names.
pub(super) fn is_units(cells: &[Cow<str>]) -> bool {
    const TIMES: [&str; 6] = ["s", "sec", "seconds", "ms", "time", ""];
    let voltages = cells.iter().filter(|cell| cell.parse::<Unit>().is_ok()).count();
    voltages > 0
        && voltages + cells.iter().filter(|cell| TIMES.contains(&cell.to_lowercase().as_str())).count() == cells.len()
}

/// Whether a column's name is that of a lead, with or without a unit.
pub(super) fn is_lead(name: &str) -> bool {
    split_unit(name).0.parse::<Lead>().is_ok()
}

/// Splits `I (uV)`, `I [uV]`, `I/uV` and `I_uV` into name and unit.
fn split_unit(name: &str) -> (&str, Option<&str>) {
    let Some(at) = name.rfind(['(', '[', '/', '_']) else { return (name, None) };
    let unit = name[at + 1..].trim_end_matches([')', ']']).trim();
    match unit.parse::<Unit>() {
        Ok(_) => (name[..at].trim(), Some(unit)),
        Err(_) => (name, None),
    }
}
