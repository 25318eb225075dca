//! Compiles compute pipelines, each once per shader and values of its constants, and remembers which of them the device
//! refuses or computes wrongly.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    EditShader, driver_lock::lock_driver, faults, limits::check_storage_buffers, pipeline_cache::PipelineCache,
};
use crate::{Error, Result, kernels::Shader};

/// The most threads that compile at once. Drivers take about ten milliseconds for a pipeline, and some fail where many are
/// made at the same time.
const MOST_THREADS: usize = 4;

/// The pipelines that have been compiled on one device.
pub(super) struct Pipelines {
    device: wgpu::Device,
    /// By shader; the reason for one that must not be used.
    compiled: Mutex<HashMap<String, Result<Compiled>>>,
    pub(super) edit: Option<EditShader>,
    pub(super) cache: Option<PipelineCache>,
}

/// A shader with its key and its number of reads.
type Uncompiled<'a> = (&'a str, &'a Shader, usize);

struct Compiled {
    pipeline: wgpu::ComputePipeline,
    /// Whether its results have been compared with the CPU's.
    checked: bool,
}

impl Pipelines {
    pub(super) fn new(device: wgpu::Device) -> Self {
        Self { device, compiled: Mutex::default(), edit: None, cache: None }
    }

    fn compiled(&self) -> MutexGuard<'_, HashMap<String, Result<Compiled>>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compiles the pipelines of some shaders that have not been compiled, each shader given with its number of reads.
    ///
    /// # Errors
    /// The device refuses a pipeline, now or earlier, or has no memory for it.
    pub(super) async fn compile_missing(&self, shaders: &[(&Shader, usize)]) -> Result<()> {
        let keys: Vec<String> = shaders.iter().map(|(shader, _)| key(shader)).collect();
        let shaders: Vec<Uncompiled> =
            keys.iter().zip(shaders).map(|(key, &(shader, reads))| (key.as_str(), shader, reads)).collect();
        let no_memory = if self.missing(&shaders).is_empty() {
            None
        } else if cfg!(target_family = "wasm") {
            self.compile_at_once(&shaders).await
        } else {
            self.compile_on_threads(&shaders)
        };
        let compiled = self.compiled();
        let refusal = |key| compiled.get(key)?.as_ref().err();
        no_memory.or_else(|| keys.iter().find_map(refusal).cloned()).map_or(Ok(()), Err)
    }

