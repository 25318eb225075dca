//! Inference on a GPU: a fused plan that is prepared once and run any number of times.

use std::{borrow::Cow, time::Duration};

use super::{
    Executor, Gpu,
    choice::Choice,
    device_memory::DeviceMemory,
    faults,
    layouts::Layouts,
    limits::Purpose,
    overflow::Overflow,
    plan_dispatches::PlanDispatches,
    prepared_plan::{MOST_IN_FLIGHT, PreparedPlan},
    profile,
    waiting::block_on,
};
use crate::{
    Result,
    backend::{DeviceFuture, DeviceInfo, check_input},
    kernels::Variant,
    plan::{FusedPlan, Plan},
};

pub(super) struct GpuExecutor {
    pub(super) prepared: PreparedPlan,
    info: DeviceInfo,
    plan: Plan,
    /// How many steps of the original plan each step replaces.
    source_steps: Vec<usize>,
}

impl GpuExecutor {
    /// Prepares a plan with the variants that were chosen for it.
    pub(super) async fn new(gpu: &Gpu, choice: &Choice) -> Result<Self> {
        Self::with_variants(gpu, choice.fused.clone(), &choice.layouts, choice.variants.clone()).await
    }

    /// Prepares a plan with given layouts and one given variant for each step.
    pub(super) async fn with_variants(
        gpu: &Gpu,
        fused: FusedPlan,
        layouts: &Layouts,
        variants: Vec<Variant>,
    ) -> Result<Self> {
        let plan = fused.plan;
        gpu.check_buffers(&plan, layouts, Purpose::Inference)?;
        let overflow = || gpu.info.storage.is_half().then(|| Overflow::new(gpu, plan.batch));
        let allocate = || Ok((DeviceMemory::new(gpu, &plan, layouts), overflow()));
        let (memory, overflow) = faults::scoped(&gpu.device, allocate).await?;
        let mut dispatches = PlanDispatches::new(gpu, (&plan, layouts), &memory, overflow.as_ref());
        dispatches.add_steps(variants).await?;
        dispatches.variants().try_for_each(|(step, variant)| gpu.check_grid(step, variant, Purpose::Inference))?;
        let dispatches = dispatches.compile().await?;
        let prepare = || Ok(PreparedPlan::new(gpu, (&plan, layouts), &fused.channels, &memory, dispatches, overflow));
        let prepared = faults::scoped(&gpu.device, prepare).await?;
        Ok(Self { prepared, info: gpu.info.clone(), plan, source_steps: fused.source_steps })
    }

    /// Runs the plan once, see [`Executor::run`].
    pub(super) async fn run_once(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        check_input(&self.plan, input)?;
        let in_flight = self.prepared.start(0, &[input]).await?;
        self.prepared.finish(in_flight, outputs).await
    }

    /// Runs the plan on one input after the other, see [`Executor::stream`].
    async fn run_each<'a>(
        &mut self,
        inputs: &mut dyn Iterator<Item = Cow<'a, [f32]>>,
        each: &mut dyn FnMut(&[Vec<f32>], &DeviceInfo),
    ) -> Result<()> {
        let (mut outputs, mut previous) = (Vec::new(), None);
        for (host, input) in (0..MOST_IN_FLIGHT).cycle().zip(inputs) {
            let started = match check_input(&self.plan, &input) {
                Ok(()) => self.prepared.start(host, &[&input]).await,
                Err(error) => Err(error),
            };
            // The previous run has its results, even if this one did not start.
            if let Some(previous) = previous.take() {
                self.prepared.finish(previous, &mut outputs).await?;
                each(&outputs, &self.info);
            }
            previous = Some(started?);
        }
        if let Some(last) = previous {
            self.prepared.finish(last, &mut outputs).await?;
            each(&outputs, &self.info);
        }
        Ok(())
    }
}

impl Executor for GpuExecutor {
    fn run(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        block_on(self.run_once(input, outputs))
    }

    fn stream<'a>(
        &mut self,
        inputs: &mut dyn Iterator<Item = Cow<'a, [f32]>>,
        each: &mut dyn FnMut(&[Vec<f32>], &DeviceInfo),
    ) -> Result<()> {
        block_on(self.run_each(inputs, each))
    }

    fn stream_async<'a, 'b: 'a>(
        &'a mut self,
        inputs: &'a mut dyn Iterator<Item = Cow<'b, [f32]>>,
        each: &'a mut dyn FnMut(&[Vec<f32>], &DeviceInfo),
    ) -> DeviceFuture<'a, ()> {
        Box::pin(self.run_each(inputs, each))
    }

    fn device(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn profile(&mut self, input: &[f32]) -> Result<Vec<Duration>> {
        check_input(&self.plan, input)?;
        let by_step = block_on(self.prepared.profile(&[input]))?.ok_or_else(profile::unusable)?;
        let by_step = by_step.into_iter().zip(&self.source_steps);
        // Steps that a fused step replaces have no time of their own.
        let replaced = |steps: usize| std::iter::repeat_n(Duration::ZERO, steps - 1);
        Ok(by_step.flat_map(|(time, &steps)| std::iter::once(time).chain(replaced(steps))).collect())
    }
}
