//! The JSON of an array of numbers, read straight into f32 without a tree of values. A number that is none is named by its
//! place, such as `inputs[0][3][117]`.

use super::failure::{Failure, Outcome};

/// Numbers in front of the array's own, where the header of a file fits.
pub const RESERVED: usize = 32;

/// The most rows of a record. Twelve leads need no more, and an array of another order is told from one that is too large.
const MOST_ROWS: usize = 1 << 20;

/// The most that an array may hold.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    pub records: usize,
    pub samples: usize,
}

/// An array `[batch, rows, columns]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    pub shape: [usize; 3],
    /// Whether the text had a dimension for the batch.
    pub batched: bool,
    /// [`RESERVED`] zeros, then the numbers, the last dimension contiguous.
    pub values: Vec<f32>,
}

/// Reads the array that begins at `text[at]`. Returns it and where it ends.
///
/// # Errors
/// 400 where the text is no JSON, 422 with the place of what is no finite number or has another length than before, 413
/// where it is larger than allowed.
pub fn read(text: &[u8], at: usize, most: Most) -> Outcome<(Numbers, usize)> {
    let depth = depth(&text[at..]);
    if !(2..=3).contains(&depth) {
        let cause =
            if depth == 0 { "inputs is no array".into() } else { format!("inputs is an array of depth {depth}") };
        return Err(Failure::invalid(cause, "give [batch, leads, samples], or [leads, samples] of one record"));
    }
    read_as(text, at, "inputs", depth, most)
}

/// Reads the data of a tensor of three dimensions that begins at `text[at]`: all its numbers in one row, whose shape is then
/// `[1, 1, numbers]` without a batch, or nested arrays. Returns it and where it ends.
///
/// # Errors
/// As for [`read`]. One row may be of any length.
pub fn read_data(text: &[u8], at: usize, most: Most) -> Outcome<(Numbers, usize)> {
    match depth(&text[at..]) {
        1 => read_as(text, at, "data", 1, Most { samples: usize::MAX, ..most }),
        3 => read_as(text, at, "data", 3, most),
        depth => {
            let cause =
                if depth == 0 { "data is no array".into() } else { format!("data is an array of depth {depth}") };
            Err(Failure::invalid(cause, "give all numbers in one array, or [batch, leads, samples] as nested arrays"))
        }
    }
}

fn read_as(text: &[u8], at: usize, name: &'static str, depth: usize, most: Most) -> Outcome<(Numbers, usize)> {
    let mut values = Vec::with_capacity(RESERVED + 12_000);
    values.resize(RESERVED, 0.0);
    let first = 3 - depth;
    let mut reader = Reader { text, at, name, first, values, index: [0; 3], shape: [1; 3], most };
    reader.shape[first..].fill(0);
    reader.level(first)?;
    let Reader { at, values, shape, .. } = reader;
    Ok((Numbers { shape, batched: depth == 3, values }, at))
}

/// Counts the brackets that open at the beginning, at most 4.
fn depth(text: &[u8]) -> usize {
    text.iter().filter(|byte| !is_space(**byte)).take(4).take_while(|byte| **byte == b'[').count()
}

pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// The name of the array in messages.
    name: &'static str,
    /// The first dimension that the text has.
    first: usize,
    values: Vec<f32>,
    /// Where the reader is.
    index: [usize; 3],
    /// The length of each dimension, 0 until its first array ends, and 1 where the text does not have it.
    shape: [usize; 3],
    most: Most,
}