    /// Returns the shaders that have not been compiled, each once.
    fn missing<'a>(&self, shaders: &[Uncompiled<'a>]) -> HashMap<&'a str, Uncompiled<'a>> {
        let compiled = self.compiled();
        shaders.iter().filter(|(key, ..)| !compiled.contains_key(*key)).map(|&shader| (shader.0, shader)).collect()
    }

    /// Keeps pipelines that have been compiled. Returns the error of one for which there was no memory, which may suffice later.
    fn keep(&self, compiled: Vec<(&str, Result<wgpu::ComputePipeline>)>) -> Option<Error> {
        if let (Some(cache), true) = (&self.cache, compiled.iter().any(|(_, pipeline)| pipeline.is_ok())) {
            cache.save();
        }
        let (mut no_memory, mut pipelines) = (None, self.compiled());
        for (key, pipeline) in compiled {
            match pipeline {
                Err(error) if faults::is_out_of_memory(&error) => no_memory = Some(error),
                pipeline => {
                    pipelines.insert(key.into(), pipeline.map(|pipeline| Compiled { pipeline, checked: false }));
                }
            }
        }
        no_memory
    }

    /// Compiles the shaders that are missing on a few threads. Returns an error if there is no memory for one.
    fn compile_on_threads(&self, shaders: &[Uncompiled]) -> Option<Error> {
        // An error scope belongs to the thread that opened it.
        let compile = |(key, shader, reads)| {
            let scoped = || pollster::block_on(faults::scoped(&self.device, || self.compile(shader, reads)));
            let compiled = catch_unwind(AssertUnwindSafe(scoped));
            (key, compiled.unwrap_or_else(|_| Err(faults::failed("the compiler of a shader panicked"))))
        };
        let _driver = lock_driver();
        // Another thread may have compiled them meanwhile.
        let missing = self.missing(shaders);
        let threads = missing.len().min(MOST_THREADS);
        if threads < 2 {
            return self.keep(missing.into_values().map(compile).collect());
        }
        let missing = Mutex::new(missing.into_values());
        let next = || missing.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || std::iter::from_fn(next).map(compile).collect::<Vec<_>>();
        let compiled = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
        });
        self.keep(compiled)
    }

    /// Compiles the shaders that are missing, in a browser, which has threads of its own for that. Returns an error if there is
    /// no memory for one.
    async fn compile_at_once(&self, shaders: &[Uncompiled<'_>]) -> Option<Error> {
        let missing = self.missing(shaders).into_values();
        let begin = |(key, shader, reads)| (key, faults::scoped(&self.device, move || self.compile(shader, reads)));
        let begun: Vec<_> = missing.map(begin).collect();
        let mut compiled = Vec::with_capacity(begun.len());
        for (key, pipeline) in begun {
            compiled.push((key, pipeline.await));
        }
        self.keep(compiled)
    }

    /// Returns the pipeline of a shader that was compiled.
    ///
    /// # Errors
    /// The device refuses it.
    pub(super) fn get(&self, shader: &Shader) -> Result<wgpu::ComputePipeline> {
        match self.compiled().get(&key(shader)) {
            Some(compiled) => compiled.as_ref().map(|compiled| compiled.pipeline.clone()).map_err(Error::clone),
            None => Err(faults::failed("a shader was not compiled")),
        }
    }

    /// Forbids the use of a shader, such as one that the device computes wrongly.
    pub(super) fn refuse(&self, shader: &Shader, why: Error) {
        self.compiled().insert(key(shader), Err(why));
    }

    /// Returns how many shaders must not be used.
    pub(super) fn refused(&self) -> usize {
        self.compiled().values().filter(|compiled| compiled.is_err()).count()
    }

    /// Returns why a shader must not be used; none if it was not tried yet.
    pub(super) fn refusal(&self, shader: &Shader) -> Option<Error> {
        let compiled = self.compiled();
        // The key is made of the whole text, which most shaders have not generated yet.
        compiled.values().any(Result::is_err).then(|| compiled.get(&key(shader))?.as_ref().err().cloned())?
    }

    /// Whether the results of some shaders have been compared with the CPU's.
    pub(super) fn are_checked<'a>(&self, shaders: impl IntoIterator<Item = &'a Shader>) -> bool {
        let compiled = self.compiled();
        shaders.into_iter().all(|shader| matches!(compiled.get(&key(shader)), Some(Ok(Compiled { checked: true, .. }))))
    }

    /// Records that the results of some shaders agree with the CPU's.
    pub(super) fn set_checked<'a>(&self, shaders: impl IntoIterator<Item = &'a Shader>) {
        let mut compiled = self.compiled();
        for shader in shaders {
            if let Some(Ok(compiled)) = compiled.get_mut(&key(shader)) {
                compiled.checked = true;
            }
        }
    }

    /// Returns the text that is compiled: the shader's source, edited in tests.
    pub(super) fn source(&self, shader: &Shader) -> String {
        let source = if cfg!(target_family = "wasm") { shader.source_for_browser() } else { shader.source.to_string() };
        match &self.edit {
            Some(edit) => edit(shader.name, &source),
            None => source,
        }
    }

    fn compile(&self, shader: &Shader, reads: usize) -> Result<wgpu::ComputePipeline> {
        let writes = if shader.notes_overflow { 2 } else { 1 };
        check_storage_buffers(&self.device, shader, reads - shader.textures.len() + writes)?;
        let source = self.source(shader);
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(shader.name),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let bind_group_layout = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(shader.name),
            entries: &bindings(reads, shader.textures, writes),
        });
        let layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(shader.name),
            bind_group_layouts: &[Some(&bind_group_layout)],
            immediate_size: 0,
        });
        Ok(self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
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
        }))
    }
}

/// Identifies a pipeline.
pub(super) fn key(shader: &Shader) -> String {
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
