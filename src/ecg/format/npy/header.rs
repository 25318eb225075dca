//! Parses the header of a NumPy file: a Python literal with the elements' type, their order and the shape.
//!
//! The format is that of NumPy's `numpy.lib.format`, versions 1.0 to 3.0.

use super::super::{
    array::{Element, Number, Order},
    damaged, shown,
};
use crate::{Error, Result};

/// What every file begins with.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// The largest header that is read, in bytes; NumPy itself refuses longer ones.
pub(in crate::ecg::format) const LARGEST: usize = 10_000;

/// The type of an array's elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecg::format) enum Type {
    Number(Element),
    /// Text of a number of characters, each a code point of four bytes.
    Text {
        characters: usize,
        big_endian: bool,
    },
    /// Another type, in words, and NumPy's code for it.
    Other(&'static str, String),
}

/// The header of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecg::format) struct Header {
    pub(in crate::ecg::format) shape: Vec<usize>,
    pub(in crate::ecg::format) element: Type,
    pub(super) order: Order,
    /// Where the elements begin, in bytes.
    pub(super) offset: usize,
}

impl Header {
    /// Parses the header in a file's first bytes.
    pub(in crate::ecg::format) fn parse(start: &[u8]) -> Result<Self> {
        let (text, offset) = text(start).ok_or_else(|| damaged("no NumPy array", "save the array with numpy.save"))?;
        let unusual = || damaged("a NumPy header of an unusual kind", "save a plain array of numbers with numpy.save");
        let mut literal = Literal(std::str::from_utf8(text).map_err(|_| unusual())?);
        let (mut element, mut order, mut shape) = (None, None, None);
        literal.take("{").ok_or_else(unusual)?;
        while literal.take("}").is_none() {
            let key = literal.quoted().ok_or_else(unusual)?;
            literal.take(":").ok_or_else(unusual)?;
            match key {
                "descr" => element = literal.element(),
                "fortran_order" => order = literal.order(),
                "shape" => shape = literal.shape(),
                _ => return Err(unusual()),
            }
            if literal.take(",").is_none() {
                literal.take("}").ok_or_else(unusual)?;
                break;
            }
        }
        let (Some(element), Some(order), Some(shape)) = (element, order, shape) else { return Err(unusual()) };
        if shape.iter().try_fold(8usize, |product, side| product.checked_mul((*side).max(1))).is_none() {
            return Err(damaged(
                "an array too large for any computer is declared",
                "the header is wrong: save the array again",
            ));
        }
        Ok(Self { shape, element, order, offset })
    }

    /// Returns the type of the elements.
    ///
    /// # Errors
    /// They are no real numbers.
    pub(in crate::ecg::format) fn number(&self) -> Result<Element> {
        let other = match &self.element {
            Type::Number(element) => return Ok(*element),
            Type::Text { .. } => "strings",
            Type::Other(words, code) => return Err(unsupported(words, code)),
        };
        Err(unsupported(other, "U"))
    }

    /// Returns the texts of an array of strings in its whole file; nothing if the file is shorter than its shape.
    #[cfg(feature = "compressed")]
    pub(in crate::ecg::format) fn texts(&self, file: &[u8]) -> Option<Vec<String>> {
        let Type::Text { characters, big_endian } = self.element else { return None };
        let size = characters.checked_mul(4).filter(|size| *size > 0)?;
        let expected = self.shape.iter().try_fold(size, |product, side| product.checked_mul(*side))?;
        let bytes = file.get(self.offset..)?.get(..expected)?;
        let character = |bytes: &[u8]| {
            let code = bytes.try_into().map(if big_endian { u32::from_be_bytes } else { u32::from_le_bytes });
            code.ok().and_then(char::from_u32).filter(|letter| *letter != '\0')
        };
        Some(bytes.chunks_exact(size).map(|text| text.chunks_exact(4).map_while(character).collect()).collect())
    }
}

