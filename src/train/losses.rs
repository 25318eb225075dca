//! The losses of the objectives: each adds the loss and its gradient to the plan.

use super::gradient_tape::GradientTape;
use crate::{
    Result,
    kernels::training::{
        CosineLoss, CosineLossGradient, L2Normalise, L2NormaliseGradient, NtXentGradient, NtXentLoss, Similarity,
        SupervisedLoss, SupervisedLossGradient, SupervisedLossKind,
    },
    plan::BufferId,
};

impl GradientTape<'_> {
    /// Adds a supervised loss of the logits y `[batch, classes]`. Returns the losses and the gradient with respect to y.
    pub(super) fn supervised_loss(
        &mut self,
        y: BufferId,
        labels: BufferId,
        kind: SupervisedLossKind,
        class_weights: &[f32],
    ) -> Result<(BufferId, BufferId)> {
        let builder = self.builder();
        let shape @ [batch, classes, _] = builder.shape(y);
        let weights = builder.constant("class_weights", &class_weights.into())?;
        let loss = SupervisedLoss { batch, classes, kind };
        let losses = builder.step("loss", loss.clone(), &[y, labels, weights], [1, 1, batch])?;
        let dy = builder.step("loss.gradient", SupervisedLossGradient(loss), &[y, labels, weights], shape)?;
        Ok((losses, dy))
    }

    /// Adds SimCLR's NT-Xent loss of the projections y `[2 · batch, features]`. Returns the losses and the gradient with
    /// respect to y.
    pub(super) fn nt_xent_loss(&mut self, y: BufferId, temperature: f32) -> Result<(BufferId, BufferId)> {
        let builder = self.builder();
        let shape @ [rows, features, _] = builder.shape(y);
        let z = builder.step("normalise", L2Normalise { rows, features }, &[y], shape)?;
        let similarity = Similarity { rows, features, temperature };
        let similarities = builder.step("similarities", similarity.clone(), &[z], [1, rows, rows])?;
        let losses = builder.step("loss", NtXentLoss { rows }, &[similarities], [1, 1, rows])?;
        let dz = builder.step("loss.gradient", NtXentGradient(similarity), &[z, similarities, losses], shape)?;
        let dy = builder.step("normalise.gradient", L2NormaliseGradient { rows, features }, &[y, dz], shape)?;
        Ok((losses, dy))
    }

    /// Adds BYOL's loss: the cosine distance between the predictions p `[2 · batch, features]` and the target's projections
    /// t of the other view. Returns the losses and the gradient with respect to p.
    pub(super) fn cosine_loss(&mut self, p: BufferId, t: BufferId) -> Result<(BufferId, BufferId)> {
        let builder = self.builder();
        let shape @ [rows, features, _] = builder.shape(p);
        let loss = CosineLoss { rows, features };
        let losses = builder.step("loss", loss.clone(), &[p, t], [1, 1, rows])?;
        let dp = builder.step("loss.gradient", CosineLossGradient(loss), &[p, t], shape)?;
        Ok((losses, dp))
    }
}