impl Reader<'_> {
    /// Reads an array of dimension `level`: 0 the batch, 1 a record, 2 the samples of a lead.
    fn level(&mut self, level: usize) -> Outcome<()> {
        if self.next() != Some(b'[') {
            return Err(self.unexpected(level));
        }
        self.at += 1;
        self.index[level] = 0;
        if self.next() == Some(b']') {
            let cause = format!("{} is empty", self.place(level));
            return Err(Failure::invalid(cause, "give at least one record of at least one sample"));
        }
        loop {
            self.check_length(level)?;
            if level == 2 {
                self.number()?
            } else {
                self.level(level + 1)?
            }
            self.index[level] += 1;
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.syntax("expected a comma or a bracket")),
            }
        }
        self.at += 1;
        let [found, expected] = [self.index[level], self.shape[level]];
        if expected != 0 && found != expected {
            let noun = if level == 2 { "numbers" } else { "rows" };
            let cause = format!("{} has {found} {noun} where the first has {expected}", self.place(level));
            return Err(Failure::invalid(cause, "give every lead and every record the same length"));
        }
        self.shape[level] = found;
        Ok(())
    }

    fn check_length(&self, level: usize) -> Outcome<()> {
        let (most, noun) = match level {
            0 => (self.most.records, "records in a request"),
            1 => (MOST_ROWS, "rows in a record"),
            _ => (self.most.samples, "samples in a record"),
        };
        if self.index[level] < most {
            return Ok(());
        }
        Err(Failure::too_large(format!("more than {most} {noun}"), "send it in parts"))
    }

    /// Skips white space and returns the next byte.
    fn next(&mut self) -> Option<u8> {
        while self.text.get(self.at).copied().is_some_and(is_space) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn number(&mut self) -> Outcome<()> {
        self.next();
        let text = &self.text[self.at..];
        let length = number_length(text);
        if length == 0 {
            return Err(self.unexpected(3));
        }
        // The text has the form of a JSON number, which this parser takes.
        let value: f32 = fast_float2::parse(&text[..length]).unwrap_or(f32::NAN);
        if !value.is_finite() {
            let cause = format!("{} is too large for a 32-bit number", self.place(3));
            return Err(Failure::invalid(cause, "give finite numbers"));
        }
        self.values.push(value);
        self.at += length;
        Ok(())
    }

    /// Makes a failure of what stands where an array or, at level 3, a number is expected.
    fn unexpected(&mut self, level: usize) -> Failure {
        let rest = match self.next() {
            Some(_) => &self.text[self.at..],
            None => return self.syntax("the body ends within the array"),
        };
        let literals: [(&[u8], &str); 7] = [
            (b"NaN", "not finite"),
            (b"Infinity", "not finite"),
            (b"-Infinity", "not finite"),
            (b"null", "null"),
            (b"true", "true"),
            (b"false", "false"),
            (b"nan", "not finite"),
        ];
        let what = match rest[0] {
            b'"' => "text",
            b'{' => "an object",
            b'[' => "an array",
            b'0'..=b'9' | b'-' if level < 3 && number_length(rest) > 0 => "a number",
            _ => match literals.iter().find(|(literal, _)| rest.starts_with(literal)) {
                Some((_, what)) => what,
                None => return self.syntax("expected a number"),
            },
        };
        let cause = format!("{} is {what}", self.place(level));
        match level {
            3 => Failure::invalid(cause, "give finite numbers: cut the recording there or interpolate the gap"),
            _ => Failure::invalid(cause, "give an array of numbers there"),
        }
    }

    /// Returns the place of the array at `level`, or with level 3 of a number.
    fn place(&self, level: usize) -> String {
        let index = self.index[..level].iter().skip(self.first).map(|index| format!("[{index}]"));
        format!("{}{}", self.name, index.collect::<String>())
    }

    fn syntax(&self, cause: &str) -> Failure {
        Failure::malformed(format!("{cause} at byte {}", self.at), "send valid JSON")
    }
}

