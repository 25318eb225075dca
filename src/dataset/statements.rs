//! From SCP-ECG statements to diagnostic superclasses.
//!
//! The rule is the published benchmark's (Strodthoff et al. 2021, doi 10.1109/JBHI.2020.3022989): a record has the class
//! of every diagnostic statement in its `scp_codes`, whatever the likelihood, which is 0 where the cardiologist gave
//! none. A record without a diagnostic statement is unlabelled.

use std::{collections::HashMap, path::Path};

use crate::{Error, ErrorKind, Result};

/// The diagnostic superclasses in the order of every label and logit: normal, myocardial infarction, ST and T changes,
/// hypertrophy, conduction disturbance.
pub const CLASSES: [&str; 5] = ["NORM", "MI", "STTC", "HYP", "CD"];

/// The file that lists the statements.
pub(super) const FILE: &str = "scp_statements.csv";

/// What each statement means: the place of its class in [`CLASSES`], or none for a statement of form or rhythm.
pub(super) struct Statements(HashMap<String, Option<usize>>);

impl Statements {
    /// Reads `scp_statements.csv`: the statement in the first column, `diagnostic` 1 or empty, `diagnostic_class`.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let (columns, rows) = super::metadata::table(folder, FILE, ["diagnostic", "diagnostic_class"])?;
        let mut classes = HashMap::new();
        for (line, row) in rows {
            let [diagnostic, class] = columns.map(|column| row.get(column).unwrap_or_default().trim());
            let statement = row.get(0).unwrap_or_default().trim();
            let place = match diagnostic.parse::<f64>() {
                Ok(1.0) => Some(CLASSES.iter().position(|name| *name == class).ok_or_else(|| {
                    let cause = format!("{FILE}: line {line}: '{class}' is none of the classes {}", CLASSES.join(", "));
                    Error::new(ErrorKind::Dataset, cause, "get the file of PTB-XL 1.0.3 again")
                })?),
                _ => None,
            };
            classes.insert(statement.to_string(), place);
        }
        if !classes.values().any(Option::is_some) {
            let cause = format!("{}: no statement is diagnostic", folder.join(FILE).display());
            return Err(Error::new(ErrorKind::Dataset, cause, "get the file of PTB-XL 1.0.3 again"));
        }
        Ok(Self(classes))
    }

    /// Which classes a record has by its `scp_codes`, such as `{'NORM': 100.0, 'SR': 0.0}`; or why they cannot be told.
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

/// The keys of a Python dictionary from short strings to numbers, as `ptbxl_database.csv` writes it.
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
    fn a_diagnostic_statement_counts_whatever_its_likelihood() {
        let classes = |text| statements().classes(text).unwrap();
        assert_eq!(classes("{'NORM': 100.0, 'SR': 0.0}"), [true, false, false, false, false]);
        assert_eq!(classes("{'IMI': 0.0, 'LVH': 35.0}"), [false, true, false, true, false]);
        assert_eq!(classes("{'SR': 0.0}"), [false; 5]);
        assert_eq!(classes("{}"), [false; 5]);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_never_taken_for_no_label() {
        let cause = |text| statements().classes(text).unwrap_err();
        assert_eq!(cause("{'XYZ': 100.0}"), "statement 'XYZ' is not in scp_statements.csv");
        for text in ["", "NORM", "{'NORM'}", "{'NORM': }", "{NORM: 1}", "{'NORM': 1.0", "{'NORM': 1.0,}", "{'': 1.0}"] {
            assert_eq!(cause(text), format!("scp_codes '{text}' cannot be read"));
        }
    }
}
