//! Weights by name: those that come with the project, and those of repositories on a Hub.

use std::path::Path;
#[cfg(feature = "train")]
use std::path::PathBuf;

use super::Weights;
#[cfg(feature = "all-weights")]
use super::weights::BUILT_IN;
use crate::Result;
#[cfg(feature = "hub")]
use crate::hub::{self, Listener, MODEL, Reference};

/// The names of the weights files that come with the project. The first is that of [`Weights::built_in`].
/// `weights/README.md` describes them.
#[cfg(feature = "all-weights")]
pub const WEIGHTS: [&str; 3] = ["542k", "55k", "542k-10pct"];

/// The files of [`WEIGHTS`].
#[cfg(feature = "all-weights")]
static FILES: [&[u8]; WEIGHTS.len()] = [
    BUILT_IN,
    include_bytes!("../../weights/ssl-ecg-55k.safetensors"),
    include_bytes!("../../weights/ssl-ecg-542k-10pct.safetensors"),
];

/// Returns the file of [`WEIGHTS`] with this name, unless there is a file of this name on the disk.
#[cfg(feature = "all-weights")]
pub fn file_of(path_or_name: &Path) -> Option<(&'static str, &'static [u8])> {
    let named = WEIGHTS.into_iter().zip(FILES).find(|(name, _)| path_or_name.as_os_str() == *name);
    named.filter(|_| !path_or_name.exists())
}

impl Weights {
    /// Reads a safetensors file, or weights by their name. With feature `all-weights` the name may be one of those that come
    /// with the project, such as `55k`; a file of the same name has precedence. With feature `hub` it may be that of a
    /// repository on the Hugging Face Hub, `hf:OWNER/NAME[@REVISION][/FILE]`, whose file is downloaded once.
    ///
    /// # Errors
    /// Those of [`Weights::from_path`] and of [`hub::fetch`](crate::hub::fetch()).
    #[cfg(any(feature = "all-weights", feature = "hub"))]
    pub fn open(path_or_name: impl AsRef<Path>) -> Result<Self> {
        #[cfg(feature = "hub")]
        if let Some(reference) = Reference::of_path(path_or_name.as_ref())? {
            return Self::from_hub(&reference, &|_| ());
        }
        Self::open_here(path_or_name.as_ref())
    }

    /// Does what [`Weights::open`] does, and reports a download to `listener`.
    ///
    /// # Errors
    /// Those of [`Weights::open`].
    #[cfg(feature = "hub")]
    pub fn open_with(path_or_name: impl AsRef<Path>, listener: Listener<'_>) -> Result<Self> {
        match Reference::of_path(path_or_name.as_ref())? {
            Some(reference) => Self::from_hub(&reference, listener),
            None => Self::open_here(path_or_name.as_ref()),
        }
    }

    /// Reads the weights that a text names as Hugging Face's libraries read it: a file, a folder with `model.safetensors` or
    /// one other safetensors file, a name for [`Weights::open`], or else a repository on the Hub, `OWNER/NAME` or `OWNER/NAME@REVISION[/FILE]`.
    ///
    /// # Errors
    /// Those of [`Weights::open`].
    #[cfg(feature = "hub")]
    pub fn from_pretrained(text: &str) -> Result<Self> {
        let path = Path::new(text);
        if path.is_dir() {
            return Self::from_path(path.join(file_in(path)?));
        }
        if path.exists() {
            return Self::open(path);
        }
        match Reference::of_repository(text)? {
            Some(reference) => Self::from_hub(&reference, &|_| ()),
            None => Self::open(path),
        }
    }

    /// Reads a file, or weights that come with the project.
    #[cfg(any(feature = "all-weights", feature = "hub"))]
    fn open_here(path_or_name: &Path) -> Result<Self> {
        #[cfg(feature = "all-weights")]
        if let Some((name, bytes)) = file_of(path_or_name) {
            return Self::from_bytes(bytes, name);
        }
        Self::from_path(path_or_name)
    }

    #[cfg(feature = "hub")]
    fn from_hub(reference: &Reference, listener: Listener<'_>) -> Result<Self> {
        let fetched = hub::fetch(reference, &hub::Options::from_environment()?, listener)?;
        let mut weights = Self::from_path(fetched.path).map_err(|error| error.at(&fetched.reference))?;
        weights.source = fetched.reference.to_string();
        Ok(weights)
    }
}

/// Chooses the weights file of a folder.
#[cfg(feature = "hub")]
fn file_in(folder: &Path) -> Result<String> {
    if folder.join(MODEL).is_file() {
        return Ok(MODEL.into());
    }
    let entries = std::fs::read_dir(folder).map_err(|error| crate::Error::file(folder, error))?;
    let mut files: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    files.sort();
    hub::choose(&files).map(String::from).map_err(|error| error.at(folder.display()))
}

/// Returns the file of a path or, with feature `hub`, of a name on the Hub, which is downloaded first if need be.
///
/// # Errors
/// Those of [`hub::fetch`](crate::hub::fetch()).
#[cfg(feature = "train")]
pub(crate) fn local_file(path_or_name: &Path) -> Result<PathBuf> {
    #[cfg(feature = "hub")]
    if let Some(reference) = Reference::of_path(path_or_name)? {
        return Ok(hub::fetch(&reference, &hub::Options::from_environment()?, &|_| ())?.path);
    }
    Ok(path_or_name.into())
}
