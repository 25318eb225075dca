//! Reads tables of text: one column per lead and one row per sample, or one row per lead.
//!
//! What separates the cells, the decimal mark, the encoding, the header with names and units, and the orientation are
//! found out. Comments and other lines before the header are left out. A column of times states the sampling rate. What is
//! not stated comes from the options or is assumed.

mod body;
mod columns;
mod dialect;
mod header;
mod times;
mod write;

use std::borrow::Cow;

pub(super) use self::write::write;
use self::{
    body::Body,
    columns::{Column, is_lead},
    dialect::Layout,
    header::Header,
    times::Times,
};
use super::{
    Format, ReadOptions, Reading, Source,
    assumptions::{self, Numbers, Stated},
    damaged, shown,
    signals::Signals,
    text,
};
use crate::{
    Hint, Recording, Result,
    ecg::{Lead, Unit, synthetic::SYNTHETIC},
};

/// Largest table in bytes, 1 GiB: days of twelve leads. The limit also ends the reading of an endless device.
const LARGEST_TABLE: u64 = 1 << 30;

/// Tables of text.
pub(super) const FORMAT: Format = Format {
    name: "text table",
    extensions: &["csv", "tsv", "txt", "asc"],
    companions: &[],
    recognises,
    plausible: Some(plausible),
    reading: Reading::Whole(read),
};

/// Whether the first bytes are text in columns: names of leads with numbers below, or lines of numbers alone. A single line
/// must have as many numbers as an ECG has leads at least.
fn recognises(start: &[u8]) -> bool {
    const FEWEST_LEADS: usize = 8;
    let (text, _) = text::decode(start);
    // XML may hold rows of numbers.
    let is_xml = text.trim_start().starts_with('<');
    if is_xml || text.chars().any(|letter| letter.is_control() && !letter.is_whitespace()) {
        return false;
    }
    let Some(layout) = Layout::of(&text) else { return false };
    let numbers_alone = layout.numbers_alone && (layout.lines >= 2 || layout.width >= FEWEST_LEADS);
    numbers_alone || Header::of(&text, layout).names_leads()
}

/// Whether the first bytes are a table that names leads, or has one column or row per lead.
fn plausible(start: &[u8], options: &ReadOptions) -> bool {
    let (text, _) = text::decode(start);
    let Some(layout) = Layout::of(&text) else { return false };
    let leads = options.leads().len();
    let unnamed = layout.numbers_alone && (layout.width.abs_diff(leads) <= 1 || layout.lines == leads);
    unnamed || layout.names_rows || Header::of(&text, layout).names_leads()
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
    let layout = Layout::of(&text).ok_or_else(|| {
        damaged("a text without a line of two numbers", "give a table with one column per lead and one row per sample")
    })?;
    let header = Header::of(&text, layout);
    let body = Body::read(&text, layout, header.names.as_ref().map(Vec::len))?;
    let mut recording = recording(name, &header, body, options)?;
    if header.synthetic {
        recording.warn(SYNTHETIC);
    }
    encoding.into_iter().for_each(|encoding| recording.warn(format!("the text is {encoding}: read as such")));
    Ok(recording)
}

/// Makes the recording of a table.
fn recording(name: String, header: &Header, mut body: Body, options: &ReadOptions) -> Result<Recording> {
    if let Some((leads, first)) = body.row_leads()? {
        return leads_in_rows(header, &body, &leads, first, options)?.recording(name, options);
    }
    let names = header.names.as_deref().unwrap_or_default();
    if names.len() == body.width() {
        return named(names, header, &body, options)?.recording(name, options);
    }
    // R writes a column of row names without naming it.
    if names.len() + 1 == body.width() && header.names_leads() && body.counts() {
        let names = [&[Cow::Borrowed("")], names].concat();
        return named(&names, header, &body, options)?.recording(name, options);
    }
    if header.names_leads() {
        let cause = format!("the header has {} columns and line {} has {}", names.len(), body.lines()[0], body.width());
        return Err(damaged(cause, "give every line the same number of columns"));
    }
    unnamed(name, header, &mut body, options)
}

