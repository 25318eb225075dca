//! Executes plans on a GPU through wgpu: one readback per run, and one submission unless it would take too long. Dispatches
//! share one compute pass, except where an activation is copied to a texture in between.
//!
//! No other module of the library uses wgpu. This one exports it as [`wgpu`], because host applications hand over their own
//! device with [`Gpu::from_host`].

mod adapter;
#[cfg(target_family = "wasm")]
mod browser;
mod buffer;
mod choice;
mod clock;
mod device_memory;
mod dispatch;
mod driver_lock;
mod dx12_compiler;
mod environment;
mod executor;
mod faults;
mod layouts;
mod limits;
mod mapping;
mod open;
mod overflow;
mod peak;
mod pipeline;
mod pipeline_cache;
mod plan_dispatches;
mod prepared_plan;
mod profile;
mod queue;
mod self_check;
mod staging;
mod step_shape;
mod submissions;
mod texture;
mod ticket;
#[cfg(feature = "gradients")]
mod training;
mod tune;
mod tuning;
mod waiting;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

pub use adapter::{Adapter, adapters};
pub use environment::variables;
pub use open::{adapter_of_auto, open_gpu, open_gpu_async};
pub use peak::Peak;
pub use step_shape::StepShape;
pub use tune::{Candidate, StepTuning, Tuned, tune};

pub use tuning::{Machine, Tuning};
pub use wgpu;

use super::{Backend, ConstantCache, DeviceFuture, DeviceInfo, Executor, Precision, batch_by_memory, check_stateless};
use crate::{
    Result,
    kernels::{Accelerator, Kernel, Storage, Variant},
    plan::{FusedPlan, Plan, Step},
};
use choice::Choice;
use dispatch::Resource;
use executor::GpuExecutor;
use faults::Faults;
use layouts::Layouts;
use limits::{LARGEST_SUBMISSION, Purpose};
use pipeline::Pipelines;
use pipeline_cache::PipelineCache;
use queue::Queue;
use submissions::LONGEST_SUBMISSION;
use waiting::block_on;

/// Changes a shader before it is compiled. It is called with the name and the source. Tests use it to prove that comparisons
/// detect wrong shaders.
pub type EditShader = Arc<dyn Fn(&str, &str) -> String + Send + Sync>;

/// The GPU backend: a wgpu device with compiled pipelines and uploaded constants.
pub struct Gpu {
    device: wgpu::Device,
    queue: Queue,
    info: DeviceInfo,
    machine: Machine,
    faults: Arc<Faults>,
    pipelines: Pipelines,
    /// Uploaded constants, by operation and variant, because each variant has its own order.
    constants: ConstantCache<Arc<Mutex<HashMap<String, Resource>>>>,
    accelerator: Accelerator,
    forced: Option<String>,
    tuning: Option<Tuning>,
    /// The most floating-point operations of one submission.
    largest_submission: u64,
    /// The time that one submission may take.
    longest_submission: Duration,
    /// Whether a variant that is refused or wrong is replaced.
    fallback: bool,
}

impl Gpu {
    /// Opens a device on an adapter, with the optional features that the adapter has.
    ///
    /// # Errors
    /// The driver gives no device.
    pub fn open(adapter: &Adapter) -> Result<Self> {
        block_on(Self::open_with_side(adapter, None))
    }

    /// Opens a device as [`Gpu::open`] does, and runs convolutions in f16 on cooperative matrices if the adapter has them.
    ///
    /// For experiments only: what wgpu 30 makes of that shader breaks the rules of Vulkan's memory model, so a device may
    /// compute it wrongly at any time, also after comparisons that it passed.
    ///
    /// # Errors
    /// The driver gives no device.
    pub fn open_with_matrices(adapter: &Adapter) -> Result<Self> {
        block_on(Self::open_with_side(adapter, adapter.matrix_side()))
    }

    async fn open_with_side(adapter: &Adapter, matrix_side: Option<usize>) -> Result<Self> {
        let (device, queue) = adapter.request(matrix_side.is_some()).await?;
        if !adapter.conformant {
            log::warn!(
                "the driver of {adapter} does not claim to conform to Vulkan: its results are checked at the start"
            );
        }
        let faults = Faults::watching(&device);
        let info = adapter.info_of(&device);
        Ok(Self::on(device, queue, &info, faults, matrix_side))
    }

    /// Uses a device of the host application. Its error handlers are not changed.
    pub fn from_host(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let info = device.adapter_info();
        Self::on(device, queue, &info, Arc::default(), None)
    }

