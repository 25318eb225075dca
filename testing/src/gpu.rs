//! The GPU that the tests use.

use ecgpu::{
    Device,
    engine::backend::{
        self, Precision,
        gpu::{Gpu, adapters, wgpu},
    },
};

use crate::skip;

/// The two ways of storing f16 on a GPU: as the device does it best, and packed in pairs.
pub const F16_STORAGES: [fn(Gpu) -> Gpu; 2] = [|gpu| gpu.with_precision(Precision::F16), |gpu| gpu.with_packed_f16()];

/// Opens the first adapter, with all variants that it can run. Without one it says that the caller's test is skipped.
pub fn gpu() -> Option<Gpu> {
    match adapters().first() {
        Some(adapter) => Some(Gpu::open_with_matrices(adapter).unwrap()),
        None => {
            skip("no Vulkan, Metal or DX12 adapter");
            None
        }
    }
}

/// Says whether there is a GPU, software adapters included. Without one it says that the caller's test is skipped.
pub fn has_gpu() -> bool {
    match backend::open(&Device::Gpu, None) {
        Ok(_) => true,
        Err(error) => {
            skip(&error.to_string());
            false
        }
    }
}

/// Opens a wgpu device as an application would do itself, whose bindings are at most `binding` bytes long. Without an
/// adapter it says that the caller's test is skipped.
pub fn host_device(binding: u64) -> Option<(wgpu::Device, wgpu::Queue)> {
    host_device_with(wgpu::Limits { max_storage_buffer_binding_size: binding, ..wgpu::Limits::default() })
}

/// Opens a wgpu device as an application would do itself, with these limits. Without an adapter it says that the caller's
/// test is skipped.
pub fn host_device_with(limits: wgpu::Limits) -> Option<(wgpu::Device, wgpu::Queue)> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let instance = wgpu::Instance::new(descriptor);
    let adapter = match pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())) {
        Ok(adapter) => adapter,
        Err(error) => {
            skip(&error.to_string());
            return None;
        }
    };
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..wgpu::DeviceDescriptor::default() };
    Some(pollster::block_on(adapter.request_device(&descriptor)).unwrap())
}
