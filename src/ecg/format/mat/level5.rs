//! MATLAB files of level 5, plain or compressed: versions 5 to 7.

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::{
    super::{
        array::{Array, Element, Order},
        damaged, limits,
    },
    MOST_VARIABLES, Number, Value, Variable, cut_off, rows,
};
use crate::Result;

/// Bytes of the file's header.
const HEADER: usize = 128;

/// Largest depth of nested structures and cells.
const DEEPEST: usize = 4;

/// Types of elements, table 1-1 of the format's description.
const MI_UTF8: u32 = 16;
const MI_MATRIX: u32 = 14;
const MI_COMPRESSED: u32 = 15;

/// Classes of arrays, table 1-3.
const CELL: u8 = 1;
const STRUCTURE: u8 = 2;
const TEXT: u8 = 4;

/// Whether a file begins with the header of level 5: a text, the version and the mark of the byte order.
pub(super) fn recognises(start: &[u8]) -> bool {
    let text = start.get(..4).is_some_and(|text| !text.contains(&0));
    text && matches!(start.get(124..HEADER), Some([0, 1, b'I', b'M'] | [1, 0, b'M', b'I']))
}

/// Reads the numbers and texts of a file; fields of structures are named `structure.field`.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Variable>> {
    let big_endian = bytes.get(126) == Some(&b'M');
    let mut reader = Reader { big_endian, left: limits::decompressed(bytes.len() as u64), variables: Vec::new() };
    let mut rest = bytes.get(HEADER..).unwrap_or_default();
    while !rest.is_empty() {
        let ordinal = reader.variables.len() + 1;
        let element = Tagged::take(&mut rest, big_endian).ok_or_else(|| cut_off(&format!("variable {ordinal}")))?;
        match element.kind {
            MI_MATRIX => reader.matrix(element.data, "", 0)?,
            MI_COMPRESSED => {
                let inflated = reader.inflate(element.data)?;
                let mut inflated = &inflated[..];
                let element = Tagged::take(&mut inflated, big_endian).filter(|element| element.kind == MI_MATRIX);
                let element = element.ok_or_else(|| cut_off(&format!("compressed variable {ordinal}")))?;
                reader.matrix(element.data, "", 0)?;
            }
            // Other elements do not stand alone.
            _ => {}
        }
    }
    Ok(reader.variables)
}

/// An element: its type and its data.
struct Tagged<'a> {
    kind: u32,
    data: &'a [u8],
}

impl<'a> Tagged<'a> {
    /// Takes the first element of `bytes`.
    fn take(bytes: &mut &'a [u8], big_endian: bool) -> Option<Self> {
        let word = |at: usize| {
            let word = *bytes.get(at..)?.first_chunk::<4>()?;
            Some(if big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) })
        };
        let (first, second) = (word(0)?, word(4)?);
        // Up to four bytes of data may stand in the tag itself, whose first half is then their number.
        let (kind, size, start) = match first >> 16 {
            0 => (first, usize::try_from(second).ok()?, 8),
            size => (first & 0xFFFF, usize::try_from(size).ok().filter(|size| *size <= 4)?, 4),
        };
        let data = bytes.get(start..)?.get(..size)?;
        // Elements are padded to eight bytes, but for compressed ones. Some writers leave out the padding of the last.
        let padded = if kind == MI_COMPRESSED { start + size } else { (start + size).next_multiple_of(8) };
        *bytes = bytes.get(padded..).unwrap_or_default();
        Some(Self { kind, data })
    }
}

/// Collects the variables of a file.
struct Reader {
    big_endian: bool,
    /// Bytes that may still be decompressed.
    left: u64,
    variables: Vec<Variable>,
}