/// Returns the length of the JSON number at the beginning of a text (RFC 8259, section 6), 0 if there is none. What follows a
/// number must not continue it.
fn number_length(text: &[u8]) -> usize {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(text.first() == Some(&b'-'));
    at += match text.get(at) {
        Some(b'0') => 1,
        Some(b'1'..=b'9') => digits(at),
        _ => return 0,
    };
    if text.get(at) == Some(&b'.') {
        match digits(at + 1) {
            0 => return 0,
            count => at += 1 + count,
        }
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        match digits(at + 1 + sign) {
            0 => return 0,
            count => at += 1 + sign + count,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Most = Most { records: 3, samples: 4 };

    fn values(text: &str) -> Outcome<([usize; 3], Vec<f32>)> {
        let (numbers, end) = read(text.as_bytes(), 0, MOST)?;
        assert_eq!(end, text.trim_end().len());
        Ok((numbers.shape, numbers.values[RESERVED..].to_vec()))
    }

    #[test]
    fn arrays_of_two_and_three_dimensions_are_read() {
        assert_eq!(values("[[1,-2.5],[3e2,0]]").unwrap(), ([1, 2, 2], vec![1.0, -2.5, 300.0, 0.0]));
        assert_eq!(values(" [ [ [ 1 ] ] , [ [\n2E-1 ] ] ] ").unwrap(), ([2, 1, 1], vec![1.0, 0.2]));
    }

    #[test]
    fn numbers_are_those_of_the_standard_library() {
        let mut state = 1u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = f32::from_bits((state >> 32) as u32);
            let texts = [format!("{number}"), format!("{number:e}"), format!("{:.17e}", f64::from(number) * 0.1)];
            for text in texts.iter().filter(|text| text.parse::<f32>().is_ok_and(f32::is_finite)) {
                let read = values(&format!("[[{text}]]")).unwrap().1[0];
                assert_eq!(read.to_bits(), text.parse::<f32>().unwrap().to_bits(), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_finite_number_is_named_by_its_place() {
        for (text, status, part) in [
            ("[[[1,NaN]]]", 422, "inputs[0][0][1] is not finite"),
            ("[[[1],[2]],[[3],[null]]]", 422, "inputs[1][1][0] is null"),
            ("[[1],[\"x\"]]", 422, "inputs[1][0] is text"),
            ("[[1,-Infinity]]", 422, "inputs[0][1] is not finite"),
            ("[[1e39]]", 422, "inputs[0][0] is too large"),
            ("[[1],[true]]", 422, "inputs[1][0] is true"),
            ("[[1],[{}]]", 422, "inputs[1][0] is an object"),
            ("[[1],[[2]]]", 422, "inputs[1][0] is an array"),
            ("[[[1]],[2]]", 422, "inputs[1][0] is a number"),
            ("[[1],2]", 422, "inputs[1] is a number"),
            ("[[1,2],[3]]", 422, "inputs[1] has 1 numbers where the first has 2"),
            ("[[[1],[2]],[[3]]]", 422, "inputs[1] has 1 rows where the first has 2"),
            ("[[]]", 422, "inputs[0] is empty"),
            ("[[[1],[]]]", 422, "inputs[0][1] is empty"),
            ("[1]", 422, "depth 1"),
            ("[[[[1]]]]", 422, "depth 4"),
            ("7", 422, "no array"),
            ("[[1,]]", 400, "expected a number at byte 4"),
            ("[[1 2]]", 400, "expected a comma or a bracket at byte 4"),
            ("[[01]]", 400, "expected a comma"),
            ("[[+1]]", 400, "expected a number"),
            ("[[.5]]", 400, "expected a number"),
            ("[[1.]]", 400, "expected a number"),
            ("[[1e]]", 400, "expected a number"),
            ("[[0x1]]", 400, "expected a comma"),
            ("[[1", 400, "expected a comma"),
            ("[[1],", 400, "ends within the array"),
            ("[[1,2,3,4,5]]", 413, "more than 4 samples"),
            ("[[[1]],[[1]],[[1]],[[1]]]", 413, "more than 3 records"),
        ] {
            let failure = values(text).unwrap_err();
            assert!(failure.text().contains(part), "{text}: {}", failure.text());
            assert_eq!(failure.status.as_u16(), status, "{text}");
        }
    }

    #[test]
    fn no_cut_text_panics() {
        let text = "[[[1.5e-3,NaN],[\"a\",{}]],[[null,-Infinity]]]";
        (0..text.len()).for_each(|end| drop(read(&text.as_bytes()[..end], 0, MOST)));
    }
}
