//! Finds the Vulkan driver that crashes or hangs while adapters are listed. One such driver keeps every program from every
//! GPU, and nothing says which one it is.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use ecgpu::Result;

use super::checks::{Check, Outcome};

/// The variables that name the manifests of the drivers to load, the first with precedence.
const VARIABLES: [&str; 2] = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];

/// The folders of manifests on Linux, as the Vulkan loader searches them.
const FOLDERS: [&str; 4] =
    ["/usr/local/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/share/vulkan/icd.d"];

/// What each driver alone did. There are none where drivers cannot be told apart.
pub struct Drivers {
    /// The outcomes, by the names of the manifests.
    pub outcomes: Vec<Outcome>,
    /// The variables with which only the drivers that answered are loaded.
    pub variables: Vec<(String, String)>,
}

/// Lists the devices with each driver alone.
///
/// # Errors
/// This program cannot be started.
pub fn one_by_one(limit: Duration) -> Result<Drivers> {
    let (mut outcomes, mut good) = (Vec::new(), Vec::new());
    for manifest in manifests() {
        let path = manifest.to_string_lossy().into_owned();
        let mut outcome = Check::devices().run(&selecting(&path), limit)?;
        outcome.title = manifest.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !outcome.is_bad() {
            good.push(path);
        }
        outcomes.push(outcome);
    }
    let variables = if outcomes.is_empty() { Vec::new() } else { selecting(&good.join(":")) };
    Ok(Drivers { outcomes, variables })
}

/// Sets both variables, because older loaders know the second only.
fn selecting(manifests: &str) -> Vec<(String, String)> {
    VARIABLES.map(|name| (name.to_string(), manifests.to_string())).to_vec()
}

/// Lists the manifests of the installed drivers.
fn manifests() -> BTreeSet<PathBuf> {
    if !cfg!(target_os = "linux") {
        return BTreeSet::new();
    }
    if let Some(named) = VARIABLES.iter().find_map(std::env::var_os) {
        return std::env::split_paths(&named)
            .flat_map(|path| if path.is_dir() { inside(&path) } else { vec![path] })
            .collect();
    }
    FOLDERS.iter().flat_map(|folder| inside(Path::new(folder))).collect()
}

/// Lists the manifests in a folder.
fn inside(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}
