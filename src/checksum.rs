//! Checksums of files: SHA-256, and the SHA-1 by which git names the contents of a file.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use sha2::{Digest, Sha256, digest::Output};

/// The checksum that a file must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checksum {
    /// SHA-256 of the contents.
    Sha256([u8; 32]),
    /// SHA-1 of `blob SIZE`, a zero byte and the contents: the name of the contents in a git repository.
    #[cfg(feature = "hub")]
    GitBlob([u8; 20]),
}

impl Checksum {
    /// Parses a SHA-256 of 64 hexadecimal digits.
    pub(crate) fn sha256(digits: &str) -> Option<Self> {
        from_digits(digits).map(Self::Sha256)
    }

    /// Parses the name of contents in a git repository, 40 hexadecimal digits.
    #[cfg(feature = "hub")]
    pub(crate) fn git_blob(digits: &str) -> Option<Self> {
        from_digits(digits).map(Self::GitBlob)
    }

    /// Returns whether a file has this checksum.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn is_of(&self, path: &Path) -> io::Result<bool> {
        let file = File::open(path)?;
        match self {
            Self::Sha256(expected) => Ok(digest(Sha256::new(), file)?[..] == expected[..]),
            #[cfg(feature = "hub")]
            Self::GitBlob(expected) => {
                let start = format!("blob {}\0", file.metadata()?.len());
                Ok(digest(sha1::Sha1::new_with_prefix(start), file)?[..] == expected[..])
            }
        }
    }
}

fn from_digits<const BYTES: usize>(digits: &str) -> Option<[u8; BYTES]> {
    let plain = digits.len() == 2 * BYTES && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let mut checksum = [0; BYTES];
    for (index, byte) in checksum.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2).filter(|_| plain)?, 16).ok()?;
    }
    Some(checksum)
}

/// Computes the checksum of what `hash` has already seen and of a file's contents.
fn digest<Hash: Digest>(mut hash: Hash, mut file: File) -> io::Result<Output<Hash>> {
    let mut buffer = [0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize()),
            read => hash.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checksum of "abc", example B.1 of FIPS 180-2.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn holds(checksum: Option<Checksum>, contents: &str) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, contents).unwrap();
        checksum.unwrap().is_of(&path).unwrap()
    }

    #[test]
    fn a_file_has_its_own_checksum_and_no_other() {
        assert!(holds(Checksum::sha256(ABC), "abc") && holds(Checksum::sha256(&ABC.to_uppercase()), "abc"));
        assert!(!holds(Checksum::sha256(ABC), "abd"));
    }

    #[cfg(feature = "hub")]
    #[test]
    fn contents_have_the_name_that_git_gives_them() {
        // `printf 'what is up, doc?' | git hash-object --stdin`, the example of the book Pro Git.
        let name = Checksum::git_blob("bd9dbf5aae1a3862dd1526723246b20206e5fc37");
        assert!(holds(name, "what is up, doc?") && !holds(name, "what is up, doc!"));
    }

    #[test]
    fn what_is_no_checksum_is_refused() {
        for digits in ["", "abcd", &format!("{}g", &ABC[1..]), &format!("+{}", &ABC[1..]), &format!("{ABC}00")] {
            assert_eq!(Checksum::sha256(digits), None, "{digits}");
        }
    }
}
