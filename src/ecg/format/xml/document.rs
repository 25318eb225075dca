//! Walks through an XML document from its start to its end, without keeping it.

use std::borrow::Cow;

use quick_xml::{
    Reader, XmlVersion,
    escape::resolve_xml_entity,
    events::{BytesRef, BytesStart, Event, attributes::Attribute},
};

use super::{damaged, number, shown};
use crate::{Error, Result};

/// The deepest nesting that is read. The deepest of the three formats, aECG, has about 30 levels.
const DEEPEST: usize = 100;

/// A document that is read from its start to its end. Every element that [`Document::root`] or [`Document::child`] returns
/// is the current one until all its children are read, or its text, or it is skipped.
pub(super) struct Document<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    /// The number of elements that are open.
    depth: usize,
}

/// The start of an element.
pub(super) struct Element<'a>(BytesStart<'a>);

/// The next piece of a document.
enum Piece<'a> {
    Start(Element<'a>),
    End,
    Text(Cow<'a, str>),
    Reference(BytesRef<'a>),
}

impl<'a> Document<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        // Names of hospitals contain it, and they are skipped.
        reader.config_mut().allow_dangling_amp = true;
        Self { text, reader, depth: 0 }
    }

    /// Returns the root element.
    pub(super) fn root(&mut self) -> Result<Element<'a>> {
        loop {
            match self.piece()? {
                Piece::Start(element) => return Ok(element),
                Piece::Text(text) if text.trim().is_empty() => {}
                _ => return Err(self.ill_formed("text outside of the root element")),
            }
        }
    }

    /// Returns the next child of the current element, or `None` where the current element ends.
    pub(super) fn child(&mut self) -> Result<Option<Element<'a>>> {
        loop {
            match self.piece()? {
                Piece::Start(element) => return Ok(Some(element)),
                Piece::End => return Ok(None),
                Piece::Text(_) | Piece::Reference(_) => {}
            }
        }
    }

    /// Reads the current element to its end, and returns its text without that of its children.
    pub(super) fn text(&mut self) -> Result<Cow<'a, str>> {
        let level = self.depth;
        let mut text = Cow::Borrowed("");
        loop {
            match self.piece()? {
                Piece::End if self.depth < level => return Ok(text),
                Piece::Text(part) if self.depth == level => append(&mut text, part),
                Piece::Reference(name) if self.depth == level => append(&mut text, self.resolve(&name)?.into()),
                _ => {}
            }
        }
    }

    /// Reads the current element to its end, and returns the number that is its text. `name` is for an error.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>> {
        number(name, &self.text()?).map_err(|error| error.at(self.place()))
    }

    /// Reads the current element to its end.
    pub(super) fn skip(&mut self) -> Result<()> {
        let level = self.depth;
        while self.depth >= level {
            self.piece()?;
        }
        Ok(())
    }

    fn piece(&mut self) -> Result<Piece<'a>> {
        loop {
            let event = self.reader.read_event().map_err(|error| self.ill_formed(&error.to_string()))?;
            return Ok(match event {
                Event::Start(tag) | Event::Empty(tag) => {
                    self.depth += 1;
                    if self.depth > DEEPEST {
                        return Err(self.ill_formed(&format!("over {DEEPEST} elements are nested")));
                    }
                    Piece::Start(Element(tag))
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    Piece::End
                }
                Event::Text(text) => Piece::Text(text.into_inner()),
                Event::CData(text) => Piece::Text(text.into_inner()),
                Event::GeneralRef(name) => Piece::Reference(name),
                Event::DocType(doctype) if doctype.contains("<!ENTITY") => {
                    return Err(self.ill_formed("it defines entities of its own, which are not read"));
                }
                Event::Eof => {
                    let cause = format!("the XML document ends within {} open elements", self.depth);
                    return Err(damaged(cause, "the file is cut off: get it again"));
                }
                Event::DocType(_) | Event::Decl(_) | Event::PI(_) | Event::Comment(_) => continue,
            });
        }
    }

    /// Resolves a reference to a character or to one of the five entities of XML itself.
    fn resolve(&self, name: &BytesRef) -> Result<String> {
        let character = name.resolve_char_ref().map_err(|error| self.ill_formed(&error.to_string()))?;
        let text = character.map(String::from).or_else(|| resolve_xml_entity(name).map(String::from));
        text.ok_or_else(|| self.ill_formed(&format!("the entity '{}' is not one of XML's own", shown(name.as_bytes()))))
    }

    /// Makes an error about the XML at the current position.
    fn ill_formed(&self, cause: &str) -> Error {
        damaged(format!("{}: {}", self.place(), shown_line(cause)), "the XML is damaged: export the file again")
    }

    fn place(&self) -> String {
        let position = (self.reader.buffer_position() as usize).min(self.text.len());
        let lines = self.text.as_bytes()[..position].iter().filter(|byte| **byte == b'\n').count();
        format!("line {}", lines + 1)
    }
}

impl Element<'_> {
    /// Returns the element's name without the prefix of its namespace.
    pub(super) fn name(&self) -> &str {
        let name = self.0.name().0;
        name.rsplit_once(':').map_or(name, |(_, local)| local)
    }

    /// Returns an attribute by its name without the prefix of its namespace, trimmed.
    ///
    /// # Errors
    /// An attribute before it is ill-formed, or it refers to an entity that is not one of XML's own.
    pub(super) fn attribute(&self, name: &str) -> Result<Option<String>> {
        for attribute in self.raw_attributes() {
            let attribute = attribute?;
            if attribute.key.local_name().as_ref() == name {
                return self.value(&attribute).map(Some);
            }
        }
        Ok(None)
    }

    /// Calls `use_it` with the name and the value of every attribute.
    pub(super) fn for_each_attribute(&self, mut use_it: impl FnMut(&str, &str) -> Result<()>) -> Result<()> {
        self.raw_attributes().try_for_each(|attribute| {
            let attribute = attribute?;
            use_it(attribute.key.local_name().as_ref(), &self.value(&attribute)?)
        })
    }

    fn raw_attributes(&self) -> impl Iterator<Item = Result<Attribute<'_>>> {
        let mut attributes = self.0.attributes();
        // The check for duplicates would take quadratic time.
        attributes.with_checks(false);
        attributes.map(|attribute| attribute.map_err(|error| self.bad_attribute(&error.to_string())))
    }

    fn value(&self, attribute: &Attribute) -> Result<String> {
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        value.map(|value| value.trim().into()).map_err(|error| self.bad_attribute(&error.to_string()))
    }

    fn bad_attribute(&self, cause: &str) -> Error {
        let cause = format!("an attribute of {}: {}", shown(self.name().as_bytes()), shown_line(cause));
        damaged(cause, "the XML is damaged: export the file again")
    }

    /// Returns the number in an attribute, `None` if there is no such attribute or it is empty.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>> {
        self.attribute(name)?.map_or(Ok(None), |text| number(&format!("{} of {}", name, self.name()), &text))
    }
}

fn append<'a>(text: &mut Cow<'a, str>, part: Cow<'a, str>) {
    if text.is_empty() {
        *text = part;
    } else {
        text.to_mut().push_str(&part);
    }
}

/// Shortens a message that may quote the document to one line.
fn shown_line(message: &str) -> String {
    message.chars().take(120).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
