//! Which device to use, as users name it.

use std::{fmt, str::FromStr};

use super::{
    Auto, Backend,
    cpu::Cpu,
    gpu::{self, Adapter, Gpu, wgpu},
    reference::Reference,
};
use crate::{Error, ErrorKind, Result};

/// A choice of device.
#[derive(Debug, Clone, Default)]
pub enum Device {
    /// The CPU at once, and the best real GPU for every shape that it is measured to run faster; never a software adapter.
    /// [`Auto`] says how. Results of the two differ in the last bits: any other choice gives the same bits each time.
    #[default]
    Auto,
    /// The best GPU; a software adapter where there is no other.
    Gpu,
    /// The GPU of this number in [`gpu::adapters`].
    GpuIndex(usize),
    /// The first GPU whose name contains this, in any case.
    GpuNamed(String),
    /// The CPU in f32.
    Cpu,
    /// The CPU in float64, in plain loops.
    Reference,
    /// A device that the host application has opened.
    Host(wgpu::Device, wgpu::Queue),
}

impl FromStr for Device {
    type Err = Error;

    /// Reads `auto`, `gpu`, `gpu:N`, `cpu`, `reference`, or else a part of an adapter's name.
    fn from_str(text: &str) -> Result<Self> {
        let lower = text.trim().to_lowercase();
        match lower.as_str() {
            "auto" => Ok(Device::Auto),
            "gpu" => Ok(Device::Gpu),
            "cpu" => Ok(Device::Cpu),
            "reference" => Ok(Device::Reference),
            "" => Err(Error::new(ErrorKind::Usage, "an empty device name", "use auto, gpu, gpu:N, cpu or reference")),
            _ => match lower.strip_prefix("gpu:") {
                Some(index) => index.parse().map(Device::GpuIndex).map_err(|_| {
                    Error::new(ErrorKind::Usage, format!("'{text}' names no device"), "use a number, as in gpu:0")
                }),
                None => Ok(Device::GpuNamed(text.trim().into())),
            },
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Auto => f.write_str("auto"),
            Device::Gpu => f.write_str("gpu"),
            Device::GpuIndex(index) => write!(f, "gpu:{index}"),
            Device::GpuNamed(name) => f.write_str(name),
            Device::Cpu => f.write_str("cpu"),
            Device::Reference => f.write_str("reference"),
            Device::Host(device, _) => f.write_str(&device.adapter_info().name),
        }
    }
}

/// Opens a device. On the CPU `threads` threads compute, or all there are; a GPU takes no notice of it.
///
/// # Errors
/// There is no such device, its driver fails, or zero threads.
pub fn open(device: &Device, threads: Option<usize>) -> Result<Box<dyn Backend>> {
    let cpu = || threads.map_or_else(|| Ok(Cpu::default()), Cpu::with_threads);
    match device {
        Device::Auto => {
            let open_gpu = || Ok(open_gpu(&Device::Auto)?.map(|gpu| Box::new(gpu) as Box<dyn Backend>));
            Ok(Box::new(Auto::new(Box::new(cpu()?), open_gpu)))
        }
        Device::Reference => Ok(Box::new(Reference)),
        _ => match open_gpu(device)? {
            Some(gpu) => Ok(Box::new(gpu)),
            None => Ok(Box::new(cpu()?)),
        },
    }
}

/// Opens the GPU that a device stands for, with [`Device::Auto`] the best real one; none where it stands for the CPU.
///
/// # Errors
/// There is no such device, or its driver fails.
pub fn open_gpu(device: &Device) -> Result<Option<Gpu>> {
    let adapter = match device {
        Device::Cpu | Device::Reference => return Ok(None),
        Device::Host(device, queue) => return Ok(Some(Gpu::from_host(device.clone(), queue.clone()))),
        Device::Auto => match best(gpu::adapters()).filter(|adapter| !adapter.is_software()) {
            Some(adapter) => adapter,
            None => return Ok(None),
        },
        Device::Gpu => best(gpu::adapters()).ok_or_else(|| missing("there is no GPU".into(), &[]))?,
        Device::GpuIndex(index) => {
            let adapters = gpu::adapters();
            let found = adapters.get(*index).cloned();
            found.ok_or_else(|| missing(format!("there is no gpu:{index}"), &adapters))?
        }
        Device::GpuNamed(name) => {
            let adapters = gpu::adapters();
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
        "no Vulkan, Metal or DX12 driver offers an adapter: install one, or use --device cpu".to_string()
    } else {
        let listed: Vec<String> = adapters.iter().map(|adapter| format!("gpu:{} ({adapter})", adapter.index)).collect();
        format!("use auto, cpu, reference or one of {}", listed.join(", "))
    };
    Error::new(ErrorKind::Device, cause, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_read_as_it_is_written() {
        for text in ["auto", "gpu", "gpu:3", "cpu", "reference", "NVIDIA H100"] {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), text);
        }
        for text in ["", "gpu:", "gpu:-1", "gpu:x"] {
            assert_eq!(text.parse::<Device>().unwrap_err().kind(), ErrorKind::Usage, "{text}");
        }
    }
}
