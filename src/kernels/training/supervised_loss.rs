//! Weighted binary cross entropy and focal loss (Lin et al. 2017, with its α_t), of several labels per record.
//!
//! With p = σ(z): y·w₁·(1 − p)^γ·(−ln p) + (1 − y)·w₀·p^γ·(−ln(1 − p)) for each class, times the class's weight, averaged
//! over classes and records. Focal loss has γ = 2, w₁ = α = 0.25, w₀ = 1 − α; cross entropy has γ = 0 and both weights 1.
//! Labels y between 0 and 1, as mixed records have them, are mixtures of both terms.

use crate::kernels::{Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant};

use super::{WORKGROUP, first, shader};

/// The parameters that distinguish the losses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SupervisedLossKind {
    /// The exponent γ, which reduces the loss of records that are classified well.
    pub(crate) focus: u32,
    /// The weight of a positive label.
    pub(crate) positive: f32,
    /// The weight of a negative label.
    pub(crate) negative: f32,
}

impl SupervisedLossKind {
    /// The binary cross entropy.
    pub const CROSS_ENTROPY: Self = Self { focus: 0, positive: 1.0, negative: 1.0 };
    /// The focal loss with γ = 2 and α = 0.25, which Lin et al. found best.
    pub const FOCAL: Self = Self { focus: 2, positive: 0.25, negative: 0.75 };

    /// Computes the loss of a logit and its derivative, for a positive and for a negative label.
    fn terms(&self, z: f64) -> [[f64; 2]; 2] {
        let (p, gamma) = (1.0 / (1.0 + (-z).exp()), f64::from(self.focus));
        // −ln σ(x) = ln(1 + e^−x), without overflow.
        let entropy = |x: f64| (-x).max(0.0) + (-x.abs()).exp().ln_1p();
        let term = |weight: f32, right: f64, wrong: f64, entropy: f64| {
            let factor = f64::from(weight) * wrong.powi(self.focus as i32);
            [factor * entropy, -factor * (gamma * right * entropy + wrong)]
        };
        let [negative, slope] = term(self.negative, 1.0 - p, p, entropy(-z));
        [term(self.positive, p, 1.0 - p, entropy(z)), [negative, -slope]]
    }

    /// Computes the loss of a logit with label y, from 0 to 1, and its derivative.
    fn mixed(&self, z: f64, y: f64) -> [f64; 2] {
        let [positive, negative] = self.terms(z);
        [0, 1].map(|part| y * positive[part] + (1.0 - y) * negative[part])
    }
}

/// Computes the loss of each record, the mean over its classes.
///
/// Reads logits `[batch, classes]`, labels `[batch, classes]`, class weights `[classes]`; writes `[batch]`.
#[derive(Debug, Clone, PartialEq)]
pub struct SupervisedLoss {
    /// Records.
    pub batch: usize,
    /// Classes.
    pub classes: usize,
    /// The loss.
    pub kind: SupervisedLossKind,
}

impl SupervisedLoss {
    /// The variant that computes the losses or the gradient, in a number of invocations.
    fn variant(&self, layouts: &[RowLayout], gradient: bool, invocations: usize) -> Variant {
        let [z, labels, weights, y] = layouts else { unreachable!("the plan gives a loss three reads") };
        let Self { batch, classes, kind } = *self;
        // Mirror of `struct SupervisedLoss` in the shader.
        let parameters = [
            batch,
            classes,
            first(*z),
            z.pitch,
            first(*labels),
            labels.pitch,
            first(*weights),
            y.base_offset,
            y.pitch,
            y.offset,
        ];
        let constants = [
            ("GRADIENT", f64::from(u8::from(gradient))),
            ("FOCUS", f64::from(kind.focus)),
            ("POSITIVE", f64::from(kind.positive)),
            ("NEGATIVE", f64::from(kind.negative)),
        ];
        let grid = [invocations.div_ceil(WORKGROUP), 1, 1];
        Variant::plain(shader!("supervised_loss", constants), parameters, grid)
    }
}

impl SupervisedLoss {
    /// The buffers of logits, labels and class weights.
    fn reads(&self) -> [Extent; 3] {
        let logits = Extent::Activation([self.batch, self.classes, 1]);
        [logits, logits, Extent::Numbers(self.classes)]
    }
}

impl Operation for SupervisedLoss {
    fn extents(&self) -> Option<Extents> {
        Some(Extents::new(self.reads(), Extent::Numbers(self.batch)))
    }

    fn describe(&self) -> String {
        "supervised loss".into()
    }

    fn floating_point_operations(&self) -> u64 {
        12 * self.batch as u64 * self.classes as u64
    }

    fn reference(&self, reads: &[&[f64]], losses: &mut [f64]) {
        let [logits, labels, weights] = reads else { unreachable!("the plan gives a loss three reads") };
        for (b, loss) in losses.iter_mut().enumerate() {
            let mut sum = 0.0;
            for c in 0..self.classes {
                let i = b * self.classes + c;
                sum += weights[c] * self.kind.mixed(logits[i], labels[i])[0];
            }
            *loss = sum / self.classes as f64;
        }
    }
}

impl GpuOperation for SupervisedLoss {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let losses = layouts.last().map_or(0, |losses| losses.pitch);
        vec![self.variant(layouts, false, losses)]
    }
}

/// Computes the gradient of the mean loss of the batch with respect to the logits.
///
/// Reads logits `[batch, classes]`, labels `[batch, classes]`, class weights `[classes]`; writes `[batch, classes]`.
#[derive(Debug, Clone, PartialEq)]
pub struct SupervisedLossGradient(pub SupervisedLoss);

impl Operation for SupervisedLossGradient {
    fn extents(&self) -> Option<Extents> {
        let reads @ [logits, ..] = self.0.reads();
        Some(Extents::new(reads, logits))
    }

    fn describe(&self) -> String {
        "supervised loss gradient".into()
    }

    fn floating_point_operations(&self) -> u64 {
        self.0.floating_point_operations()
    }

    fn reference(&self, reads: &[&[f64]], gradient: &mut [f64]) {
        let [logits, labels, weights] = reads else { unreachable!("the plan gives a loss gradient three reads") };
        let SupervisedLoss { batch, classes, kind } = &self.0;
        for i in 0..batch * classes {
            gradient[i] = weights[i % classes] * kind.mixed(logits[i], labels[i])[1] / (batch * classes) as f64;
        }
    }
}

impl GpuOperation for SupervisedLossGradient {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        vec![self.0.variant(layouts, true, self.0.batch)]
    }
}
