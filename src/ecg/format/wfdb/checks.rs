//! Compares the samples of a signal with what its header says about them.

use super::header::Signal;

/// Warns where a signal's samples contradict its first value or its checksum in the header. Zero means that a writer did not
/// fill the field in.
pub(super) fn mismatches(what: &str, signal: &Signal, samples: &[i32]) -> Vec<String> {
    let mut found = Vec::new();
    // Format 8 has differences; its first one is added to the initial value.
    let differences = signal.signal_format.number == 8;
    if let (Some(expected), Some(first)) = (signal.initial, samples.first())
        && expected != 0
        && expected != i64::from(*first)
        && !differences
    {
        found.push(format!("{what} begins with {first}, not with {expected} as the header says: was it altered?"));
    }
    let sum = checksum(samples);
    // Some writers print the sum as a signed number, some as an unsigned one.
    if let Some(expected) = signal.checksum
        && expected != 0
        && expected as i16 != sum
    {
        found.push(format!("{what} has checksum {sum}, not {expected} as the header says: was it altered?"));
    }
    found
}

/// Returns the sum of the samples modulo 2^16, as a header states it.
pub(super) fn checksum(samples: &[i32]) -> i16 {
    samples.iter().fold(0i16, |sum, x| sum.wrapping_add(*x as i16))
}
