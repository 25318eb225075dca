//! Bearer tokens (RFC 6750) from a file, which is read again when it changes.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, RwLock},
    time::SystemTime,
};

use axum::http::{HeaderMap, header};
use ecgpu::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::failure::{Failure, Outcome};
use crate::observe;

/// The SHA-256 of a token. All have one length, so that comparing them tells nothing about the length of a token.
type Hash = [u8; 32];

/// The tokens that are accepted.
pub struct Tokens {
    path: PathBuf,
    hashes: RwLock<Vec<Hash>>,
    /// The time and the size of the file that was read last.
    seen: Mutex<Option<(SystemTime, u64)>>,
}

impl Tokens {
    /// Reads a file of one token per line, without empty lines and those that begin with `#`.
    ///
    /// # Errors
    /// The file cannot be read, holds no token, or a token of other characters than RFC 6750 allows.
    pub fn open(path: &Path) -> Result<Self> {
        let seen = Mutex::new(state(path));
        let hashes = RwLock::new(read(path)?);
        Ok(Self { path: path.into(), hashes, seen })
    }

    /// Reads the file again if it has changed. A file that cannot be read changes nothing: the earlier tokens stay.
    pub fn reload(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = state(&self.path);
        if *seen == now {
            return;
        }
        *seen = now;
        match read(&self.path) {
            Ok(hashes) => {
                log::info!("{} tokens are accepted from now on", hashes.len());
                *self.hashes.write().unwrap_or_else(PoisonError::into_inner) = hashes;
            }
            Err(error) => log::warn!("the earlier tokens stay: {error}"),
        }
    }

    /// Checks the header Authorization.
    ///
    /// # Errors
    /// 401: there is no token, or another one.
    pub fn check(&self, headers: &HeaderMap) -> Outcome<()> {
        let refuse = |cause| {
            observe::refused("unauthorised");
            Err(Failure::unauthorised(cause))
        };
        let Some(given) = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()) else {
            return refuse("no token");
        };
        let scheme = given.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
        let Some(token) = scheme.map(|_| given[7..].trim_ascii()) else {
            return refuse("the header Authorization is no bearer token");
        };
        let hash = hash(token);
        let hashes = self.hashes.read().unwrap_or_else(PoisonError::into_inner);
        // All of them, whichever is equal.
        let equal = hashes.iter().fold(Choice::from(0), |equal, known| equal | known.ct_eq(&hash));
        if bool::from(equal) { Ok(()) } else { refuse("another token than those that are accepted") }
    }
}

fn state(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn hash(token: &[u8]) -> Hash {
    Sha256::digest(token).into()
}

fn read(path: &Path) -> Result<Vec<Hash>> {
    let text = fs::read_to_string(path).map_err(|error| Error::file(path, error))?;
    let tokens: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    let bad = |cause: String| Err(Error::new(ErrorKind::Usage, cause, "write one token per line").at(path.display()));
    if tokens.is_empty() {
        return bad("the file holds no token".into());
    }
    if let Some(at) = tokens.iter().position(|token| !token.bytes().all(allowed)) {
        return bad(format!("token number {} has characters that no bearer token has", at + 1));
    }
    Ok(tokens.iter().map(|token| hash(token.as_bytes())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tokens: &Tokens, header: &str) -> Outcome<()> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, header.parse().unwrap());
        tokens.check(&headers)
    }

    #[test]
    fn the_tokens_of_the_file_are_accepted_and_follow_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, "# of ward 4\nfirst-token\n\n  second~token= \n").unwrap();
        let tokens = Tokens::open(&path).unwrap();
        for header in ["Bearer first-token", "bearer  second~token="] {
            assert_eq!(check(&tokens, header), Ok(()), "{header}");
        }
        for header in
            ["Bearer", "Bearer ", "Basic first-token", "Bearer first-toke", "Bearer # of ward 4", "first-token"]
        {
            assert_eq!(check(&tokens, header).unwrap_err().status.as_u16(), 401, "{header}");
        }
        assert!(tokens.check(&HeaderMap::new()).is_err());
        fs::write(&path, "third-token-of-another-length\n").unwrap();
        tokens.reload();
        assert!(check(&tokens, "Bearer first-token").is_err());
        assert_eq!(check(&tokens, "Bearer third-token-of-another-length"), Ok(()));
        fs::remove_file(&path).unwrap();
        tokens.reload();
        assert_eq!(check(&tokens, "Bearer third-token-of-another-length"), Ok(()), "the earlier tokens stay");
    }

    #[test]
    fn a_file_without_tokens_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        for (text, part) in [("# none\n", "no token"), ("a\nb c\n", "token number 2")] {
            fs::write(&path, text).unwrap();
            let error = Tokens::open(&path).err().unwrap().to_string();
            assert!(error.contains(part) && !error.contains("b c"), "{error}");
        }
    }
}
