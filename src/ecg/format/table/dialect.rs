//! Finds out how a table is written: what separates its cells, and its decimal mark.

use std::borrow::Cow;

/// Lines that are looked at.
const SEEN: usize = 200;

/// How a table is written.
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

impl Dialect {
    /// Every dialect, the usual ones first.
    const ALL: [Self; 8] = {
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
        ]
    };

    /// Returns the dialect in which most cells of the first lines are numbers, and the first line of numbers. None if no
    /// line has two numbers.
    pub(super) fn of(text: &str) -> Option<(Self, usize)> {
        let numbers = |dialect: &Self| {
            let mut first = None;
            let mut count = 0;
            for (at, line) in text.lines().enumerate().take(SEEN) {
                let cells = dialect.cells(line);
                if dialect.is_data(&cells) {
                    first.get_or_insert(at);
                    count += cells.len();
                }
            }
            first.map(|first| (count, first))
        };
        let mut best: Option<(usize, Self, usize)> = None;
        for dialect in Self::ALL {
            if let Some((count, first)) = numbers(&dialect)
                && best.is_none_or(|(most, ..)| count > most)
            {
                best = Some((count, dialect, first));
            }
        }
        best.map(|(_, dialect, first)| (dialect, first))
    }

    /// Splits a line into cells, without quotes and the space around them. An empty cell at the end is left out.
    pub(super) fn cells<'t>(&self, line: &'t str) -> Vec<Cow<'t, str>> {
        let bare = |cell: &'t str| Cow::Borrowed(cell.trim().trim_matches(['"', '\'']).trim());
        let mut cells: Vec<Cow<str>> = match self.separator {
            Separator::Whitespace => line.split_whitespace().map(bare).collect(),
            Separator::Byte(separator) => line.split(char::from(separator)).map(bare).collect(),
        };
        if cells.len() > 1 && cells.last().is_some_and(|last| last.is_empty()) {
            cells.pop();
        }
        cells
    }

    /// Reads a cell.
    pub(super) fn cell(&self, text: &str) -> Cell {
        const NONE: [&str; 6] = ["", "nan", "na", "n/a", "null", "-"];
        if NONE.iter().any(|none| text.eq_ignore_ascii_case(none)) {
            return Cell::Missing;
        }
        let number = match self.decimal_comma {
            true if text.contains('.') => None,
            true => text.replace(',', ".").parse().ok(),
            false => text.parse().ok(),
        };
        number.map_or(Cell::Text, Cell::Number)
    }

    /// Whether a line holds samples: mostly numbers, of which some may be missing, or the name of a lead and its numbers.
    pub(super) fn is_data(&self, cells: &[Cow<str>]) -> bool {
        let rest = match cells {
            [name, rest @ ..] if name.parse::<crate::ecg::Lead>().is_ok() => rest,
            _ => cells,
        };
        let count = |is: fn(Cell) -> bool| rest.iter().filter(|cell| is(self.cell(cell))).count();
        let numbers = count(|cell| matches!(cell, Cell::Number(_)));
        numbers >= 2 && numbers > count(|cell| cell == Cell::Text)
    }
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
            ("\"I\",'II'\n\"0.5\",'1.5',\n", 1, [0.5, 1.5]),
        ] {
            let (dialect, line) = Dialect::of(text).unwrap();
            let cells = dialect.cells(text.lines().nth(line).unwrap());
            let numbers: Vec<Cell> = cells.iter().map(|cell| dialect.cell(cell)).collect();
            assert_eq!((line, &numbers[..]), (first, &second.map(Cell::Number)[..]), "{text:?}");
        }
        assert_eq!(Dialect::of("no numbers here\n"), None);
    }
}
