//! Variants bound to what they read and write, and the commands that run them. Where a shader reads a texture, what changes
//! from run to run is copied from its buffer into one first.

use std::{collections::HashMap, num::NonZero};

use super::{Gpu, texture};
use crate::{Result, kernels::Variant};

/// Where numbers lie in a buffer.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) buffer: wgpu::Buffer,
    /// In bytes, as the size.
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Place {
    pub(super) fn whole(buffer: wgpu::Buffer) -> Self {
        let size = buffer.size();
        Self { buffer, offset: 0, size }
    }
}

/// What a shader reads or writes.
#[derive(Clone)]
pub(super) enum Bound {
    /// Where the shader reads a texture, it is copied into one before each run.
    Buffer(Place),
    /// A constant that stays there.
    Texture(wgpu::Texture),
}

impl Bound {
    pub(super) fn whole(buffer: wgpu::Buffer) -> Self {
        Self::Buffer(Place::whole(buffer))
    }
}

/// A buffer with these contents. wgpu's own `create_buffer_init` panics where the device is lost or out of memory; a
/// write is an error that the caller's scope catches.
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

/// A dispatch to be.
pub(super) struct Planned<'a> {
    pub(super) name: &'a str,
    pub(super) variant: Variant,
    /// What it reads, then what it writes.
    pub(super) bound: Vec<Bound>,
}

impl Planned<'_> {
    fn reads(&self) -> usize {
        // Behind what is written may stand the flags of an overflow.
        self.bound.len() - 1 - usize::from(self.variant.shader.notes_overflow)
    }

    /// What is copied into a texture, each with its place among the reads.
    fn copied(&self) -> impl Iterator<Item = (usize, &Place)> {
        self.variant.shader.textures.iter().filter_map(|&read| match &self.bound[read] {
            Bound::Buffer(place) => Some((read, place)),
            Bound::Texture(_) => None,
        })
    }
}

/// A pipeline with its bindings, ready to be run any number of times.
pub(super) struct Dispatch {
    copies: Vec<texture::Copy>,
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    grid: [u32; 3],
}

impl Dispatch {
    /// Compiles and binds dispatches that run one after the other: what one copies into a texture, the next may replace.
    ///
    /// # Errors
    /// The device refuses a pipeline.
    pub(super) fn all(gpu: &Gpu, planned: &[Planned]) -> Result<Vec<Self>> {
        let variants: Vec<_> = planned.iter().map(|planned| (&planned.variant.shader, planned.reads())).collect();
        gpu.pipelines.make(&variants)?;
        let mut sizes: HashMap<usize, u64> = HashMap::new();
        for (read, place) in planned.iter().flat_map(Planned::copied) {
            let size = sizes.entry(read).or_default();
            *size = place.size.max(*size);
        }
        let textures = sizes.into_iter().map(|(read, size)| (read, texture::of(gpu, "copies", size))).collect();
        Ok(planned.iter().map(|planned| Self::new(gpu, planned, &textures)).collect())
    }

    fn new(gpu: &Gpu, planned: &Planned, textures: &HashMap<usize, wgpu::Texture>) -> Self {
        let Planned { name, variant, bound } = planned;
        let pipeline = gpu.pipelines.get(&variant.shader, planned.reads());
        let parameters = filled(gpu, name, bytemuck::cast_slice(&variant.parameters), wgpu::BufferUsages::UNIFORM);
        let copy = |(read, place): (usize, &Place)| texture::Copy { from: place.clone(), to: textures[&read].clone() };
        let view = |(read, bound): (usize, &Bound)| {
            let texture = match bound {
                Bound::Buffer(_) => variant.shader.textures.contains(&read).then(|| &textures[&read]),
                Bound::Texture(texture) => Some(texture),
            };
            texture.map(|texture| texture.create_view(&wgpu::TextureViewDescriptor::default()))
        };
        let views: Vec<Option<wgpu::TextureView>> = bound.iter().enumerate().map(view).collect();
        let resources = bound.iter().zip(&views).map(|(bound, view)| match (bound, view) {
            (_, Some(view)) => wgpu::BindingResource::TextureView(view),
            (Bound::Buffer(Place { buffer, offset, size }), None) => {
                let (offset, size) = (*offset, NonZero::new(*size));
                wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size })
            }
            (Bound::Texture(_), None) => unreachable!("every texture has a view"),
        });
        let bound = std::iter::once(parameters.as_entire_binding()).chain(resources);
        let entries: Vec<wgpu::BindGroupEntry> =
            (0..).zip(bound).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
        let bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(name),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        // Whoever chose the variant has checked that each fits into the device's limit, which is a u32.
        let grid = variant.grid.map(|groups| groups as u32);
        Self { copies: planned.copied().map(copy).collect(), pipeline, bindings, grid }
    }

    /// Records dispatches one after the other, in as few passes as there are copies in between.
    pub(super) fn record<'a>(encoder: &mut wgpu::CommandEncoder, dispatches: impl IntoIterator<Item = &'a Self>) {
        let mut dispatches = dispatches.into_iter().peekable();
        while let Some(first) = dispatches.next() {
            first.copies.iter().for_each(|copy| copy.record(encoder));
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            first.dispatch(&mut pass);
            while let Some(next) = dispatches.next_if(|next| next.copies.is_empty()) {
                next.dispatch(&mut pass);
            }
        }
    }

    /// Records a dispatch whose beginning and end are noted as numbers `first` and `first + 1` of the queries.
    pub(super) fn record_timed(&self, encoder: &mut wgpu::CommandEncoder, query_set: &wgpu::QuerySet, first: u32) {
        let noting = |beginning, end| wgpu::ComputePassDescriptor {
            label: Some("profile"),
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set,
                beginning_of_pass_write_index: beginning,
                end_of_pass_write_index: end,
            }),
        };
        if self.copies.is_empty() {
            self.dispatch(&mut encoder.begin_compute_pass(&noting(Some(first), Some(first + 1))));
            return;
        }
        // Copies stand between passes, so that the first notes the beginning alone.
        drop(encoder.begin_compute_pass(&noting(Some(first), None)));
        self.copies.iter().for_each(|copy| copy.record(encoder));
        self.dispatch(&mut encoder.begin_compute_pass(&noting(None, Some(first + 1))));
    }

    fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>) {
        let [x, y, z] = self.grid;
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}
