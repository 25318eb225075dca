//! The micro-kernels compiled for each instruction set, and which of them this processor can run.

#[cfg(feature = "gradients")]
use super::{
    batch_norm::{self, GradientSums, InputGradient, Moments, Normalise},
    outer_product::{self, OuterProductTile},
};
use super::{
    filter_transform,
    packing::PanelJob,
    pool::{self, ColumnReduction},
    simd::{self, Simd},
    tile::{self, DirectTile, VECTORS},
    winograd::{self, InputTransform, WinogradTile},
};

/// The micro-kernels for one instruction set. Only [`available`] returns them, so the processor has the instructions.
pub(crate) struct MicroKernels {
    /// The instruction set's name.
    pub(crate) name: &'static str,
    /// The numbers in a vector.
    pub(crate) lanes: usize,
    /// The channels of a tile.
    pub(crate) panel: usize,
    /// The rows of the largest tile.
    pub(crate) rows: usize,
    pub(crate) direct: unsafe fn(&DirectTile),
    pub(crate) winograd: unsafe fn(&WinogradTile),
    pub(crate) transform_input: unsafe fn(&InputTransform),
    pub(crate) transform_filters: unsafe fn(&PanelJob),
    pub(crate) column_max: unsafe fn(&mut ColumnReduction),
    pub(crate) column_mean: unsafe fn(&mut ColumnReduction),
    #[cfg(feature = "gradients")]
    pub(crate) training: TrainingMicroKernels,
}

/// The micro-kernels that only training runs.
#[cfg(feature = "gradients")]
pub(crate) struct TrainingMicroKernels {
    pub(crate) moments: unsafe fn(&mut Moments),
    pub(crate) normalise: unsafe fn(&mut Normalise),
    pub(crate) gradient_sums: unsafe fn(&mut GradientSums),
    pub(crate) input_gradient: unsafe fn(&mut InputGradient),
    pub(crate) outer_product: unsafe fn(&mut OuterProductTile),
}

/// Defines a module with the micro-kernels for one instruction set.
macro_rules! micro_kernels {
    ($module:ident, $simd:ty, $name:literal $(, #[$features:meta])?) => {
        mod $module {
            use super::*;

            pub(super) static MICRO_KERNELS: MicroKernels = MicroKernels {
                name: $name,
                lanes: <$simd>::LANES,
                panel: VECTORS * <$simd>::LANES,
                rows: <$simd>::ROWS,
                direct,
                winograd,
                transform_input,
                transform_filters,
                column_max,
                column_mean,
                #[cfg(feature = "gradients")]
                training: TrainingMicroKernels { moments, normalise, gradient_sums, input_gradient, outer_product },
            };

            // SAFETY (all functions): the caller guarantees the same, and the instruction set is enabled here.
            $(#[$features])?
            unsafe fn direct(tile: &DirectTile) {
                unsafe { tile::direct::<$simd>(tile) }
            }

            $(#[$features])?
            unsafe fn winograd(tile: &WinogradTile) {
                unsafe { winograd::winograd::<$simd>(tile) }
            }

            $(#[$features])?
            unsafe fn transform_input(job: &InputTransform) {
                unsafe { winograd::transform_input::<$simd>(job) }
            }

            $(#[$features])?
            unsafe fn transform_filters(job: &PanelJob) {
                unsafe { filter_transform::transform_filters(job) }
            }

            $(#[$features])?
            unsafe fn column_max(reduction: &mut ColumnReduction) {
                unsafe { pool::column_max::<$simd>(reduction) }
            }

            $(#[$features])?
            unsafe fn column_mean(reduction: &mut ColumnReduction) {
                unsafe { pool::column_mean::<$simd>(reduction) }
            }

            #[cfg(feature = "gradients")]
            $(#[$features])?
            unsafe fn moments(job: &mut Moments) {
                unsafe { batch_norm::moments::<$simd>(job) }
            }

            #[cfg(feature = "gradients")]
            $(#[$features])?
            unsafe fn normalise(job: &mut Normalise) {
                unsafe { batch_norm::normalise::<$simd>(job) }
            }

            #[cfg(feature = "gradients")]
            $(#[$features])?
            unsafe fn gradient_sums(job: &mut GradientSums) {
                unsafe { batch_norm::gradient_sums::<$simd>(job) }
            }

            #[cfg(feature = "gradients")]
            $(#[$features])?
            unsafe fn input_gradient(job: &mut InputGradient) {
                unsafe { batch_norm::input_gradient::<$simd>(job) }
            }

            #[cfg(feature = "gradients")]
            $(#[$features])?
            unsafe fn outer_product(tile: &mut OuterProductTile) {
                unsafe { outer_product::outer_product::<$simd>(tile) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
micro_kernels!(avx512, simd::Avx512, "AVX-512", #[target_feature(enable = "avx512f")]);
#[cfg(target_arch = "x86_64")]
micro_kernels!(avx2, simd::Avx2, "AVX2", #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "aarch64")]
micro_kernels!(neon, simd::Neon, "NEON", #[target_feature(enable = "neon")]);
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
micro_kernels!(simd128, simd::Simd128, "SIMD128");
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
micro_kernels!(portable, simd::Portable, "portable");

/// Returns the micro-kernels that this processor can run, the fastest first.
pub(crate) fn available() -> Vec<&'static MicroKernels> {
    let mut available = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            available.push(&avx512::MICRO_KERNELS);
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            available.push(&avx2::MICRO_KERNELS);
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        available.push(&neon::MICRO_KERNELS);
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    available.push(&simd128::MICRO_KERNELS);
    // A module with SIMD128 does not even load where the instructions are missing.
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    available.push(&portable::MICRO_KERNELS);
    available
}
