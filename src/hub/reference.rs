//! The names of files in repositories: `hf:OWNER/NAME[@REVISION][/FILE]`.

use std::{fmt, path::Path, str::FromStr};

use crate::{Error, ErrorKind, Result};

/// What a name begins with.
const PREFIX: &str = "hf:";

/// The form of a name, for messages.
const FORM: &str = "hf:OWNER/NAME, hf:OWNER/NAME@REVISION or hf:OWNER/NAME@REVISION/FILE.safetensors";

/// The longest part of a name.
const LONGEST: usize = 255;

/// The revision where none is named.
pub(super) const MAIN: &str = "main";

/// The file that is taken where none is named.
pub(crate) const MODEL: &str = "model.safetensors";

/// What the name of a safetensors file ends with.
pub(super) const EXTENSION: &str = ".safetensors";

/// What the names of pickles end with, which can run code when they are read.
const PICKLES: [&str; 8] = [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".dill"];

/// A repository, a revision of it and a file in it.
///
/// A revision is a branch, a tag or a commit of 40 hexadecimal digits. It ends at the next `/`, except in `refs/pr/N` and
/// `refs/convert/NAME`; a branch with a `/` in its name is written with `%2F`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub(super) owner: String,
    pub(super) name: String,
    pub(super) revision: Option<String>,
    pub(super) file: Option<String>,
}

impl Reference {
    /// Parses a path that begins with `hf:`; nothing for every other path.
    ///
    /// # Errors
    /// Those of [`Reference::from_str`].
    pub fn of_path(path: &Path) -> Result<Option<Self>> {
        match path.to_str() {
            Some(text) if text.starts_with(PREFIX) => text.parse().map(Some),
            _ => Ok(None),
        }
    }

    /// Parses `OWNER/NAME` or `OWNER/NAME@REVISION[/FILE]`; nothing for a text that could as well be a path.
    ///
    /// # Errors
    /// The file is a pickle or otherwise no safetensors file.
    pub(crate) fn of_repository(text: &str) -> Result<Option<Self>> {
        let Some(reference) = parts(text).filter(Self::is_sound) else { return Ok(None) };
        let is_path = reference.revision.is_none() && (reference.file.is_some() || reference.name.ends_with(EXTENSION));
        if is_path {
            return Ok(None);
        }
        reference.file.iter().try_for_each(|file| check_type(file).map_err(|error| error.at(text)))?;
        Ok(Some(reference))
    }

    /// Returns the repository, such as `owner/name`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Returns the revision, if one is named.
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    /// Returns the file, if one is named.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Returns a name by which tables and files can call these weights, such as `name`, or `name@v2`.
    pub fn short_name(&self) -> String {
        let file = self
            .file
            .as_deref()
            .and_then(|file| file.rsplit('/').next())
            .map(|file| &file[..file.len() - EXTENSION.len()]);
        let revision = self.revision.as_deref().map(|revision| format!("@{}", revision.replace('/', "-")));
        format!("{}{}", file.unwrap_or(&self.name), revision.unwrap_or_default())
    }

    /// Returns the reference to one file at one commit.
    pub(super) fn pinned(&self, commit: &str, file: &str) -> Self {
        Self { revision: Some(commit.into()), file: Some(file.into()), ..self.clone() }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}/{}", self.owner, self.name)?;
        if let Some(revision) = &self.revision {
            let is_special = special_length(revision) == Some(revision.len());
            write!(f, "@{}", if is_special { revision.clone() } else { revision.replace('/', "%2F") })?;
        }
        self.file.iter().try_for_each(|file| write!(f, "/{file}"))
    }
}

impl FromStr for Reference {
    type Err = Error;

    /// Parses `hf:OWNER/NAME[@REVISION][/FILE]`.
    ///
    /// # Errors
    /// The text has another form, a part of it could lead out of the cache's folder, or the file is a pickle or otherwise no
    /// safetensors file.
    fn from_str(text: &str) -> Result<Self> {
        let parts = parts(text.strip_prefix(PREFIX).unwrap_or(text));
        let reference = parts.filter(Self::is_sound).ok_or_else(|| {
            let cause = format!("'{text}' is no name of a repository on the Hugging Face Hub");
            Error::new(ErrorKind::Usage, cause, format!("write {FORM}"))
        })?;
        reference.file.iter().try_for_each(|file| check_type(file).map_err(|error| error.at(text)))?;
        Ok(reference)
    }
}

/// Splits a name without its prefix.
fn parts(text: &str) -> Option<Reference> {
    let (owner, rest) = text.split_once('/')?;
    let (name, rest) = rest.split_at(rest.find(['@', '/']).unwrap_or(rest.len()));
    let (revision, rest) = match rest.strip_prefix('@') {
        Some(rest) => {
            let (revision, rest) = rest.split_at(special_length(rest).or(rest.find('/')).unwrap_or(rest.len()));
            (Some(revision.replace("%2F", "/").replace("%2f", "/")), rest)
        }
        None => (None, rest),
    };
    let file = match rest {
        "" => None,
        rest => Some(rest.strip_prefix('/')?.to_string()),
    };
    Some(Reference { owner: owner.into(), name: name.into(), revision, file })
}

/// Returns the length of a revision with slashes at the beginning of a text: `refs/pr/N` or `refs/convert/NAME`.
fn special_length(text: &str) -> Option<usize> {
    let start = ["refs/pr/", "refs/convert/"].into_iter().find(|start| text.starts_with(start))?.len();
    let length = text[start..].find('/').unwrap_or(text.len() - start);
    (length > 0).then_some(start + length)
}

