//! Reads `SHA256SUMS.txt`, which PhysioNet publishes with every data set.

use std::path::{Component, Path};

use crate::{Error, ErrorKind, Result, checksum::Checksum};

/// The name of the file that lists the checksums.
pub(super) const FILE: &str = "SHA256SUMS.txt";

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
    Some(Listed { path: path.into(), checksum: Checksum::sha256(digits)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checksum of "abc", example B.1 of FIPS 180-2.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn each_line_is_parsed_as_a_checksum_and_a_path() {
        let checksum = Checksum::sha256(ABC).unwrap();
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
