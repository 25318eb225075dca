//! Reads tables of comma-separated values: one column per lead, one row per sample, in real numbers.
//!
//! The first line names the leads, in any order and case; without it the columns are the twelve standard leads, or
//! those that the options name. A comma, a semicolon or a tab separates the columns. A column of times states the
//! sampling rate.

use ::csv::{ByteRecord, ReaderBuilder};

use super::{
    Format, ReadOptions, Source,
    assumptions::{self, Numbers},
    damaged, shown,
    times::Times,
};
use crate::{Hint, Recording, Result, ecg::Lead};

/// Columns that number the samples.
const INDICES: [&str; 5] = ["", "sample", "samples", "index", "n"];

/// Largest table in bytes, 1 GiB: days of twelve leads. The limit also ends the reading of an endless device.
const LARGEST_TABLE: u64 = 1 << 30;

/// Tables of comma-separated values.
pub(super) const FORMAT: Format = Format { name: "CSV", extensions: &["csv"], companions: &[], recognises, read };

/// Whether the first bytes are text in columns: names of leads, or numbers, with or without a line above them.
fn recognises(start: &[u8]) -> bool {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    if start.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()) {
        return false;
    }
    let separator = delimiter(start);
    let mut lines = start
        .split(|byte| *byte == b'\n')
        .map(|line| -> Vec<&[u8]> { line.split(|byte| *byte == separator).map(<[u8]>::trim_ascii).collect() });
    let [first, second] = [(); 2].map(|()| lines.next().unwrap_or_default());
    let is_lead = |cell: &&&[u8]| std::str::from_utf8(cell).is_ok_and(|name| name.parse::<Lead>().is_ok());
    let numbers = |cells: &[&[u8]]| cells.iter().all(|cell| parse_number(cell).is_some());
    // A long second line reaches beyond the bytes that are seen.
    let only_first = second.len() < first.len() && lines.next().is_none();
    first.iter().filter(is_lead).count() >= 2
        || first.len() >= 2 && only_first && numbers(&first)
        || first.len() >= 2 && second.len() == first.len() && numbers(&second)
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
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut rows =
        ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter(bytes)).from_reader(bytes);
    let mut columns: Option<Columns> = None;
    let mut row = ByteRecord::new();
    let unreadable = |error: ::csv::Error| damaged(format!("no table ({error})"), "save it as CSV");
    while rows.read_byte_record(&mut row).map_err(unreadable)? {
        match &mut columns {
            Some(columns) => columns.add(&row)?,
            none => {
                let first = none.insert(Columns::of_first(&row, options)?);
                if !first.has_header {
                    first.add(&row)?;
                }
            }
        }
    }
    let columns = columns.ok_or_else(|| damaged("an empty file", "give a table with one column per lead"))?;
    let rate = columns.times.as_ref().map(|(_, times)| times.sampling_rate(options)).transpose()?.flatten();
    let leads: Vec<_> = columns.leads.into_iter().map(|(_, lead, signal)| (lead, signal)).collect();
    let numbers = Numbers::of(leads.iter().flat_map(|(_, signal)| signal));
    let mut recording = assumptions::recording(name, leads, numbers, rate, options)?;
    columns.warnings.into_iter().for_each(|warning| recording.warn(warning));
    if columns.named {
        options.warn_of_unused_leads(&mut recording);
    }
    Ok(recording)
}

/// Returns the separator that occurs most often in the first line.
fn delimiter(bytes: &[u8]) -> u8 {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| first.iter().filter(|byte| **byte == separator).count();
    // Among equal counts max_by_key returns the last, which is the comma.
    [b'\t', b';', b','].into_iter().max_by_key(|separator| count(*separator)).unwrap_or(b',')
}

/// The columns of leads, with the samples read so far.
struct Columns {
    /// Column, lead, and samples in the file's unit.
    leads: Vec<(usize, Lead, Vec<f32>)>,
    /// Cells per row.
    width: usize,
    /// The column of times, and its times.
    times: Option<(usize, Times)>,
    /// Whether the first line holds no samples.
    has_header: bool,
    /// Whether the first line names the leads.
    named: bool,
    warnings: Vec<String>,
}

impl Columns {
    /// Interprets the first row of a table: names of leads, or samples.
    fn of_first(row: &ByteRecord, options: &ReadOptions) -> Result<Self> {
        if row.iter().all(|cell| parse_number(cell).is_some()) { Self::unnamed(row, options) } else { Self::named(row) }
    }

    fn unnamed(row: &ByteRecord, options: &ReadOptions) -> Result<Self> {
        let (leads, width) = (options.leads(), row.len());
        if width != leads.len() {
            let cause = format!("{width} columns without names, and {} leads are expected", leads.len());
            let remedy = "name the leads, in a first line such as I,II,V1,V2,V3,V4,V5,V6 or apart from the file";
            return Err(damaged(cause, remedy).with_hint(Hint::NameLeads));
        }
        let leads = leads.iter().enumerate().map(|(column, lead)| (column, *lead, Vec::new())).collect();
        // Tables of numbered columns, as pandas writes them without names, begin with the line 0,1,2,…
        let has_header = row.iter().enumerate().all(|(column, cell)| cell == column.to_string().as_bytes());
        let warning = "the first line numbers the columns: taken as a header, not as samples";
        let warnings = has_header.then(|| warning.to_string()).into_iter().collect();
        Ok(Self { leads, width, times: None, has_header, named: false, warnings })
    }

    fn named(row: &ByteRecord) -> Result<Self> {
        let names: Vec<String> = row.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_string()).collect();
        let mut leads = Vec::new();
        let mut others = Vec::new();
        let mut times = None;
        for (column, name) in names.iter().enumerate() {
            if let Ok(lead) = name.parse() {
                leads.push((column, lead, Vec::new()));
            } else if let Some(found) = Times::of(name).filter(|_| times.is_none()) {
                times = Some((column, found));
            } else if !INDICES.iter().any(|index| name.eq_ignore_ascii_case(index)) {
                others.push(shown(name.as_bytes()));
            }
        }
        if leads.is_empty() {
            let cause = format!("the first line names no lead: {}", others.join(", "));
            return Err(damaged(cause, "name the columns I, II, III, aVR, aVL, aVF, V1 to V6"));
        }
        let warnings = match &others[..] {
            [] => Vec::new(),
            _ => vec![format!("ignored, since no standard lead: {}", others.join(", "))],
        };
        Ok(Self { leads, width: names.len(), times, has_header: true, named: true, warnings })
    }

    /// Adds one sample of each lead.
    fn add(&mut self, row: &ByteRecord) -> Result<()> {
        let line = row.position().map_or(0, |position| position.line());
        if row.len() != self.width {
            let cause = format!("line {line} has {} columns and the first line {}", row.len(), self.width);
            return Err(damaged(cause, "give every line the same number of columns"));
        }
        if let Some((column, times)) = &mut self.times {
            times.add(row.get(*column).unwrap_or_default(), line)?;
        }
        for (column, lead, signal) in &mut self.leads {
            let cell = row.get(*column).unwrap_or_default();
            let number = parse_number(cell).ok_or_else(|| {
                let cause =
                    format!("line {line}, column {} (lead {lead}): '{}' is no number", *column + 1, shown(cell));
                damaged(cause, "write numbers with a decimal point and without units")
            })?;
            signal.push(number);
        }
        Ok(())
    }
}

fn parse_number(cell: &[u8]) -> Option<f32> {
    std::str::from_utf8(cell).ok()?.trim().parse().ok()
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
