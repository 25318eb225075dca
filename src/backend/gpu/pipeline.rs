//! Compute pipelines, each compiled once for a shader and its constants.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    thread::ScopedJoinHandle,
};

use super::{EditShader, faults, pipeline_cache::PipelineCache};
use crate::{Result, kernels::Shader};

/// The pipelines made so far on one device.
pub(super) struct Pipelines {
    device: wgpu::Device,
    made: Mutex<HashMap<String, wgpu::ComputePipeline>>,
    pub(super) edit: Option<EditShader>,
    pub(super) cache: Option<PipelineCache>,
}

impl Pipelines {
    pub(super) fn new(device: wgpu::Device) -> Self {
        Self { device, made: Mutex::default(), edit: None, cache: None }
    }

    /// Compiles those of some shaders, each with its number of reads, that are not made yet, each on a thread of its own:
    /// drivers take some ten milliseconds for each.
    ///
    /// # Errors
    /// The device refuses one.
    pub(super) fn make(&self, shaders: &[(&Shader, usize)]) -> Result<()> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: HashMap<String, (&Shader, usize)> = shaders
            .iter()
            .map(|&(shader, reads)| (key(shader), (shader, reads)))
            .filter(|(key, _)| !made.contains_key(key))
            .collect();
        let compiled = std::thread::scope(|scope| {
            // Errors are caught on the thread where they arise.
            let compile = |(key, (shader, reads))| {
                let work = move || faults::scoped(&self.device, || Ok(self.compile(shader, reads)));
                (key, scope.spawn(work))
            };
            let threads: Vec<_> = missing.into_iter().map(compile).collect();
            let join = |(key, thread): (String, ScopedJoinHandle<Result<wgpu::ComputePipeline>>)| {
                let panicked = |_| Err(faults::failed("the compiler of a shader panicked"));
                Ok((key, thread.join().unwrap_or_else(panicked)?))
            };
            threads.into_iter().map(join).collect::<Result<Vec<_>>>()
        })?;
        if let (Some(cache), false) = (&self.cache, compiled.is_empty()) {
            cache.save();
        }
        made.extend(compiled);
        Ok(())
    }

    /// The pipeline of a shader with so many reads and one write, compiled now if it has not been made.
    pub(super) fn get(&self, shader: &Shader, reads: usize) -> wgpu::ComputePipeline {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry(key(shader)).or_insert_with(|| self.compile(shader, reads)).clone()
    }

    /// The text that is compiled.
    pub(super) fn source(&self, shader: &Shader) -> String {
        match &self.edit {
            Some(edit) => edit(shader.name, &shader.source),
            None => shader.source.to_string(),
        }
    }

    fn compile(&self, shader: &Shader, reads: usize) -> wgpu::ComputePipeline {
        let source = self.source(shader);
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(shader.name),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let bind_group_layout = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(shader.name),
            entries: &bindings(reads, shader.textures, if shader.notes_overflow { 2 } else { 1 }),
        });
        let layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(shader.name),
            bind_group_layouts: &[Some(&bind_group_layout)],
            immediate_size: 0,
        });
        self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(shader.name),
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &shader.constants,
                // Every shader writes its workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
            },
            cache: self.cache.as_ref().map(|cache| &cache.cache),
        })
    }
}

/// What makes one pipeline differ from another.
fn key(shader: &Shader) -> String {
    format!("{} {:?}\n{}", shader.name, shader.constants, shader.source)
}

/// The parameters, what is read, the buffers that are written.
fn bindings(reads: usize, textures: &[usize], writes: usize) -> Vec<wgpu::BindGroupLayoutEntry> {
    let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
    let texture = wgpu::BindingType::StorageTexture {
        access: wgpu::StorageTextureAccess::ReadOnly,
        format: wgpu::TextureFormat::Rgba32Float,
        view_dimension: wgpu::TextureViewDimension::D2,
    };
    let read = |read| match textures.contains(&read) {
        true => texture,
        false => buffer(wgpu::BufferBindingType::Storage { read_only: true }),
    };
    let types = std::iter::once(buffer(wgpu::BufferBindingType::Uniform))
        .chain((0..reads).map(read))
        .chain(std::iter::repeat_n(buffer(wgpu::BufferBindingType::Storage { read_only: false }), writes));
    let entry = |(binding, ty)| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty,
        count: None,
    };
    (0..).zip(types).map(entry).collect()
}
