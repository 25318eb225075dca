//! Writes and reads safetensors files whose bytes depend on their contents only.
//!
//! The crate `safetensors` writes metadata in the order of a hash map, which differs from run to run.

use std::{collections::BTreeMap, path::Path};

use half::f16;
use safetensors::{Dtype, SafeTensors};
use serde_json::json;

use super::Tensor;
use crate::{Error, ErrorKind, Result};

/// The contents of a safetensors file: tensors and metadata, both sorted by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct TensorFile {
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) tensors: BTreeMap<String, Tensor>,
}

impl TensorFile {
    /// Returns the bytes of the file with tensors in F32, equal ones for equal contents.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.stored_as("F32", f32::to_le_bytes)
    }

    /// Returns the bytes of the file with tensors in F16, equal ones for equal contents.
    pub(crate) fn to_f16_bytes(&self) -> Vec<u8> {
        self.stored_as("F16", |value| f16::from_f32(value).to_le_bytes())
    }

    /// Returns the bytes of the file with tensors of a type, whose bytes `store` makes of a number.
    fn stored_as<const SIZE: usize>(&self, dtype: &str, store: fn(f32) -> [u8; SIZE]) -> Vec<u8> {
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".into(), json!(self.metadata));
        let mut end = 0;
        for (name, Tensor { shape, values }) in &self.tensors {
            let start = end;
            end += values.len() * SIZE;
            header.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]}));
        }
        let mut header = serde_json::Value::Object(header).to_string();
        // The format recommends that the tensors begin at a multiple of eight bytes.
        header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        self.tensors.values().flat_map(|tensor| tensor.values.iter()).for_each(|&value| bytes.extend(store(value)));
        bytes
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, is not in the safetensors format, or holds a tensor of another type than F32.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| Error::file(path, error))?;
        let unreadable = |what: String| {
            let cause = format!("{}: {what}", path.display());
            Error::new(ErrorKind::Weights, cause, "use a complete file that this program wrote")
        };
        let malformed =
            |error: safetensors::SafeTensorError| unreadable(format!("not a readable safetensors file ({error})"));
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(malformed)?;
        let file = SafeTensors::deserialize(&bytes).map_err(malformed)?;
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
    fn contents_survive_a_write_and_a_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let tensor = |values: &[f32]| Tensor { shape: vec![values.len()], values: values.into() };
        let contents = TensorFile {
            metadata: [("text".into(), "\"quoted\", µ\n".into())].into(),
            tensors: [("b".into(), tensor(&[1.0, f32::MIN_POSITIVE])), ("a".into(), tensor(&[f32::NAN]))].into(),
        };
        std::fs::write(&path, contents.to_bytes()).unwrap();
        let read = TensorFile::read(&path).unwrap();
        assert_eq!((&read.metadata, read.tensors["b"].clone()), (&contents.metadata, contents.tensors["b"].clone()));
        assert!(read.tensors["a"].values[0].is_nan());
    }
}