/// Returns the signals of a table whose rows begin with the names of their leads, from row `first` on. The row before them
/// numbers or times the samples.
fn leads_in_rows(header: &Header, body: &Body, leads: &[Lead], first: usize, options: &ReadOptions) -> Result<Signals> {
    body.check_numbers(1.., "")?;
    let mut sampling_rate = header.sampling_rate;
    if let [_, times @ ..] = body.row(0)
        && first == 1
        && !times.windows(2).all(|pair| pair[1] - pair[0] == 1.0)
    {
        let lines = vec![body.lines()[0]; times.len()];
        sampling_rate = Times::at("the first row").sampling_rate(times, &lines, options)?.or(sampling_rate);
    }
    let samples = |row: usize| body.row(row).iter().skip(1).map(|number| *number as f32).collect();
    let signals = leads.iter().zip(first..).map(|(lead, row)| (lead.to_string(), samples(row))).collect();
    Ok(Signals { signals, sampling_rate, unit: header.unit, ..Signals::default() })
}

/// Returns the signals of a table whose header names the columns.
fn named(names: &[Cow<str>], header: &Header, body: &Body, options: &ReadOptions) -> Result<Signals> {
    let names_leads = names.iter().any(|name| is_lead(name));
    let (mut signals, mut sampling_rate) = (Vec::new(), header.sampling_rate);
    for (at, column) in columns::interpret(names, header.units.as_deref()).into_iter().enumerate() {
        match column {
            Column::Signal(name, unit) => {
                if is_lead(&name) || !names_leads {
                    body.check_numbers(at..=at, &format!(" ({})", shown(name.as_bytes())))?;
                }
                signals.push((name, unit.or(header.unit), at));
            }
            Column::Times(times) => {
                let values: Vec<f64> = body.column(at).collect();
                sampling_rate = times.sampling_rate(&values, body.lines(), options)?.or(sampling_rate);
            }
            Column::Index => {}
        }
    }
    let unit = common_unit(signals.iter().filter(|(name, ..)| is_lead(name) || !names_leads), options)?;
    // Signals of different units are converted to the common one.
    let signal = |(name, own, at): (String, Option<Unit>, usize)| {
        let scale = own.zip(unit).map_or(1.0, |(own, common)| own.millivolts() / common.millivolts());
        (name, body.column(at).map(|number| (number * scale) as f32).collect())
    };
    let signals = signals.into_iter().map(signal).collect();
    Ok(Signals { signals, sampling_rate, unit, ..Signals::default() })
}

/// Returns the unit of all leads, if the header states it: that of the first lead.
///
/// # Errors
/// The header states the unit of some leads only, and the options none.
fn common_unit<'s>(
    mut signals: impl Iterator<Item = &'s (String, Option<Unit>, usize)> + Clone,
    options: &ReadOptions,
) -> Result<Option<Unit>> {
    let first = signals.clone().find_map(|(_, unit, _)| *unit);
    match signals.find(|(_, unit, _)| unit.is_none()) {
        Some((name, ..)) if first.is_some() && options.unit.is_none() => {
            let cause = format!("{} has no unit in the header, and others have", shown(name.as_bytes()));
            Err(damaged(cause, "state the unit of all leads").with_hint(Hint::StateUnit))
        }
        _ => Ok(first),
    }
}

