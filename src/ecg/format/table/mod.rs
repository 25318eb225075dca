//! Reads tables of text: one column per lead and one row per sample, or one row per lead.
//!
//! What separates the cells, the decimal mark, the encoding, the header with names and units, and the orientation are
//! found out. Comments and other lines before the header are left out. A column of times states the sampling rate. What is
//! not stated comes from the options or is assumed.

mod columns;
mod dialect;
mod text;
mod times;

use std::{borrow::Cow, collections::BTreeMap};

use self::{
    columns::{Column, Columns, is_lead, is_units},
    dialect::{Cell, Dialect},
};
use super::{
    Format, ReadOptions, Source,
    assumptions::{self, Numbers, Stated},
    damaged, shown,
    signals::Signals,
};
use crate::{
    Hint, Recording, Result,
    ecg::{Lead, Unit},
};

/// Largest table in bytes, 1 GiB: days of twelve leads. The limit also ends the reading of an endless device.
const LARGEST_TABLE: u64 = 1 << 30;

/// Keys of lines before the header that state the sampling rate.
const RATE_KEYS: [&str; 6] =
    ["fs", "sampling rate", "sampling_rate", "sampling frequency", "sample rate", "samplingrate"];

/// Tables of text.
pub(super) const FORMAT: Format = Format {
    name: "CSV or another table of text",
    extensions: &["csv", "tsv", "txt", "asc"],
    companions: &[],
    recognises,
    read,
};

/// Whether the first bytes are text in columns: names of leads, or numbers, with or without lines above them.
fn recognises(start: &[u8]) -> bool {
    let (text, _) = text::decode(start);
    // XML may hold rows of numbers.
    let is_xml = text.trim_start().starts_with('<');
    if is_xml || text.chars().any(|letter| letter.is_control() && !letter.is_whitespace()) {
        return false;
    }
    let is_lead = |cell: &&str| cell.trim().trim_matches(['"', '\'']).parse::<Lead>().is_ok();
    let names = |line: &str| line.split([',', ';', '\t', ' ', '|']).filter(is_lead).count();
    text.lines().next().is_some_and(|first| names(first) >= 2) || Dialect::of(&text).is_some()
}

/// Reads a table.
fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    let bytes = source.open()?.read_start(LARGEST_TABLE + 1).map_err(|error| source.unreadable(error))?;
    if bytes.len() as u64 > LARGEST_TABLE {
        return Err(damaged(format!("a table of over {LARGEST_TABLE} bytes"), "cut it into shorter recordings"));
    }
    parse(&bytes, source.stem(), options).map(|recording| vec![recording])
}

fn parse(bytes: &[u8], name: String, options: &ReadOptions) -> Result<Recording> {
    let (text, encoding) = text::decode(bytes);
    if text.trim().is_empty() {
        return Err(damaged("an empty file", "give a table with one column per lead"));
    }
    let (dialect, start) = Dialect::of(&text).ok_or_else(|| {
        damaged("a text without a line of two numbers", "give a table with one column per lead and one row per sample")
    })?;
    let header = Header::of(&text, dialect, start);
    let body = Body::read(&text, dialect, start)?;
    let mut recording = recording(name, &header, body, options)?;
    encoding.into_iter().for_each(|encoding| recording.warn(format!("the text is {encoding}: read as such")));
    Ok(recording)
}

/// The lines before the first samples.
#[derive(Debug, Default)]
struct Header<'t> {
    names: Option<Vec<Cow<'t, str>>>,
    units: Option<Vec<Cow<'t, str>>>,
    /// The sampling rate in Hz that a line states.
    rate: Option<f64>,
}

impl<'t> Header<'t> {
    fn of(text: &'t str, dialect: Dialect, start: usize) -> Self {
        let lines: Vec<&str> = text.lines().take(start).filter(|line| !line.trim().is_empty()).collect();
        let mut rest =
            lines.iter().rev().map(|line| dialect.cells(line.trim_start().trim_start_matches(['#', '%', ' '])));
        let mut last = rest.next();
        let units = last.take_if(|cells| is_units(cells));
        if units.is_some() {
            last = rest.next();
        }
        let names = last.filter(|cells| cells.len() >= 2);
        Self { names, units, rate: lines.iter().find_map(|line| stated_rate(line)) }
    }
}

