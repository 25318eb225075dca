//! Searches long arrays for rare values.

/// Returns the position of the first value that `is` selects. A whole chunk is checked at a time, without an early exit, so
/// that the compiler uses vector instructions. Measurements: docs/measurements/input-check.md.
pub(crate) fn position(values: &[f32], is: impl Fn(f32) -> bool) -> Option<usize> {
    const CHUNK: usize = 1024;
    let any = |chunk: &[f32]| chunk.iter().fold(false, |any, value| any | is(*value));
    let chunk = values.chunks(CHUNK).position(any)? * CHUNK;
    values[chunk..].iter().position(|value| is(*value)).map(|at| chunk + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_values_is_found_wherever_it_is() {
        for at in [0, 1023, 1024, 1500, 2999] {
            let mut values = vec![0.0; 3000];
            values[at] = f32::NAN;
            values[2999] = f32::NAN;
            assert_eq!(position(&values, f32::is_nan), Some(at));
        }
        assert_eq!(position(&[0.0; 3000], f32::is_nan), None);
        assert_eq!(position(&[], f32::is_nan), None);
    }
}
