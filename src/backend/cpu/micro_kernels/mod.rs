//! The micro-kernels: the inner loops of the CPU backend, each written once over the vectors of [`simd`] and compiled for
//! every instruction set by [`instructions`].
//!
//! A micro-kernel gets slices, sizes and pitches. It does not know plans, layouts or threads.

#[cfg(feature = "gradients")]
pub(crate) mod batch_norm;
pub(crate) mod filter_transform;
pub(crate) mod instructions;
#[cfg(feature = "gradients")]
pub(crate) mod outer_product;
pub(crate) mod packing;
pub(crate) mod pool;
pub(crate) mod simd;
pub(crate) mod tile;
pub(crate) mod transpose;
pub(crate) mod winograd;

pub(crate) use instructions::MicroKernels;
