//! Training on a GPU: a plan with states that stay on the device from run to run.
//!
//! A variant may read its weights in an order of its own. The host packs constants; weights that change are packed on the
//! device by a gather, whose indices come from packing the numbers 1, 2, 3, …

use std::time::Duration;

use super::{
    Gpu,
    buffer::{BufferSlice, filled, zeroed},
    choice::Choice,
    device_memory::{DeviceMemory, f32_bytes},
    dispatch::Resource,
    faults,
    limits::Purpose,
    plan_dispatches::PlanDispatches,
    prepared_plan::PreparedPlan,
    profile, texture,
    waiting::block_on,
};
use crate::{
    Error, ErrorKind, Hint, Result,
    backend::{Trainer, check_inputs, check_state},
    kernels::{
        Kernel, Packing, RowLayout, Storage, Variant,
        training::{ChannelSum, Gather},
    },
    plan::{BufferId, FusedPlan, Plan, Role},
};

/// The layout of numbers without gaps.
const DENSE: RowLayout = RowLayout { base_offset: 0, offset: 0, pitch: 1, storage: Storage::F32 };

/// The most numbers that a gather can move: f32 holds larger indices only with gaps.
const LARGEST_GATHER: usize = 1 << 24;

pub(super) struct GpuTrainer {
    pub(super) prepared: PreparedPlan,
    plan: Plan,
    memory: DeviceMemory,
}

impl GpuTrainer {
    pub(super) async fn new(gpu: &Gpu, plan: &Plan) -> Result<Self> {
        if gpu.info.storage.is_half() {
            let cause = "training in f16: gradients need f32";
            return Err(Error::new(ErrorKind::Usage, cause, "train in f32").with_hint(Hint::UseF32));
        }
        let Choice { layouts, variants, .. } = gpu.choose(|| FusedPlan::unfused(plan)).await?;
        gpu.check_buffers(plan, &layouts, Purpose::Training)?;
        let memory = faults::scoped(&gpu.device, || Ok(DeviceMemory::new(gpu, plan, &layouts))).await?;
        let mut dispatches = PlanDispatches::new(gpu, (plan, &layouts), &memory, None);
        dispatches.add_steps(variants).await?;
        dispatches.variants().try_for_each(|(step, variant)| gpu.check_grid(step, variant, Purpose::Training))?;
        let dispatches = dispatches.compile().await?;
        let channels: Vec<_> = plan.outputs.iter().map(|&id| 0..plan.buffers[id].shape[1]).collect();
        let prepare = || Ok(PreparedPlan::new(gpu, (plan, &layouts), &channels, &memory, dispatches, None));
        let prepared = faults::scoped(&gpu.device, prepare).await?;
        Ok(Self { prepared, plan: plan.clone(), memory })
    }

    /// Returns the buffer of a state.
    ///
    /// # Errors
    /// The plan has no such state.
    fn state_buffer(&self, state: BufferId) -> Result<&wgpu::Buffer> {
        match self.plan.buffers.get(state).map(|buffer| &buffer.role) {
            Some(Role::State(_)) => Ok(&self.memory.slice(state).buffer),
            _ => {
                let cause = format!("buffer {state} is no state");
                Err(Error::new(ErrorKind::Usage, cause, "name one of the plan's states"))
            }
        }
    }
}

impl Trainer for GpuTrainer {
    fn run(&mut self, inputs: &[&[f32]], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        check_inputs(&self.plan, inputs)?;
        block_on(async {
            let in_flight = self.prepared.start(0, inputs).await?;
            self.prepared.finish(in_flight, outputs).await
        })
    }

    fn state(&mut self, state: BufferId) -> Result<Vec<f32>> {
        Ok(bytemuck::cast_slice(&block_on(self.prepared.read_buffer(self.state_buffer(state)?))?).to_vec())
    }

    fn set_state(&mut self, state: BufferId, values: &[f32]) -> Result<()> {
        let buffer = self.state_buffer(state)?;
        check_state(&self.plan, state, values)?;
        let PreparedPlan { device, queue, faults, .. } = &self.prepared;
        block_on(faults.guard(device, || {
            queue.write_buffer(buffer, 0, bytemuck::cast_slice(values));
            Ok(())
        }))
    }

    fn profile(&mut self, inputs: &[&[f32]]) -> Result<Vec<Duration>> {
        check_inputs(&self.plan, inputs)?;
        block_on(self.prepared.profile(inputs))?.ok_or_else(profile::unusable)
    }
}

impl PlanDispatches<'_> {
    /// Adds the packing of a step's trained weights and returns the packed weights. If the order is that of the plan, the
    /// weights are returned as they are.
    ///
    /// # Errors
    /// The weights are more than a gather can move.
    pub(super) fn pack_on_device(&mut self, at: usize, packing: Packing, read: usize) -> Result<BufferSlice> {
        let step = &self.plan.steps[at];
        let id = step.reads[read];
        let (weights, layout, from) = (self.memory.slice(id).clone(), self.layouts.of(id), self.plan.buffers[id].len());
        if from > LARGEST_GATHER {
            let cause = format!("step {} has {from} weights, more than {LARGEST_GATHER}", step.name);
            let error = Error::new(ErrorKind::Shape, cause, "train a smaller network, or use the CPU");
            return Err(error.with_hint(Hint::UseCpu));
        }
        let counting: Vec<f32> = (1..=from).map(|index| index as f32).collect();
        let order = packing.pack(&step.kernel, read, &counting);
        if order == counting && layout.base_offset + layout.offset == 0 {
            return Ok(weights);
        }
        let length = order.len();
        let size = texture::rounded_up_to_rows(f32_bytes(length));
        let packed = BufferSlice::whole(zeroed(&self.gpu.device, &step.name, size));
        let order = filled(self.gpu, &step.name, bytemuck::cast_slice(&order), wgpu::BufferUsages::STORAGE);
        let dense = RowLayout { pitch: length, ..DENSE };
        let resources = [weights, BufferSlice::whole(order), packed.clone()].map(Resource::Buffer);
        self.push_kernel(at, &Gather { from, length }.into(), &[layout, dense, dense], resources.into());
        Ok(packed)
    }

    /// Adds a step whose variant writes partial results, and their sum. `reads` are the resources that the step reads.
    pub(super) fn push_with_sum(&mut self, at: usize, variant: Variant, reads: Vec<Resource>) {
        let step = &self.plan.steps[at];
        let (parts, channels) = (variant.parts, self.plan.buffers[step.write].len());
        let partial = Resource::whole(zeroed(&self.gpu.device, &step.name, f32_bytes(parts * channels)));
        self.push(at, variant, reads.into_iter().chain([partial.clone()]).collect());
        let sum = ChannelSum { batch: parts, channels, samples: 1 };
        let write = Resource::Buffer(self.memory.slice(step.write).clone());
        self.push_kernel(at, &sum.into(), &[DENSE, self.layouts.of(step.write)], vec![partial, write]);
    }

    /// Adds a dispatch of an operation that the plan does not have.
    fn push_kernel(&mut self, step: usize, kernel: &Kernel, layouts: &[RowLayout], resources: Vec<Resource>) {
        // Gathers and sums accept every layout, so that there is a variant.
        let variant = kernel.on_gpu().variants(layouts, &self.gpu.accelerator).swap_remove(0);
        self.push(step, variant, resources);
    }
}