/// Explains an array whose file holds fewer bytes than its shape needs.
pub(super) fn cut_off(shape: &[usize], held: u64) -> Error {
    let cause = format!("an array of shape {shape:?} is declared, and {held} bytes follow");
    damaged(cause, "the file is cut off or its header wrong: save the array again")
}

fn unsupported(words: &str, code: &str) -> Error {
    let remedy = match words {
        "a pickled object" => "save a plain array of numbers with numpy.save: arrays of unequal lengths become objects",
        "complex numbers" => "save the real part, such as array.real, as float32",
        "a structured array" => "save a plain array, such as with numpy.lib.recfunctions.structured_to_unstructured",
        _ => "save it as float32, float64 or int16, such as with array.astype('float32')",
    };
    damaged(format!("{words} (an array of type '{code}')"), remedy)
}

/// Returns the literal in a file's first bytes, which comes after the magic, a version and the literal's length, and
/// where it ends.
fn text(start: &[u8]) -> Option<(&[u8], usize)> {
    let rest = start.strip_prefix(MAGIC)?;
    let (length, rest) = match rest.split_first_chunk()? {
        ([1, _], rest) => rest.split_first_chunk().map(|(length, rest)| (u16::from_le_bytes(*length).into(), rest))?,
        (_, rest) => rest.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest))?,
    };
    Some((rest.get(..length)?, start.len() - rest.len() + length))
}

/// What remains of a literal.
struct Literal<'a>(&'a str);

impl<'a> Literal<'a> {
    /// Takes `token` after spaces.
    fn take(&mut self, token: &str) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(token)?;
        Some(())
    }

    /// Takes a string in quotes.
    fn quoted(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let quote = text.chars().next().filter(|quote| ['\'', '"'].contains(quote))?;
        let (inside, rest) = text[1..].split_once(quote)?;
        self.0 = rest;
        (!inside.contains('\\')).then_some(inside)
    }

    fn order(&mut self) -> Option<Order> {
        match (self.take("True"), self.take("False")) {
            (Some(()), _) => Some(Order::Fortran),
            (None, Some(())) => Some(Order::C),
            (None, None) => None,
        }
    }

    fn shape(&mut self) -> Option<Vec<usize>> {
        self.take("(")?;
        let (inside, rest) = self.0.split_once(')')?;
        self.0 = rest;
        let sides = inside.split(',').map(str::trim);
        // Python 2 writes an L behind large numbers. The last side may have a comma behind it.
        let sides: Vec<&str> = sides.map(|side| side.trim_end_matches('L')).collect();
        let (last, others) = sides.split_last()?;
        let stated = others.iter().chain((!last.is_empty()).then_some(last));
        stated.map(|side| side.parse().ok()).collect()
    }

    fn element(&mut self) -> Option<Type> {
        if self.0.trim_start().starts_with('[') {
            return self.fields();
        }
        Some(element(self.quoted()?))
    }

    /// Takes the list of the fields of a structured array.
    fn fields(&mut self) -> Option<Type> {
        let mut depth = 0usize;
        let mut quote = None;
        for (at, letter) in self.0.char_indices() {
            match (quote, letter) {
                (None, '[') => depth += 1,
                (None, ']') => depth -= 1,
                (None, '\'' | '"') => quote = Some(letter),
                (Some(open), _) if open == letter => quote = None,
                _ => {}
            }
            if depth == 0 && letter == ']' && quote.is_none() {
                let code = shown(self.0.trim_start()[..].as_bytes());
                self.0 = &self.0[at + 1..];
                return Some(Type::Other("a structured array", code));
            }
        }
        None
    }
}

