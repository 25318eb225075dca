//! Chooses a variant for each step of a plan and compiles it. A variant that the device refuses, or computes wrongly, is
//! replaced by the next.

use super::{Gpu, StepShape, layouts::Layouts, tuning};
use crate::{
    Error, ErrorKind, Hint, Result,
    kernels::{Shader, Variant},
    plan::{FusedPlan, Step},
};

/// A plan with one compiled variant for each step.
pub(super) struct Choice {
    pub(super) fused: FusedPlan,
    pub(super) layouts: Layouts,
    pub(super) variants: Vec<Variant>,
}

impl Choice {
    /// Returns the shaders of all steps.
    pub(super) fn shaders(&self) -> impl Iterator<Item = &Shader> {
        self.variants.iter().map(|variant| &variant.shader)
    }
}

impl Gpu {
    /// Chooses and compiles the variants of the plan that `fuse` returns. It is called again after a refusal, because the
    /// device may not run a fused step then.
    ///
    /// # Errors
    /// The device refuses every variant of a step, or has none for it.
    pub(super) async fn choose(&self, fuse: impl Fn() -> FusedPlan) -> Result<Choice> {
        loop {
            let fused = fuse();
            let layouts = self.layouts(&fused.plan);
            let steps = &fused.plan.steps;
            let variants = steps.iter().map(|step| self.variant(step, &layouts)).collect::<Result<Vec<Variant>>>()?;
            let shaders: Vec<_> =
                steps.iter().zip(&variants).map(|(step, variant)| (&variant.shader, step.reads.len())).collect();
            let refused = self.pipelines.refused();
            match self.pipelines.compile_missing(&shaders).await {
                Ok(()) => return Ok(Choice { fused, layouts, variants }),
                Err(error) if self.falls_back() && self.pipelines.refused() > refused => {
                    log::warn!(
                        "another shader is used instead of one that {} refuses: {}",
                        self.info.name,
                        error.cause()
                    );
                    self.faults.check()?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether another variant takes the place of one that the device refuses or computes wrongly. A forced variant is
    /// meant itself.
    pub(super) fn falls_back(&self) -> bool {
        self.fallback && self.forced.is_none()
    }

    /// Chooses the variant of a step: the forced one, else the tuned one, else the one estimated to be the fastest of those
    /// that have not been refused.
    ///
    /// # Errors
    /// The device has no variant for the step, or not the tuned one, or refuses all of them.
    pub(super) fn variant(&self, step: &Step, layouts: &Layouts) -> Result<Variant> {
        let shape = StepShape::new(step, layouts, self.info.storage);
        let mut variants = step.kernel.on_gpu().variants(&layouts.of_step(step), &self.accelerator);
        if variants.is_empty() {
            let cause = format!("step {} is not where {} can run it", step.name, self.info.name);
            return Err(Error::new(ErrorKind::Device, cause, "use the float64 reference").with_hint(Hint::UseReference));
        }
        if let Some(forced) = variants.iter().position(|variant| self.forced.as_deref() == Some(variant.name)) {
            return Ok(variants.swap_remove(forced));
        }
        if let Some(tuned) = self.tuning.as_ref().and_then(|tuning| tuning.variant(&shape)) {
            let tuned = tuning::index_of(&shape, tuned, &variants)?;
            variants[..=tuned].rotate_right(1);
        }
        let mut refusal = None;
        for variant in variants {
            match self.pipelines.refusal(&variant.shader).filter(|_| self.falls_back()) {
                None => return Ok(variant),
                Some(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.unwrap_or_else(|| unreachable!("there is a variant")))
    }
}