/// Makes the recording of a table without the names of leads: those of the options, or the standard twelve.
fn unnamed(name: String, header: &Header, body: &mut Body, options: &ReadOptions) -> Result<Recording> {
    let mut warnings = Vec::new();
    if body.is_numbered() {
        body.skip_row();
        warnings.push("the first line numbers the columns: taken as a header, not as samples".to_string());
    }
    body.check_numbers(.., "")?;
    let arrangement = Arrangement::of(body, options)?;
    let mut sampling_rate = header.sampling_rate;
    match arrangement {
        Arrangement::Columns { first: 1 } => {
            warnings.push("the first column, without a name, counts or times the samples: it is no lead".into());
            sampling_rate = rate_of_first_column(body, options)?.or(sampling_rate);
        }
        Arrangement::Columns { .. } => {}
        Arrangement::Rows => {
            warnings.push(format!("{} rows of {} numbers: taken as one row per lead", body.rows(), body.width()));
        }
    }
    let leads = options.leads().iter().enumerate().map(|(at, lead)| (*lead, arrangement.signal(body, at)));
    let leads: Vec<(Lead, Vec<f32>)> = leads.collect();
    let numbers = Numbers::of(leads.iter().flat_map(|(_, signal)| signal));
    let stated = Stated { sampling_rate, unit: header.unit };
    let mut recording = assumptions::recording(name, leads, numbers, stated, options)?;
    warnings.into_iter().for_each(|warning| recording.warn(warning));
    Ok(recording)
}

/// Returns the sampling rate in Hz that times in an unnamed first column state. Numbers of samples state none.
fn rate_of_first_column(body: &Body, options: &ReadOptions) -> Result<Option<f64>> {
    let values: Vec<f64> = body.column(0).collect();
    match values[..] {
        [first, second, ..] if second - first != 1.0 => {
            Times::at("the first column").sampling_rate(&values, body.lines(), options)
        }
        _ => Ok(None),
    }
}

/// How a table without names holds the leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrangement {
    /// One column per lead, the first of them at this position.
    Columns { first: usize },
    /// One row per lead.
    Rows,
}

impl Arrangement {
    /// Finds the leads by their number. A first column that counts or times the samples is left out only where the options
    /// state how many leads there are.
    fn of(body: &Body, options: &ReadOptions) -> Result<Self> {
        let (rows, width, expected) = (body.rows(), body.width(), options.leads().len());
        let counts = (width == expected || width == expected + 1) && body.counts();
        match width {
            _ if width == expected && !counts => return Ok(Self::Columns { first: 0 }),
            _ if width == expected + 1 && counts && options.leads.is_some() => return Ok(Self::Columns { first: 1 }),
            _ if rows == expected && !counts => return Ok(Self::Rows),
            _ => {}
        }
        let cause = if counts {
            format!("{width} columns without names, of which the first counts or times the samples")
        } else {
            format!("{width} columns without names, and {expected} leads are expected")
        };
        let remedy = "name the leads, in a first line such as I,II,V1,V2,V3,V4,V5,V6 or apart from the file";
        Err(damaged(cause, remedy).with_hint(Hint::NameLeads))
    }