/// Returns the sampling rate in Hz that a line such as `# fs: 500` states.
fn stated_rate(line: &str) -> Option<f64> {
    let lower = line.trim_start_matches(['#', '%', ';', ' ']).to_lowercase();
    let rest = RATE_KEYS.iter().find_map(|key| lower.strip_prefix(key))?;
    let number = rest.trim_start_matches([':', '=', ',', ';', ' ', '\t', '(', 'h', 'z', ')']);
    let end = number.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(number.len());
    number[..end].parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0)
}

/// The samples of a table, as they stand in the file.
#[derive(Debug)]
struct Body {
    /// The leads that the rows begin with, if they do.
    row_leads: Vec<Lead>,
    /// Numbers, row by row. Those that are missing are NaN.
    numbers: Vec<f64>,
    /// Numbers per row.
    width: usize,
    /// The first cell of each column that is no number, with its line.
    texts: BTreeMap<usize, (u64, String)>,
    /// The number of each row's line in the file, from 1.
    lines: Vec<u64>,
}

impl Body {
    fn read(text: &str, dialect: Dialect, start: usize) -> Result<Self> {
        let mut body =
            Body { row_leads: Vec::new(), numbers: Vec::new(), width: 0, texts: BTreeMap::new(), lines: Vec::new() };
        for (line, at) in text.lines().zip(1..).skip(start) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let cells = dialect.cells(line);
            let lead: Option<Lead> = cells.first().and_then(|first| first.parse().ok());
            let numbers = &cells[usize::from(lead.is_some())..];
            body.row_leads.extend(lead);
            body.lines.push(at);
            if body.lines.len() == 1 {
                body.width = numbers.len();
            }
            if numbers.len() != body.width {
                let cause =
                    format!("line {at} has {} columns and line {} has {}", numbers.len(), body.lines[0], body.width);
                return Err(damaged(cause, "give every line the same number of columns"));
            }
            for (column, cell) in numbers.iter().enumerate() {
                body.numbers.push(match dialect.cell(cell) {
                    Cell::Number(number) => number,
                    Cell::Missing => f64::NAN,
                    Cell::Text => {
                        body.texts.entry(column).or_insert_with(|| (at, shown(cell.as_bytes())));
                        f64::NAN
                    }
                });
            }
        }
        if !body.row_leads.is_empty() && body.row_leads.len() != body.lines.len() {
            return Err(damaged("some rows begin with the name of a lead and some do not", "name all rows or none"));
        }
        Ok(body)
    }

    fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Checks that a column, or every one if none is given, has numbers alone. `name` is that of its lead.
    fn check_numbers(&self, column: Option<usize>, name: &str) -> Result<()> {
        let text = match column {
            Some(column) => self.texts.get_key_value(&column),
            None => self.texts.first_key_value(),
        };
        let Some((column, (line, text))) = text else { return Ok(()) };
        let cause = format!("line {line}, column {}{name}: '{text}' is no number", column + 1);
        Err(damaged(cause, "write numbers without units, and one decimal mark throughout"))
    }

    fn row(&self, row: usize) -> impl Iterator<Item = f64> {
        self.numbers[row * self.width..][..self.width].iter().copied()
    }

    fn column(&self, column: usize) -> impl Iterator<Item = f64> {
        self.numbers.iter().skip(column).step_by(self.width).copied()
    }

    /// Leaves out the first row.
    fn skip_row(&mut self) {
        self.numbers.drain(..self.width);
        self.lines.remove(0);
    }

    /// Whether the first row numbers the columns: 0,1,2,…, as pandas writes columns without names.
    fn is_numbered(&self) -> bool {
        self.rows() > 1 && self.row(0).enumerate().all(|(column, number)| number == column as f64)
    }

    /// Whether the first column grows by one step throughout, as times and numbers of samples do.
    fn counts(&self) -> bool {
        let first: Vec<f64> = self.column(0).collect();
        let steps = || first.windows(2).map(|pair| pair[1] - pair[0]);
        let mean = steps().sum::<f64>() / steps().len().max(1) as f64;
        steps().len() > 1 && mean > 0.0 && steps().all(|step| (step / mean - 1.0).abs() < 0.05)
    }
}

