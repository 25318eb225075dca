//! Maps the SCP-ECG statements of a record to diagnostic superclasses.
//!
//! The rule is that of the published benchmark (Strodthoff et al. 2021, doi 10.1109/JBHI.2020.3022989): a record has the
//! class of every diagnostic statement in its `scp_codes`, whatever its likelihood, which is 0 if the cardiologist gave
//! none. A record without a diagnostic statement is unlabelled.

use std::{collections::HashMap, path::Path};

use super::{
    CLASSES,
    table::{REPAIR, Table, field},
};
use crate::{Error, ErrorKind, Result};

/// The name of the file that lists the statements.
pub(super) const FILE: &str = "scp_statements.csv";

/// A statement of a record: the index of its name in [`Dataset::statements`](super::Dataset::statements), and its
/// likelihood from 0 to 1. A cardiologist who gave no likelihood counts as certain.
pub(crate) type Statement = (usize, f32);

/// The statements of `scp_statements.csv`.
pub(super) struct Statements {
    /// The names, in the order of the file.
    pub(super) names: Vec<String>,
    /// By name: the index in `names`, and the index of the class in [`CLASSES`], or `None` for a statement of form or
    /// rhythm.
    meanings: HashMap<String, (usize, Option<usize>)>,
}

impl Statements {
    /// Reads `scp_statements.csv`. The statement is in the first column; `diagnostic` is 1 or empty; `diagnostic_class`
    /// names the class.
    ///
    /// # Errors
    /// The table cannot be read, names an unknown class or has no diagnostic statement.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let table = Table::of_ptb_xl(folder, FILE)?;
        let columns = table.columns(["diagnostic", "diagnostic_class"])?;
        let (mut names, mut meanings) = (Vec::new(), HashMap::new());
        for (line, row) in &table.rows {
            let [diagnostic, class] = columns.map(|column| field(row, Some(column)));
            let statement = row.get(0).unwrap_or_default().trim();
            let index = match diagnostic.parse::<f64>() {
                Ok(1.0) => Some(CLASSES.iter().position(|name| *name == class).ok_or_else(|| {
                    let cause = format!("{FILE}: line {line}: '{class}' is none of the classes {}", CLASSES.join(", "));
                    Error::new(ErrorKind::Dataset, cause, REPAIR)
                })?),
                _ => None,
            };
            meanings.insert(statement.to_string(), (names.len(), index));
            names.push(statement.to_string());
        }
        if !meanings.values().any(|(_, class)| class.is_some()) {
            let cause = format!("{}: no statement is diagnostic", folder.join(FILE).display());
            return Err(Error::new(ErrorKind::Dataset, cause, REPAIR));
        }
        Ok(Self { names, meanings })
    }

    /// Returns the classes and the statements of a record from its `scp_codes`, such as `{'NORM': 100.0, 'SR': 0.0}`, or
    /// says why they are unknown.
    pub(super) fn read_codes(&self, scp_codes: &str) -> std::result::Result<(Vec<bool>, Vec<Statement>), String> {
        let (mut has, mut statements) = (vec![false; CLASSES.len()], Vec::new());
        for (statement, percent) in
            entries(scp_codes).ok_or_else(|| format!("scp_codes '{scp_codes}' cannot be read"))?
        {
            let (index, class) =
                self.meanings.get(statement).ok_or_else(|| format!("statement '{statement}' is not in {FILE}"))?;
            if let Some(class) = class {
                has[*class] = true;
            }
            // 0 is PTB-XL's mark of an unknown likelihood.
            let likelihood = if percent > 0.0 { (percent / 100.0).min(1.0) } else { 1.0 };
            statements.push((*index, likelihood as f32));
        }
        Ok((has, statements))
    }
}

/// Returns the entries of a Python dictionary from short strings to numbers, the form that `ptbxl_database.csv` uses.
fn entries(text: &str) -> Option<Vec<(&str, f64)>> {
    let inside = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let entry = |entry| {
        let (key, likelihood): (&str, &str) = str::split_once(entry, ':')?;
        let likelihood = likelihood.trim().parse::<f64>().ok()?;
        let key = key.trim();
        let quoted = |mark| key.strip_prefix(mark)?.strip_suffix(mark);
        let key = quoted('\'').or_else(|| quoted('"')).filter(|key| !key.is_empty())?;
        Some((key, likelihood))
    };
    if inside.is_empty() { Some(Vec::new()) } else { inside.split(',').map(entry).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements() -> Statements {
        let classes = [("NORM", Some(0)), ("IMI", Some(1)), ("LVH", Some(3)), ("SR", None)];
        let names = classes.map(|(name, _)| name.to_string()).to_vec();
        let meaning = |(index, (name, class)): (usize, &(&str, Option<usize>))| (name.to_string(), (index, *class));
        Statements { names, meanings: classes.iter().enumerate().map(meaning).collect() }
    }

    #[test]
    fn every_diagnostic_statement_counts_whatever_its_likelihood() {
        let classes = |text| statements().read_codes(text).unwrap().0;
        assert_eq!(classes("{'NORM': 100.0, 'SR': 0.0}"), [true, false, false, false, false]);
        assert_eq!(classes("{'IMI': 0.0, 'LVH': 35.0}"), [false, true, false, true, false]);
        assert_eq!(classes("{'SR': 0.0}"), [false; 5]);
        assert_eq!(classes("{}"), [false; 5]);
    }

    #[test]
    fn a_likelihood_of_zero_is_unknown_and_counts_as_certain() {
        let (_, statements) = statements().read_codes("{'LVH': 35.0, 'SR': 0.0, 'NORM': 100.0}").unwrap();
        assert_eq!(statements, [(2, 0.35), (3, 1.0), (0, 1.0)]);
    }

    #[test]
    fn unreadable_statements_are_errors_and_never_count_as_unlabelled() {
        let cause = |text| statements().read_codes(text).unwrap_err();
        assert_eq!(cause("{'XYZ': 100.0}"), "statement 'XYZ' is not in scp_statements.csv");
        for text in ["", "NORM", "{'NORM'}", "{'NORM': }", "{NORM: 1}", "{'NORM': 1.0", "{'NORM': 1.0,}", "{'': 1.0}"] {
            assert_eq!(cause(text), format!("scp_codes '{text}' cannot be read"));
        }
    }
}
