//! How far the numbers of a device are from exact ones, and how far they may be.

use crate::kernels::Storage;

/// The largest normalised mean square error of a stage that is stored in f32. A device that rounds to the nearest number has
/// about 1e-13. WGSL also allows rounding toward zero, which makes a long sum too small: up to 1.4e-9 in
/// `tests/legal_arithmetic.rs`. Weights that are wrong by one in ten thousand give 1e-8.
pub const LARGEST_NMSE: f64 = 3e-9;

/// The largest normalised mean square error of one stage whose output is stored in f16. The head of `src/verify.rs` derives it.
pub const LARGEST_NMSE_F16: f64 = 1e-6;

/// The largest normalised mean square error between the results of the CPU and of a device that stores f32: a thousandth of
/// the amplitude. Rounding gives at most about 1e-9. A mean that is divided by one too many gives 6e-5.
const LARGEST_NMSE_OF_DEVICES: f64 = 1e-6;

/// The same for a device that stores f16: 1 % of the amplitude. Rounding gives about 1e-6.
const LARGEST_NMSE_OF_DEVICES_F16: f64 = 1e-4;

/// Compares the outputs of a plan on a GPU that stores numbers in this way with those of the CPU.
///
/// # Errors
/// The normalised mean square error of an output that differs.
pub(crate) fn agreement(outputs: &[Vec<f32>], expected: &[Vec<f32>], storage: Storage) -> Result<(), f64> {
    let largest = if storage.is_half() { LARGEST_NMSE_OF_DEVICES_F16 } else { LARGEST_NMSE_OF_DEVICES };
    for (output, expected) in outputs.iter().zip(expected) {
        let expected: Vec<f64> = expected.iter().map(|&x| x.into()).collect();
        // Weights that overflow do so on every device, but not in the same numbers.
        if !expected.iter().all(|x| x.is_finite()) {
            return Ok(());
        }
        let nmse = Difference::between(output, &expected).nmse;
        if nmse.is_nan() || nmse > largest {
            return Err(nmse);
        }
    }
    Ok(())
}

/// Returns the largest normalised mean square error that a stage with this storage may have.
pub(crate) fn largest_nmse(storage: Storage) -> f64 {
    if storage.is_half() { LARGEST_NMSE_F16 } else { LARGEST_NMSE }
}

/// The difference between computed numbers and exact ones.
pub(crate) struct Difference {
    /// The largest absolute error; NaN if any number is NaN.
    pub(crate) largest_error: f64,
    /// The normalised mean square error Σ(a − r)² / Σr².
    pub(crate) nmse: f64,
    /// The index of the largest error.
    pub(crate) worst: usize,
}

impl Difference {
    /// Compares `computed` with `exact`, number by number.
    pub fn between(computed: &[f32], exact: &[f64]) -> Self {
        let (mut largest_error, mut worst, mut squares, mut power) = (0.0, 0, 0.0, 0.0);
        for (at, (&a, &r)) in computed.iter().zip(exact).enumerate() {
            let error = (f64::from(a) - r).abs();
            // NaN counts as the largest error of all; the first one is kept.
            if error > largest_error || (error.is_nan() && !f64::is_nan(largest_error)) {
                (largest_error, worst) = (error, at);
            }
            squares += error * error;
            power += r * r;
        }
        // Where every exact number is zero, only exact zeros agree: any error gives infinity.
        let nmse = if squares == 0.0 { 0.0 } else { squares / power };
        Self { largest_error, nmse, worst }
    }
}