/// Makes the recording of a table.
fn recording(name: String, header: &Header, mut body: Body, options: &ReadOptions) -> Result<Recording> {
    let is_lead = |name: &&Cow<str>| is_lead(name);
    match &header.names {
        _ if !body.row_leads.is_empty() => leads_in_rows(header, &body)?.recording(name, options),
        Some(names) if names.len() == body.width => named(names, header, &body, options)?.recording(name, options),
        Some(names) if names.iter().filter(is_lead).count() >= 2 => {
            let cause = format!("the header has {} columns and line {} has {}", names.len(), body.lines[0], body.width);
            Err(damaged(cause, "give every line the same number of columns"))
        }
        _ => unnamed(name, header, &mut body, options),
    }
}

/// Returns the signals of a table whose rows begin with the names of their leads.
fn leads_in_rows(header: &Header, body: &Body) -> Result<Signals> {
    body.check_numbers(None, "")?;
    let row = |(row, lead): (usize, &Lead)| (lead.to_string(), body.row(row).map(|number| number as f32).collect());
    let signals = body.row_leads.iter().enumerate().map(row).collect();
    Ok(Signals { signals, sampling_rate: header.rate, ..Signals::default() })
}

/// Returns the signals of a table whose header names the columns.
fn named(names: &[Cow<str>], header: &Header, body: &Body, options: &ReadOptions) -> Result<Signals> {
    let Columns { columns, warnings } = Columns::named(names, header.units.as_deref())?;
    let (mut leads, mut sampling_rate) = (Vec::new(), header.rate);
    for (at, column) in columns.into_iter().enumerate() {
        match column {
            Column::Lead(lead, unit) => {
                body.check_numbers(Some(at), &format!(" (lead {lead})"))?;
                leads.push((lead, unit, body.column(at)));
            }
            Column::Times(times) => {
                let values: Vec<f64> = body.column(at).collect();
                sampling_rate = times.sampling_rate(&values, &body.lines, options)?.or(sampling_rate);
            }
            Column::Ignored => {}
        }
    }
    let unit = common_unit(leads.iter().map(|(lead, unit, _)| (*lead, *unit)), options)?;
    // Leads of different units are converted to the common one.
    let signal = |(lead, own, numbers): (Lead, Option<Unit>, _)| {
        let scale = own.zip(unit).map_or(1.0, |(own, common)| own.millivolts() / common.millivolts());
        (lead.to_string(), Iterator::map(numbers, |number: f64| (number * scale) as f32).collect())
    };
    Ok(Signals { signals: leads.into_iter().map(signal).collect(), sampling_rate, unit, warnings })
}

/// Makes the recording of a table without the names of leads: those of the options, or the standard twelve.
fn unnamed(name: String, header: &Header, body: &mut Body, options: &ReadOptions) -> Result<Recording> {
    body.check_numbers(None, "")?;
    let mut warnings = Vec::new();
    if body.is_numbered() {
        body.skip_row();
        warnings.push("the first line numbers the columns: taken as a header, not as samples".into());
    }
    let (rows, width, leads) = (body.rows(), body.width, options.leads());
    let expected = leads.len();
    let by_column = width == expected;
    let remedy = "name the leads, in a first line such as I,II,V1,V2,V3,V4,V5,V6 or apart from the file";
    if !by_column && rows != expected {
        let cause = format!("{width} columns without names, and {expected} leads are expected");
        return Err(damaged(cause, remedy).with_hint(Hint::NameLeads));
    }
    if by_column && body.counts() {
        let cause = format!("the first of {width} columns without names counts or times the samples");
        return Err(damaged(cause, remedy).with_hint(Hint::NameLeads));
    }
    if !by_column {
        warnings.push(format!("{rows} rows of {width} numbers: taken as one row per lead"));
    }
    let signal = |at: usize| -> Vec<f32> {
        let single = |number: f64| number as f32;
        if by_column { body.column(at).map(single).collect() } else { body.row(at).map(single).collect() }
    };
    let leads: Vec<(Lead, Vec<f32>)> = leads.iter().enumerate().map(|(at, lead)| (*lead, signal(at))).collect();
    let numbers = Numbers::of(leads.iter().flat_map(|(_, signal)| signal));
    let stated = Stated { sampling_rate: header.rate, unit: None };
    let mut recording = assumptions::recording(name, leads, numbers, stated, options)?;
    warnings.into_iter().for_each(|warning: String| recording.warn(warning));
    Ok(recording)
}