    fn on(
        device: wgpu::Device,
        queue: wgpu::Queue,
        adapter: &wgpu::AdapterInfo,
        faults: Arc<Faults>,
        matrix_side: Option<usize>,
    ) -> Self {
        let backend = adapter::backend_name(adapter.backend);
        let info = DeviceInfo { name: adapter.name.clone(), backend, storage: Storage::F32 };
        let pipelines = Pipelines::new(device.clone());
        let accelerator = adapter::accelerator(&device, adapter, matrix_side);
        log::info!("GPU: {} ({})", info.name, info.backend);
        log::debug!("{accelerator:?}");
        let constants = ConstantCache::default();
        let queue = Queue::new(queue, device.clone(), faults.clone());
        Self {
            device,
            queue,
            info,
            machine: Machine::of(adapter),
            faults,
            pipelines,
            constants,
            accelerator,
            forced: None,
            tuning: None,
            largest_submission: LARGEST_SUBMISSION,
            longest_submission: LONGEST_SUBMISSION,
            fallback: true,
        }
    }

    /// Changes every shader with `edit` before it is compiled.
    pub fn with_edited_shaders(mut self, edit: EditShader) -> Self {
        self.pipelines.edit = Some(edit);
        self
    }

    /// Reports a shader that the device refuses as an error and does not compare results with the CPU, instead of replacing
    /// shaders that are refused or wrong.
    pub fn without_fallback(mut self) -> Self {
        self.fallback = false;
        self
    }

    /// Runs every operation that has a variant of this name by that variant, to compare variants. Nothing is replaced then,
    /// as for [`Gpu::without_fallback`].
    pub fn with_variant(mut self, name: &str) -> Self {
        self.forced = Some(name.into());
        self
    }

    /// Runs every step that `tuning` contains by the variant chosen there. Call it after [`Gpu::with_precision`], because a
    /// tuning is valid for one precision.
    ///
    /// # Errors
    /// The tuning was made on another machine or for other shaders, or names a variant that the device cannot run.
    pub fn with_tuning(mut self, tuning: Tuning) -> Result<Self> {
        tuning.check(&self.machine(), self.info.storage, |shape| self.compiled_variants(shape))?;
        self.tuning = Some(tuning);
        Ok(self)
    }

    /// Stores weights and activations in this precision. A device without the feature `SHADER_F16` packs f16 in pairs into
    /// u32; [`DeviceInfo::storage`] reports it.
    ///
    /// An f16 holds numbers up to 65504. A larger weight is an error when a plan is prepared. A larger activation turns the
    /// outputs of its record into NaN.
    pub fn with_precision(self, precision: Precision) -> Self {
        let native = self.device.features().contains(wgpu::Features::SHADER_F16);
        self.storing(match precision {
            Precision::F32 => Storage::F32,
            Precision::F16 if native => Storage::F16,
            Precision::F16 => Storage::PackedF16,
        })
    }

    /// Stores f16 packed into u32, as on a device without the feature `SHADER_F16`.
    pub fn with_packed_f16(self) -> Self {
        self.storing(Storage::PackedF16)
    }

    fn storing(mut self, storage: Storage) -> Self {
        (self.accelerator.storage, self.info.storage) = (storage, storage);
        // Constants that were uploaded before have another storage.
        self.constants = ConstantCache::default();
        self
    }

    /// Loads compiled pipelines from a file, and saves new ones to it. It is for drivers that have no cache of their own;
    /// only Vulkan supports it. Drivers trust the bytes: name a file that only trusted users can write.
    ///
    /// A cache is never a reason to fail. Problems with the file, now or when it is written, are logged as warnings, and
    /// pipelines are compiled as without a cache. A file that is damaged or was made for another adapter, driver or build is
    /// replaced.
    pub fn with_pipeline_cache(mut self, path: impl Into<PathBuf>) -> Self {
        self.pipelines.cache = PipelineCache::open(&self.device, &self.machine, path.into());
        self
    }

    /// Does not use subgroups, as on a device without them.
    pub fn without_subgroups(mut self) -> Self {
        self.accelerator.subgroup_size = None;
        self
    }

    /// Returns the properties that the choice among variants depends on.
    pub fn accelerator(&self) -> Accelerator {
        self.accelerator
    }

