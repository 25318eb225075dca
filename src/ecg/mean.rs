//! Computes the mean of a signal.

/// Returns the mean of a signal; 0 for an empty one. The mean of a lead is its DC offset. It is a linear function of the
/// samples, so that leads without their offsets still satisfy III = II − I.
pub(crate) fn mean(signal: &[f32]) -> f64 {
    // Eight sums, so that the compiler uses vector instructions.
    let (chunks, rest) = signal.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, sample)| *sum += f64::from(*sample));
    }
    let rest: f64 = rest.iter().map(|sample| f64::from(*sample)).sum();
    (sums.iter().sum::<f64>() + rest) / signal.len().max(1) as f64
}
