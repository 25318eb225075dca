//! Reports the records of a batch in which a number was too large for f16.
//!
//! An infinity or NaN cannot report this, because ReLU turns NaN into 0 and shader compilers may assume that neither
//! occurs. Therefore each shader that writes f16 compares its f32 sums, which are finite, and sets the flag of the record.
//! The host turns the outputs of such a record into NaN.

use super::{Gpu, buffer::zeroed};

/// A u32 flag for each record. A run begins by setting it to 0; a shader sets it to 1.
pub(super) struct Overflow {
    pub(super) buffer: wgpu::Buffer,
}

impl Overflow {
    pub(super) fn new(gpu: &Gpu, batch: usize) -> Self {
        Self { buffer: zeroed(&gpu.device, "overflow", (batch * size_of::<u32>()) as u64) }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.buffer.size()
    }

    /// Records the reset of the flags. It is a command of the run, because the next run of a stream is submitted before the
    /// host has read the flags of this one.
    pub(super) fn reset(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.clear_buffer(&self.buffer, 0, None);
    }

    /// Records the copy of the flags to a place in the readback buffer.
    pub(super) fn copy(&self, encoder: &mut wgpu::CommandEncoder, readback: &wgpu::Buffer, offset: u64) {
        encoder.copy_buffer_to_buffer(&self.buffer, 0, readback, offset, self.bytes());
    }

    /// Fills the outputs of every flagged record with NaN. The flags are at the end of `readback`.
    pub(super) fn apply(&self, readback: &[u8], outputs: &mut [Vec<f32>]) {
        let flags: &[u32] = bytemuck::cast_slice(&readback[readback.len() - self.bytes() as usize..]);
        for (record, _) in flags.iter().enumerate().filter(|(_, flag)| **flag != 0) {
            for output in &mut *outputs {
                let length = output.len() / flags.len();
                output[record * length..][..length].fill(f32::NAN);
            }
        }
    }
}