    /// Names the variant that runs each step of a plan, and the others that the device could run, after those that it refuses
    /// or computes wrongly have been replaced. A step that is fused with the one before has no variant of its own.
    ///
    /// # Errors
    /// The device cannot run the plan, or failed.
    pub fn variant_names(&self, plan: &Plan) -> Result<Vec<Vec<&'static str>>> {
        self.prepare(plan)?;
        let Choice { fused, layouts, variants } = block_on(self.choose(|| self.fused(plan)))?;
        let mut names = Vec::with_capacity(plan.steps.len());
        for ((step, chosen), source_steps) in fused.plan.steps.iter().zip(variants).zip(fused.source_steps) {
            let others =
                self.variants(&StepShape::new(step, &layouts, self.info.storage)).into_iter().map(|it| it.name);
            names.push([chosen.name].into_iter().chain(others.filter(|name| *name != chosen.name)).collect());
            names.resize(names.len() + source_steps - 1, Vec::new());
        }
        Ok(names)
    }

    /// Whether the device could run a step of a plan, fused or not, by the variant of this name.
    pub fn has_variant(&self, plan: &Plan, name: &str) -> bool {
        [FusedPlan::unfused(plan), self.fused(plan)].iter().any(|fused| {
            let layouts = self.layouts(&fused.plan);
            let shapes = fused.plan.steps.iter().map(|step| StepShape::new(step, &layouts, self.info.storage));
            shapes.flat_map(|shape| self.variants(&shape)).any(|variant| variant.name == name)
        })
    }

    /// Describes the adapter and the driver for which a tuning is valid.
    pub(crate) fn machine(&self) -> Machine {
        self.machine.clone()
    }

    /// Prepares a plan for inference, see [`Backend::prepare`].
    async fn prepare_inference(&self, plan: &Plan) -> Result<Box<dyn Executor>> {
        plan.check()?;
        check_stateless(plan)?;
        self.faults.check()?;
        let executor: Result<GpuExecutor> = self.prepare_checked(plan).await;
        // An upload may have failed for lack of memory. The next attempt repeats all uploads.
        Ok(Box::new(executor.inspect_err(|_| self.constants.clear())?))
    }

    /// Chooses the row layouts of a plan's buffers.
    fn layouts(&self, plan: &Plan) -> Layouts {
        Layouts::new(plan, self.info.storage)
    }

    /// Fuses a plan for this device. Max pools of two are always fused to the convolution before them. A global average pool
    /// and a linear layer are fused if the device can run the result, unless a forced variant is one of either alone.
    fn fused(&self, plan: &Plan) -> FusedPlan {
        let with_max_pools = FusedPlan::unfused(plan).with_fused_max_pools();
        if self.forced.as_deref().is_some_and(|forced| self.forces_pool_or_linear(plan, forced)) {
            return with_max_pools;
        }
        match with_max_pools.clone().with_fused_pooled_linear() {
            Some(fused) if self.can_run_fused_steps(&fused) => fused,
            _ => with_max_pools,
        }
    }

    /// Whether a global average pool or a linear layer has a variant of this name.
    fn forces_pool_or_linear(&self, plan: &Plan, forced: &str) -> bool {
        let layouts = self.layouts(plan);
        let of_pooled_linear = |step: &&Step| matches!(step.kernel, Kernel::GlobalAveragePool(_) | Kernel::Linear(_));
        plan.steps.iter().filter(of_pooled_linear).any(|step| {
            self.variants(&StepShape::new(step, &layouts, self.info.storage)).iter().any(|it| it.name == forced)
        })
    }

    /// Whether every fused step has a variant that has not been refused.
    fn can_run_fused_steps(&self, fused: &FusedPlan) -> bool {
        let layouts = self.layouts(&fused.plan);
        fused
            .plan
            .steps
            .iter()
            .zip(&fused.source_steps)
            .all(|(step, &source_steps)| source_steps == 1 || self.variant(step, &layouts).is_ok())
    }

    /// Lists the variants of a step that this device can run, the one estimated to be the fastest first.
    fn variants(&self, shape: &StepShape) -> Vec<Variant> {
        shape.kernel.on_gpu().variants(&[shape.x, shape.y], &self.accelerator)
    }

    /// Lists the same variants with the sources that are compiled, for hashing.
    fn compiled_variants(&self, shape: &StepShape) -> Vec<Variant> {
        let mut variants = self.variants(shape);
        for Variant { shader, .. } in &mut variants {
            shader.source = self.pipelines.source(shader).into();
        }
        variants
    }
}

impl Backend for Gpu {
    fn info(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn largest_batch(&self, plan: &Plan) -> Result<usize> {
        plan.check()?;
        let mut batch = batch_by_memory(plan).min(self.batch_by_operations(plan)).min(self.largest_grid());
        let plan = &self.fused(plan).plan;
        let layouts = self.layouts(plan);
        for (id, buffer) in plan.buffers.iter().enumerate() {
            let times = self.check_buffer(plan, &layouts, id, Purpose::Inference)?;
            if buffer.constant().is_none() {
                batch = batch.min(times as usize);
            }
        }
        for step in &plan.steps {
            self.check_grid(&step.name, &self.variant(step, &layouts)?, Purpose::Inference)?;
        }
        Ok(batch)
    }

    /// Returns two: the device computes one request while the host fills or reads the buffers of the other.
    fn concurrency(&self) -> usize {
        2
    }

    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>> {
        block_on(self.prepare_inference(plan))
    }

    fn prepare_async<'a>(&'a self, plan: &'a Plan) -> DeviceFuture<'a, Box<dyn Executor>> {
        Box::pin(self.prepare_inference(plan))
    }

    #[cfg(feature = "gradients")]
    fn prepare_training(&self, plan: &Plan) -> Result<Box<dyn super::Trainer>> {
        plan.check()?;
        self.faults.check()?;
        let trainer = block_on(training::GpuTrainer::new(self, plan));
        Ok(Box::new(trainer.inspect_err(|_| self.constants.clear())?))
    }
}
