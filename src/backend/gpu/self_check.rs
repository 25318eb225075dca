//! Compares the results of new pipelines with the CPU's before they are used. A driver may compile a shader wrongly without
//! an error; such a shader is not used again, and another variant takes its place.
//!
//! A plan is compared on two random records, once for each set of shaders in a process: one more run of a small batch. It is
//! compared as a whole. Only if it differs is each step compared with the float64 reference, to find which shader is wrong.

use super::{Gpu, StepShape, choice::Choice, executor::GpuExecutor, pipeline, tune::Trial};
use crate::{
    Error, ErrorKind, Hint, Result,
    backend::{Backend, cpu::Cpu, difference::agreement},
    plan::Plan,
    random::Random,
};

/// The records that are compared. A variant that exchanges records needs two.
const RECORDS: usize = 2;

impl Gpu {
    /// Prepares a plan with variants whose results agree with the CPU's.
    ///
    /// # Errors
    /// The device refuses every variant of a step, or none computes it correctly.
    pub(super) async fn prepare_checked(&self, plan: &Plan) -> Result<GpuExecutor> {
        loop {
            let choice = self.choose(|| self.fused(plan)).await?;
            let mut executor = GpuExecutor::new(self, &choice).await?;
            if !self.falls_back() || self.pipelines.are_checked(choice.shaders()) {
                return Ok(executor);
            }
            let Some(nmse) = self.disagreement(plan, &choice, &mut executor).await? else {
                self.pipelines.set_checked(choice.shaders());
                return Ok(executor);
            };
            if self.refuse_wrong_variants(&choice).await? == 0 {
                return self.accept_or_refuse(executor, &choice, nmse);
            }
        }
    }

    /// Runs the chosen shaders on a few records. Returns the error if the results are not those of the CPU.
    async fn disagreement(&self, plan: &Plan, choice: &Choice, executor: &mut GpuExecutor) -> Result<Option<f64>> {
        // A plan whose records depend on each other, or that the CPU does not compute, has nothing to be compared with.
        let Ok(few) = plan.with_batch(RECORDS.min(plan.batch)) else { return Ok(None) };
        let Ok(mut cpu) = Cpu::with_threads(1).and_then(|cpu| cpu.prepare(&few)) else { return Ok(None) };
        let mut random = Random::new(1, 0);
        let input: Vec<f32> = (0..few.buffers[few.input()].len()).map(|_| random.normal() as f32).collect();
        let (mut expected, mut computed) = (Vec::new(), Vec::new());
        cpu.run(&input, &mut expected)?;
        // The shaders of a small batch are mostly those of a large one.
        let small = if few.batch < plan.batch { self.with_shaders_of(&few, choice) } else { None };
        match small {
            Some(small) => GpuExecutor::new(self, &small).await?.run_once(&input, &mut computed).await?,
            None => {
                let repeated: Vec<f32> =
                    input.iter().copied().cycle().take(input.len() / few.batch * plan.batch).collect();
                executor.run_once(&repeated, &mut computed).await?;
            }
        }
        for (computed, expected) in computed.iter_mut().zip(&expected) {
            computed.truncate(expected.len());
        }
        let storage = self.info.storage;
        Ok(agreement(&computed, &expected, storage).err().filter(|nmse| !(nmse.is_nan() && storage.is_half())))
    }

    /// Chooses the variants of a plan that have the shaders of another choice; none if a step has no such variant.
    fn with_shaders_of(&self, plan: &Plan, choice: &Choice) -> Option<Choice> {
        let fused = self.fused(plan);
        let layouts = self.layouts(&fused.plan);
        let same = |(step, chosen): (&_, &crate::kernels::Variant)| {
            let variants = self.variants(&StepShape::new(step, &layouts, self.info.storage)).into_iter();
            let mut named = variants.filter(|variant| variant.name == chosen.name);
            named.find(|variant| pipeline::key(&variant.shader) == pipeline::key(&chosen.shader))
        };
        let variants = fused.plan.steps.iter().zip(&choice.variants).map(same).collect::<Option<Vec<_>>>()?;
        (variants.len() == choice.variants.len()).then_some(Choice { fused, layouts, variants })
    }

    /// Compares each step alone with the float64 reference and forbids the shaders that are wrong. Returns how many.
    async fn refuse_wrong_variants(&self, choice: &Choice) -> Result<usize> {
        let mut wrong = 0;
        for (step, variant) in choice.fused.plan.steps.iter().zip(&choice.variants) {
            let trial = Trial::new(self, &choice.fused.plan, step);
            let (_, _, fault) = trial.compare(self, variant.clone()).await?;
            let Some(fault) = fault else { continue };
            wrong += 1;
            let (name, device) = (step.kernel.name(), &self.info.name);
            log::warn!("{device} computes {name} wrongly as {} ({fault}): another shader is used", variant.name);
            let cause = format!("{device} computes step {} wrongly ({fault})", step.name);
            self.pipelines.refuse(&variant.shader, wrong_results(cause));
        }
        Ok(wrong)
    }

    /// Judges a plan that differs as a whole while each of its steps is right.
    fn accept_or_refuse(&self, executor: GpuExecutor, choice: &Choice, nmse: f64) -> Result<GpuExecutor> {
        if self.info.storage.is_half() {
            // The weights may be of a kind that rounding to f16 changes much.
            log::warn!("in f16 the results differ from those of the CPU in f32 (NMSE {nmse:.1e})");
            self.pipelines.set_checked(choice.shaders());
            return Ok(executor);
        }
        let cause = format!("{} computes other numbers than the CPU (NMSE {nmse:.1e})", self.info.name);
        Err(wrong_results(cause))
    }
}

fn wrong_results(cause: String) -> Error {
    let remedy = "update its driver, and compare it with the reference";
    Error::new(ErrorKind::Parity, cause, remedy).with_hint(Hint::Verify)
}
