//! Textures that stand for buffers of f32: texel t, of four numbers, lies in column t % [`TEXTURE_WIDTH`] of row t / [`TEXTURE_WIDTH`].

use super::{Gpu, dispatch::Place};
use crate::kernels::TEXTURE_WIDTH;

/// Bytes of a texel.
const TEXEL: u64 = 16;
const ROW: u64 = TEXTURE_WIDTH as u64 * TEXEL;

/// As many bytes in whole rows, so that one copy brings all.
pub(super) fn whole_rows(bytes: u64) -> u64 {
    bytes.next_multiple_of(ROW)
}

/// The whole rows of so many bytes.
pub(super) fn rows_within(bytes: u64) -> u64 {
    bytes - bytes % ROW
}

/// A texture that has room for so many bytes.
pub(super) fn of(gpu: &Gpu, label: &str, bytes: u64) -> wgpu::Texture {
    // Whoever chose a variant that reads a texture has checked that its rows fit into the device's limit, which is a u32.
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

/// A texture with these numbers.
pub(super) fn filled(gpu: &Gpu, label: &str, mut numbers: Vec<f32>) -> wgpu::Texture {
    numbers.resize(numbers.len().next_multiple_of(4 * TEXTURE_WIDTH), 0.0);
    let contents: &[u8] = bytemuck::cast_slice(&numbers);
    let texture = of(gpu, label, contents.len() as u64);
    gpu.queue.write_texture(texture.as_image_copy(), contents, layout(0), texture.size());
    texture
}

fn layout(offset: u64) -> wgpu::TexelCopyBufferLayout {
    wgpu::TexelCopyBufferLayout { offset, bytes_per_row: Some(ROW as u32), rows_per_image: None }
}

/// A copy of what a buffer holds.
pub(super) struct Copy {
    /// In whole rows.
    pub(super) from: Place,
    pub(super) to: wgpu::Texture,
}

impl Copy {
    pub(super) fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        let Place { buffer, offset, size } = &self.from;
        let source = wgpu::TexelCopyBufferInfo { buffer, layout: layout(*offset) };
        let size = wgpu::Extent3d { height: size.div_ceil(ROW) as u32, ..self.to.size() };
        encoder.copy_buffer_to_texture(source, self.to.as_image_copy(), size);
    }
}
