//! Computes and removes the DC offset of a lead.

/// Returns the mean of a lead. It is a linear function of the samples, so that leads without their offsets still satisfy
/// III = II − I.
pub(crate) fn dc_offset(signal: &[f32]) -> f64 {
    // Eight sums, so that the compiler uses vector instructions.
    let (chunks, rest) = signal.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, sample)| *sum += f64::from(*sample));
    }
    let rest: f64 = rest.iter().map(|sample| f64::from(*sample)).sum();
    (sums.iter().sum::<f64>() + rest) / signal.len().max(1) as f64
}

/// Subtracts the mean of a lead from its samples.
#[cfg(feature = "train")]
pub(crate) fn remove_dc_offset(signal: &mut [f32]) {
    let offset = dc_offset(signal);
    signal.iter_mut().for_each(|sample| *sample = (f64::from(*sample) - offset) as f32);
}
