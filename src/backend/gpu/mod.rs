//! The plan on any GPU through wgpu: one compute pass, one submit and one readback a forward. The only module that names
//! wgpu.

mod adapter;
mod dispatch;
mod executor;
mod faults;
mod open;
mod overflow;
mod pipeline;
mod pipeline_cache;
mod profile;
mod rows;
mod staging;
mod step_shape;
mod texture;
#[cfg(feature = "train")]
mod training;
mod tune;
mod tuning;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

pub use adapter::{Adapter, adapters};
pub use open::open_gpu;
pub use step_shape::StepShape;
pub use tune::{Candidate, StepTuning, Tuned, tune};
pub use tuning::{Machine, Tuning};
pub use wgpu;

use super::{Backend, ConstantCache, DeviceInfo, Executor, Precision, batch_by_memory, check_stateless};
use crate::{
    Error, ErrorKind, Hint, Result,
    kernels::{Accelerator, Kernel, Storage, Variant},
    plan::{BufferId, FusedPlan, Plan, Step},
};
use dispatch::Bound;
use executor::GpuExecutor;
use faults::Faults;
use pipeline::Pipelines;
use pipeline_cache::PipelineCache;
use rows::Rows;

/// Changes a shader before it is compiled: called with its name and its source. For proving that a comparison notices.
pub type EditShader = Arc<dyn Fn(&str, &str) -> String + Send + Sync>;

/// A GPU as a device.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: DeviceInfo,
    faults: Arc<Faults>,
    pipelines: Pipelines,
    /// By variant, as each has its own order.
    constants: ConstantCache<Arc<Mutex<HashMap<String, Bound>>>>,
    accelerator: Accelerator,
    forced: Option<String>,
    tuning: Option<Tuning>,
}

impl Gpu {
    /// Opens an adapter with all that it offers.
    ///
    /// # Errors
    /// The driver refuses to give a device.
    pub fn open(adapter: &Adapter) -> Result<Self> {
        let (device, queue) = adapter.request()?;
        let faults = Faults::watching(&device);
        Ok(Self::on(device, queue, faults, adapter.matrix_side()))
    }

    /// Runs on a device that the host application already has. Its error handlers are left as they are. Cooperative
    /// matrices are not used, as a device does not tell their sizes.
    pub fn from_host(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        Self::on(device, queue, Arc::default(), None)
    }

    fn on(device: wgpu::Device, queue: wgpu::Queue, faults: Arc<Faults>, matrix_side: Option<usize>) -> Self {
        let adapter = device.adapter_info();
        let backend = adapter::backend_name(adapter.backend);
        let info = DeviceInfo { name: adapter.name.clone(), backend, storage: Storage::F32 };
        let pipelines = Pipelines::new(device.clone());
        let accelerator = adapter::accelerator(&device, matrix_side);
        let constants = ConstantCache::default();
        Self { device, queue, info, faults, pipelines, constants, accelerator, forced: None, tuning: None }
    }

    /// The same device, with every shader changed by `edit` before it is compiled.
    pub fn with_edited_shaders(mut self, edit: EditShader) -> Self {
        self.pipelines.edit = Some(edit);
        self
    }

    /// The same device, where every operation that has a variant of this name is run by it. For comparing variants.
    pub fn with_variant(mut self, name: &str) -> Self {
        self.forced = Some(name.into());
        self
    }

    /// The same device, where every step that `tuning` has is run as it says.
    ///
    /// # Errors
    /// It was made on another machine, for other shaders, or names a variant that the device cannot run.
    pub fn with_tuning(mut self, tuning: Tuning) -> Result<Self> {
        tuning.check(&self.machine(), self.info.storage, |shape| self.compiled_variants(shape))?;
        self.tuning = Some(tuning);
        Ok(self)
    }

