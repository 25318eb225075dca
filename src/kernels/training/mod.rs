//! What training adds to a plan: augmentations, the gradients of the operations, batch norm by batch statistics, losses,
//! optimiser.
//!
//! A gradient by an input is written `dx`, that by an output `dy`. An operation that is its own reverse with other
//! weights has no kernel here: the gradient of a convolution or a linear layer by its input is a convolution or a
//! linear layer whose weights [`Gather`] has turned.
//!
//! Batch statistics are those of a group: the two views of a record pass in one batch, the first half one view, the
//! second half the other, and each half is normalised by itself.

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

use super::{Operation, RowLayout, Shader, fill};
use augment::{BandPass, Draw, Mix, MixLabels, TemporalDropout, TimeWarp, WanderAndNoise};

pub use adam::Adam;
pub use batch_norm::{
    BatchNorm, BatchNormGradientSums, BatchNormInputGradient, BatchStatistics, Groups, RunningStatistics,
};
pub use channel_sum::ChannelSum;
pub use conv1d_weight_gradient::Conv1dWeightGradient;
pub use cosine_loss::{CosineLoss, CosineLossGradient};
pub use depth_to_space::DepthToSpace;
pub use dropout::Dropout;
pub use gather::Gather;
pub use global_average_pool_gradient::GlobalAveragePoolGradient;
pub use l2_normalise::{L2Normalise, L2NormaliseGradient, SMALLEST_NORM};
pub use linear_interpolation::LinearInterpolation;
pub use max_pool_gradient::MaxPoolGradient;
pub use nt_xent::{NtXentGradient, NtXentLoss, Similarity};
pub use relu::{Relu, ReluGradient};
pub use squared_sums::SquaredSums;
pub use supervised_loss::{SupervisedLoss, SupervisedLossGradient, SupervisedLossKind};

/// Invocations of a workgroup in most of the shaders.
const WORKGROUP: usize = 64;

/// The shader shaders/training/`name`.wgsl.
macro_rules! shader {
    ($name:literal, $constants:expr) => {
        crate::kernels::Shader {
            name: concat!("training/", $name),
            source: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/training/", $name, ".wgsl")).into(),
            constants: $constants.to_vec(),
            notes_overflow: false,
            textures: &[],
        }
    };
}
use shader;

/// A shader without constants.
const NO_CONSTANTS: [(&str, f64); 0] = [];

/// The two words of a seed.
fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// A shader with random numbers of this seed, which stand where its text has the line `//# philox`.
fn drawing(mut shader: Shader, seed: u64) -> Shader {
    let philox = include_str!("../../../shaders/training/philox.wgsl");
    shader.source = fill(&shader.source, &[("philox", vec![philox.into()])]).into();
    let [key_0, key_1] = key(seed).map(f64::from);
    shader.constants.extend([("KEY_0", key_0), ("KEY_1", key_1)]);
    shader
}

/// A shader with sine and cosine, which stand where its text has the line `//# sine_cosine`.
fn with_sine_cosine(mut shader: Shader) -> Shader {
    let turn = include_str!("../../../shaders/training/sine_cosine.wgsl");
    shader.source = fill(&shader.source, &[("sine_cosine", vec![turn.into()])]).into();
    shader
}

/// Where the first sample lies.
fn first(row: RowLayout) -> usize {
    row.base_offset + row.offset
}

/// Workgroups for so many of them in one line, which may be longer than one dimension of a grid.
fn line(workgroups: usize) -> [usize; 3] {
    const LONGEST: usize = 1 << 15;
    if workgroups <= LONGEST { [workgroups, 1, 1] } else { [LONGEST, workgroups.div_ceil(LONGEST), 1] }
}

/// The reference of an operation whose rows are computed apart.
fn by_rows(operation: &impl Operation, reads: &[&[f64]], write: &mut [f64]) {
    let length = write.len() / operation.rows_apart();
    for (row, write) in write.chunks_mut(length).enumerate() {
        operation.reference_row(reads, row, write);
    }
}

/// Whether rows are equal and of whole vec4s, as an operation needs that is [`Operation::aligned`].
fn equal(rows: &[RowLayout]) -> bool {
    rows.iter().all(|row| *row == rows[0] && row.base_offset.is_multiple_of(4) && row.pitch.is_multiple_of(4))
}

/// What changes from step to step, in the order of the numbers that the host hands in: [`Schedule::LEN`] floats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Steps before this one, as the counter of the random numbers.
    pub step: u32,
    /// Learning rate; 0 leaves parameters and moments as they are.
    pub learning_rate: f64,
    /// 1 − β₁ᵗ and 1 − β₂ᵗ of [`Adam`], t counting from 1.
    pub corrections: [f64; 2],
    /// How much of the target network stays, for [`LinearInterpolation`].
    pub target_momentum: f64,
    /// What is left of the gradient so far and the share of this part of the batch, for [`LinearInterpolation`].
    pub accumulate: [f64; 2],
}

