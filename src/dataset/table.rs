//! Reads CSV tables of records.

use std::path::Path;

use crate::{Error, ErrorKind, Result};

/// What to do about a damaged table of PTB-XL.
pub(super) const REPAIR: &str = "get the file of PTB-XL 1.0.3 again";

/// A table with named columns.
pub(super) struct Table {
    /// What errors call the table, and their remedy.
    origin: [String; 2],
    headings: csv::StringRecord,
    /// The rows, each with the number of its first line.
    pub(super) rows: Vec<(u64, csv::StringRecord)>,
}

impl Table {
    /// Reads a table of PTB-XL: `file` in `folder`.
    ///
    /// # Errors
    /// The file cannot be read, is not a table or has no rows.
    pub(super) fn of_ptb_xl(folder: &Path, file: &str) -> Result<Self> {
        let missing = format!("name the folder of PTB-XL that has {file}, or download PTB-XL");
        Self::read(&folder.join(file), &missing, REPAIR)
    }

    /// Reads a table. `missing` says what to do about a file that cannot be read, `repair` about a damaged one.
    ///
    /// # Errors
    /// The file cannot be read, is not a table or has no rows.
    pub(super) fn read(path: &Path, missing: &str, repair: &str) -> Result<Self> {
        let bytes = std::fs::read(path)
            .map_err(|error| Error::new(ErrorKind::Dataset, format!("{}: {error}", path.display()), missing))?;
        let bad = |cause: String| Error::new(ErrorKind::Dataset, format!("{}: {cause}", path.display()), repair);
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        let mut reader = csv::Reader::from_reader(bytes);
        let headings = reader.headers().map_err(|error| bad(error.to_string()))?.clone();
        let line = |row: csv::StringRecord| (row.position().map_or(0, csv::Position::line), row);
        let rows = reader.into_records().map(|row| row.map(line)).collect::<std::result::Result<Vec<_>, _>>();
        let rows = rows.map_err(|error| bad(error.to_string()))?;
        if rows.is_empty() {
            return Err(bad("there are no rows".into()));
        }
        Ok(Self { origin: [path.display().to_string(), repair.into()], headings, rows })
    }

    /// Returns the index of a column, or `None` if there is none of this name.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.headings.iter().position(|heading| heading.trim() == name)
    }

    /// Returns the indices of columns.
    ///
    /// # Errors
    /// One of them is missing.
    pub(super) fn columns<const N: usize>(&self, names: [&str; N]) -> Result<[usize; N]> {
        let mut columns = [0; N];
        for (column, name) in columns.iter_mut().zip(names) {
            *column = self.column(name).ok_or_else(|| {
                let [origin, repair] = &self.origin;
                let cause = format!("{origin}: there is no column '{name}'");
                Error::new(ErrorKind::Dataset, cause, repair)
            })?;
        }
        Ok(columns)
    }
}

/// Returns a field without surrounding blanks; it is empty if the row or the table lacks it.
pub(super) fn field(row: &csv::StringRecord, column: Option<usize>) -> &str {
    column.and_then(|column| row.get(column)).unwrap_or_default().trim()
}
