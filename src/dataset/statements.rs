//! Maps the SCP-ECG statements of a record to diagnostic superclasses.
//!
//! The rule is that of the published benchmark (Strodthoff et al. 2021, doi 10.1109/JBHI.2020.3022989): a record has the
//! class of every diagnostic statement in its `scp_codes`, whatever its likelihood, which is 0 if the cardiologist gave
//! none. A record without a diagnostic statement is unlabelled.

use std::{collections::HashMap, path::Path};

use super::{
    CLASSES,
    table::{self, REPAIR},
};
use crate::{Error, ErrorKind, Result};

/// The name of the file that lists the statements.
pub(super) const FILE: &str = "scp_statements.csv";

/// The meaning of each statement: the index of its class in [`CLASSES`], or `None` for a statement of form or rhythm.
pub(super) struct Statements(HashMap<String, Option<usize>>);

impl Statements {
    /// Reads `scp_statements.csv`. The statement is in the first column; `diagnostic` is 1 or empty; `diagnostic_class`
    /// names the class.
    ///
    /// # Errors
    /// The table cannot be read, names an unknown class or has no diagnostic statement.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let (columns, rows) = table::read(folder, FILE, ["diagnostic", "diagnostic_class"])?;
        let mut classes = HashMap::new();
        for (line, row) in rows {
            let [diagnostic, class] = columns.map(|column| row.get(column).unwrap_or_default().trim());
            let statement = row.get(0).unwrap_or_default().trim();
            let index = match diagnostic.parse::<f64>() {
                Ok(1.0) => Some(CLASSES.iter().position(|name| *name == class).ok_or_else(|| {
                    let cause = format!("{FILE}: line {line}: '{class}' is none of the classes {}", CLASSES.join(", "));
                    Error::new(ErrorKind::Dataset, cause, REPAIR)
                })?),
                _ => None,
            };
            classes.insert(statement.to_string(), index);
        }
        if !classes.values().any(Option::is_some) {
            let cause = format!("{}: no statement is diagnostic", folder.join(FILE).display());
            return Err(Error::new(ErrorKind::Dataset, cause, REPAIR));
        }
        Ok(Self(classes))
    }

    /// Returns the classes of a record from its `scp_codes`, such as `{'NORM': 100.0, 'SR': 0.0}`, or says why they are
    /// unknown.
    pub(super) fn classes(&self, scp_codes: &str) -> std::result::Result<[bool; CLASSES.len()], String> {
        let mut has = [false; CLASSES.len()];
        for statement in keys(scp_codes).ok_or_else(|| format!("scp_codes '{scp_codes}' cannot be read"))? {
            match self.0.get(statement) {
                Some(Some(class)) => has[*class] = true,
                Some(None) => (),
                None => return Err(format!("statement '{statement}' is not in {FILE}")),
            }
        }
        Ok(has)
    }
}

/// Returns the keys of a Python dictionary from short strings to numbers, the form that `ptbxl_database.csv` uses.
fn keys(text: &str) -> Option<Vec<&str>> {
    let inside = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let key = |entry| {
        let (key, likelihood): (&str, &str) = str::split_once(entry, ':')?;
        likelihood.trim().parse::<f64>().ok()?;
        let key = key.trim();
        let quoted = |mark| key.strip_prefix(mark)?.strip_suffix(mark);
        quoted('\'').or_else(|| quoted('"')).filter(|key| !key.is_empty())
    };
    if inside.is_empty() { Some(Vec::new()) } else { inside.split(',').map(key).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements() -> Statements {
        let classes = [("NORM", Some(0)), ("IMI", Some(1)), ("LVH", Some(3)), ("SR", None)];
        Statements(classes.map(|(name, class)| (name.to_string(), class)).into())
    }

    #[test]
    fn every_diagnostic_statement_counts_whatever_its_likelihood() {
        let classes = |text| statements().classes(text).unwrap();
        assert_eq!(classes("{'NORM': 100.0, 'SR': 0.0}"), [true, false, false, false, false]);
        assert_eq!(classes("{'IMI': 0.0, 'LVH': 35.0}"), [false, true, false, true, false]);
        assert_eq!(classes("{'SR': 0.0}"), [false; 5]);
        assert_eq!(classes("{}"), [false; 5]);
    }

    #[test]
    fn unreadable_statements_are_errors_and_never_count_as_unlabelled() {
        let cause = |text| statements().classes(text).unwrap_err();
        assert_eq!(cause("{'XYZ': 100.0}"), "statement 'XYZ' is not in scp_statements.csv");
        for text in ["", "NORM", "{'NORM'}", "{'NORM': }", "{NORM: 1}", "{'NORM': 1.0", "{'NORM': 1.0,}", "{'': 1.0}"] {
            assert_eq!(cause(text), format!("scp_codes '{text}' cannot be read"));
        }
    }
}
