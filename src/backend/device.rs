//! The choice of a device, as a user names it, and the backend that it opens.

use std::{fmt, str::FromStr};

use super::{Auto, Backend, Precision, cpu::Cpu, reference::Reference};
use crate::{Error, ErrorKind, Result};

/// A choice of device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// The CPU first, then the best real GPU for every shape that it is measured to run faster; never a software adapter.
    /// [`Auto`] has the details. CPU and GPU differ in the last bits of their results. Every other choice gives the same bits
    /// each time.
    #[default]
    Auto,
    /// The best GPU, or a software adapter if there is no GPU.
    Gpu,
    /// The GPU with this index in `engine::backend::gpu::adapters`.
    GpuIndex(usize),
    /// The first GPU whose name contains this text, upper or lower case.
    GpuNamed(String),
    /// The CPU in f32.
    Cpu,
    /// The float64 reference, in plain loops on the CPU.
    Reference,
}

impl FromStr for Device {
    type Err = Error;

    /// Parses `auto`, `gpu`, `gpu:N`, `cpu` or `reference`. Any other text is a part of an adapter's name.
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
        }
    }
}

/// Opens the backend of a device. `threads` is the number of threads on the CPU, by default one per core; a GPU ignores it.
///
/// # Errors
/// There is no such device, its driver fails, `threads` is zero or more than 1024, or the device is a GPU in a build without
/// feature `gpu`.
pub fn open(device: &Device, threads: Option<usize>) -> Result<Box<dyn Backend>> {
    let cpu = || threads.map_or_else(|| Ok(Cpu::default()), Cpu::with_threads);
    let backend: Box<dyn Backend> = match device {
        Device::Auto => Box::new(Auto::new(Box::new(cpu()?), || open_any_gpu(&Device::Auto))),
        Device::Reference => Box::new(Reference),
        _ => match open_any_gpu(device)? {
            Some(gpu) => gpu,
            None => Box::new(cpu()?),
        },
    };
    log::info!("device {device}: {}", backend.info());
    Ok(backend)
}

/// Opens one device for a run that must not change it in the middle: with [`Device::Auto`] a real GPU if there is one, else the
/// CPU.
///
/// # Errors
/// Those of [`open`].
pub fn open_one(device: &Device, threads: Option<usize>) -> Result<Box<dyn Backend>> {
    match device {
        Device::Auto => open_any_gpu(device)?.map_or_else(|| open(&Device::Cpu, threads), Ok),
        _ => open(device, threads),
    }
}

/// Opens the backend of a device that stores weights and activations in a precision. Only a GPU has [`Precision::F16`].
///
/// # Errors
/// Those of [`open`], or the device is no GPU and the precision is not f32.
pub fn open_in(device: &Device, threads: Option<usize>, precision: Precision) -> Result<Box<dyn Backend>> {
    if precision == Precision::F32 {
        return open(device, threads);
    }
    #[cfg(feature = "gpu")]
    if let Some(gpu) = super::gpu::open_gpu(device)? {
        return Ok(Box::new(gpu.with_precision(precision)));
    }
    let cause = format!("device '{device}' takes no GPU here, and f16 is for a GPU");
    Err(Error::new(ErrorKind::Usage, cause, "choose device gpu, or f32"))
}

/// Opens the backend of a device, as [`open`] does, in a browser. [`Device::Auto`] is the CPU there, because the devices
/// cannot be compared without threads.
///
/// # Errors
/// The same as [`open`].
#[cfg(target_family = "wasm")]
pub(crate) async fn open_async(device: &Device) -> Result<Box<dyn Backend>> {
    #[cfg(feature = "gpu")]
    if !matches!(device, Device::Auto)
        && let Some(gpu) = super::gpu::open_gpu_async(device).await?
    {
        return Ok(Box::new(gpu));
    }
    open(device, None)
}

/// Opens the GPU that a device names; none if it names the CPU, or if auto finds no GPU.
#[cfg(feature = "gpu")]
fn open_any_gpu(device: &Device) -> Result<Option<Box<dyn Backend>>> {
    Ok(super::gpu::open_gpu(device)?.map(|gpu| Box::new(gpu) as Box<dyn Backend>))
}

/// Refuses every GPU: this build has no GPU backend.
#[cfg(not(feature = "gpu"))]
fn open_any_gpu(device: &Device) -> Result<Option<Box<dyn Backend>>> {
    match device {
        Device::Auto | Device::Cpu | Device::Reference => Ok(None),
        _ => {
            let cause = format!("device {device} is a GPU, and this build has no GPU backend");
            Err(Error::new(ErrorKind::Device, cause, "build ecgpu with its feature gpu, or use the CPU"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_parses_from_its_own_display() {
        for text in ["auto", "gpu", "gpu:3", "cpu", "reference", "NVIDIA H100"] {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), text);
        }
        for text in ["", "gpu:", "gpu:-1", "gpu:x"] {
            assert_eq!(text.parse::<Device>().unwrap_err().kind(), ErrorKind::Usage, "{text}");
        }
    }
}
