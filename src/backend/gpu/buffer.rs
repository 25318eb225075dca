//! Buffers of the device and ranges of them.

use super::Gpu;

/// A range of a buffer.
#[derive(Clone)]
pub(super) struct BufferSlice {
    pub(super) buffer: wgpu::Buffer,
    /// The first byte.
    pub(super) offset: u64,
    /// The length in bytes.
    pub(super) size: u64,
}

impl BufferSlice {
    /// Covers all of a buffer.
    pub(super) fn whole(buffer: wgpu::Buffer) -> Self {
        let size = buffer.size();
        Self { buffer, offset: 0, size }
    }

    /// Describes the range as a bind group takes it.
    pub(super) fn as_binding(&self) -> wgpu::BindingResource<'_> {
        let size = std::num::NonZero::new(self.size);
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &self.buffer, offset: self.offset, size })
    }
}

/// Creates a storage buffer that steps read and write and that can be copied in both directions. wgpu fills it with zeros.
pub(super) fn zeroed(device: &wgpu::Device, label: &str, size: u64) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

/// Creates a buffer with these contents. wgpu's own `create_buffer_init` panics if the device is lost or out of memory; a
/// write reports an error that the caller's error scope catches.
pub(super) fn filled(gpu: &Gpu, label: &str, contents: &[u8], usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: contents.len() as u64,
        usage: usage | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.queue.write_buffer(&buffer, 0, contents);
    buffer
}
