//! Computes the mean and the deviation of a signal.
//!
//! Each sum has eight parts, so that the compiler uses vector instructions.

/// Returns the mean of a signal; 0 for an empty one. The mean of a lead is its DC offset. It is a linear function of the
/// samples, so that leads without their offsets still satisfy III = II − I.
pub(crate) fn mean(signal: &[f32]) -> f64 {
    sum(signal, |sample| sample) / signal.len().max(1) as f64
}

/// Returns the standard deviation of a signal; 0 for an empty one.
pub(super) fn deviation(signal: &[f32]) -> f64 {
    let mean = mean(signal);
    let squares = sum(signal, |sample| (sample - mean) * (sample - mean));
    (squares / signal.len().max(1) as f64).sqrt()
}

/// Returns the sum of a function of the samples.
fn sum(signal: &[f32], term: impl Fn(f64) -> f64) -> f64 {
    let (chunks, rest) = signal.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, sample)| *sum += term(f64::from(*sample)));
    }
    let rest: f64 = rest.iter().map(|sample| term(f64::from(*sample))).sum();
    sums.iter().sum::<f64>() + rest
}