    /// The same device, storing weights and activations in this precision. In f16 a device without the feature
    /// `SHADER_F16` packs them into u32, as [`DeviceInfo::storage`] tells. Comes before a tuning, which is for one of them.
    ///
    /// An f16 holds numbers up to 65504. A larger weight is an error when a plan is prepared; a larger activation turns
    /// its record's outputs into NaN.
    pub fn with_precision(self, precision: Precision) -> Self {
        let native = self.device.features().contains(wgpu::Features::SHADER_F16);
        self.storing(match precision {
            Precision::F32 => Storage::F32,
            Precision::F16 if native => Storage::F16,
            Precision::F16 => Storage::PackedF16,
        })
    }

    /// The same device in f16 as if its shaders did not have the type.
    pub fn with_packed_f16(self) -> Self {
        self.storing(Storage::PackedF16)
    }

    fn storing(mut self, storage: Storage) -> Self {
        (self.accelerator.storage, self.info.storage) = (storage, storage);
        // What was uploaded before was stored otherwise.
        self.constants = ConstantCache::default();
        self
    }

    /// The same device, which takes its compiled pipelines from a file where they are in it, and writes those that are
    /// not into it. It is for drivers that keep none themselves; only Vulkan has it. Drivers trust the bytes: name a file
    /// that nobody can write who is not trusted with this process.
    ///
    /// A cache is never a reason to fail: what is wrong with the file, now or when it is written, goes to `warn`, pipelines
    /// are compiled as without it, and a file that is damaged or holds for another adapter, driver or build is replaced.
    pub fn with_pipeline_cache(
        mut self,
        path: impl Into<PathBuf>,
        warn: impl Fn(&Error) + Send + Sync + 'static,
    ) -> Self {
        self.pipelines.cache = PipelineCache::open(&self.device, path.into(), Box::new(warn));
        self
    }

    /// The same device as if it had no subgroups.
    pub fn without_subgroups(mut self) -> Self {
        self.accelerator.subgroup_size = None;
        self
    }

    /// What the choice among variants depends on.
    pub fn accelerator(&self) -> Accelerator {
        self.accelerator
    }

    /// What a tuning holds for.
    pub fn machine(&self) -> Machine {
        Machine::of(&self.device)
    }

    fn rows(&self, plan: &Plan) -> Rows {
        Rows::of(plan, self.info.storage)
    }

    /// The plan as it is run here. Pool and linear layer are fused where that can be run, unless a variant of one of them
    /// alone is forced; every variant of a convolution can halve its outputs.
    fn fused(&self, plan: &Plan) -> FusedPlan {
        let variants = |step: &Step, rows: &Rows| self.variants(&StepShape::of(step, rows, self.info.storage));
        let joins = |step: &&Step| matches!(step.kernel, Kernel::GlobalAveragePool(_) | Kernel::Linear(_));
        let alone = |forced: &str| {
            let rows = self.rows(plan);
            let is = |step: &Step| variants(step, &rows).iter().any(|variant| variant.name == forced);
            plan.steps.iter().filter(joins).any(is)
        };
        let runs = |fused: &FusedPlan| {
            let rows = self.rows(&fused.plan);
            fused
                .plan
                .steps
                .iter()
                .zip(&fused.source_steps)
                .all(|(step, &of)| of == 1 || !variants(step, &rows).is_empty())
        };
        let wanted = !self.forced.as_deref().is_some_and(alone);
        let fused_max_pool = FusedPlan::unfused(plan).with_fused_max_pools();
        let fused = wanted.then(|| fused_max_pool.clone().with_fused_pooled_linear()).flatten().filter(runs);
        fused.unwrap_or(fused_max_pool)
    }

    /// The ways to run a step here, the one that is believed to be the fastest first.
    fn variants(&self, shape: &StepShape) -> Vec<Variant> {
        shape.kernel.on_gpu().variants(&[shape.x, shape.y], &self.accelerator)
    }

    /// The same with the sources that are compiled, for hashing.
    fn compiled_variants(&self, shape: &StepShape) -> Vec<Variant> {
        let mut variants = self.variants(shape);
        for Variant { shader, .. } in &mut variants {
            shader.source = self.pipelines.source(shader).into();
        }
        variants
    }

