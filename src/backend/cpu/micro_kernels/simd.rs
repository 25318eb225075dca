//! The vector types of each instruction set behind one trait, so that each micro-kernel is written once.
//!
//! Every method is inlined into a function that enables the instruction set (see [`instructions`](super::instructions)).
//! Every method is unsafe, because only such a function may call it, on a processor that has the instructions.

/// The lanes of the widest vector.
pub(crate) const MAX_LANES: usize = 16;

/// A vector of f32.
pub(crate) trait Simd: Copy {
    /// The numbers in a vector.
    const LANES: usize;
    /// The rows of a register tile that is two vectors wide. The tile leaves registers for two vectors of weights and
    /// for one broadcast number.
    const ROWS: usize;

    /// A vector with `value` in every lane.
    unsafe fn splat(value: f32) -> Self;
    /// Reads a vector; `from` need not be aligned.
    unsafe fn load(from: *const f32) -> Self;
    /// Writes a vector; `to` need not be aligned.
    unsafe fn store(self, to: *mut f32);
    /// Computes `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// Computes `self − other`.
    unsafe fn sub(self, other: Self) -> Self;
    /// Computes `self · factor + addend`, with one rounding where the instruction set can do so.
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// The larger number of each lane.
    unsafe fn max(self, other: Self) -> Self;
    /// Keeps the lanes of `self` in which `other` is above 0, and sets the other lanes to 0.
    #[cfg(feature = "gradients")]
    unsafe fn keep_where_positive(self, other: Self) -> Self;
}

/// A vector of four numbers in plain Rust, for any processor.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 4]);

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, operation: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| operation(self.0[lane], other.0[lane])))
    }
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
impl Simd for Portable {
    const LANES: usize = 4;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller guarantees four readable numbers.
        Self(unsafe { from.cast::<[f32; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller guarantees room for four numbers.
        unsafe { to.cast::<[f32; 4]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    /// Rounds twice. Without a fused instruction, `f32::mul_add` would call a library function for every number.
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        self.zip(factor, |a, b| a * b).zip(addend, |product, b| product + b)
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, f32::max)
    }

    #[cfg(feature = "gradients")]
    #[inline(always)]
    unsafe fn keep_where_positive(self, other: Self) -> Self {
        self.zip(other, |a, b| if b > 0.0 { a } else { 0.0 })
    }
}

/// Defines a vector type whose methods each call one intrinsic.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", all(target_arch = "wasm32", target_feature = "simd128")))]
macro_rules! simd {
    ($name:ident, $vector:ty, $lanes:literal, $rows:literal, $splat:ident, $load:ident, $store:ident, $add:ident,
     $sub:ident, $max:ident, |$a:ident, $factor:ident, $addend:ident| $mul_add:expr,
     |$value:ident, $other:ident| $keep_where_positive:expr) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name($vector);

        // SAFETY (all methods): the caller guarantees the instruction set, and the memory that `load` and `store` access.
        impl Simd for $name {
            const LANES: usize = $lanes;
            const ROWS: usize = $rows;

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                Self(unsafe { $splat(value) })
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                Self(unsafe { $load(from) })
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                unsafe { $store(to, self.0) }
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                Self(unsafe { $add(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                Self(unsafe { $sub(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
                let ($a, $factor, $addend) = (self.0, factor.0, addend.0);
                Self(unsafe { $mul_add })
            }

            #[inline(always)]
            unsafe fn max(self, other: Self) -> Self {
                Self(unsafe { $max(self.0, other.0) })
            }

            #[cfg(feature = "gradients")]
            #[inline(always)]
            unsafe fn keep_where_positive(self, other: Self) -> Self {
                let ($value, $other) = (self.0, other.0);
                Self(unsafe { $keep_where_positive })
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

#[cfg(target_arch = "x86_64")]
// 32 registers: 28 sums, 2 weights, 1 broadcast number.
simd!(
    Avx512,
    __m512,
    16,
    14,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_max_ps,
    |a, factor, addend| _mm512_fmadd_ps(a, factor, addend),
    |value, other| _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(other, _mm512_setzero_ps()), value)
);
#[cfg(target_arch = "x86_64")]
// 16 registers: 12 sums, 2 weights, 1 broadcast number.
simd!(
    Avx2,
    __m256,
    8,
    6,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_max_ps,
    |a, factor, addend| _mm256_fmadd_ps(a, factor, addend),
    |value, other| _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(other, _mm256_setzero_ps()), value)
);
#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::*;

#[cfg(target_arch = "aarch64")]
// 32 registers: 24 sums, 2 weights, and the broadcast numbers of several rows, which hide the latency of loads.
simd!(
    Neon,
    float32x4_t,
    4,
    12,
    vdupq_n_f32,
    vld1q_f32,
    vst1q_f32,
    vaddq_f32,
    vsubq_f32,
    vmaxnmq_f32,
    |a, factor, addend| vfmaq_f32(addend, a, factor),
    |value, other| vreinterpretq_f32_u32(vandq_u32(vcgtq_f32(other, vdupq_n_f32(0.0)), vreinterpretq_u32_f32(value)))
);

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use std::arch::wasm32::*;

/// Reads a vector of WebAssembly.
///
/// # Safety
/// Four numbers can be read from `from`.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[inline(always)]
unsafe fn load_simd128(from: *const f32) -> v128 {
    // SAFETY: the caller guarantees four readable numbers; the instruction needs no alignment.
    unsafe { v128_load(from.cast()) }
}

/// Writes a vector of WebAssembly.
///
/// # Safety
/// There is room for four numbers at `to`.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[inline(always)]
unsafe fn store_simd128(to: *mut f32, value: v128) {
    // SAFETY: the caller guarantees room for four numbers; the instruction needs no alignment.
    unsafe { v128_store(to.cast(), value) }
}

/// The larger number of each lane, and `b` where either is NaN, like x86's instruction.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[inline(always)]
fn max_simd128(a: v128, b: v128) -> v128 {
    f32x4_pmax(b, a)
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
// Engines map the vectors to 16 registers, of which V8 keeps one: 8 sums, 2 weights, 1 broadcast number and 1 product, since
// without a fused instruction `mul_add` multiplies, rounds and adds. Network 542k takes 1.8 ms with 4 rows, 2.6 with 5 and
// 3.1 with 6 (`docs/measurements/web.md`).
#[allow(unused_unsafe, reason = "the arithmetic intrinsics of WebAssembly are safe, those of other processors are not")]
mod simd128 {
    use super::*;

    simd!(
        Simd128,
        v128,
        4,
        4,
        f32x4_splat,
        load_simd128,
        store_simd128,
        f32x4_add,
        f32x4_sub,
        max_simd128,
        |a, factor, addend| f32x4_add(f32x4_mul(a, factor), addend),
        |value, other| v128_and(f32x4_gt(other, f32x4_splat(0.0)), value)
    );
}
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) use simd128::Simd128;
