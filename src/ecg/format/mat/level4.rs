//! MATLAB files of level 4: matrices without a header of the file, as those of the CinC Challenges.

use super::{
    super::array::{Array, Element, Order},
    MOST_VARIABLES, Number, Value, Variable, cut_off, rows,
};
use crate::Result;

/// Bytes of a matrix's header, before its name.
const HEADER: usize = 20;

/// Largest length of a name, with the zero behind it. MATLAB's own limit is 63 letters.
const LONGEST_NAME: usize = 64;

/// Whether a file begins with the header of a matrix.
pub(super) fn recognises(start: &[u8]) -> bool {
    Header::parse(start).is_some_and(|header| header.rows > 0 && header.columns > 0)
}

/// The header of a matrix, with its name.
struct Header<'a> {
    element: Element,
    /// What the matrix holds: 0 numbers, 1 text, 2 a sparse matrix.
    kind: u32,
    rows: usize,
    columns: usize,
    has_imaginary: bool,
    name: &'a str,
    /// Where the elements begin, in bytes.
    offset: usize,
}

impl<'a> Header<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let word = |at: usize| bytes.get(4 * at..)?.first_chunk::<4>();
        // The thousands of the type tell the byte order: 0 for little, 1 for big endian.
        let (little, big) = (u32::from_le_bytes(*word(0)?), u32::from_be_bytes(*word(0)?));
        let big_endian = (1000..2000).contains(&big);
        let mopt = if big_endian { big - 1000 } else { little };
        let (precision, kind) = (mopt / 10 % 10, mopt % 10);
        let field = |at: usize| {
            let bytes = *word(at)?;
            let number = if big_endian { i32::from_be_bytes(bytes) } else { i32::from_le_bytes(bytes) };
            usize::try_from(number).ok()
        };
        let element = match precision {
            0 => Element::new(Number::Float, 8, big_endian),
            1 => Element::new(Number::Float, 4, big_endian),
            2 => Element::new(Number::Signed, 4, big_endian),
            3 => Element::new(Number::Signed, 2, big_endian),
            4 => Element::new(Number::Unsigned, 2, big_endian),
            5 => Element::new(Number::Unsigned, 1, big_endian),
            _ => None,
        }?;
        let length = field(4).filter(|length| (2..=LONGEST_NAME).contains(length))?;
        let (last, name) = bytes.get(HEADER..)?.get(..length)?.split_last()?;
        let mut letters = name.iter();
        let is_name = letters.next()?.is_ascii_alphabetic()
            && letters.all(|letter| letter.is_ascii_alphanumeric() || *letter == b'_');
        let is_header = mopt < 100 && kind <= 2 && field(3)? <= 1 && *last == 0 && is_name;
        is_header.then_some(Self {
            element,
            kind,
            rows: field(1)?,
            columns: field(2)?,
            has_imaginary: field(3)? == 1,
            name: std::str::from_utf8(name).ok()?,
            offset: HEADER + length,
        })
    }

    /// Returns the number of bytes of the real part.
    fn bytes(&self) -> Option<usize> {
        self.element.bytes().checked_mul(self.rows)?.checked_mul(self.columns)
    }
}

/// Reads the numbers and texts of a file.
pub(super) fn read(mut bytes: &[u8]) -> Result<Vec<Variable>> {
    let mut variables = Vec::new();
    while !bytes.is_empty() && variables.len() < MOST_VARIABLES {
        let number = variables.len() + 1;
        let header = Header::parse(bytes).ok_or_else(|| cut_off(&format!("variable {number}")))?;
        let name = header.name.to_string();
        let length = header.bytes();
        let real = length.and_then(|length| bytes.get(header.offset..)?.get(..length));
        let real = real.ok_or_else(|| cut_off(&format!("variable {name}")))?;
        let parts = if header.has_imaginary { 2 } else { 1 };
        let end = parts * real.len() + header.offset;
        if let Some(value) = value(&header, real) {
            variables.push(Variable { name: name.clone(), value });
        }
        bytes = bytes.get(end..).ok_or_else(|| cut_off(&format!("variable {name}")))?;
    }
    Ok(variables)
}

/// Returns the value of a matrix, or nothing for a kind that holds no ECG.
fn value(header: &Header, real: &[u8]) -> Option<Value> {
    let array = || Array::new(vec![header.rows, header.columns], Order::Fortran, header.element, real.to_vec());
    match header.kind {
        0 if !header.has_imaginary => array().map(Value::Array),
        1 => {
            let character = |at: f64| char::from_u32(at as u32).unwrap_or(char::REPLACEMENT_CHARACTER);
            let characters: Vec<char> = array()?.numbers().map(character).collect();
            Some(Value::Texts(rows(&characters, header.rows)))
        }
        _ => None,
    }
}
