//! The kernels, built for each instruction set, and which of them this processor can run.

#[cfg(feature = "train")]
use super::training::{
    columns::{self, GradientSums, InputGradient, Moments, Normalise},
    outer::{self, OuterTile},
};
use super::{
    filtering::{self, Evaluation, FilteredTile},
    packing::{self, Filters},
    pool::{self, Reduction},
    simd::{self, Simd},
    tile::{self, DirectTile, VECTORS},
};

/// The kernels for one instruction set. Only [`Instructions::available`] hands them out, so the processor has it.
pub(super) struct Kernels {
    /// What the instruction set is called.
    pub(super) name: &'static str,
    /// Numbers in a vector.
    pub(super) lanes: usize,
    /// Channels of a tile, and its rows at most.
    pub(super) panel: usize,
    pub(super) rows: usize,
    pub(super) direct: unsafe fn(&DirectTile),
    pub(super) filtered: unsafe fn(&FilteredTile),
    pub(super) evaluate: unsafe fn(&Evaluation),
    pub(super) filters: unsafe fn(&Filters),
    pub(super) largest: unsafe fn(&mut Reduction),
    pub(super) mean: unsafe fn(&mut Reduction),
    #[cfg(feature = "train")]
    pub(super) training: TrainingKernels,
}

/// What only training runs.
#[cfg(feature = "train")]
pub(super) struct TrainingKernels {
    pub(super) moments: unsafe fn(&mut Moments),
    pub(super) normalise: unsafe fn(&mut Normalise),
    pub(super) gradient_sums: unsafe fn(&mut GradientSums),
    pub(super) input_gradient: unsafe fn(&mut InputGradient),
    pub(super) outer: unsafe fn(&mut OuterTile),
}

/// One module with the kernels for one instruction set.
macro_rules! kernels {
    ($module:ident, $simd:ty, $name:literal $(, #[$features:meta])?) => {
        mod $module {
            use super::*;

            pub(super) static KERNELS: Kernels = Kernels {
                name: $name,
                lanes: <$simd>::LANES,
                panel: VECTORS * <$simd>::LANES,
                rows: <$simd>::ROWS,
                direct,
                filtered,
                evaluate,
                filters,
                largest,
                mean,
                #[cfg(feature = "train")]
                training: TrainingKernels { moments, normalise, gradient_sums, input_gradient, outer },
            };

            // SAFETY (all functions): the same is asked of the caller, and the instruction set is enabled here.
            $(#[$features])?
            unsafe fn direct(tile: &DirectTile) {
                unsafe { tile::direct::<$simd>(tile) }
            }

            $(#[$features])?
            unsafe fn filtered(tile: &FilteredTile) {
                unsafe { filtering::filtered::<$simd>(tile) }
            }

            $(#[$features])?
            unsafe fn evaluate(inputs: &Evaluation) {
                unsafe { filtering::evaluate::<$simd>(inputs) }
            }

            $(#[$features])?
            unsafe fn filters(job: &Filters) {
                unsafe { packing::filters(job) }
            }

            $(#[$features])?
            unsafe fn largest(reduction: &mut Reduction) {
                unsafe { pool::largest::<$simd>(reduction) }
            }

            $(#[$features])?
            unsafe fn mean(reduction: &mut Reduction) {
                unsafe { pool::mean::<$simd>(reduction) }
            }

            #[cfg(feature = "train")]
            $(#[$features])?
            unsafe fn moments(job: &mut Moments) {
                unsafe { columns::moments::<$simd>(job) }
            }

            #[cfg(feature = "train")]
            $(#[$features])?
            unsafe fn normalise(job: &mut Normalise) {
                unsafe { columns::normalise::<$simd>(job) }
            }

            #[cfg(feature = "train")]
            $(#[$features])?
            unsafe fn gradient_sums(job: &mut GradientSums) {
                unsafe { columns::gradient_sums::<$simd>(job) }
            }

            #[cfg(feature = "train")]
            $(#[$features])?
            unsafe fn input_gradient(job: &mut InputGradient) {
                unsafe { columns::input_gradient::<$simd>(job) }
            }

            #[cfg(feature = "train")]
            $(#[$features])?
            unsafe fn outer(job: &mut OuterTile) {
                unsafe { outer::outer::<$simd>(job) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernels!(avx512, simd::Avx512, "AVX-512", #[target_feature(enable = "avx512f")]);
#[cfg(target_arch = "x86_64")]
kernels!(avx2, simd::Avx2, "AVX2", #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "aarch64")]
kernels!(neon, simd::Neon, "NEON", #[target_feature(enable = "neon")]);
kernels!(portable, simd::Portable, "portable");

/// The kernels that this processor can run, the fastest first.
pub(super) fn available() -> Vec<&'static Kernels> {
    let mut available = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            available.push(&avx512::KERNELS);
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            available.push(&avx2::KERNELS);
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        available.push(&neon::KERNELS);
    }
    available.push(&portable::KERNELS);
    available
}
