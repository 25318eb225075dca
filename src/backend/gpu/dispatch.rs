//! Dispatches: a variant's pipeline with its bind group, and the commands that run it. If a shader reads a texture, an
//! activation is copied from its buffer to the texture first.

use std::collections::HashMap;

use super::{
    Gpu,
    buffer::{BufferSlice, filled},
    faults,
    texture::{self, TextureCopy},
};
use crate::{Result, kernels::Variant};

/// A resource that a shader reads or writes.
#[derive(Clone)]
pub(super) enum Resource {
    /// A buffer. If the shader reads a texture, the buffer is copied to one before each run.
    Buffer(BufferSlice),
    /// A constant in a texture.
    Texture(wgpu::Texture),
}

impl Resource {
    /// All of a buffer.
    pub(super) fn whole(buffer: wgpu::Buffer) -> Self {
        Self::Buffer(BufferSlice::whole(buffer))
    }
}

/// A variant with its resources, not yet compiled.
pub(super) struct UncompiledDispatch<'a> {
    /// The name of the step, as a label for debuggers.
    pub(super) name: &'a str,
    pub(super) variant: Variant,
    /// The resources that are read, the one that is written, and the overflow flags if the shader sets them.
    pub(super) resources: Vec<Resource>,
}

impl UncompiledDispatch<'_> {
    /// Returns how many resources are read.
    fn reads(&self) -> usize {
        self.resources.len() - 1 - usize::from(self.variant.shader.notes_overflow)
    }

    /// Returns the buffers that are copied to textures, each with its number among the reads.
    fn copied_to_textures(&self) -> impl Iterator<Item = (usize, &BufferSlice)> {
        self.variant.shader.textures.iter().filter_map(|&read| match &self.resources[read] {
            Resource::Buffer(slice) => Some((read, slice)),
            Resource::Texture(_) => None,
        })
    }
}

/// A pipeline with its bind group, which can be run any number of times.
pub(super) struct Dispatch {
    copies: Vec<TextureCopy>,
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    grid: [u32; 3],
}

impl Dispatch {
    /// Compiles dispatches that run in this order. They share the textures for copies: each copy replaces the earlier one.
    ///
    /// # Errors
    /// The device refuses a pipeline.
    pub(super) async fn compile(gpu: &Gpu, uncompiled: &[UncompiledDispatch<'_>]) -> Result<Vec<Self>> {
        let shaders: Vec<_> = uncompiled.iter().map(|dispatch| (&dispatch.variant.shader, dispatch.reads())).collect();
        gpu.pipelines.compile_missing(&shaders).await?;
        faults::scoped(&gpu.device, || Self::with_compiled_pipelines(gpu, uncompiled)).await
    }

    fn with_compiled_pipelines(gpu: &Gpu, uncompiled: &[UncompiledDispatch]) -> Result<Vec<Self>> {
        let mut sizes: HashMap<usize, u64> = HashMap::new();
        for (read, slice) in uncompiled.iter().flat_map(UncompiledDispatch::copied_to_textures) {
            let size = sizes.entry(read).or_default();
            *size = slice.size.max(*size);
        }
        let textures =
            sizes.into_iter().map(|(read, size)| (read, texture::with_capacity(gpu, "copies", size))).collect();
        uncompiled.iter().map(|dispatch| Self::new(gpu, dispatch, &textures)).collect()
    }

    fn new(gpu: &Gpu, uncompiled: &UncompiledDispatch, textures: &HashMap<usize, wgpu::Texture>) -> Result<Self> {
        let UncompiledDispatch { name, variant, resources } = uncompiled;
        let pipeline = gpu.pipelines.get(&variant.shader)?;
        let parameters = filled(gpu, name, bytemuck::cast_slice(&variant.parameters), wgpu::BufferUsages::UNIFORM);
        let copy = |(read, slice): (usize, &BufferSlice)| TextureCopy {
            source: slice.clone(),
            texture: textures[&read].clone(),
        };
        let view = |(read, resource): (usize, &Resource)| {
            let texture = match resource {
                Resource::Buffer(_) => variant.shader.textures.contains(&read).then(|| &textures[&read]),
                Resource::Texture(texture) => Some(texture),
            };
            texture.map(|texture| texture.create_view(&wgpu::TextureViewDescriptor::default()))
        };
        let views: Vec<Option<wgpu::TextureView>> = resources.iter().enumerate().map(view).collect();
        let bindings = resources.iter().zip(&views).map(|(resource, view)| match (resource, view) {
            (_, Some(view)) => wgpu::BindingResource::TextureView(view),
            (Resource::Buffer(slice), None) => slice.as_binding(),
            (Resource::Texture(_), None) => unreachable!("every texture has a view"),
        });
        let bindings = std::iter::once(parameters.as_entire_binding()).chain(bindings);
        let entries: Vec<wgpu::BindGroupEntry> =
            (0..).zip(bindings).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
        let bind_group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(name),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        // The grid was checked against the device's limit, which is a u32, when the variant was chosen.
        let grid = variant.grid.map(|groups| groups as u32);
        Ok(Self { copies: uncompiled.copied_to_textures().map(copy).collect(), pipeline, bind_group, grid })
    }

    /// Records dispatches in order. Consecutive dispatches share one compute pass; a copy to a texture begins a new one.
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

    /// Records a dispatch with timestamps: its beginning as query number `first`, its end as `first + 1`.
    pub(super) fn record_timed(&self, encoder: &mut wgpu::CommandEncoder, query_set: &wgpu::QuerySet, first: u32) {
        let timed_pass = |beginning, end| wgpu::ComputePassDescriptor {
            label: Some("profile"),
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set,
                beginning_of_pass_write_index: beginning,
                end_of_pass_write_index: end,
            }),
        };
        if self.copies.is_empty() {
            self.dispatch(&mut encoder.begin_compute_pass(&timed_pass(Some(first), Some(first + 1))));
            return;
        }
        // A copy cannot be part of a pass. An empty pass before it writes the first timestamp.
        drop(encoder.begin_compute_pass(&timed_pass(Some(first), None)));
        self.copies.iter().for_each(|copy| copy.record(encoder));
        self.dispatch(&mut encoder.begin_compute_pass(&timed_pass(None, Some(first + 1))));
    }

    fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>) {
        let [x, y, z] = self.grid;
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}