    fn signal(self, body: &Body, lead: usize) -> Vec<f32> {
        match self {
            Self::Columns { first } => body.column(first + lead).map(|number| number as f32).collect(),
            Self::Rows => body.row(lead).iter().map(|number| *number as f32).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AT_100_HZ: ReadOptions = ReadOptions { sampling_rate: Some(100.0), unit: None, leads: None };

    fn read(text: &str) -> Result<Recording> {
        parse(text.as_bytes(), "r".into(), &AT_100_HZ)
    }

    /// Reads a table that states its sampling rate.
    fn read_alone(text: &str) -> Result<Recording> {
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
    fn every_way_to_write_a_table_gives_the_same_recording() {
        for text in [
            "I,II\n0.5,1.5\n2.5,-3.5\n",
            "I (mV),II [mV]\n0.5,1.5\n2.5,-3.5\n",
            "I_uV;II_uV\n500,0;1500,0\n2500,0;-3500,0\n",
            "I/uV,II\n500,1.5\n2500,-3.5\n".replace("II", "II/mV").as_str(),
            "'Elapsed time','i','ii'\n'seconds','mV','mV'\n0.00,0.5,1.5\n0.01,2.5,-3.5\n",
            "'Elapsed time','i','ii'\n'hh:mm:ss.mmm','mV','mV'\n'0:00.000',0.5,1.5\n'0:00.010',2.5,-3.5\n",
            "# fs = 100\n# unit: uV\nI,II\n500,1500\n2500,-3500\n",
            "Name,X\nSampling rate (Hz),100\nDate,2020,1,1\n\nI\tII\n0.5\t1.5\n2.5\t-3.5\n",
            "I,II,\n0.5,1.5,\n2.5,-3.5,\n",
            "I,II\n0.5,1.5,\n2.5,-3.5,\n",
            ",I,II\n0,0.5,1.5\n1,2.5,-3.5\n",
            "DI,D2\n\"0,5\",\"1,5\"\n\"2,5\",\"-3,5\"\n",
            "II 1.5 -3.5\nI 0.5 2.5\n",
            ",0,1\nI,0.5,2.5\nII,1.5,-3.5\n",
            "lead,0.00,0.01\nI,0.5,2.5\nII,1.5,-3.5\n",
            "I II\r0.5 1.5\r2.5 \u{2212}3.5\r",
        ] {
            let recording = read(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            let signals = [Lead::I, Lead::II].map(|lead| recording.lead(lead));
            assert_eq!(signals, [Some(&[0.5, 2.5][..]), Some(&[1.5, -3.5])], "{text:?}");
            assert_eq!(recording.sampling_rate(), 100.0);
        }
    }

    #[test]
    fn a_table_states_its_sampling_rate_above_the_samples_or_in_times() {
        for text in [
            "# fs: 250\nI,II\n0.5,1.5\n2.5,-3.5\n",
            "time,I,II\n0.000,0.5,1.5\n0.004,2.5,-3.5\n",
            "time (ms),I,II\n0,0.5,1.5\n4,2.5,-3.5\n",
            "lead,0.000,0.004\nI,0.5,2.5\nII,1.5,-3.5\n",
        ] {
            assert_eq!(read_alone(text).map(|recording| recording.sampling_rate()), Ok(250.0), "{text:?}");
        }
        let error = read("time,I,II\n0.000,0.5,1.5\n0.004,2.5,-3.5\n").unwrap_err();
        assert_eq!(error.cause(), "column 'time' says 250 Hz, and 100 Hz was given");
        let overridden = read("# fs: 250\nI,II\n0.5,1.5\n2.5,-3.5\n").unwrap();
        assert!(overridden.warnings().contains(&"the file says 250 Hz: overridden with 100 Hz".to_string()));
        let error = read_alone("I,II\n0.5,1.5\n2.5,-3.5\n").unwrap_err();
        assert_eq!(error.cause(), "2 samples, and the file states no sampling rate");
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
    fn a_first_column_that_counts_needs_the_names_of_the_leads() {
        let two = ReadOptions { leads: Some(vec![Lead::II, Lead::I]), ..AT_100_HZ };
        for text in [
            "0.00,0.5,1.5\n0.01,2.5,-3.5\n0.02,2.5,-3.5\n",
            "7,0.5,1.5\n8,2.5,-3.5\n9,2.5,-3.5\n",
            ",0,1\n0,0.5,1.5\n1,2.5,-3.5\n2,2.5,-3.5\n",
        ] {
            let recording = parse(text.as_bytes(), "r".into(), &two).unwrap();
            assert_eq!(recording.lead(Lead::II), Some(&[0.5, 2.5, 2.5][..]), "{text:?}");
            assert!(recording.warnings().iter().any(|warning| warning.contains("counts or times")));
        }
        let named_rows = "\"I\",\"II\"\n\"1\",0.5,1.5\n\"2\",2.5,-3.5\n\"3\",2.5,-3.5\n";
        assert_eq!(read(named_rows).unwrap().lead(Lead::I), Some(&[0.5, 2.5, 2.5][..]), "as R writes it");
        let rows = (0..3).map(|row| format!("{row}{}\n", ",0.5".repeat(12)));
        let error = read(&rows.collect::<String>()).unwrap_err();
        assert_eq!(error.cause(), "13 columns without names, of which the first counts or times the samples");
        let mismatch = parse(b"0.00,0.5,1.5\n0.02,2.5,-3.5\n0.04,2.5,-3.5\n", "r".into(), &two).unwrap_err();
        assert_eq!(mismatch.cause(), "the first column says 50 Hz, and 100 Hz was given");
    }

    #[test]
    fn columns_with_other_names_take_the_leads_that_are_given() {
        let two = ReadOptions { leads: Some(vec![Lead::II, Lead::I]), ..AT_100_HZ };
        let text = "t (s),ch1,ch2\n0.00,0.5,1.5\n0.01,2.5,-3.5\n";
        let recording = parse(text.as_bytes(), "r".into(), &two).unwrap();
        assert_eq!(recording.lead(Lead::I), Some(&[1.5, -3.5][..]));
        assert_eq!(
            read(text).unwrap_err().cause(),
            "none of its 2 signals has the name of a standard lead: 'ch1', 'ch2'"
        );
    }

    #[test]
    fn a_cell_without_a_number_is_filled() {
        let rows = "0.5,1.5,,1.0\n".repeat(21) + "0.5,1.5,1.0,\n";
        let recording = read(&format!("I,II,III,V1\n{rows}")).unwrap();
        assert_eq!((recording.lead(Lead::III), recording.lead(Lead::V1)), (Some(&[1.0; 22][..]), Some(&[1.0; 22][..])));
        let derived = "lead III has no value at 21 samples: derived from I and II";
        assert!(recording.warnings().contains(&derived.to_string()), "{:?}", recording.warnings());
        let error = read(&format!("I,II,V2,V1\n{rows}")).unwrap_err();
        assert_eq!(error.cause(), "lead V2 has no value from 0.000 s to 0.210 s");
    }

    #[test]
    fn whole_numbers_need_a_unit() {
        let error = read("I,II\n120,-45\n130,0\n").unwrap_err();
        assert_eq!(error.cause(), "whole numbers without a unit");
        let error = read("I (uV),II\n120.5,-45\n130,0\n").unwrap_err();
        assert_eq!(error.cause(), "II has no unit in the header, and others have");
    }

    #[test]
    fn an_invalid_table_is_explained_with_its_place() {
        let cause = |text: &str| read(text).unwrap_err().cause().to_string();
        assert_eq!(cause(""), "an empty file");
        assert_eq!(cause("a,b\n1,2"), "none of its 2 signals has the name of a standard lead: 'a', 'b'");
        assert_eq!(cause("1,2,3\n4,5,6"), "3 columns without names, and 12 leads are expected");
        assert_eq!(cause("I,II\n1,2\n3,x"), "line 3, column 2 (II): 'x' is no number");
        assert_eq!(cause("I;II\n1;0.2\n1;0.2\n1;0,2"), "line 4, column 2 (II): '0,2' is no number");
        assert_eq!(cause("I,II\n1,2\n3"), "line 3 has 1 columns and line 2 has 2");
        assert_eq!(cause("I,II,V1\n1,2\n3,4"), "the header has 3 columns and line 2 has 2");
        assert_eq!(cause("I,II\n1.5,inf"), "lead II has inf at sample 0");
        assert_eq!(cause("I,i\n1.5,2"), "lead I is there twice, with different samples");
        assert_eq!(cause("I,II\n"), "a text without a line of two numbers");
        assert_eq!(cause("I,1,2\n3,4,5\nII,1,2"), "some rows begin with the name of a lead and some do not");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes, "r".into(), &AT_100_HZ);
            let _ = recognises(&bytes);
        }

        #[test]
        fn random_tables_never_panic(text in "([-0-9.,;:e\t\"\n]|nan|inf|II|V1|time|fs){0,80}") {
            let _ = parse(text.as_bytes(), "r".into(), &AT_100_HZ);
            let _ = recognises(text.as_bytes());
        }
    }
}
