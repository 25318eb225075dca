//! NumPy archives: zip files of named arrays, as `numpy.savez` writes them.

use super::{
    super::{
        Format, ReadOptions, Reading, Source,
        array::{self, Choice, Description, Shaped, Value, Variable},
        npy::{self, Header, Type},
    },
    archive::{Archive, Entry},
    inflate::Budget,
};
use crate::{Recording, Result};

/// The extension of an array in an archive.
const EXTENSION: &str = ".npy";

/// NumPy archives.
pub(in crate::ecg::format) const FORMAT: Format = Format {
    name: "NumPy archive",
    extensions: &["npz"],
    companions: &[],
    recognises,
    plausible: None,
    reading: Reading::Whole(read),
};

/// Recognises a zip archive whose first file is an array.
fn recognises(start: &[u8]) -> bool {
    // APPNOTE.TXT, section 4.3.7: the name's length is at 26, the name at 30.
    let name = || start.get(30..)?.get(..usize::from(u16::from_le_bytes([*start.get(26)?, *start.get(27)?])));
    super::zip::recognises(start) && name().is_some_and(|name| name.ends_with(EXTENSION.as_bytes()))
}

/// An array whose header was read.
struct Found<'a> {
    entry: &'a Entry,
    name: String,
    header: Header,
}

/// Reads the recordings of an archive's arrays, of which one is the ECG, or several are one lead each.
fn read(source: &Source, options: &ReadOptions) -> Result<Vec<Recording>> {
    let archive = Archive::of(source)?;
    let mut budget = archive.budget();
    let found = headers(&archive, &mut budget)?;
    let (arrays, others): (Vec<&Found>, Vec<&Found>) = found.iter().partition(|found| found.is_array());
    let shaped = arrays.iter().map(|found| Shaped { name: found.name.clone(), shape: found.header.shape.clone() });
    if let (true, Some(other)) = (arrays.is_empty(), others.iter().find(|found| found.is_unusable())) {
        other.header.number().map_err(|error| error.at(&other.name))?;
    }
    let chosen = match array::choose(&shaped.collect::<Vec<_>>(), options)? {
        Choice::One(at) => vec![at],
        Choice::Leads(positions) => positions,
    };
    let wanted = chosen.iter().map(|at| arrays[*at]).chain(others.into_iter().filter(|found| found.describes()));
    let variables = wanted.filter_map(|found| found.read(&archive, &mut budget).transpose());
    let variables: Vec<Variable> = variables.collect::<Result<_>>()?;
    array::read_variables(&variables, &source.stem(), Description::default(), options)
}

/// Reads the headers of all arrays.
fn headers<'a>(archive: &'a Archive<'_>, budget: &mut Budget) -> Result<Vec<Found<'a>>> {
    let arrays = archive.entries().iter().filter_map(|entry| Some((entry, entry.file.strip_suffix(EXTENSION)?)));
    let header = |(entry, name): (&'a Entry, &str)| {
        let start = archive.read_start(entry, npy::LARGEST_HEADER as u64, budget)?;
        let header = Header::parse(&start).map_err(|error| error.at(entry.path()))?;
        Ok(Found { entry, name: format!("{}{name}", entry.folder), header })
    };
    arrays.map(header).collect()
}

impl Found<'_> {
    /// Whether it has more numbers than one.
    fn is_array(&self) -> bool {
        matches!(self.header.element, Type::Number(_)) && self.header.shape.iter().any(|side| *side != 1)
    }

    fn is_unusable(&self) -> bool {
        matches!(self.header.element, Type::Other(..))
    }

    /// Whether it says something of the ECG: its sampling rate, unit or leads.
    fn describes(&self) -> bool {
        match self.header.element {
            Type::Number(_) => array::is_rate(&self.name),
            Type::Text { .. } => array::is_unit(&self.name) || array::is_leads(&self.name),
            Type::Other(..) => false,
        }
    }

    fn read(&self, archive: &Archive, budget: &mut Budget) -> Result<Option<Variable>> {
        let bytes = archive.read(self.entry, budget)?;
        let source = Source::Parts(vec![(self.name.as_str(), &bytes[..])]);
        let value = match self.header.element {
            Type::Number(_) => Some(Value::Array(npy::read_array(&source).map_err(|error| error.at(&self.name))?)),
            Type::Text { .. } => self.header.texts(&bytes).map(Value::Texts),
            Type::Other(..) => None,
        };
        Ok(value.map(|value| Variable { name: self.name.clone(), value }))
    }
}
