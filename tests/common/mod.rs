//! What the tests share: where goldens lie, and how a file's tensors are read.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::{io::Write, path::PathBuf};

use safetensors::SafeTensors;

/// The folder that `variable` names, or `fallback` beside the repository. Without either the caller's test is skipped,
/// aloud; under CI that is a failure.
pub fn shared(variable: &str, fallback: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let folder = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(fallback));
    if folder.is_dir() {
        return Some(folder);
    }
    skip(&format!("{} is not a folder; set {variable}", folder.display()));
    None
}

/// Says that a test is skipped and why; fails under CI, where nothing may be.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "must not be skipped under CI: {why}");
    // Not `eprintln!`: the test harness would keep it to itself when the test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// The tensors of a file, as f32.
pub struct Tensors(Vec<u8>);

impl Tensors {
    pub fn open(path: PathBuf) -> Self {
        Self(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        self.file().names().into_iter().map(String::from).collect()
    }

    /// A tensor's shape and values.
    pub fn get(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let file = self.file();
        let tensor = file.tensor(name).unwrap();
        let values = tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        (tensor.shape().to_vec(), values.collect())
    }
}

/// ‖a − b‖² / ‖b‖².
pub fn nmse(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |x: f32| f64::from(x) * f64::from(x);
    let difference: f64 = a.iter().zip(b).map(|(a, b)| square(a - b)).sum();
    difference / b.iter().map(|&b| square(b)).sum::<f64>().max(f64::MIN_POSITIVE)
}
