//! Data elements: the tagged values of which a DICOM object and the items of its sequences consist (PS3.5, chapter 7).
//!
//! Values are slices of the file. Nothing is allocated by a length that the file states, and nested sequences are passed
//! over in a loop, so that neither a false length nor a deep nesting exhausts the memory or the stack.

use dicom_core::{Tag, VR, dictionary::stub::StubDataDictionary, header::HasLength as _};
use dicom_encoding::{
    Decode,
    decode::{
        explicit_be::ExplicitVRBigEndianDecoder, explicit_le::ExplicitVRLittleEndianDecoder,
        implicit_le::ImplicitVRLittleEndianDecoder,
    },
};

use super::super::damaged;
use crate::{Error, Result};

const ITEM: Tag = Tag(0xfffe, 0xe000);
const END_OF_ITEM: Tag = Tag(0xfffe, 0xe00d);
const END_OF_SEQUENCE: Tag = Tag(0xfffe, 0xe0dd);

/// How elements are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// Each element states its value representation; the least significant byte comes first.
    ExplicitLittle,
    /// Each element states its value representation; the most significant byte comes first.
    ExplicitBig,
    /// The value representations follow from the tags; the least significant byte comes first.
    ImplicitLittle,
}

/// The tag and the length of an element or an item.
struct Header {
    tag: Tag,
    /// The value representation, of an element only.
    vr: VR,
    /// The length in bytes; none where a delimiter ends the value.
    length: Option<usize>,
}

impl Syntax {
    /// Decodes a header, and moves `bytes` behind it.
    fn header(self, bytes: &mut &[u8]) -> Option<Header> {
        let (header, _) = match self {
            Syntax::ExplicitLittle => ExplicitVRLittleEndianDecoder::default().decode_header(bytes),
            Syntax::ExplicitBig => ExplicitVRBigEndianDecoder::default().decode_header(bytes),
            // No dictionary of value representations: only that of an explicit element is asked for.
            Syntax::ImplicitLittle => ImplicitVRLittleEndianDecoder::with_dict(StubDataDictionary).decode_header(bytes),
        }
        .ok()?;
        let length = header.length().get().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        Some(Header { tag: header.tag, vr: header.vr(), length })
    }

    /// Returns the syntax inside of an element of this syntax. A value of unknown representation is implicit (PS3.5,
    /// section 6.2.2).
    fn inside(self, header: &Header) -> Self {
        let unknown = header.vr == VR::UN && header.tag.group() != ITEM.group();
        if unknown { Syntax::ImplicitLittle } else { self }
    }
}

/// Elements one after another, of an object or of an item.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elements<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) syntax: Syntax,
}

/// An element's value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: Tag,
    pub(super) value: &'a [u8],
    /// The syntax of numbers, and of elements inside of a sequence.
    pub(super) syntax: Syntax,
}

impl<'a> Elements<'a> {
    /// Returns the next element, and moves behind it. None at the end.
    ///
    /// # Errors
    /// The element is longer than what follows.
    pub(super) fn next(&mut self) -> Result<Option<Element<'a>>> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let mut rest = self.bytes;
        let header = self.syntax.header(&mut rest).ok_or_else(|| cut_off("the header of an element"))?;
        let syntax = self.syntax.inside(&header);
        let (value, rest) = split(rest, header.length, syntax).ok_or_else(|| cut_off(name(header.tag)))?;
        self.bytes = rest;
        Ok(Some(Element { tag: header.tag, value, syntax }))
    }
}

impl<'a> Element<'a> {
    /// Returns the items of a sequence.
    pub(super) fn items(&self) -> Items<'a> {
        Items { bytes: self.value, syntax: self.syntax }
    }
}

/// The items of a sequence, each of which consists of elements.
pub(super) struct Items<'a> {
    bytes: &'a [u8],
    syntax: Syntax,
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Elements<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let mut rest = std::mem::take(&mut self.bytes);
        let header = self.syntax.header(&mut rest).filter(|header| header.tag == ITEM);
        let parts = header.and_then(|header| split(rest, header.length, self.syntax));
        let Some((bytes, rest)) = parts else { return Some(Err(cut_off("an item of a sequence"))) };
        self.bytes = rest;
        Some(Ok(Elements { bytes, syntax: self.syntax }))
    }
}

/// Splits a value from what follows it. None if it is longer than the bytes.
fn split(bytes: &[u8], length: Option<usize>, syntax: Syntax) -> Option<(&[u8], &[u8])> {
    if let Some(length) = length {
        return bytes.split_at_checked(length);
    }
    let (value, behind) = undefined(bytes, syntax)?;
    Some((bytes.get(..value)?, bytes.get(behind..)?))
}

