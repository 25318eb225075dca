//! The devices of the machine.

use ecgpu::{
    Device,
    engine::backend::{self, gpu},
};
use pyo3::prelude::*;

use crate::error::detached;

/// Returns the devices: what `device` takes, the name, and the API.
#[pyfunction]
pub fn devices(py: Python<'_>) -> PyResult<Vec<(String, String, String)>> {
    detached(py, || {
        let adapters = gpu::adapters();
        let mut devices: Vec<_> = adapters
            .iter()
            .map(|adapter| (format!("gpu:{}", adapter.index), adapter.info().name, adapter.backend()))
            .collect();
        for device in [Device::Cpu, Device::Reference] {
            let info = backend::open(&device, None)?.info();
            devices.push((device.to_string(), info.name, info.backend));
        }
        Ok(devices)
    })
}
