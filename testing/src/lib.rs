//! Support for the tests of all packages: GPUs, reference values, servers, data sets and files made in memory, plans of training
//! operations, and the table of deliberate faults that the tests must notice.

mod golden;
mod gpu;
pub mod hub_site;
pub mod legal_device;
pub mod legal_shaders;
mod networks;
mod program;
pub mod ptb_xl;
mod python;
pub mod records;
pub mod sabotage;
pub mod site;
mod training_plan;
pub mod training_plans;
#[cfg(target_os = "linux")]
pub mod vulkan_layer;
mod weights_file;

use std::{io::Write, path::PathBuf};

pub use golden::{Golden, Tensors};
pub use gpu::{F16_STORAGES, gpu, has_gpu, host_device, host_device_with};
pub use networks::{built_in, followed_by_max_pool, one_convolution, published_with_zeros};
pub use program::Program;
pub use python::python;
pub use training_plan::{TrainingPlan, error as training_plan_error};
pub use weights_file::{StoredTensor, WeightsFile};

/// Finds the folder that the environment's `variable` names, or else `fallback` beside the repository. Without either
/// it says that the caller's test is skipped, which is a failure under CI.
pub fn shared_folder(variable: &str, fallback: &str) -> Option<PathBuf> {
    let folder = folder(variable, fallback);
    if folder.is_none() {
        skip(&format!("{variable} names no folder"));
    }
    folder
}

/// Returns the folder that the environment's `variable` names, or else `fallback` beside the repository, if it exists.
fn folder(variable: &str, fallback: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let folder = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(fallback));
    folder.is_dir().then_some(folder)
}

/// Says on standard error that a test is skipped and why. Fails where `CI` is set, as nothing may be skipped there.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "must not be skipped under CI: {why}");
    // Not `eprintln!`, which the test harness captures and shows for failures only.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Computes the normalised mean square error of `a`, ‖a − b‖² / ‖b‖².
pub fn nmse(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |x: f32| f64::from(x) * f64::from(x);
    let difference: f64 = a.iter().zip(b).map(|(a, b)| square(a - b)).sum();
    difference / b.iter().map(|&b| square(b)).sum::<f64>().max(f64::MIN_POSITIVE)
}

/// Builds a `.npy` file of type `descr` and shape `shape` with `contents` after its header.
pub fn npy(descr: &str, shape: &[usize], contents: &[u8]) -> Vec<u8> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sides}), }}\n");
    [b"\x93NUMPY\x01\x00", &(dict.len() as u16).to_le_bytes()[..], dict.as_bytes(), contents].concat()
}