/// Finds the delimiter of a value of undefined length. Returns the positions of the delimiter and of what follows it.
fn undefined(bytes: &[u8], syntax: Syntax) -> Option<(usize, usize)> {
    let mut rest = bytes;
    // Sequences and items of undefined length that are open. A counter suffices, since each delimiter ends the innermost.
    let mut open = 1u64;
    // The number of open ones at which the syntax returns to that of the value.
    let mut implicit: Option<u64> = None;
    loop {
        let before = bytes.len() - rest.len();
        let current = if implicit.is_some() { Syntax::ImplicitLittle } else { syntax };
        let header = current.header(&mut rest)?;
        if [END_OF_ITEM, END_OF_SEQUENCE].contains(&header.tag) {
            open -= 1;
            if open == 0 {
                return Some((before, bytes.len() - rest.len()));
            }
            implicit = implicit.filter(|outside| open > *outside);
        } else if let Some(length) = header.length {
            rest = rest.get(length..)?;
        } else {
            if current.inside(&header) != current {
                implicit = Some(open);
            }
            open += 1;
        }
    }
}

/// Names an element by its tag in the usual notation.
fn name(tag: Tag) -> String {
    format!("the element {tag}")
}

fn cut_off(what: impl AsRef<str>) -> Error {
    let cause = format!("{} ends behind the end of the data", what.as_ref());
    damaged(cause, "the file is cut off or damaged: get it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEQUENCE: [u8; 12] = [0x00, 0x54, 0x00, 0x01, b'S', b'Q', 0, 0, 0xff, 0xff, 0xff, 0xff];
    const OPEN_ITEM: [u8; 8] = [0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff];
    const CLOSE_ITEM: [u8; 8] = [0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0];
    const CLOSE_SEQUENCE: [u8; 8] = [0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];
    const VALUE: [u8; 10] = [0x3a, 0x00, 0x05, 0x00, b'U', b'S', 2, 0, 7, 0];

    fn elements(bytes: &[u8]) -> Elements<'_> {
        Elements { bytes, syntax: Syntax::ExplicitLittle }
    }

    #[test]
    fn a_sequence_of_undefined_length_ends_at_its_own_delimiter() {
        let inner = [&SEQUENCE[..], &OPEN_ITEM, &VALUE, &CLOSE_ITEM, &CLOSE_SEQUENCE].concat();
        let outer = [&SEQUENCE[..], &OPEN_ITEM, &inner, &VALUE, &CLOSE_ITEM, &CLOSE_SEQUENCE, &VALUE].concat();
        let mut object = elements(&outer);
        let sequence = object.next().unwrap().unwrap();
        assert_eq!(
            object.next().unwrap().map(|element| (element.tag, element.value)),
            Some((Tag(0x3a, 5), &[7, 0][..]))
        );
        assert!(object.next().unwrap().is_none());
        let mut items: Vec<_> = sequence.items().collect::<Result<_>>().unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!(items[0].next().unwrap().map(|element| element.value.len()), Some(inner.len() - 20));
    }

    #[test]
    fn an_unknown_sequence_inside_of_an_explicit_one_is_implicit() {
        let unknown = [0x09, 0x00, 0x01, 0x10, b'U', b'N', 0, 0, 0xff, 0xff, 0xff, 0xff];
        // Without a value representation: the length is in bytes 4 to 7.
        let implicit = [0x09, 0x00, 0x02, 0x10, 2, 0, 0, 0, 1, 1];
        let unknown = [&unknown[..], &OPEN_ITEM, &implicit, &CLOSE_ITEM, &CLOSE_SEQUENCE].concat();
        let bytes = [&SEQUENCE[..], &OPEN_ITEM, &unknown, &VALUE, &CLOSE_ITEM, &CLOSE_SEQUENCE].concat();
        let mut object = elements(&bytes);
        let sequence = object.next().unwrap().unwrap();
        assert!(object.bytes.is_empty());
        let mut item = sequence.items().next().unwrap().unwrap();
        let mut inner = item.next().unwrap().unwrap().items().next().unwrap().unwrap();
        assert_eq!(inner.next().unwrap().map(|element| element.value), Some(&[1, 1][..]));
        assert_eq!(item.next().unwrap().map(|element| element.value), Some(&[7, 0][..]));
    }

    #[test]
    fn a_hundred_thousand_nested_sequences_are_passed_over() {
        let deep = [&SEQUENCE[..], &OPEN_ITEM].concat().repeat(100_000);
        let closed = [&deep[..], &[&CLOSE_ITEM[..], &CLOSE_SEQUENCE].concat().repeat(100_000), &VALUE].concat();
        let mut object = elements(&closed);
        assert!(object.next().unwrap().is_some());
        assert_eq!(object.next().unwrap().map(|element| element.tag), Some(Tag(0x3a, 5)));
        assert!(elements(&deep).next().unwrap_err().cause().contains("ends behind the end of the data"));
    }

    #[test]
    fn a_false_length_is_refused() {
        for length in [3, 0xffff_fffe_u32] {
            let mut bytes = [0x00, 0x54, 0x10, 0x10, b'O', b'W', 0, 0, 0, 0, 0, 0, 1, 2];
            bytes[8..12].copy_from_slice(&length.to_le_bytes());
            let error = elements(&bytes).next().unwrap_err();
            assert_eq!(error.cause(), "the element (5400,1010) ends behind the end of the data");
        }
    }
}
