//! Reference values that PyTorch computed.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

use crate::{folder, skip};

/// PyTorch's reference values: the complete set, or the small one of `tests/data/golden`.
pub struct Golden {
    folder: PathBuf,
    /// Whether every file and every tensor is there.
    pub complete: bool,
}

impl Golden {
    /// Opens the complete set that `ECGPU_GOLDEN` names, or else that beside the repository. Without either the small
    /// set takes its place, and what it lacks is skipped aloud.
    pub fn open() -> Self {
        match folder("ECGPU_GOLDEN", "shared/golden") {
            Some(folder) => Self { folder, complete: true },
            None => {
                skip("ECGPU_GOLDEN names no folder, so that only the small set of tests/data/golden is compared");
                Self { folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/golden"), complete: false }
            }
        }
    }

    /// The path of a file; none, said aloud, where the small set lacks it.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        let path = self.folder.join(format!("{name}.safetensors"));
        if !path.is_file() {
            skip(&format!("the golden set has no {name}.safetensors"));
            return None;
        }
        Some(path)
    }

    /// The tensors of a file.
    pub fn tensors(&self, name: &str) -> Option<Tensors> {
        self.path(name).map(Tensors::open)
    }
}

/// A safetensors file whose tensors are read as f32.
pub struct Tensors(Vec<u8>);

impl Tensors {
    /// Reads the file at `path`.
    pub fn open(path: PathBuf) -> Self {
        Self(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    /// Lists the names of all tensors.
    pub fn names(&self) -> Vec<String> {
        self.file().names().into_iter().map(String::from).collect()
    }

    /// Returns a tensor's shape and values.
    pub fn get(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let file = self.file();
        let tensor = file.tensor(name).unwrap();
        let values = tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        (tensor.shape().to_vec(), values.collect())
    }
}
