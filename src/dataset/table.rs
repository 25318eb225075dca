//! Reads the two CSV tables of PTB-XL.

use std::path::Path;

use crate::{Error, ErrorKind, Result};

/// The rows of a table, each with the number of its first line.
pub(super) type TableRows = Vec<(u64, csv::StringRecord)>;

/// What to do about a damaged table.
pub(super) const REPAIR: &str = "get the file of PTB-XL 1.0.3 again";

/// Reads `file` in `folder`. Returns the indices of the columns called `names`, and all rows.
///
/// # Errors
/// The file cannot be read, is not a table, lacks a column or has no rows.
pub(super) fn read<const N: usize>(folder: &Path, file: &str, names: [&str; N]) -> Result<([usize; N], TableRows)> {
    let path = folder.join(file);
    let bytes = std::fs::read(&path).map_err(|error| {
        let cause = format!("{}: {error}", path.display());
        Error::new(ErrorKind::Dataset, cause, format!("name the folder of PTB-XL that has {file}, or download PTB-XL"))
    })?;
    let bad = |cause: String| Error::new(ErrorKind::Dataset, format!("{}: {cause}", path.display()), REPAIR);
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let headings = reader.headers().map_err(|error| bad(error.to_string()))?.clone();
    let mut columns = [0; N];
    for (column, name) in columns.iter_mut().zip(names) {
        let index = headings.iter().position(|heading| heading.trim() == name);
        *column = index.ok_or_else(|| bad(format!("there is no column '{name}'")))?;
    }
    let line = |row: csv::StringRecord| (row.position().map_or(0, csv::Position::line), row);
    let rows = reader.into_records().map(|row| row.map(line)).collect::<std::result::Result<TableRows, _>>();
    let rows = rows.map_err(|error| bad(error.to_string()))?;
    if rows.is_empty() {
        return Err(bad("there are no rows".into()));
    }
    Ok((columns, rows))
}