impl Reference {
    /// Returns whether every part is one that a Hub could have, and none leads out of the cache's folder.
    fn is_sound(&self) -> bool {
        let named = |part: &str| {
            let plain = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            // Two dashes separate owner and name in the cache.
            let odd = part.starts_with(['-', '.']) || part.ends_with(['-', '.']) || part.ends_with(".git");
            plain && !odd && !part.is_empty() && part.len() <= 96 && !part.contains("--") && !part.contains("..")
        };
        let revision = self.revision.as_deref().is_none_or(|revision| {
            // What git forbids in the name of a branch or a tag.
            let plain = revision.bytes().all(|byte| byte.is_ascii_graphic() && !b"~^:?*[\\%".contains(&byte));
            let sound = |part: &str| !part.is_empty() && !part.starts_with(['.', '-']) && !part.ends_with(".lock");
            plain && revision.split('/').all(sound) && !revision.contains("..") && revision.len() <= LONGEST
        });
        named(&self.owner) && named(&self.name) && revision && self.file.as_deref().is_none_or(is_sound_file)
    }
}

/// Returns whether a path inside a repository stays inside it on every system.
pub(super) fn is_sound_file(file: &str) -> bool {
    let plain = !file.chars().any(|c| c.is_control() || "\\:*?\"<>|".contains(c));
    let sound = |part: &str| !part.is_empty() && !part.ends_with(['.', ' ']);
    plain && file.split('/').all(sound) && file.len() <= LONGEST
}

/// Returns whether a file is a pickle, by its name.
pub(super) fn is_pickle(file: &str) -> bool {
    let file = file.to_lowercase();
    PICKLES.iter().any(|extension| file.ends_with(extension))
}

/// Refuses a file that is no safetensors file by its name.
fn check_type(file: &str) -> Result<()> {
    if file.ends_with(EXTENSION) {
        return Ok(());
    }
    let (cause, remedy) = if is_pickle(file) {
        ("a pickle, which can run any code when it is read", CONVERT)
    } else {
        ("no safetensors file", "name a file that ends with .safetensors")
    };
    Err(Error::new(ErrorKind::Usage, cause, remedy))
}

/// What to do about a pickle.
pub(super) const CONVERT: &str =
    "if you trust its origin, convert it to safetensors in Python with safetensors.torch.save_file";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_parsed_and_written_again() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        for (text, revision, file) in [
            ("hf:o-1/n.a_m", None, None),
            ("hf:o/n@v1.0", Some("v1.0"), None),
            (&format!("hf:o/n@{commit}/a/b.safetensors"), Some(commit), Some("a/b.safetensors")),
            ("hf:o/n/model.safetensors", None, Some("model.safetensors")),
            ("hf:o/n@refs/pr/12/model.safetensors", Some("refs/pr/12"), Some("model.safetensors")),
            ("hf:o/n@refs/convert/x", Some("refs/convert/x"), None),
            ("hf:o/n@feature%2Fa/b.safetensors", Some("feature/a"), Some("b.safetensors")),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!((reference.revision(), reference.file(), reference.to_string()), (revision, file, text.into()));
        }
        let short = |text: &str| text.parse::<Reference>().unwrap().short_name();
        let names = ["hf:o/n", "hf:o/n@a%2Fb", "hf:o/n@v1/x/y.safetensors"].map(short);
        assert_eq!(names, ["n", "n@a-b", "y@v1"]);
    }

    #[test]
    fn what_is_no_name_or_leads_elsewhere_is_refused() {
        for text in [
            "",
            "o",
            "o/",
            "/n",
            "o//n",
            "o/n/",
            "o/n@",
            "o/n@/a.safetensors",
            "o--p/n",
            "../n",
            "o/..",
            "o/n.git",
            "-o/n",
            "o/n@..",
            "o/n@a%2F..%2Fb",
            "o/n@a%2F%2Fb",
            "o/n@a\\b",
            "o/n@.a",
            "o/n@a b",
            "o/n@%2e%2e",
            "o/n/../a.safetensors",
            "o/n/a/../b.safetensors",
            "o/n//a.safetensors",
            "o/n/a\\b.safetensors",
            "o/n/c:b.safetensors",
            "o/n/a\n.safetensors",
            "o/n/./a.safetensors",
            "o /n",
            "ö/n",
            "https://hub/o/n",
        ] {
            let error = format!("hf:{text}").parse::<Reference>().unwrap_err();
            assert!(error.kind() == ErrorKind::Usage && error.remedy().starts_with("write hf:OWNER/NAME"), "{error}");
        }
    }

    #[test]
    fn a_pickle_is_refused_by_name() {
        for file in ["pytorch_model.bin", "a/b.PT", "c.pkl", "d.pth", "e.ckpt"] {
            let error = format!("hf:o/n/{file}").parse::<Reference>().unwrap_err();
            assert!(error.cause().contains("a pickle") && error.remedy().contains("safetensors"), "{error}");
        }
        assert!("hf:o/n/model.onnx".parse::<Reference>().unwrap_err().cause().contains("no safetensors file"));
    }

    #[test]
    fn a_repository_alone_is_told_from_a_path() {
        for text in ["o/n", "o/n@v1", "o/n@v1/m.safetensors"] {
            assert!(Reference::of_repository(text).unwrap().is_some(), "{text}");
        }
        for text in ["o", "./n", "a/model.safetensors", "o/n/model.safetensors", "/o/n", "o\\n", "o/n/m"] {
            assert_eq!(Reference::of_repository(text), Ok(None), "{text}");
        }
        let error = Reference::of_repository("o/n@main/pytorch_model.bin").unwrap_err().to_string();
        assert!(error.contains("a pickle") && error.contains("convert it"), "{error}");
        assert_eq!(Reference::of_path(Path::new("o/n")), Ok(None));
        assert!(Reference::of_path(Path::new("hf:o")).is_err());
    }
}