impl Schedule {
    /// Numbers of the input.
    pub const LEN: usize = 8;
    /// Where [`Schedule::step`] stands: below 2²⁴, so that an f32 holds it.
    pub const STEP: usize = 0;
    /// Where the learning rate stands.
    pub const LEARNING_RATE: usize = 1;
    /// Where the two corrections stand.
    pub const CORRECTIONS: usize = 2;
    /// Where the two factors of the target network stand: its momentum, and 1 less it.
    pub const TARGET: usize = 4;
    /// Where the two factors of a sum of gradients stand.
    pub const ACCUMULATE: usize = 6;

    /// The numbers as kernels read them.
    pub fn numbers(&self) -> [f32; Self::LEN] {
        let [first, second] = self.corrections;
        let [kept, share] = self.accumulate;
        let target = [self.target_momentum, 1.0 - self.target_momentum];
        let numbers = [f64::from(self.step), self.learning_rate, first, second, target[0], target[1], kept, share];
        numbers.map(|number| number as f32)
    }
}

/// Any operation that only training needs. Shapes and meaning stand with each.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each variant is the operation of its name")]
pub enum Training {
    Adam(Adam),
    BandPass(BandPass),
    BatchNorm(BatchNorm),
    BatchNormGradientSums(BatchNormGradientSums),
    BatchNormInputGradient(BatchNormInputGradient),
    BatchStatistics(BatchStatistics),
    LinearInterpolation(LinearInterpolation),
    ChannelSum(ChannelSum),
    Conv1dWeightGradient(Conv1dWeightGradient),
    CosineLoss(CosineLoss),
    CosineLossGradient(CosineLossGradient),
    Draw(Draw),
    Dropout(Dropout),
    Gather(Gather),
    GlobalAveragePoolGradient(GlobalAveragePoolGradient),
    DepthToSpace(DepthToSpace),
    L2Normalise(L2Normalise),
    L2NormaliseGradient(L2NormaliseGradient),
    MaxPoolGradient(MaxPoolGradient),
    Mix(Mix),
    MixLabels(MixLabels),
    NtXentGradient(NtXentGradient),
    NtXentLoss(NtXentLoss),
    Relu(Relu),
    ReluGradient(ReluGradient),
    RunningStatistics(RunningStatistics),
    Similarity(Similarity),
    SquaredSums(SquaredSums),
    SupervisedLoss(SupervisedLoss),
    SupervisedLossGradient(SupervisedLossGradient),
    TemporalDropout(TemporalDropout),
    TimeWarp(TimeWarp),
    WanderAndNoise(WanderAndNoise),
}

macro_rules! each {
    ($self:expr, $kernel:ident => $result:expr, $($name:ident)*) => {
        match $self { $(Training::$name($kernel) => $result,)* }
    };
}

impl Training {
    /// The operation behind the name.
    pub fn operation(&self) -> &dyn Operation {
        each!(self, kernel => kernel,
            Adam BandPass BatchNorm BatchNormGradientSums BatchNormInputGradient BatchStatistics LinearInterpolation ChannelSum
            Conv1dWeightGradient CosineLoss CosineLossGradient Draw Dropout Gather GlobalAveragePoolGradient DepthToSpace
            L2Normalise L2NormaliseGradient MaxPoolGradient Mix MixLabels NtXentGradient NtXentLoss Relu
            ReluGradient RunningStatistics Similarity SquaredSums SupervisedLoss SupervisedLossGradient TemporalDropout
            TimeWarp WanderAndNoise)
    }
}

macro_rules! into_kernel {
    ($($name:ident)*) => {
        $(impl From<$name> for super::Kernel {
            fn from(kernel: $name) -> Self {
                super::Kernel::Training(Training::$name(kernel))
            }
        })*
    };
}

into_kernel!(
    Adam BandPass BatchNorm BatchNormGradientSums BatchNormInputGradient BatchStatistics LinearInterpolation ChannelSum
    Conv1dWeightGradient CosineLoss CosineLossGradient Draw Dropout Gather GlobalAveragePoolGradient DepthToSpace
    L2Normalise L2NormaliseGradient MaxPoolGradient Mix MixLabels NtXentGradient NtXentLoss Relu
    ReluGradient RunningStatistics Similarity SquaredSums SupervisedLoss SupervisedLossGradient TemporalDropout
    TimeWarp WanderAndNoise
);