/// Returns the type of NumPy's code, such as `<f4`: byte order, letter and number of bytes.
fn element(code: &str) -> Type {
    let big_endian = code.starts_with('>');
    let bare = code.trim_start_matches(['<', '>', '|', '=']);
    let mut letters = bare.chars();
    let letter = letters.next();
    let size: usize = letters.as_str().parse().unwrap_or(0);
    let number = |number| Element::new(number, size, big_endian).map(Type::Number);
    let known = match letter {
        Some('f') => number(Number::Float),
        Some('i') => number(Number::Signed),
        Some('u') => number(Number::Unsigned),
        Some('U') => Some(Type::Text { characters: size, big_endian }),
        _ => None,
    };
    known.unwrap_or_else(|| {
        let words = match letter {
            Some('b' | '?') => "truth values",
            Some('c') => "complex numbers",
            Some('O') => "a pickled object",
            Some('S' | 'a' | 'U') => "strings",
            Some('V') => "a structured array",
            Some('M' | 'm') => "dates or times",
            Some('f') => "floating-point numbers of an unusual size",
            _ => "elements of an unknown type",
        };
        Type::Other(words, shown(code.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(dict: &str) -> Vec<u8> {
        let length = (dict.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], dict.as_bytes()].concat()
    }

    #[test]
    fn numpys_own_header_is_understood() {
        let bytes = header("{'descr': '>f4', 'fortran_order': True, 'shape': (2, 12, 1000), }   \n");
        let parsed = Header::parse(&bytes).unwrap();
        let element = Type::Number(Element::new(Number::Float, 4, true).unwrap());
        assert_eq!(parsed, Header { shape: vec![2, 12, 1000], element, order: Order::Fortran, offset: bytes.len() });
        for (sides, shape) in [("(5000,)", vec![5000]), ("()", vec![]), ("(12L, 9L)", vec![12, 9])] {
            let dict = format!("{{\"descr\": \"<i8\", 'shape': {sides}, 'fortran_order': False}}");
            assert_eq!(Header::parse(&header(&dict)).unwrap().shape, shape);
        }
    }

    #[test]
    fn other_types_are_named() {
        for (code, words) in [
            ("'|O'", "a pickled object"),
            ("'|b1'", "truth values"),
            ("'<c16'", "complex numbers"),
            ("'<U3'", "strings"),
            ("'|S3'", "strings"),
            ("'<M8[ns]'", "dates or times"),
            ("'<f16'", "an unusual size"),
            ("[('I', '<f4'), (']', '<f4', (2, 3))]", "a structured array"),
        ] {
            let dict = format!("{{'descr': {code}, 'fortran_order': False, 'shape': (12, 9), }}");
            let error = Header::parse(&header(&dict)).unwrap().number().unwrap_err();
            assert!(error.cause().contains(words), "{code}: {error}");
        }
    }

    #[test]
    fn a_hostile_header_is_refused() {
        let nested = "(".repeat(9000);
        let lists = format!("{{'descr': {}", "[".repeat(9000));
        let huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 12), }";
        let escaped = "{'descr': '\\'(((((((', 'fortran_order': False, 'shape': (12, 9), }";
        let hexadecimal = "{'descr': '<f4', 'fortran_order': False, 'shape': (0xFFFFFFFFFFFFFFFF, 0xFF), }";
        let negative = "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 12), }";
        let closed = "{'descr': ], 'fortran_order': False, 'shape': (1, 12), }";
        for dict in [nested.as_str(), &lists, huge, escaped, hexadecimal, negative, closed] {
            assert!(Header::parse(&header(dict)).is_err(), "{}", &dict[..40]);
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>, version in 0..4u8) {
            let _ = Header::parse(&bytes);
            let _ = Header::parse(&[b"\x93NUMPY", &[version, 0][..], &bytes].concat());
            let _ = Header::parse(&header(&String::from_utf8_lossy(&bytes)));
        }

        #[test]
        fn random_literals_never_panic(
            dict in "\\{?'descr': ([-{}()\\[\\]:,'\" \\\\0-9eEjxob_+é]|True|False|None|'shape'|'descr'){0,60}"
        ) {
            let _ = Header::parse(&header(&dict));
        }
    }
}
