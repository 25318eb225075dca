//! A reader of JSON objects whose fields are taken one by one, so that large arrays need no tree of values.

use serde_json::Value;

use super::{
    failure::{Failure, Outcome},
    numbers_json::is_space,
};

/// The longest value of an option, in bytes.
const LONGEST_OPTION: usize = 4096;

/// A text of JSON and where its reader is.
pub struct Reader<'a> {
    pub text: &'a [u8],
    pub at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Skips white space and returns the next byte.
    pub fn next(&mut self) -> Option<u8> {
        while self.text.get(self.at).copied().is_some_and(is_space) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    /// Reads an object. `field` is called with the name of each field and must read its value.
    ///
    /// # Errors
    /// 400: there is none, or a field is there twice. Whatever `field` returns.
    pub fn object(&mut self, missing: &str, mut field: impl FnMut(&mut Self, &str) -> Outcome<()>) -> Outcome<()> {
        self.expect(b'{', missing)?;
        if self.next() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let mut seen = Vec::new();
        loop {
            let name = self.name()?;
            self.expect(b':', "expected a colon")?;
            if seen.contains(&name) {
                return Err(Failure::malformed(format!("the field {name} is there twice"), "give it once"));
            }
            field(self, &name)?;
            seen.push(name);
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b'}') => break self.at += 1,
                _ => return Err(self.syntax("expected a comma or the end of the object")),
            }
        }
        Ok(())
    }

    /// Reads an array. `item` is called for each item and must read it.
    ///
    /// # Errors
    /// 400: there is none. Whatever `item` returns.
    pub fn array(&mut self, missing: &str, mut item: impl FnMut(&mut Self) -> Outcome<()>) -> Outcome<()> {
        self.expect(b'[', missing)?;
        if self.next() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b']') => break self.at += 1,
                _ => return Err(self.syntax("expected a comma or the end of the array")),
            }
        }
        Ok(())
    }

    /// Checks that nothing follows.
    ///
    /// # Errors
    /// 400: there is more.
    pub fn end(&mut self) -> Outcome<()> {
        if self.next().is_some() { Err(self.syntax("there is more after the object")) } else { Ok(()) }
    }

    /// Reads a short value of any kind.
    ///
    /// # Errors
    /// 400 where there is none, 413 for a long one.
    pub fn value(&mut self, name: &str) -> Outcome<Value> {
        let end = self.text.len().min(self.at + LONGEST_OPTION);
        let mut values = serde_json::Deserializer::from_slice(&self.text[self.at..end]).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                self.at += values.byte_offset();
                Ok(value)
            }
            Some(Err(error)) if error.is_eof() && end < self.text.len() => {
                let cause = format!("{name} has more than {LONGEST_OPTION} bytes");
                Err(Failure::too_large(cause, "give a shorter value"))
            }
            _ => Err(self.syntax(&format!("the value of {name} is no JSON"))),
        }
    }

    fn expect(&mut self, byte: u8, otherwise: &str) -> Outcome<()> {
        if self.next() != Some(byte) {
            return Err(self.syntax(otherwise));
        }
        self.at += 1;
        Ok(())
    }

    fn name(&mut self) -> Outcome<String> {
        if self.next() != Some(b'"') {
            return Err(self.syntax("expected the name of a field"));
        }
        match self.value("a name")? {
            Value::String(name) => Ok(name),
            _ => Err(self.syntax("expected the name of a field")),
        }
    }

    fn syntax(&self, cause: &str) -> Failure {
        Failure::malformed(format!("{cause} at byte {}", self.at), "send one valid JSON object")
    }
}
