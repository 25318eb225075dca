//! Textures that hold copies of f32 buffers. Texel t holds four numbers and is in column t % [`TEXTURE_WIDTH`] of row
//! t / [`TEXTURE_WIDTH`].

use super::{Gpu, buffer::BufferSlice};
use crate::kernels::TEXTURE_WIDTH;

/// Bytes of a texel.
const TEXEL: u64 = 16;
/// Bytes of a row of texels.
const ROW: u64 = TEXTURE_WIDTH as u64 * TEXEL;

/// Rounds a number of bytes up to whole rows, so that one copy fills the texture.
pub(super) fn rounded_up_to_rows(bytes: u64) -> u64 {
    bytes.next_multiple_of(ROW)
}

/// Rounds a number of bytes down to whole rows.
pub(super) fn rounded_down_to_rows(bytes: u64) -> u64 {
    bytes - bytes % ROW
}

/// Creates a texture with room for a number of bytes.
pub(super) fn with_capacity(gpu: &Gpu, label: &str, bytes: u64) -> wgpu::Texture {
    // A variant that reads a texture is chosen only if its rows are within the device's limit, which is a u32.
    let height = bytes.div_ceil(ROW) as u32;
    gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some(label),
        size: wgpu::Extent3d { width: TEXTURE_WIDTH as u32, height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba32Float,
        usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    })
}

/// Creates a texture that holds these numbers, with zeros at the end of its last row.
pub(super) fn filled(gpu: &Gpu, label: &str, mut numbers: Vec<f32>) -> wgpu::Texture {
    numbers.resize(numbers.len().next_multiple_of(4 * TEXTURE_WIDTH), 0.0);
    let contents: &[u8] = bytemuck::cast_slice(&numbers);
    let texture = with_capacity(gpu, label, contents.len() as u64);
    gpu.queue.write_texture(texture.as_image_copy(), contents, rows_from(0), texture.size());
    texture
}

fn rows_from(offset: u64) -> wgpu::TexelCopyBufferLayout {
    wgpu::TexelCopyBufferLayout { offset, bytes_per_row: Some(ROW as u32), rows_per_image: None }
}

/// Copies a buffer to a texture before a dispatch that reads the texture.
pub(super) struct TextureCopy {
    /// The source, in whole rows.
    pub(super) source: BufferSlice,
    pub(super) texture: wgpu::Texture,
}

impl TextureCopy {
    pub(super) fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        let BufferSlice { buffer, offset, size } = &self.source;
        let source = wgpu::TexelCopyBufferInfo { buffer, layout: rows_from(*offset) };
        let size = wgpu::Extent3d { height: size.div_ceil(ROW) as u32, ..self.texture.size() };
        encoder.copy_buffer_to_texture(source, self.texture.as_image_copy(), size);
    }
}
