//! Reads `SHA256SUMS.txt`, which PhysioNet publishes with every data set.

use std::{
    fs::File,
    io::{self, Read},
    path::{Component, Path},
};

use sha2::{Digest, Sha256};

use crate::{Error, ErrorKind, Result};

/// The name of the file that lists the checksums.
pub(super) const FILE: &str = "SHA256SUMS.txt";

/// A SHA-256 checksum.
pub(super) type Checksum = [u8; 32];

/// A listed file: its path relative to the data folder, separated by `/`, and its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) path: String,
    pub(super) checksum: Checksum,
}

/// Parses the list. Each line has a checksum in hexadecimal digits and a path.
///
/// # Errors
/// A line has another form or names a file outside the data folder.
pub(super) fn parse(text: &str) -> Result<Vec<Listed>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let listed = |(index, line): (usize, &str)| {
        listed(line).ok_or_else(|| {
            let shown: String = line.chars().take(40).collect();
            let cause = format!("{FILE}: line {}: '{shown}' is no checksum of a file in the data folder", index + 1);
            Error::new(ErrorKind::Dataset, cause, format!("get {FILE} of PTB-XL 1.0.3 again"))
        })
    };
    lines.map(listed).collect()
}

/// Parses one line.
fn listed(line: &str) -> Option<Listed> {
    let (digits, path) = line.trim().split_once(char::is_whitespace)?;
    // sha256sum marks files that it read in binary mode with a star.
    let path = path.trim_start();
    let path = path.strip_prefix('*').unwrap_or(path);
    let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    let portable = !path.contains(['\\', ':', '\0']);
    (inside && portable && !path.is_empty()).then_some(())?;
    Some(Listed { path: path.into(), checksum: from_digits(digits)? })
}

fn from_digits(digits: &str) -> Option<Checksum> {
    let plain = digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let mut checksum = Checksum::default();
    for (index, byte) in checksum.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2).filter(|_| plain)?, 16).ok()?;
    }
    Some(checksum)
}

/// Computes the checksum of a file's contents.
pub(super) fn of_file(path: &Path) -> io::Result<Checksum> {
    let mut file = File::open(path)?;
    let (mut hash, mut buffer) = (Sha256::new(), [0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            read => hash.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checksum of "abc", example B.1 of FIPS 180-2.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn each_line_is_parsed_as_a_checksum_and_a_path() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("abc"), "abc").unwrap();
        let checksum = of_file(&folder.path().join("abc")).unwrap();
        let file = |path: &str| Listed { path: path.into(), checksum };
        let text = format!("{ABC} a/b.hea\n\n{ABC}  c d.txt\r\n{} *e\n", ABC.to_uppercase());
        assert_eq!(parse(&text).unwrap(), [file("a/b.hea"), file("c d.txt"), file("e")]);
    }

    #[test]
    fn paths_outside_the_folder_and_malformed_lines_are_refused() {
        for path in ["/etc/passwd", "../x", "a/../../x", "", "c:\\x", "a\\..\\x", "."] {
            assert!(parse(&format!("{ABC} {path}")).is_err(), "{path}");
        }
        for line in ["<html>", "abcd file", &format!("{}g file", &ABC[1..]), &format!("+{} file", &ABC[1..])] {
            let error = parse(&format!("{ABC} good\n{line}")).unwrap_err();
            assert!(error.cause().starts_with("SHA256SUMS.txt: line 2: "), "{error}");
        }
    }
}
