//! Vectors of the instruction sets that the kernels are built for. One trait, so that each kernel is written once.
//!
//! Every method is inlined into a function that enables the instruction set (see `instructions`), and is unsafe because
//! only such a function, on a processor that has the instructions, may call it.

/// A vector of f32.
pub(super) trait Simd: Copy {
    /// Numbers in a vector.
    const LANES: usize;
    /// Rows of a register tile that is two vectors wide: as many as leave registers for two vectors of weights and one
    /// number that is being spread.
    const ROWS: usize;

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn plus(self, other: Self) -> Self;
    unsafe fn minus(self, other: Self) -> Self;
    /// self · factor + addend, in one rounding where the instruction set can.
    unsafe fn times_plus(self, factor: Self, addend: Self) -> Self;
    unsafe fn larger(self, other: Self) -> Self;
    /// self where `other` is above 0, else 0.
    #[cfg(feature = "train")]
    unsafe fn where_positive(self, other: Self) -> Self;
}

/// Four numbers in plain Rust, for any processor.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; 4]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, operation: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| operation(self.0[lane], other.0[lane])))
    }
}

impl Simd for Portable {
    const LANES: usize = 4;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for four readable numbers.
        Self(unsafe { from.cast::<[f32; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for room for four numbers.
        unsafe { to.cast::<[f32; 4]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn minus(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    /// Two roundings: without the instruction `f32::mul_add` would call a library function for every number.
    #[inline(always)]
    unsafe fn times_plus(self, factor: Self, addend: Self) -> Self {
        self.zip(factor, |a, b| a * b).zip(addend, |product, b| product + b)
    }

    #[inline(always)]
    unsafe fn larger(self, other: Self) -> Self {
        self.zip(other, f32::max)
    }

    #[cfg(feature = "train")]
    #[inline(always)]
    unsafe fn where_positive(self, other: Self) -> Self {
        self.zip(other, |a, b| if b > 0.0 { a } else { 0.0 })
    }
}

/// A vector that each method hands to one intrinsic.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! simd {
    ($name:ident, $vector:ty, $lanes:literal, $rows:literal, $splat:ident, $load:ident, $store:ident, $plus:ident,
     $minus:ident, $larger:ident, |$a:ident, $factor:ident, $addend:ident| $times_plus:expr,
     |$value:ident, $other:ident| $where_positive:expr) => {
        #[derive(Clone, Copy)]
        pub(super) struct $name($vector);

        // SAFETY (all methods): the caller vouches for the instruction set, and for the memory of `load` and `store`.
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
            unsafe fn plus(self, other: Self) -> Self {
                Self(unsafe { $plus(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn minus(self, other: Self) -> Self {
                Self(unsafe { $minus(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn times_plus(self, factor: Self, addend: Self) -> Self {
                let ($a, $factor, $addend) = (self.0, factor.0, addend.0);
                Self(unsafe { $times_plus })
            }

            #[inline(always)]
            unsafe fn larger(self, other: Self) -> Self {
                Self(unsafe { $larger(self.0, other.0) })
            }

            #[cfg(feature = "train")]
            #[inline(always)]
            unsafe fn where_positive(self, other: Self) -> Self {
                let ($value, $other) = (self.0, other.0);
                Self(unsafe { $where_positive })
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

#[cfg(target_arch = "x86_64")]
// 32 registers: 28 sums, 2 weights, 1 spread number.
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
// 16 registers: 12 sums, 2 weights, 1 spread number.
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
// 32 registers: 24 sums, 2 weights, and the spread numbers of several rows, which load latency asks for.
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