    /// How a step is run: as forced or else as tuned, where it is, or by the variant that is believed to be the fastest.
    fn variant(&self, step: &Step, rows: &Rows) -> Result<Variant> {
        let shape = StepShape::of(step, rows, self.info.storage);
        let mut variants = step.kernel.on_gpu().variants(&rows.of_step(step), &self.accelerator);
        if variants.is_empty() {
            let cause = format!("step {} is not where {} can run it", step.name, self.info.name);
            return Err(Error::new(ErrorKind::Device, cause, "use the float64 reference").with_hint(Hint::UseReference));
        }
        let forced = variants.iter().position(|variant| self.forced.as_deref() == Some(variant.name));
        let tuned = self.tuning.as_ref().and_then(|tuning| tuning.variant(&shape));
        let chosen = match (forced, tuned) {
            (Some(forced), _) => forced,
            (None, Some(tuned)) => tuning::runnable(&shape, tuned, &variants)?,
            (None, None) => 0,
        };
        Ok(variants.swap_remove(chosen))
    }

    /// The largest buffer that one binding can see, in bytes: whole rows of a texture, as activations take.
    fn largest_binding(&self) -> u64 {
        let limits = self.device.limits();
        texture::rows_within(limits.max_storage_buffer_binding_size.min(limits.max_buffer_size))
    }

    /// How often a buffer fits into one binding.
    fn check_buffer(&self, plan: &Plan, rows: &Rows, id: BufferId) -> Result<usize> {
        let (buffer, bytes) = (&plan.buffers[id], rows.bytes(plan, id));
        let largest = self.largest_binding();
        if bytes > largest {
            let cause = format!(
                "buffer {} of one record would take {bytes} bytes, and {} allows {largest}",
                buffer.name, self.info.name
            );
            let error = Error::new(ErrorKind::Shape, cause, "cut the recording into shorter ones or use the CPU");
            return Err(error.with_hint(Hint::UseCpu));
        }
        Ok((largest / bytes) as usize)
    }
}

impl Backend for Gpu {
    fn info(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn largest_batch(&self, plan: &Plan) -> Result<usize> {
        let groups = self.device.limits().max_compute_workgroups_per_dimension as usize;
        let mut batch = batch_by_memory(plan).min(groups);
        let plan = &self.fused(plan).plan;
        let rows = self.rows(plan);
        for (id, buffer) in plan.buffers.iter().enumerate() {
            let fits = self.check_buffer(plan, &rows, id)?;
            if buffer.constant().is_none() {
                batch = batch.min(fits);
            }
        }
        for step in &plan.steps {
            let grid = self.variant(step, &rows)?.grid;
            if grid.iter().any(|&n| n > groups) {
                let cause =
                    format!("step {} needs {grid:?} workgroups, and {} allows {groups}", step.name, self.info.name);
                let remedy = "cut the recording into shorter ones or use the CPU";
                return Err(Error::new(ErrorKind::Shape, cause, remedy).with_hint(Hint::UseCpu));
            }
        }
        Ok(batch)
    }

    /// Two: the device computes for one request while the host fills or reads the other's memory.
    fn concurrency(&self) -> usize {
        2
    }

    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>> {
        check_stateless(plan)?;
        self.faults.check()?;
        let executor = faults::scoped(&self.device, || GpuExecutor::new(self, plan));
        // Out of memory in the middle, an upload may be kept that holds nothing: the next attempt makes it anew.
        Ok(Box::new(executor.inspect_err(|_| self.constants.clear())?))
    }

    #[cfg(feature = "train")]
    fn prepare_training(&self, plan: &Plan) -> Result<Box<dyn super::Trainer>> {
        self.faults.check()?;
        let trainer = faults::scoped(&self.device, || training::GpuTrainer::new(self, plan));
        Ok(Box::new(trainer.inspect_err(|_| self.constants.clear())?))
    }
}