/// Returns the unit of all leads, if the header states it: that of the first lead.
///
/// # Errors
/// The header states the unit of some leads only, and the options none.
fn common_unit(
    mut leads: impl Iterator<Item = (Lead, Option<Unit>)> + Clone,
    options: &ReadOptions,
) -> Result<Option<Unit>> {
    let first = leads.clone().find_map(|(_, unit)| unit);
    match leads.find(|(_, unit)| unit.is_none()) {
        Some((lead, _)) if first.is_some() && options.unit.is_none() => {
            let cause = format!("lead {lead} has no unit in the header, and others have");
            Err(damaged(cause, "state the unit of all leads").with_hint(Hint::StateUnit))
        }
        _ => Ok(first),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Recording> {
        parse(text.as_bytes(), "r".into(), &ReadOptions::default())
    }

    #[test]
    fn leads_are_found_by_name_in_any_order_and_case() {
        let recording = read("n,v1,Lead II,i,note\n0,0.1,0.2,0.3,a\n1,0.4,0.5,0.6,b\n").unwrap();
        assert_eq!(recording.lead(Lead::V1), Some(&[0.1, 0.4][..]));
        assert_eq!(recording.lead(Lead::I), Some(&[0.3, 0.6][..]));
        assert!(recording.warnings().contains(&"ignored, since no standard lead: note".to_string()));
    }

    #[test]
    fn commas_semicolons_and_tabs_separate() {
        for separator in [",", ";", "\t"] {
            let text = ["\u{feff}I,II", "1.5,2.5\r", " 3.5 ,4.5", ""].join("\n").replace(',', separator);
            assert_eq!(read(&text).unwrap().lead(Lead::II), Some(&[2.5, 4.5][..]), "{separator:?}");
        }
    }

    #[test]
    fn without_names_the_columns_are_the_standard_leads() {
        let row = (0..12).map(|x| format!("{x}.5")).collect::<Vec<_>>().join(";");
        let numbered = (0..12).map(|x| x.to_string()).collect::<Vec<_>>().join(";");
        let recording = read(&format!("{row}\n{row}\n{row}")).unwrap();
        assert_eq!((recording.samples(), recording.lead(Lead::AVR)), (3, Some(&[3.5; 3][..])));
        let under_a_header = read(&format!("{numbered}\n{row}\n{row}")).unwrap();
        assert_eq!(under_a_header.lead(Lead::AVR), Some(&[3.5; 2][..]), "0;1;2;… are column numbers");
    }

    #[test]
    fn whole_numbers_need_a_unit() {
        let error = read("I,II\n120,-45\n130,0\n").unwrap_err();
        assert_eq!(error.cause(), "whole numbers without a unit");
    }

    #[test]
    fn an_invalid_table_is_explained_with_its_place() {
        let cause = |text: &str| read(text).unwrap_err().cause().to_string();
        assert_eq!(cause(""), "an empty file");
        assert_eq!(cause("a,b\n1,2"), "the first line names no lead: a, b");
        assert_eq!(cause("1,2,3\n4,5,6"), "3 columns without names, and 12 leads are expected");
        assert_eq!(cause("I,II\n1,2\n3,x"), "line 3, column 2 (lead II): 'x' is no number");
        assert_eq!(cause("I;II\n1;0,2"), "line 2, column 2 (lead II): '0,2' is no number");
        assert_eq!(cause("I,II\n1.5,"), "line 2, column 2 (lead II): '' is no number");
        assert_eq!(cause("I,II\n1,2\n3"), "line 3 has 1 columns and the first line 2");
        assert_eq!(cause("I,II\n1.5,nan"), "lead II has NaN at sample 0");
        assert_eq!(cause("I,i\n1.5,2"), "lead I is there twice");
        assert_eq!(cause("I,II\n"), "a recording of zero samples");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes, "r".into(), &ReadOptions::default());
        }

        #[test]
        fn random_tables_never_panic(text in "([-0-9.,;e\t\"\n]|nan|inf|II|V1){0,80}") {
            let _ = parse(text.as_bytes(), "r".into(), &ReadOptions::default());
        }
    }
}
