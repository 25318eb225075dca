//! Finds out how a table is written: what separates its cells, its decimal mark, and its first line of samples.

use std::{borrow::Cow, collections::BTreeMap};

use csv::ReaderBuilder;

use crate::ecg::Lead;

/// Lines that are looked at.
const SEEN: usize = 200;

/// How the cells of a table are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    separator: Separator,
    /// A decimal comma instead of a point.
    decimal_comma: bool,
}

/// What separates the cells of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    Byte(u8),
    /// One or more spaces or tabs.
    Whitespace,
}

/// The content of a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    Number(f64),
    /// Nothing, or a word for no number.
    Missing,
    Text,
}

/// Where the samples of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) dialect: Dialect,
    /// The first line of samples, counted from 0.
    pub(super) start: usize,
    /// Cells in most lines of samples, an empty one at the end included.
    pub(super) width: usize,
    /// Lines of samples among those that were looked at.
    pub(super) lines: usize,
    /// Whether no cell of these lines is a text.
    pub(super) numbers_alone: bool,
    /// Whether these lines begin with the names of leads.
    pub(super) names_rows: bool,
}

impl Layout {
    /// Finds the dialect in which most cells of the first lines are numbers. Lines of samples are those of numbers that
    /// have the most frequent count of cells. None if no line has two numbers.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut best: Option<(usize, Self)> = None;
        for dialect in Dialect::ALL {
            if let Some((numbers, layout)) = Self::in_dialect(text, dialect)
                && best.is_none_or(|(most, _)| numbers > most)
            {
                best = Some((numbers, layout));
            }
        }
        best.map(|(_, layout)| layout)
    }

    /// Finds the lines of samples in one dialect. Returns also by how much their numbers outweigh texts.
    fn in_dialect(text: &str, dialect: Dialect) -> Option<(usize, Self)> {
        let mut by_width: BTreeMap<usize, (usize, Self)> = BTreeMap::new();
        for (start, text) in text.lines().enumerate().take(SEEN) {
            let cells = dialect.cells(text);
            let Some(Row { numbers, texts, named }) = Row::of(&cells, dialect) else { continue };
            let width = cells.len();
            let first = Self { dialect, start, width, lines: 0, numbers_alone: true, names_rows: true };
            let (excess, layout) = by_width.entry(width).or_insert((0, first));
            *excess += numbers - texts;
            layout.lines += 1;
            layout.numbers_alone &= texts == 0 && !named;
            layout.names_rows &= named;
        }
        by_width.into_values().max_by_key(|(excess, _)| *excess)
    }
}

/// The cells of a line of samples.
struct Row {
    numbers: usize,
    texts: usize,
    /// Whether the first cell is the name of a lead.
    named: bool,
}

impl Row {
    /// Counts the cells of a line that is mostly numbers, of which some may be missing. None for other lines.
    fn of(cells: &[Cow<str>], dialect: Dialect) -> Option<Self> {
        let named = cells.first().is_some_and(|first| first.parse::<Lead>().is_ok());
        let rest = &cells[usize::from(named)..];
        let count = |is: fn(Cell) -> bool| rest.iter().filter(|cell| is(dialect.cell(cell))).count();
        let numbers = count(|cell| matches!(cell, Cell::Number(_)));
        let texts = count(|cell| cell == Cell::Text);
        (numbers >= 2 && numbers > texts).then_some(Self { numbers, texts, named })
    }
}

impl Dialect {
    /// Every dialect, the usual ones first.
    const ALL: [Self; 9] = {
        const fn of(separator: Separator, decimal_comma: bool) -> Dialect {
            Dialect { separator, decimal_comma }
        }
        [
            of(Separator::Byte(b','), false),
            of(Separator::Byte(b'\t'), false),
            of(Separator::Byte(b';'), false),
            of(Separator::Whitespace, false),
            of(Separator::Byte(b'|'), false),
            of(Separator::Byte(b';'), true),
            of(Separator::Byte(b'\t'), true),
            of(Separator::Whitespace, true),
            // Possible where the numbers are in quotes.
            of(Separator::Byte(b','), true),
        ]
    };