impl Reader {
    fn inflate(&mut self, compressed: &[u8]) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = ZlibDecoder::new(compressed).take(self.left + 1).read_to_end(&mut bytes);
        read.map_err(|error| damaged(format!("a compressed variable is damaged ({error})"), "get the file again"))?;
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| {
            damaged("it decompresses to many times its size, which no ECG does", "save the recording alone")
        })?;
        Ok(bytes)
    }

    /// Reads an array and those nested in it. `within` is the name of the structure or cell that contains it, `depth` the number
    /// of these.
    fn matrix(&mut self, mut data: &[u8], within: &str, depth: usize) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        if self.variables.len() >= MOST_VARIABLES {
            return Err(damaged("a file of very many variables", "save the recording alone"));
        }
        let big_endian = self.big_endian;
        let mut next = || Tagged::take(&mut data, big_endian);
        let head = next().zip(next()).zip(next());
        let Some(((flags, dimensions), name)) = head.filter(|((flags, _), _)| flags.data.len() >= 8) else {
            return Err(cut_off(&format!("an array{}", if within.is_empty() { "" } else { " of a structure" })));
        };
        let own = String::from_utf8_lossy(name.data);
        let name = if own.is_empty() { within.to_string() } else { own.into_owned() };
        // The lowest byte of the first word is the class, the second the flags.
        let [class, flags] = if big_endian { [flags.data[3], flags.data[2]] } else { [flags.data[0], flags.data[1]] };
        let is_complex = flags & 0x08 != 0;
        let sides = dimensions.data.chunks_exact(4).map(|side| self.word(side) as usize).collect::<Vec<_>>();
        match class {
            STRUCTURE if depth < DEEPEST => self.structure(data, &name, &sides, depth),
            CELL if depth < DEEPEST => self.cells(data, name, depth),
            TEXT => {
                let characters = Tagged::take(&mut data, big_endian).map(|element| self.characters(&element));
                let texts = rows(&characters.unwrap_or_default(), sides.first().copied().unwrap_or(0));
                self.variables.push(Variable { name, value: Value::Texts(texts) });
                Ok(())
            }
            _ if is_complex => Ok(()),
            _ => match class_element(class, big_endian) {
                Some(declared) => self.numbers(data, name, sides, declared),
                None => Ok(()),
            },
        }
    }

    fn numbers(&mut self, mut data: &[u8], name: String, sides: Vec<usize>, declared: Element) -> Result<()> {
        let real = Tagged::take(&mut data, self.big_endian);
        let array = real.and_then(|real| {
            let stored = stored_element(real.kind, self.big_endian)?;
            Array::new(sides, Order::Fortran, stored, real.data.to_vec())
        });
        let array = array.ok_or_else(|| cut_off(&format!("variable {name}")))?.of_type(declared);
        self.variables.push(Variable { name, value: Value::Array(array) });
        Ok(())
    }

    /// Reads the fields of a single structure; arrays of structures are left out.
    fn structure(&mut self, mut data: &[u8], name: &str, sides: &[usize], depth: usize) -> Result<()> {
        if sides.iter().any(|side| *side != 1) {
            return Ok(());
        }
        let big_endian = self.big_endian;
        let mut next = || Tagged::take(&mut data, big_endian);
        let cut = || cut_off(&format!("structure {name}"));
        let (length, names) = next().zip(next()).ok_or_else(cut)?;
        let length = length.data.first_chunk::<4>().map(|length| self.word(length) as usize);
        let length = length.filter(|length| *length > 0).ok_or_else(cut)?;
        for field in names.data.chunks(length) {
            let value = Tagged::take(&mut data, big_endian).filter(|value| value.kind == MI_MATRIX).ok_or_else(cut)?;
            let field = field.split(|letter| *letter == 0).next().unwrap_or_default();
            self.matrix(value.data, &format!("{name}.{}", String::from_utf8_lossy(field)), depth + 1)?;
        }
        Ok(())
    }

    /// Reads the texts of cells, such as the names of leads, as one variable. Other cells are left out.
    fn cells(&mut self, mut data: &[u8], name: String, depth: usize) -> Result<()> {
        let before = self.variables.len();
        while !data.is_empty() {
            let cell = Tagged::take(&mut data, self.big_endian).filter(|cell| cell.kind == MI_MATRIX);
            let cell = cell.ok_or_else(|| cut_off(&format!("cells {name}")))?;
            self.matrix(cell.data, &name, depth + 1)?;
        }
        let texts = self.variables.drain(before..).filter_map(|variable| match variable.value {
            Value::Texts(texts) => Some(texts.concat()),
            Value::Array(_) => None,
        });
        let texts: Vec<String> = texts.collect();
        if !texts.is_empty() {
            self.variables.push(Variable { name, value: Value::Texts(texts) });
        }
        Ok(())
    }

    fn characters(&self, element: &Tagged) -> Vec<char> {
        let units = |size: usize| element.data.chunks_exact(size).map(|unit| self.word(unit));
        match element.kind {
            // miINT8, miUINT8 and miUTF8
            1 | 2 | MI_UTF8 => String::from_utf8_lossy(element.data).chars().collect(),
            // miUINT16 and miUTF16
            4 | 17 => units(2).map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)).collect(),
            _ => Vec::new(),
        }
    }

    /// Returns the number of up to four bytes.
    fn word(&self, bytes: &[u8]) -> u32 {
        let add = |word: u32, byte: &u8| word << 8 | u32::from(*byte);
        if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }
}

/// Returns the type of an array's numbers by its class, table 1-3.
fn class_element(class: u8, big_endian: bool) -> Option<Element> {
    let (number, bytes) = match class {
        6 => (Number::Float, 8),
        7 => (Number::Float, 4),
        8 | 10 | 12 | 14 => (Number::Signed, 1 << ((class - 8) / 2)),
        9 | 11 | 13 | 15 => (Number::Unsigned, 1 << ((class - 9) / 2)),
        _ => return None,
    };
    Element::new(number, bytes, big_endian)
}

/// Returns the type of an element's numbers as they are stored, table 1-1.
fn stored_element(kind: u32, big_endian: bool) -> Option<Element> {
    let (number, bytes) = match kind {
        1 => (Number::Signed, 1),
        2 => (Number::Unsigned, 1),
        3 => (Number::Signed, 2),
        4 => (Number::Unsigned, 2),
        5 => (Number::Signed, 4),
        6 => (Number::Unsigned, 4),
        7 => (Number::Float, 4),
        9 => (Number::Float, 8),
        12 => (Number::Signed, 8),
        13 => (Number::Unsigned, 8),
        _ => return None,
    };
    Element::new(number, bytes, big_endian)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>, big_endian: bool) {
            let mark: &[u8] = if big_endian { b"\x01\0MI" } else { b"\0\x01IM" };
            let _ = read(&[&[b' '; 124], mark, &bytes].concat());
        }
    }
}
