//! Which records of a batch had a number too large for f16. A shader cannot let infinity or NaN tell it: ReLU turns NaN
//! into 0, and shaders may be compiled as if there were neither. So each shader that writes f16 compares its f32 sums,
//! which are finite, and sets its record's flag; the host turns the outputs of such a record into NaN.

use super::Gpu;

/// A u32 for each record, 0 until a shader sets it to 1, and then until the host has seen it.
pub(super) struct Overflow {
    pub(super) buffer: wgpu::Buffer,
}

impl Overflow {
    pub(super) fn new(gpu: &Gpu, batch: usize) -> Self {
        // wgpu fills a new buffer with zeros.
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("overflow"),
            size: (batch * size_of::<u32>()) as u64,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self { buffer }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.buffer.size()
    }

    /// Copies the flags to the end of the staging buffer.
    pub(super) fn copy(&self, encoder: &mut wgpu::CommandEncoder, staging: &wgpu::Buffer) {
        encoder.copy_buffer_to_buffer(&self.buffer, 0, staging, staging.size() - self.bytes(), self.bytes());
    }

    /// Fills the outputs of every record whose flag is set at the end of `staged` with NaN, and takes the flags back.
    pub(super) fn mark(&self, queue: &wgpu::Queue, staged: &[u8], outputs: &mut [Vec<f32>]) {
        let flags: &[u32] = bytemuck::cast_slice(&staged[staged.len() - self.bytes() as usize..]);
        for (record, _) in flags.iter().enumerate().filter(|(_, flag)| **flag != 0) {
            for output in &mut *outputs {
                let length = output.len() / flags.len();
                output[record * length..][..length].fill(f32::NAN);
            }
        }
        if flags.iter().any(|&flag| flag != 0) {
            queue.write_buffer(&self.buffer, 0, bytemuck::cast_slice(&vec![0u32; flags.len()]));
        }
    }
}
