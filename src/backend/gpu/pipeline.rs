//! Compute pipelines, each compiled once for a shader and its constants.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::EditShader;
use crate::kernels::Shader;

/// The pipelines made so far on one device.
pub(super) struct Pipelines {
    device: wgpu::Device,
    made: Mutex<HashMap<String, wgpu::ComputePipeline>>,
    pub(super) edit: Option<EditShader>,
}

impl Pipelines {
    pub(super) fn new(device: wgpu::Device) -> Self {
        Self { device, made: Mutex::default(), edit: None }
    }

    /// The pipeline of a shader that reads `reads` buffers and writes one.
    pub(super) fn get(&self, shader: &Shader, reads: usize) -> wgpu::ComputePipeline {
        let key = format!("{} {:?}\n{}", shader.name, shader.constants, shader.source);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry(key).or_insert_with(|| self.compile(shader, reads)).clone()
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
            entries: &bindings(reads),
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
            cache: None,
        })
    }
}

/// The parameters, the buffers that are read, the buffer that is written.
fn bindings(reads: usize) -> Vec<wgpu::BindGroupLayoutEntry> {
    let types = std::iter::once(wgpu::BufferBindingType::Uniform)
        .chain(std::iter::repeat_n(wgpu::BufferBindingType::Storage { read_only: true }, reads))
        .chain(std::iter::once(wgpu::BufferBindingType::Storage { read_only: false }));
    let entry = |(binding, ty)| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    };
    (0..).zip(types).map(entry).collect()
}