    /// Splits a line into cells, without quotes and the space around them.
    pub(super) fn cells<'t>(&self, line: &'t str) -> Vec<Cow<'t, str>> {
        let bare = |cell: &'t str| Cow::Borrowed(cell.trim().trim_matches(['"', '\'']).trim());
        match self.separator {
            Separator::Whitespace => line.split_whitespace().map(bare).collect(),
            Separator::Byte(separator) if line.contains('"') => quoted_cells(line, separator),
            Separator::Byte(separator) => line.split(char::from(separator)).map(bare).collect(),
        }
    }

    /// Reads a cell.
    pub(super) fn cell(&self, text: &str) -> Cell {
        const NONE: [&str; 8] = ["", "nan", "na", "n/a", "null", "none", "-", "?"];
        let first = text.as_bytes().first();
        if first.is_none_or(|first| !first.is_ascii_digit()) && NONE.iter().any(|none| text.eq_ignore_ascii_case(none))
        {
            return Cell::Missing;
        }
        let number = match self.decimal_comma {
            true if text.contains('.') => None,
            true => parse(&text.replace(',', ".")),
            false => parse(text),
        };
        number.map_or(Cell::Text, Cell::Number)
    }
}

/// Splits a line with quotes, in which separators may occur.
fn quoted_cells(line: &str, separator: u8) -> Vec<Cow<'_, str>> {
    let mut reader = ReaderBuilder::new().delimiter(separator).has_headers(false).from_reader(line.as_bytes());
    let cells = reader.records().next().and_then(|record| record.ok()).unwrap_or_default();
    cells.iter().map(|cell| cell.trim().trim_matches('\'').to_string().into()).collect()
}

/// Parses a number, or a time of the day in seconds: `0:01.250`, `12:00:01.250`. Some programs write the minus sign of
/// typography.
fn parse(text: &str) -> Option<f64> {
    text.parse().ok().or_else(|| match text.strip_prefix('\u{2212}') {
        Some(rest) => rest.parse().ok().map(|number: f64| -number),
        None => parse_clock(text),
    })
}

/// Parses hours (which may be left out), minutes and seconds.
fn parse_clock(text: &str) -> Option<f64> {
    let (front, seconds) = text.trim_matches(['[', ']']).rsplit_once(':')?;
    let whole = |part: &str| part.parse::<u32>().ok().map(f64::from);
    let minutes = match front.split_once(':') {
        Some((hours, minutes)) => 60.0 * whole(hours)? + whole(minutes)?,
        None => whole(front)?,
    };
    let seconds: f64 = seconds.parse().ok().filter(|seconds| (0.0..60.0).contains(seconds))?;
    Some(60.0 * minutes + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separator_and_decimal_mark_are_found_out() {
        for (text, first, second) in [
            ("I,II\n0.5,1.5\n", 1, [0.5, 1.5]),
            ("I;II\n0,5;1,5\n", 1, [0.5, 1.5]),
            ("I;II\n0.5;1.5\n", 1, [0.5, 1.5]),
            ("I\tII\n0,5\t1,5\n", 1, [0.5, 1.5]),
            ("# made by x\n\nI II\n 0.5   1.5 \n", 3, [0.5, 1.5]),
            ("0,5 1,5\n", 0, [0.5, 1.5]),
            ("I|II\n0.5|1.5\n", 1, [0.5, 1.5]),
            ("\"I\",'II'\n\"0.5\",'1.5'\n", 1, [0.5, 1.5]),
            ("I,II\n\"0,5\",\"1,5\"\n\"0,5\",\"1,5\"\n", 1, [0.5, 1.5]),
            ("date,2020,1,1\nI,II\n0.5,1.5\n0.5,1.5\n0.5,1.5\n", 2, [0.5, 1.5]),
        ] {
            let Layout { dialect, start, width, .. } = Layout::of(text).unwrap();
            let cells = dialect.cells(text.lines().nth(start).unwrap());
            let numbers: Vec<Cell> = cells.iter().map(|cell| dialect.cell(cell)).collect();
            assert_eq!((start, &numbers[..], width), (first, &second.map(Cell::Number)[..], 2), "{text:?}");
        }
        assert_eq!(Layout::of("no numbers here\n"), None);
    }

    #[test]
    fn numbers_are_read_as_programs_write_them() {
        let dialect = Dialect::ALL[0];
        for (text, number) in
            [("-1.5e-3", -0.0015), ("+.5", 0.5), ("\u{2212}2", -2.0), ("0:01.250", 1.25), ("[01:02:03.004]", 3723.004)]
        {
            assert_eq!(dialect.cell(text), Cell::Number(number), "{text}");
        }
        for text in ["", "NaN", "n/a", "-", "NULL"] {
            assert_eq!(dialect.cell(text), Cell::Missing, "{text}");
        }
        for text in ["I", "1,5", "0x10", "1:75", "1 2"] {
            assert_eq!(dialect.cell(text), Cell::Text, "{text}");
        }
    }
}
