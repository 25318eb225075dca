//! The devices of the machine.

use std::ffi::{CString, c_char};

use crate::{
    EcgpuStatus,
    argument::give,
    error::{Failure, guard, prepare_out, text},
    handle::{Table, close},
};

/// The devices of the machine.
pub struct EcgpuDevices {
    _private: [u8; 0],
}

/// A device: what ecgpu_open calls it, its name and its backend.
type Described = [CString; 3];

static DEVICES: Table<Vec<Described>> = Table::new("list of devices");

fn all() -> Vec<Described> {
    let mut devices: Vec<Described> = Vec::new();
    #[cfg(feature = "gpu")]
    for adapter in ecgpu::engine::backend::gpu::adapters() {
        let name = adapter.info().name;
        devices.push([text(&format!("gpu:{}", adapter.index)), text(&name), text(&adapter.backend())]);
    }
    for device in [ecgpu::Device::Cpu, ecgpu::Device::Reference] {
        if let Ok(backend) = ecgpu::engine::backend::open(&device, None) {
            let info = backend.info();
            devices.push([text(&device.to_string()), text(&info.name), text(&info.backend)]);
        }
    }
    devices
}

/// Lists the devices: every GPU that a driver offers, the CPU, and the float64 reference.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_devices(out: *mut *mut EcgpuDevices) -> EcgpuStatus {
    guard(|| {
        // SAFETY: the caller gives a valid address or null.
        unsafe { prepare_out(out)? };
        // SAFETY: `prepare_out` refuses null.
        unsafe { out.write(DEVICES.insert(all())) };
        Ok(())
    })
}

/// Gives the number of devices.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_devices_count(devices: *const EcgpuDevices, out: *mut usize) -> EcgpuStatus {
    // SAFETY: the caller gives a valid address or null.
    guard(|| unsafe { give(out, DEVICES.get(devices)?.len()) })
}

/// Gives what ecgpu_open calls device number `index` ("gpu:0", "cpu"), its name, and its backend ("vulkan", "cpu"). They are valid until
/// the list is closed. Every address may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_device(
    devices: *const EcgpuDevices,
    index: usize,
    device: *mut *const c_char,
    name: *mut *const c_char,
    backend: *mut *const c_char,
) -> EcgpuStatus {
    guard(|| {
        let devices = DEVICES.get(devices)?;
        let Some(texts) = devices.get(index) else {
            return Err(Failure::usage(format!("device number {index} of {}", devices.len()), "count from 0"));
        };
        for (out, text) in [device, name, backend].into_iter().zip(texts) {
            // SAFETY: the caller gives valid addresses or null.
            unsafe { give(out, text.as_ptr())? };
        }
        Ok(())
    })
}

/// Closes a list of devices and sets its handle to NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_devices_close(devices: *mut *mut EcgpuDevices) -> EcgpuStatus {
    // SAFETY: the caller gives a valid address or null.
    guard(|| unsafe { close(&DEVICES, devices) })
}
