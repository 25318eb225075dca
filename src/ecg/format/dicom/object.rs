//! A DICOM object: the file's preamble and meta information, and the elements that are needed of the object.

use std::{collections::BTreeMap, io::Read};

use dicom_core::{Tag, VR, dictionary::UidDictionary};
use dicom_dictionary_std::{StandardSopClassDictionary, tags};
use flate2::read::DeflateDecoder;

use super::{
    super::{damaged, shown},
    element::{Element, Elements, Syntax},
};
use crate::Result;

/// The bytes before the mark `DICM`, which may hold anything.
const PREAMBLE: usize = 128;
/// The mark behind the preamble.
const MARK: &[u8] = b"DICM";
/// The transfer syntaxes that differ from little endian without compression (PS3.5, annex A). Those of compressed images
/// compress the pixels only.
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
/// What the identifiers of all standard object classes begin with.
const STANDARD_CLASS: &str = "1.2.840.10008.";

/// More bytes than any text that is needed.
const LONGEST_TEXT: usize = 1024;

/// The elements of an object or an item that are needed.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a>(BTreeMap<Tag, Element<'a>>);

impl<'a> Attributes<'a> {
    /// Collects the elements of these tags. The others, such as the patient's, are passed over.
    pub(super) fn of(mut elements: Elements<'a>, wanted: &[Tag]) -> Result<Self> {
        let mut found = BTreeMap::new();
        while let Some(element) = elements.next()? {
            if wanted.contains(&element.tag) {
                found.insert(element.tag, element);
            }
        }
        Ok(Self(found))
    }

    /// Returns an element that has a value.
    pub(super) fn get(&self, tag: Tag) -> Option<Element<'a>> {
        self.0.get(&tag).copied().filter(|element| !element.value.is_empty())
    }

    /// Returns the text of an element without its padding, empty if it is missing.
    pub(super) fn text(&self, tag: Tag) -> String {
        self.get(tag).map_or_else(String::new, |element| text(element.value))
    }

    /// Returns the number that an element holds as text.
    ///
    /// # Errors
    /// The text is no finite number.
    pub(super) fn number(&self, tag: Tag) -> Result<Option<f64>> {
        let text = self.text(tag);
        if text.is_empty() {
            return Ok(None);
        }
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        number.map(Some).ok_or_else(|| {
            let cause = format!("the element {tag} is '{}', which is no number", shown(text.as_bytes()));
            damaged(cause, "correct it or export the recording again")
        })
    }

    /// Returns the whole number that an element holds in two or four bytes.
    pub(super) fn whole(&self, tag: Tag) -> Option<u64> {
        let Element { value, syntax, .. } = self.get(tag)?;
        let big_endian = syntax == Syntax::ExplicitBig;
        match *value {
            [a, b] if big_endian => Some(u16::from_be_bytes([a, b]).into()),
            [a, b] => Some(u16::from_le_bytes([a, b]).into()),
            [a, b, c, d] if big_endian => Some(u32::from_be_bytes([a, b, c, d]).into()),
            [a, b, c, d] => Some(u32::from_le_bytes([a, b, c, d]).into()),
            _ => None,
        }
    }

    /// Returns the items of a sequence, of which there are at most `most`; none if it is missing.
    pub(super) fn items(&self, tag: Tag, most: usize) -> Result<Vec<Elements<'a>>> {
        let mut items = Vec::new();
        for item in self.get(tag).iter().flat_map(Element::items) {
            if items.len() == most {
                let cause = format!("the sequence {tag} has more than {most} items");
                return Err(damaged(cause, "the file is damaged: get it again"));
            }
            items.push(item?);
        }
        Ok(items)
    }
}

/// Decodes a text without its padding.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..LONGEST_TEXT).unwrap_or(bytes));
    text.trim_matches(|letter: char| letter == '\0' || letter.is_whitespace()).to_string()
}

/// Returns the bytes of the object behind the meta information, and their syntax. Deflated ones are inflated to at most
/// `most` bytes.
pub(super) fn open(file: &[u8], most: u64) -> Result<(Vec<u8>, Syntax)> {
    let marked = file.get(PREAMBLE..).and_then(|rest| rest.strip_prefix(MARK));
    let mut rest = marked.unwrap_or(file);
    let mut transfer_syntax = String::new();
    // Meta information is group 2 and always explicit, whatever the syntax of the object.
    while rest.starts_with(&[2, 0]) {
        let mut elements = Elements { bytes: rest, syntax: Syntax::ExplicitLittle };
        let Some(element) = elements.next()? else { break };
        if element.tag == tags::TRANSFER_SYNTAX_UID {
            transfer_syntax = text(element.value);
        }
        rest = elements.bytes;
    }
    if transfer_syntax != DEFLATED {
        return Ok((rest.to_vec(), syntax(rest, &transfer_syntax)));
    }
    let mut object = Vec::new();
    let inflated = DeflateDecoder::new(rest).take(most + 1).read_to_end(&mut object);
    inflated
        .map_err(|error| damaged(format!("its deflated data cannot be inflated: {error}"), "get the file again"))?;
    if object.len() as u64 > most {
        return Err(damaged(format!("it inflates to over {most} bytes"), "cut it into shorter recordings"));
    }
    Ok((object, Syntax::ExplicitLittle))
}

/// Returns the syntax of an object. Whether it is explicit shows in its first element, also where the meta information is
/// wrong or missing: an implicit element has its length there, and a first element is short.
fn syntax(object: &[u8], transfer_syntax: &str) -> Syntax {
    let explicit = object.get(4..6).is_some_and(|letters| match letters {
        [first, second] => VR::from_binary([*first, *second]).is_some(),
        _ => false,
    });
    let big_endian = transfer_syntax == BIG_ENDIAN || transfer_syntax.is_empty() && object.starts_with(&[0, 8]);
    match (big_endian, explicit) {
        (true, true) => Syntax::ExplicitBig,
        (_, true) => Syntax::ExplicitLittle,
        (_, false) => Syntax::ImplicitLittle,
    }
}

/// Whether the first bytes of a file are those of a DICOM object: the mark, or an object without it that begins with
/// group 2 or 8 and states a standard class.
pub(super) fn recognises(start: &[u8]) -> bool {
    if start.get(PREAMBLE..).is_some_and(|rest| rest.starts_with(MARK)) {
        return true;
    }
    let begins = [[2, 0], [8, 0], [0, 8]].iter().any(|group| start.starts_with(group));
    begins && class_of(start).is_some_and(|class| class.starts_with(STANDARD_CLASS))
}

/// Returns the class of an object that begins with `start`, without reading what follows it.
pub(super) fn class_of(start: &[u8]) -> Option<String> {
    let marked = start.get(PREAMBLE..).and_then(|rest| rest.strip_prefix(MARK));
    let bytes = marked.unwrap_or(start);
    let mut elements = Elements { bytes, syntax: syntax(bytes, "") };
    while let Ok(Some(element)) = elements.next() {
        match element.tag {
            tags::SOP_CLASS_UID | tags::MEDIA_STORAGE_SOP_CLASS_UID => return Some(text(element.value)),
            Tag(2, _) if !elements.bytes.starts_with(&[2, 0]) => elements.syntax = syntax(elements.bytes, ""),
            Tag(2 | 8, _) => {}
            _ => return None,
        }
    }
    None
}

/// Names the kind of an object by its class, such as `CT Image Storage`.
pub(super) fn class_name(class: &str) -> String {
    let known = StandardSopClassDictionary.by_uid(class);
    known.map_or_else(|| format!("class '{}'", shown(class.as_bytes())), |entry| entry.name.to_string())
}
