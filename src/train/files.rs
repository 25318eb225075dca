//! Files that are either whole or not there: written under another name, brought to the disk, then renamed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensors};
use serde_json::json;

use crate::{Error, ErrorKind, Result, network::Tensor};

/// Writes a file. Whoever reads it, at whatever moment, and whenever the power fails, finds the old one or the new one.
///
/// # Errors
/// It could not be written; the old one is still there.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = partial(path);
    let written = File::create(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&partial, path)).and_then(|()| sync_folder(path));
    renamed.map_err(|error| {
        let _ = fs::remove_file(&partial);
        let remedy = "make room on its disk and check its permissions; what was there before is as it was";
        Error::new(ErrorKind::File, format!("{}: {error}", path.display()), remedy)
    })
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    path.with_file_name(name)
}

/// Brings a rename to the disk. Only Unix has folders that can be synced.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(parent)?.sync_all() } else { Ok(()) }
}

/// Checks that files can be made beside `path`, which may come to exist hours later, and makes its folder.
///
/// # Errors
/// They cannot.
pub(crate) fn check_writable(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let partial = partial(path);
    let tried =
        fs::create_dir_all(parent).and_then(|()| File::create(&partial)).and_then(|_| fs::remove_file(&partial));
    tried.map_err(|error| Error::file(path, error))
}

/// Named tensors and text: a safetensors file, the same bytes for the same contents. (The crate writes metadata in the
/// order of a hash map, which differs from run to run.)
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Contents {
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) tensors: BTreeMap<String, Tensor>,
}

impl Contents {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".into(), json!(self.metadata));
        let mut end = 0;
        for (name, Tensor { shape, values }) in &self.tensors {
            let start = end;
            end += values.len() * size_of::<f32>();
            header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]}));
        }
        let mut header = serde_json::Value::Object(header).to_string();
        // The tensors begin at a multiple of eight, as the format recommends.
        header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        self.tensors
            .values()
            .flat_map(|tensor| tensor.values.iter())
            .for_each(|value| bytes.extend(value.to_le_bytes()));
        bytes
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut bytes = Vec::new();
        File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(|error| Error::file(path, error))?;
        let unreadable = |what: String| {
            let cause = format!("{}: {what}", path.display());
            Error::new(ErrorKind::Weights, cause, "use a complete file that this program wrote")
        };
        let not_one =
            |error: safetensors::SafeTensorError| unreadable(format!("not a readable safetensors file ({error})"));
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(not_one)?;
        let file = SafeTensors::deserialize(&bytes).map_err(not_one)?;
        let mut contents = Self::default();
        contents.metadata.extend(header.metadata().clone().unwrap_or_default());
        for (name, tensor) in file.tensors() {
            if tensor.dtype() != Dtype::F32 {
                return Err(unreadable(format!("tensor {name} is stored as {}", tensor.dtype())));
            }
            let (words, _) = tensor.data().as_chunks();
            let values = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
            contents.tensors.insert(name, Tensor { shape: tensor.shape().to_vec(), values });
        }
        Ok(contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_survive_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let tensor = |values: &[f32]| Tensor { shape: vec![values.len()], values: values.into() };
        let contents = Contents {
            metadata: [("text".into(), "\"quoted\", µ\n".into())].into(),
            tensors: [("b".into(), tensor(&[1.0, f32::MIN_POSITIVE])), ("a".into(), tensor(&[f32::NAN]))].into(),
        };
        write(&path, &contents.to_bytes()).unwrap();
        let read = Contents::read(&path).unwrap();
        assert_eq!((&read.metadata, read.tensors["b"].clone()), (&contents.metadata, contents.tensors["b"].clone()));
        assert!(read.tensors["a"].values[0].is_nan());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the file itself");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, b"old").unwrap();
        // Whatever is written to this device finds no room.
        std::os::unix::fs::symlink("/dev/full", partial(&path)).unwrap();
        let error = write(&path, b"new").unwrap_err();
        assert!(error.to_string().contains("No space left"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
