//! Finds the adapter that a [`Device`] names.

use super::{Adapter, Gpu, adapters};
use crate::{Device, Error, ErrorKind, Hint, Result};

/// Opens the GPU that a [`Device`] names. [`Device::Auto`] is the best GPU that is no software adapter. Returns none for the
/// CPU, and for [`Device::Auto`] without a GPU.
///
/// # Errors
/// There is no such GPU, or its driver fails.
pub fn open_gpu(device: &Device) -> Result<Option<Gpu>> {
    let adapter = match device {
        Device::Cpu | Device::Reference => return Ok(None),
        Device::Auto => match best(adapters()).filter(|adapter| !adapter.is_software()) {
            Some(adapter) => adapter,
            None => return Ok(None),
        },
        Device::Gpu => best(adapters()).ok_or_else(|| missing("there is no GPU".into(), &[]))?,
        Device::GpuIndex(index) => {
            let adapters = adapters();
            let found = adapters.get(*index).cloned();
            found.ok_or_else(|| missing(format!("there is no gpu:{index}"), &adapters))?
        }
        Device::GpuNamed(name) => {
            let adapters = adapters();
            let wanted = name.to_lowercase();
            let found = adapters.iter().find(|adapter| adapter.info().name.to_lowercase().contains(&wanted)).cloned();
            found.ok_or_else(|| missing(format!("there is no device '{name}'"), &adapters))?
        }
    };
    Gpu::open(&adapter).map(Some)
}

fn best(adapters: Vec<Adapter>) -> Option<Adapter> {
    adapters.into_iter().min_by_key(Adapter::rank)
}

fn missing(cause: String, adapters: &[Adapter]) -> Error {
    let remedy = if adapters.is_empty() {
        "no Vulkan, Metal or DX12 driver offers an adapter: install one, or use the CPU".to_string()
    } else {
        let listed: Vec<String> = adapters.iter().map(|adapter| format!("gpu:{} ({adapter})", adapter.index)).collect();
        format!("use auto, cpu, reference or one of {}", listed.join(", "))
    };
    Error::new(ErrorKind::Device, cause, remedy).with_hint(Hint::UseCpu)
}
