//! The operations of training: augmentations, gradients, batch norm by batch statistics, losses and the optimiser.
//!
//! A gradient with respect to an input is named `dx`, one with respect to an output `dy`. In shaders the buffer of dx is
//! named `gradient`, because DXC has a namespace `dx`. The gradient of a convolution or a linear layer with respect to its
//! input is a convolution or a linear layer itself, with weights that [`Gather`] reorders.
//!
//! Batch statistics are computed per group: if the two views of each record are one batch, its first half is one view and
//! its second half the other, and each half is normalised separately.

mod adam;
pub mod augment;
mod batch_norm;
mod channel_sum;
mod conv1d_weight_gradient;
mod cosine_loss;
mod depth_to_space;
mod dropout;
mod gather;
mod global_average_pool_gradient;
mod l2_normalise;
mod linear_interpolation;
mod max_pool_gradient;
mod nt_xent;
mod relu;
mod squared_sums;
mod supervised_loss;

pub use batch_norm::Groups;
pub use l2_normalise::SMALLEST_NORM;
pub use supervised_loss::SupervisedLossKind;

use super::{Operation, RowLayout, Shader, Source, component, declarations, list};

list::operations! {
    /// Any operation that only training uses.
    pub enum Training as super::Kernel::Training {
        adam::Adam,
        augment::BandPass,
        augment::Draw,
        augment::Mix,
        augment::MixLabels,
        augment::ScaleLeads,
        augment::TemporalDropout,
        augment::TimeWarp,
        augment::WanderAndNoise,
        batch_norm::BatchNorm,
        batch_norm::BatchNormGradientSums,
        batch_norm::BatchNormInputGradient,
        batch_norm::BatchStatistics,
        batch_norm::RunningStatistics,
        channel_sum::ChannelSum,
        conv1d_weight_gradient::Conv1dWeightGradient,
        cosine_loss::CosineLoss,
        cosine_loss::CosineLossGradient,
        depth_to_space::DepthToSpace,
        dropout::Dropout,
        gather::Gather,
        global_average_pool_gradient::GlobalAveragePoolGradient,
        l2_normalise::L2Normalise,
        l2_normalise::L2NormaliseGradient,
        linear_interpolation::LinearInterpolation,
        max_pool_gradient::MaxPoolGradient,
        nt_xent::NtXentGradient,
        nt_xent::NtXentLoss,
        nt_xent::Similarity,
        relu::Relu,
        relu::ReluGradient,
        squared_sums::SquaredSums,
        supervised_loss::SupervisedLoss,
        supervised_loss::SupervisedLossGradient,
    }
}

/// Invocations of a workgroup in most of the shaders.
const WORKGROUP: usize = 64;

/// Makes the shader shaders/training/`name`.wgsl with the values of its `override` declarations.
macro_rules! shader {
    ($name:literal, $constants:expr) => {
        crate::kernels::Shader {
            constants: $constants.to_vec(),
            ..crate::kernels::Shader::new(
                concat!("training/", $name),
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/training/", $name, ".wgsl")),
            )
        }
    };
}
use shader;

/// The constants of a shader without `override` declarations.
const NO_CONSTANTS: [(&str, f64); 0] = [];

/// Splits a seed into the two words of a Philox key.
fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// Adds the functions that draw random numbers from `seed` at the line `//# philox` of a shader.
fn with_philox(mut shader: Shader, seed: u64) -> Shader {
    let philox = include_str!("../../../shaders/training/philox.wgsl");
    shader.source = Source::filled(shader.source, move || [("philox", vec![philox.into()])]);
    let [key_0, key_1] = key(seed).map(f64::from);
    shader.constants.extend([("KEY_0", key_0), ("KEY_1", key_1)]);
    shader
}

/// Adds sine and cosine at the line `//# sine_cosine` of a shader.
fn with_sine_cosine(mut shader: Shader) -> Shader {
    let sine_cosine = include_str!("../../../shaders/training/sine_cosine.wgsl");
    shader.source = Source::filled(shader.source, move || [("sine_cosine", vec![sine_cosine.into()])]);
    shader
}

/// The number of a buffer at which the first sample is stored.
fn first(layout: RowLayout) -> usize {
    layout.base_offset + layout.offset
}

/// The grid of a number of workgroups in one line, which may be longer than one dimension of a grid.
fn line(workgroups: usize) -> [usize; 3] {
    const LONGEST: usize = 1 << 15;
    if workgroups <= LONGEST { [workgroups, 1, 1] } else { [LONGEST, workgroups.div_ceil(LONGEST), 1] }
}

/// Computes the reference of an operation row by row.
fn by_rows(operation: &impl Operation, reads: &[&[f64]], write: &mut [f64]) {
    let length = write.len() / operation.independent_rows();
    for (row, write) in write.chunks_mut(length).enumerate() {
        operation.reference_row(reads, row, write);
    }
}

/// Whether layouts are equal and of whole vec4s, as [`needs_aligned_rows`](super::GpuOperation::needs_aligned_rows) demands.
fn equal_and_aligned(layouts: &[RowLayout]) -> bool {
    let aligned = |layout: &RowLayout| layout.base_offset.is_multiple_of(4) && layout.pitch.is_multiple_of(4);
    layouts.iter().all(|layout| *layout == layouts[0] && aligned(layout))
}

/// The numbers that change from training step to training step, an input of [`Schedule::LEN`] numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Steps before this one: the counter of the random numbers.
    pub step: u32,
    /// The learning rate. At 0, parameters and moments do not change.
    pub learning_rate: f64,
    /// 1 − β₁ᵗ and 1 − β₂ᵗ of [`Adam`], where t is the number of the step from 1.
    pub corrections: [f64; 2],
    /// The share of the old target network that stays, for [`LinearInterpolation`].
    pub target_momentum: f64,
    /// The share of the gradient so far and that of the current part of the batch, for [`LinearInterpolation`].
    pub accumulate: [f64; 2],
    /// The share of the old average of the parameters that stays, for [`LinearInterpolation`].
    pub average_decay: f64,
}

impl Schedule {
    /// The length of the input.
    pub const LEN: usize = 10;
    /// The index of [`Schedule::step`], which is below 2²⁴, so that an f32 holds it exactly.
    pub(crate) const STEP: usize = 0;
    /// The index of the learning rate.
    pub(crate) const LEARNING_RATE: usize = 1;
    /// The index of the first of the two corrections.
    pub(crate) const CORRECTIONS: usize = 2;
    /// The index of the first of the two factors of the target network: its momentum and 1 − momentum.
    pub const TARGET: usize = 4;
    /// The index of the first of the two factors of a sum of gradients.
    pub const ACCUMULATE: usize = 6;
    /// The index of the first of the two factors of the average of the parameters: its decay and 1 − decay.
    pub const AVERAGE: usize = 8;

    /// The numbers in the order in which operations read them.
    pub fn numbers(&self) -> [f32; Self::LEN] {
        let [first, second] = self.corrections;
        let [kept, share] = self.accumulate;
        let target = [self.target_momentum, 1.0 - self.target_momentum];
        let average = [self.average_decay, 1.0 - self.average_decay];
        let numbers = [
            f64::from(self.step),
            self.learning_rate,
            first,
            second,
            target[0],
            target[1],
            kept,
            share,
            average[0],
            average[1],
        ];
        numbers.map(|number| number as f32)
    }
}
