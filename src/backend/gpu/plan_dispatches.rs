//! Builds the dispatches of a plan: for each step its variant with the resources that it reads and writes.

use super::{
    Gpu,
    device_memory::{DeviceMemory, constant},
    dispatch::{Dispatch, Resource, UncompiledDispatch},
    faults,
    layouts::Layouts,
    overflow::Overflow,
};
use crate::{Result, kernels::Variant, plan::Plan};

/// Collects the dispatches of a plan's steps.
pub(super) struct PlanDispatches<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) plan: &'a Plan,
    pub(super) layouts: &'a Layouts,
    pub(super) memory: &'a DeviceMemory,
    overflow: Option<&'a Overflow>,
    /// The dispatches so far, each with its step. Training has several for some steps.
    dispatches: Vec<(usize, UncompiledDispatch<'a>)>,
}

impl<'a> PlanDispatches<'a> {
    pub(super) fn new(
        gpu: &'a Gpu,
        (plan, layouts): (&'a Plan, &'a Layouts),
        memory: &'a DeviceMemory,
        overflow: Option<&'a Overflow>,
    ) -> Self {
        Self { gpu, plan, layouts, memory, overflow, dispatches: Vec::with_capacity(plan.steps.len()) }
    }

    /// Adds all steps of the plan, each run by its variant.
    ///
    /// # Errors
    /// A weight cannot be stored, the weights are too many to be packed, or the device has no memory for them.
    pub(super) async fn add_steps(&mut self, variants: Vec<Variant>) -> Result<()> {
        let device = &self.gpu.device;
        let mut variants = variants.into_iter().enumerate();
        faults::scoped(device, || variants.try_for_each(|(at, variant)| self.add_step(at, variant))).await
    }

    /// Adds a step, run by `variant`. In training this includes the packing of weights that change, before the step, and
    /// the sum of partial results, after it.
    ///
    /// # Errors
    /// A weight cannot be stored, or the weights are too many to be packed.
    fn add_step(&mut self, at: usize, variant: Variant) -> Result<()> {
        let step = &self.plan.steps[at];
        log::debug!("step {} runs as {} of {}", step.name, variant.name, step.kernel.name());
        let mut resources = Vec::with_capacity(step.reads.len() + 2);
        for (read, &id) in step.reads.iter().enumerate() {
            let storage = self.layouts.of(id).storage;
            resources.push(match self.plan.buffers[id].constant() {
                Some(values) => constant(self.gpu, step, &variant, read, (values, storage))?,
                #[cfg(feature = "gradients")]
                None if read > 0 && !step.kernel.operation().constants().is_empty() => {
                    Resource::Buffer(self.pack_on_device(at, variant.packing, read)?)
                }
                None => Resource::Buffer(self.memory.slice(id).clone()),
            });
        }
        #[cfg(feature = "gradients")]
        if variant.parts > 1 {
            self.push_with_sum(at, variant, resources);
            return Ok(());
        }
        resources.push(Resource::Buffer(self.memory.slice(step.write).clone()));
        let overflow = self.overflow.filter(|_| variant.shader.notes_overflow);
        resources.extend(overflow.map(|overflow| Resource::whole(overflow.buffer.clone())));
        self.push(at, variant, resources);
        Ok(())
    }

    /// Adds a dispatch.
    pub(super) fn push(&mut self, step: usize, variant: Variant, resources: Vec<Resource>) {
        let name = &self.plan.steps[step].name;
        self.dispatches.push((step, UncompiledDispatch { name, variant, resources }));
    }

    /// Returns the name of the step and the variant of each dispatch.
    pub(super) fn variants(&self) -> impl Iterator<Item = (&str, &Variant)> {
        self.dispatches.iter().map(|(_, dispatch)| (dispatch.name, &dispatch.variant))
    }

    /// Compiles all dispatches. Returns each with its step.
    ///
    /// # Errors
    /// The device refuses a pipeline.
    pub(super) async fn compile(self) -> Result<Vec<(usize, Dispatch)>> {
        let (steps, uncompiled): (Vec<usize>, Vec<UncompiledDispatch>) = self.dispatches.into_iter().unzip();
        Ok(steps.into_iter().zip(Dispatch::compile(self.gpu, &uncompiled).await?).collect())
    }
}
