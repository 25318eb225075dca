//! Decodes text files.

use std::borrow::Cow;

/// Returns the text of a file, and the encoding if it is not UTF-8: UTF-16 with or without a byte order mark, or Latin-1,
/// in which all bytes are text. Lines that end in a carriage return alone get a line feed instead.
pub(super) fn decode(bytes: &[u8]) -> (Cow<'_, str>, Option<&'static str>) {
    let (text, encoding) = decode_letters(bytes);
    if text.contains('\r') && !text.contains('\n') {
        return (text.replace('\r', "\n").into(), encoding);
    }
    (text, encoding)
}

/// Decodes UTF-8, or else Latin-1, whose letters of ASCII are those of every other encoding that occurs.
pub(super) fn utf_8_or_latin_1(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
    }
}

fn decode_letters(bytes: &[u8]) -> (Cow<'_, str>, Option<&'static str>) {
    let utf_16 = |bytes: &[u8], to_number: fn([u8; 2]) -> u16| {
        let numbers: Vec<u16> = bytes.as_chunks().0.iter().map(|&pair| to_number(pair)).collect();
        String::from_utf16_lossy(&numbers).into()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => (utf_16(rest, u16::from_le_bytes), Some("UTF-16")),
        [0xfe, 0xff, rest @ ..] => (utf_16(rest, u16::from_be_bytes), Some("UTF-16")),
        // Text begins with a letter of ASCII.
        [first, 0, ..] if *first != 0 => (utf_16(bytes, u16::from_le_bytes), Some("UTF-16")),
        [0, first, ..] if *first != 0 => (utf_16(bytes, u16::from_be_bytes), Some("UTF-16")),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => (text.trim_start_matches('\u{feff}').into(), None),
            // The first bytes of a file may end within a letter.
            Err(error) if error.error_len().is_none() => {
                let whole = &bytes[..error.valid_up_to()];
                (String::from_utf8_lossy(whole), None)
            }
            Err(_) => (utf_8_or_latin_1(bytes), Some("Latin-1")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_gives_the_same_text() {
        let text = "I (µV),II\n1,2\n";
        let utf_16 = |to_bytes: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(to_bytes).collect() };
        let (little, big) = (utf_16(u16::to_le_bytes), utf_16(u16::to_be_bytes));
        for bytes in [
            text.as_bytes().to_vec(),
            text.replace('\n', "\r").into_bytes(),
            [&b"\xef\xbb\xbf"[..], text.as_bytes()].concat(),
            [&b"\xff\xfe"[..], &little].concat(),
            [&b"\xfe\xff"[..], &big].concat(),
            little,
            big,
            text.chars().map(|letter| letter as u8).collect(),
        ] {
            assert_eq!(decode(&bytes).0, text, "{bytes:?}");
        }
    }
}
