//! Compiles compute pipelines, each once per shader and values of its constants.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    thread::ScopedJoinHandle,
};

use super::{EditShader, faults, pipeline_cache::PipelineCache};
use crate::{Result, kernels::Shader};

/// The pipelines that have been compiled on one device.
pub(super) struct Pipelines {
    device: wgpu::Device,
    compiled: Mutex<HashMap<String, wgpu::ComputePipeline>>,
    pub(super) edit: Option<EditShader>,
    pub(super) cache: Option<PipelineCache>,
}

impl Pipelines {
    pub(super) fn new(device: wgpu::Device) -> Self {
        Self { device, compiled: Mutex::default(), edit: None, cache: None }
    }

    /// Compiles the pipelines of some shaders that have not been compiled, each shader given with its number of reads. Each
    /// is compiled on a thread of its own, because drivers take about ten milliseconds per pipeline.
    ///
    /// # Errors
    /// The device refuses a pipeline.
    pub(super) fn compile_missing(&self, shaders: &[(&Shader, usize)]) -> Result<()> {
        let mut pipelines = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: HashMap<String, (&Shader, usize)> = shaders
            .iter()
            .map(|&(shader, reads)| (key(shader), (shader, reads)))
            .filter(|(key, _)| !pipelines.contains_key(key))
            .collect();
        let compiled = self.compile_on_threads(missing)?;
        if let (Some(cache), false) = (&self.cache, compiled.is_empty()) {
            cache.save();
        }
        pipelines.extend(compiled);
        Ok(())
    }

    /// Compiles shaders, each given with its number of reads, on a thread of its own.
    ///
    /// # Errors
    /// The device refuses a pipeline.
    fn compile_on_threads(
        &self,
        shaders: HashMap<String, (&Shader, usize)>,
    ) -> Result<Vec<(String, wgpu::ComputePipeline)>> {
        // An error scope belongs to the thread that opened it.
        let compile = |(shader, reads)| faults::scoped(&self.device, || Ok(self.compile(shader, reads)));
        if cfg!(target_family = "wasm") {
            // There are no threads.
            return shaders.into_iter().map(|(key, shader)| Ok((key, compile(shader)?))).collect();
        }
        std::thread::scope(|scope| {
            let spawn = |(key, shader)| (key, scope.spawn(move || compile(shader)));
            let threads: Vec<_> = shaders.into_iter().map(spawn).collect();
            let join = |(key, thread): (String, ScopedJoinHandle<Result<wgpu::ComputePipeline>>)| {
                let panicked = |_| Err(faults::failed("the compiler of a shader panicked"));
                Ok((key, thread.join().unwrap_or_else(panicked)?))
            };
            threads.into_iter().map(join).collect()
        })
    }

    /// Returns the pipeline of a shader with this number of reads and one write. Compiles it if necessary.
    pub(super) fn get(&self, shader: &Shader, reads: usize) -> wgpu::ComputePipeline {
        let mut pipelines = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        pipelines.entry(key(shader)).or_insert_with(|| self.compile(shader, reads)).clone()
    }

    /// Returns the text that is compiled: the shader's source, edited in tests.
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
                // Unnecessary, because every shader writes its workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
            },
            cache: self.cache.as_ref().map(|cache| &cache.cache),
        })
    }
}

/// Identifies a pipeline.
fn key(shader: &Shader) -> String {
    format!("{} {:?}\n{}", shader.name, shader.constants, shader.source)
}

/// Lists the bindings of a pipeline: the parameters, the resources that are read, the buffers that are written.
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
