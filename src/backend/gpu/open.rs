//! Finds the adapter that a [`Device`] names.

use std::{
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    Adapter, Gpu,
    adapter::{adapters, all_adapters},
    environment,
    waiting::block_on,
};
use crate::{Device, Error, ErrorKind, Hint, Result};

/// Opens the GPU that a [`Device`] names. [`Device::Auto`] is the best GPU that is no software adapter. Returns none for the
/// CPU, and for [`Device::Auto`] without a GPU.
///
/// # Errors
/// There is no such GPU, or its driver fails.
pub fn open_gpu(device: &Device) -> Result<Option<Gpu>> {
    block_on(open_gpu_async(device))
}

/// Opens the GPU that a [`Device`] names, as [`open_gpu`] does, and awaits a browser. Elsewhere its future blocks and is
/// ready at once.
///
/// # Errors
/// There is no such GPU, or its driver fails.
pub async fn open_gpu_async(device: &Device) -> Result<Option<Gpu>> {
    let adapters = match device {
        Device::Cpu | Device::Reference => return Ok(None),
        _ => all_adapters().await,
    };
    let adapter = match device {
        Device::Gpu => {
            let best_first = best_first(adapters.clone());
            if let (Some(best), Some(closed)) = (best_first.first().filter(|best| best.is_software()), closed()) {
                log::warn!("{best} is used, which computes on the CPU: {closed}");
            }
            let opened = first_that_opens(best_first, async |adapter| open(adapter).await).await?;
            return opened.ok_or_else(|| missing("there is no GPU".into(), &adapters)).map(Some);
        }
        Device::GpuIndex(index) => {
            let found = adapters.get(*index);
            found.ok_or_else(|| missing(format!("there is no gpu:{index}"), &adapters))?
        }
        Device::GpuNamed(name) => {
            let wanted = name.to_lowercase();
            let found = adapters.iter().find(|adapter| adapter.info().name.to_lowercase().contains(&wanted));
            found.ok_or_else(|| missing(format!("there is no device '{name}'"), &adapters))?
        }
        _ => {
            let real = best_first(adapters).into_iter().filter(|adapter| !adapter.is_software());
            return first_that_opens(real, async |adapter| open(adapter).await).await;
        }
    };
    open(adapter).await.map(Some)
}

async fn open(adapter: &Adapter) -> Result<Gpu> {
    Gpu::open_with_side(adapter, None).await
}

/// Returns the index of the adapter that [`Device::Auto`] tries first; none if there are only software adapters.
pub fn adapter_of_auto() -> Option<usize> {
    best_first(adapters()).into_iter().find(|adapter| !adapter.is_software()).map(|adapter| adapter.index)
}

/// Returns the adapters that may be chosen as the best, the best first.
fn best_first(mut adapters: Vec<Adapter>) -> Vec<Adapter> {
    if let Some(name) = environment::adapter_name() {
        adapters.retain(|adapter| adapter.info().name.to_lowercase().contains(&name));
    }
    adapters.sort_by_key(Adapter::rank);
    adapters
}

/// Opens the first candidate that can be opened. Returns none if there is no candidate.
///
/// # Errors
/// None can be opened: the error of the first.
async fn first_that_opens<A: fmt::Display, T>(
    candidates: impl IntoIterator<Item = A>,
    open: impl AsyncFn(&A) -> Result<T>,
) -> Result<Option<T>> {
    let mut failure = None;
    for candidate in candidates {
        match open(&candidate).await {
            Ok(opened) => return Ok(Some(opened)),
            Err(error) => {
                log::warn!("{candidate} is not used: {error}");
                failure.get_or_insert(error);
            }
        }
    }
    failure.map_or(Ok(None), Err)
}

/// Names a GPU of Linux that this user may not open, and the remedy. Its driver then shows no adapter.
fn closed() -> Option<String> {
    closed_in(Path::new("/dev/dri"))
}

fn closed_in(folder: &Path) -> Option<String> {
    let paths = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let mut devices =
        paths.filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"renderD")));
    let refused = |path: &PathBuf| {
        let opened = File::options().read(true).write(true).open(path);
        opened.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    devices.find(refused).map(|path| {
        format!(
            "this user may not open the GPU {}: add the user to the group that owns it, often render",
            path.display()
        )
    })
}

/// The remedy where there is no adapter at all.
const NONE: &str = if cfg!(target_family = "wasm") {
    "this page has no WebGPU: use a browser that has it, over HTTPS, or use the CPU"
} else {
    "no Vulkan, Metal or DX12 driver offers an adapter: install one, or use the CPU"
};

fn missing(cause: String, adapters: &[Adapter]) -> Error {
    let remedy = if adapters.is_empty() {
        closed().unwrap_or_else(|| NONE.to_string())
    } else {
        let listed: Vec<String> = adapters.iter().map(|adapter| format!("gpu:{} ({adapter})", adapter.index)).collect();
        format!("use auto, cpu, reference or one of {}", listed.join(", "))
    };
    Error::new(ErrorKind::Device, cause + &environment::hint(), remedy).with_hint(Hint::UseCpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_adapter_is_opened_where_the_best_fails() {
        let refusal = |name: &str| Error::new(ErrorKind::Device, name.to_string(), "another");
        let open = async |name: &&str| if *name == "works" { Ok(name.len()) } else { Err(refusal(name)) };
        assert_eq!(block_on(first_that_opens(["fails", "works", "fails too"], open)), Ok(Some(5)));
        assert_eq!(block_on(first_that_opens(["fails", "fails too"], open)), Err(refusal("fails")));
        assert_eq!(block_on(first_that_opens([], open)), Ok(None));
    }

    /// A user without permission, which root always has.
    #[test]
    #[cfg(unix)]
    fn a_gpu_that_the_user_may_not_open_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("renderD128");
        fs::write(&device, "").unwrap();
        assert_eq!(closed_in(folder.path()), None);
        fs::set_permissions(&device, fs::Permissions::from_mode(0o000)).unwrap();
        if File::open(&device).is_err() {
            let closed = closed_in(folder.path()).unwrap();
            assert!(closed.contains("renderD128: add the user to the group"), "{closed}");
        }
        assert_eq!(closed_in(&folder.path().join("missing")), None);
    }
}
