//! The arrays of the PTB-XL benchmark: probabilities, labels and class names as NumPy files.

use std::path::{Path, PathBuf};

use ecgpu::{Result, engine::files, evaluate::Predictions};

/// Returns the paths that [`write()`] writes, to check that they are free.
pub fn paths(folder: &Path) -> [PathBuf; 3] {
    ["preds_x.npy", "targs_x.npy", "classes_x.npy"].map(|file| folder.join(file))
}

/// Writes `preds_x.npy` (float64, `[records, classes]`), `targs_x.npy` (float64, the same shape) and `classes_x.npy`
/// (Unicode, `[classes]`).
pub fn write(folder: &Path, predictions: &Predictions, classes: &[String]) -> Result<()> {
    let [probabilities, targets, names] = paths(folder);
    let shape = format!("({}, {})", predictions.records(), predictions.classes());
    let bytes = |numbers: Vec<f64>| numbers.into_iter().flat_map(f64::to_le_bytes).collect::<Vec<u8>>();
    files::write(&probabilities, &array("<f8", &shape, bytes(predictions.probabilities().to_vec())))?;
    let labels = predictions.labels().iter().map(|&label| f64::from(u8::from(label))).collect();
    files::write(&targets, &array("<f8", &shape, bytes(labels)))?;
    let longest = classes.iter().map(|class| class.chars().count()).max().unwrap_or(0).max(1);
    let padded = |class: &String| {
        let characters = class.chars().map(u32::from).chain(std::iter::repeat(0)).take(longest);
        characters.flat_map(u32::to_le_bytes).collect::<Vec<u8>>()
    };
    let text = classes.iter().flat_map(padded).collect();
    files::write(&names, &array(&format!("<U{longest}"), &format!("({},)", classes.len()), text))
}

/// Returns a file of NumPy's format 1.0.
fn array(kind: &str, shape: &str, data: Vec<u8>) -> Vec<u8> {
    const PREAMBLE: usize = 10;
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    // The data begin at a multiple of 64 bytes; a line feed ends the header.
    let padded = (PREAMBLE + header.len() + 1).next_multiple_of(64) - PREAMBLE - 1;
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend(((padded + 1) as u16).to_le_bytes());
    file.extend(format!("{header:padded$}\n").into_bytes());
    file.extend(data);
    file
}
