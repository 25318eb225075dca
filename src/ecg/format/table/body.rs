//! Reads the rows of a table.

use std::collections::BTreeMap;

use super::{
    super::{damaged, shown},
    dialect::{Cell, Layout},
};
use crate::{Result, ecg::Lead};

/// The rows of a table, as they stand in the file.
#[derive(Debug)]
pub(super) struct Body {
    /// The lead that each row begins with, if it does.
    leads: Vec<Option<Lead>>,
    /// Numbers, row by row. Cells without a number are NaN.
    numbers: Vec<f64>,
    /// Cells per row.
    width: usize,
    /// The first cell of each column that is no number and not missing, with its line.
    texts: BTreeMap<usize, (u64, String)>,
    /// The number of each row's line in the file, from 1.
    lines: Vec<u64>,
}

impl Body {
    /// Reads the rows. `named` is the number of columns that the header names, if it names any.
    ///
    /// # Errors
    /// Rows of different lengths, or some that begin with the name of a lead beside some that do not.
    pub(super) fn read(text: &str, layout: Layout, named: Option<usize>) -> Result<Self> {
        let rows = text.lines().zip(1..).skip(layout.start);
        let mut rows = rows.filter(|(line, _)| !line.trim().is_empty() && !line.starts_with(['#', '%'])).peekable();
        let ends_empty = |line: &str| layout.dialect.cells(line).last().is_some_and(|last| last.is_empty());
        // Every line may end in a separator, unless the header names a column after it.
        let separator_at_end = named != Some(layout.width) && rows.peek().is_some_and(|(line, _)| ends_empty(line));
        let width = layout.width - usize::from(separator_at_end);
        let mut body =
            Self { leads: Vec::new(), numbers: Vec::new(), width, texts: BTreeMap::new(), lines: Vec::new() };
        for (line, at) in rows {
            let mut cells = layout.dialect.cells(line);
            if cells.len() == width + 1 && cells.last().is_some_and(|last| last.is_empty()) {
                cells.pop();
            }
            if cells.len() != width {
                let cause = format!("line {at} has {} columns and line {} has {width}", cells.len(), layout.start + 1);
                return Err(damaged(cause, "give every line the same number of columns"));
            }
            body.leads.push(cells[0].parse().ok());
            body.lines.push(at);
            for (column, cell) in cells.iter().enumerate() {
                let number = body.number(layout.dialect.cell(cell), column, at, cell);
                body.numbers.push(number);
            }
        }
        Ok(body)
    }

    fn number(&mut self, cell: Cell, column: usize, line: u64, text: &str) -> f64 {
        match cell {
            Cell::Number(number) => number,
            Cell::Missing => f64::NAN,
            Cell::Text => {
                self.texts.entry(column).or_insert_with(|| (line, shown(text.as_bytes())));
                f64::NAN
            }
        }
    }

    /// Returns the leads that the rows begin with, and the first of these rows: rows after a row of sample numbers or times
    /// may begin with leads. None if no row begins with a lead.
    ///
    /// # Errors
    /// Some rows begin with a lead and some do not.
    pub(super) fn row_leads(&self) -> Result<Option<(Vec<Lead>, usize)>> {
        let first = usize::from(self.leads.first().is_some_and(Option::is_none));
        let rest = &self.leads[first..];
        let leads: Vec<Lead> = rest.iter().flatten().copied().collect();
        match leads.len() {
            0 => Ok(None),
            count if count == rest.len() => Ok(Some((leads, first))),
            _ => Err(damaged("some rows begin with the name of a lead and some do not", "name all rows or none")),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Returns the number of each row's line in the file.
    pub(super) fn lines(&self) -> &[u64] {
        &self.lines
    }

    /// Checks that the columns from `first` on have numbers alone. `name` tells what they hold.
    pub(super) fn check_numbers(&self, columns: impl std::ops::RangeBounds<usize>, name: &str) -> Result<()> {
        let Some((column, (line, text))) = self.texts.range(columns).next() else { return Ok(()) };
        let cause = format!("line {line}, column {}{name}: '{text}' is no number", column + 1);
        Err(damaged(cause, "write numbers without units, and one decimal mark throughout"))
    }

    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.numbers[row * self.width..][..self.width]
    }

    pub(super) fn column(&self, column: usize) -> impl Iterator<Item = f64> {
        self.numbers.iter().skip(column).step_by(self.width).copied()
    }

    /// Leaves out the first row.
    pub(super) fn skip_row(&mut self) {
        self.numbers.drain(..self.width);
        self.leads.remove(0);
        self.lines.remove(0);
    }

    /// Whether the first row numbers the columns: 0,1,2,…, as pandas writes columns without names, with or without an empty
    /// cell above its index.
    pub(super) fn is_numbered(&self) -> bool {
        let numbers = |row: &[f64]| row.iter().enumerate().all(|(column, number)| *number == column as f64);
        self.rows() > 1
            && match self.row(0) {
                [first, rest @ ..] if first.is_nan() => rest.len() > 1 && numbers(rest),
                row => numbers(row),
            }
    }

    /// Whether the first column grows by one step throughout, as times and numbers of samples do.
    pub(super) fn counts(&self) -> bool {
        let first: Vec<f64> = self.column(0).collect();
        let steps = || first.windows(2).map(|pair| pair[1] - pair[0]);
        let mean = steps().sum::<f64>() / steps().len().max(1) as f64;
        steps().len() > 1 && mean > 0.0 && steps().all(|step| (step / mean - 1.0).abs() < 0.05)
    }
}
