//! Resamples recordings by a polyphase FIR filter: a sinc under a Kaiser window (Kaiser 1974). Its weights are computed in
//! f64 and applied in f32, whose rounding stays 120 dB below the signal.
//!
//! The filter is symmetric and centred on each output sample, so it has linear phase and no delay: sample 0 stays at
//! time 0. Beyond the ends the first and last values are held, so a constant stays that constant to its last sample.
//!
//! With the lower of the two sampling rates called r, the pass band ends at 0.4 r (80 % of the Nyquist rate), the stop
//! band begins at 0.6 r, and the cut-off between them is at the Nyquist rate 0.5 r with −6 dB. Frequencies
//! above 0.6 r would fold into the pass band; those from 0.5 r to 0.6 r fold into the transition band only.
//!
//! Measured from 500 to 100 Hz with sines (the tests below repeat the measurement): ripple at most 0.0008 dB up to
//! 40 Hz, attenuation at least 83 dB from 60 Hz on, −6.0 dB at 50 Hz.
//!
//! The ratio of the rates is approximated by a fraction with terms up to [`LARGEST_TERM`]. It is exact for whole rates
//! up to 100 kHz and for decimal ones such as 360.5 Hz; otherwise the relative error stays below 1e-5, which is 0.1 ms
//! in ten seconds.

use std::f64::consts::PI;

use super::{Recording, check_sampling_rate};
use crate::{Error, ErrorKind, Result};

/// Largest term of the fraction that approximates the ratio of two sampling rates.
const LARGEST_TERM: u64 = 100_000;

/// Largest ratio of two sampling rates that is accepted, in either direction.
const LARGEST_RATIO: f64 = 1000.0;

/// Attenuation in dB for which the window is designed; the margin above 80 dB covers the window's own ripple.
const ATTENUATION: f64 = 83.0;

/// Kaiser's window shape for [`ATTENUATION`]: β = 0.1102 (A − 8.7) for A > 50 dB.
const BETA: f64 = 0.1102 * (ATTENUATION - 8.7);

/// Half the filter's length in samples of the lower rate. Kaiser: length = (A − 7.95) / (14.36 Δf), with the transition
/// Δf = 0.2 as a fraction of the rate.
const HALF_LENGTH: f64 = (ATTENUATION - 7.95) / (14.36 * 0.2) / 2.0;

/// Sums of products that are added at the same time.
const LANES: usize = 16;

impl Recording {
    /// Returns the recording at `sampling_rate` Hz: round(samples · new rate / old rate) samples per lead, at least one.
    /// At its own rate the recording stays unchanged.
    ///
    /// # Errors
    /// The sampling rate is not a positive number, or more than a thousand times higher or lower than the recording's.
    pub fn resampled(&self, sampling_rate: f64) -> Result<Recording> {
        let filter = Filter::new(self.sampling_rate(), sampling_rate, self.samples())?;
        let leads = self.leads().map(|(lead, signal)| (lead, filter.apply(signal))).collect();
        Ok(Recording::new(self.name(), sampling_rate, leads)?.with_notes_of(self))
    }
}

/// The weights that convert signals of one length from one sampling rate to another.
struct Filter {
    /// New rate / old rate = up / down, in lowest terms.
    up: u64,
    down: u64,
    /// Samples per lead before resampling; `length` is their number afterwards.
    samples: usize,
    length: usize,
    /// Half the number of weights per phase: the first one belongs to the input sample `reach - 1` before the output
    /// sample.
    reach: usize,
    /// The weights of 2 · reach input samples, per phase; they add up to one. Zeros fill the last lanes.
    phases: Vec<Vec<[f32; LANES]>>,
}

impl Filter {
    fn new(old_rate: f64, new_rate: f64, samples: usize) -> Result<Self> {
        let (up, down) = fraction(old_rate, new_rate)?;
        let length = ((samples as f64 * new_rate / old_rate).round() as usize).max(1);
        // Where the rate falls, the filter is longer by the factor by which its cut-off is lower.
        let cutoff = (up as f64 / down as f64).min(1.0);
        let reach = (HALF_LENGTH / cutoff).ceil() as usize;
        let used = if up == down { 0 } else { length.min(up as usize) };
        let phase = |output: u64| (output * down % up) as f64 / up as f64;
        let phases = (0..used as u64).map(|output| in_lanes(&weights(phase(output), reach, cutoff))).collect();
        Ok(Self { up, down, samples, length, reach, phases })
    }

    /// Resamples `signal`, which has as many samples as the filter was made for.
    fn apply(&self, signal: &[f32]) -> Vec<f32> {
        debug_assert_eq!(signal.len(), self.samples);
        if self.up == self.down {
            return signal.to_vec();
        }
        let [Some(first), Some(last)] = [signal.first(), signal.last()] else { return Vec::new() };
        // Beyond the ends the first and last inputs repeat.
        let taps = self.phases[0].len() * LANES;
        let before_last = ((self.length - 1) as u64 * self.down / self.up) as usize;
        let needed = before_last + 1 + taps;
        let mut padded = Vec::with_capacity(needed.max(self.reach + signal.len()));
        padded.resize(self.reach, *first);
        padded.extend_from_slice(signal);
        padded.resize(needed.max(padded.len()), *last);
        let has_avx2 = has_avx2();
        let mut resampled = Vec::with_capacity(self.length);
        // Where an output is: the last input that does not come after it, and how far behind that input, in parts of `up`.
        // Counted on, as divisions would take longer than the sums.
        let (whole, parts) = ((self.down / self.up) as usize, self.down % self.up);
        let (mut before, mut behind) = (0, 0);
        for weights in self.phases.iter().cycle().take(self.length) {
            // The taps are the inputs from before + 1 − reach to before + reach, then some whose weights are zero.
            let (inputs, _) = padded[before + 1..][..taps].as_chunks();
            resampled.push(total(&sums(weights, inputs, has_avx2)));
            (before, behind) = (before + whole, behind + parts);
            if behind >= self.up {
                (before, behind) = (before + 1, behind - self.up);
            }
        }
        resampled
    }
}

/// Whether the processor has AVX2.
fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Multiplies and adds, lane by lane. The result has the same bits with and without AVX2.
fn sums(weights: &[[f32; LANES]], inputs: &[[f32; LANES]], has_avx2: bool) -> [f32; LANES] {
    #[cfg(target_arch = "x86_64")]
    if has_avx2 {
        // SAFETY: the processor has AVX2.
        return unsafe { sums_with_avx2(weights, inputs) };
    }
    let _ = has_avx2;
    sums_anywhere(weights, inputs)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline(never)]
fn sums_with_avx2(weights: &[[f32; LANES]], inputs: &[[f32; LANES]]) -> [f32; LANES] {
    sum_lanes(weights, inputs)
}

/// A function of its own: where the compiler sees that the lanes are then added, it uses narrower vector instructions.
#[inline(never)]
fn sums_anywhere(weights: &[[f32; LANES]], inputs: &[[f32; LANES]]) -> [f32; LANES] {
    sum_lanes(weights, inputs)
}

#[inline(always)]
fn sum_lanes(weights: &[[f32; LANES]], inputs: &[[f32; LANES]]) -> [f32; LANES] {
    let mut sums = [0.0; LANES];
    for (weights, inputs) in weights.iter().zip(inputs) {
        for lane in 0..LANES {
            sums[lane] += weights[lane] * inputs[lane];
        }
    }
    sums
}

/// Adds the lanes in pairs, which waits for four additions and not for sixteen.
fn total(sums: &[f32; LANES]) -> f32 {
    let mut quarters = [0.0; 4];
    for lane in 0..4 {
        quarters[lane] = (sums[lane] + sums[lane + 8]) + (sums[lane + 4] + sums[lane + 12]);
    }
    (quarters[0] + quarters[2]) + (quarters[1] + quarters[3])
}

/// Rounds weights to f32 and fills the last lanes with zeros.
fn in_lanes(weights: &[f64]) -> Vec<[f32; LANES]> {
    let lane = |weights: &[f64], at: usize| weights.get(at).map_or(0.0, |weight| *weight as f32);
    weights.chunks(LANES).map(|weights| std::array::from_fn(|at| lane(weights, at))).collect()
}

/// Computes the weights of the 2 · `reach` input samples around an output sample, which comes `phase` of a sample after
/// the input in the middle. `cutoff` is relative to the input's Nyquist rate.
fn weights(phase: f64, reach: usize, cutoff: f64) -> Vec<f64> {
    let taps: Vec<f64> = (0..2 * reach)
        .map(|tap| {
            let distance = (tap as f64 + 1.0 - reach as f64 - phase) * cutoff;
            sinc(distance) * kaiser(distance / HALF_LENGTH)
        })
        .collect();
    // A sum of exactly one in every phase keeps the baseline free of ripple.
    let sum: f64 = taps.iter().sum();
    taps.into_iter().map(|tap| tap / sum).collect()
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// Evaluates Kaiser's window over −1..1, not normalised.
fn kaiser(x: f64) -> f64 {
    if x.abs() >= 1.0 { 0.0 } else { bessel_i0(BETA * (1.0 - x * x).sqrt()) }
}

/// Evaluates the modified Bessel function of the first kind and order zero, by its power series Σ ((x/2)^k / k!)².
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..60 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

/// Approximates `new_rate` / `old_rate` by a fraction in lowest terms: the last convergent of its continued fraction
/// whose terms stay within [`LARGEST_TERM`], or the first one that equals the ratio to the precision of an f64.
fn fraction(old_rate: f64, new_rate: f64) -> Result<(u64, u64)> {
    check_sampling_rate(new_rate, ErrorKind::Recording)?;
    let ratio = new_rate / old_rate;
    if !(1.0 / LARGEST_RATIO..=LARGEST_RATIO).contains(&ratio) {
        let cause = format!("cannot resample from {old_rate} Hz to {new_rate} Hz, more than a factor of a thousand");
        return Err(Error::new(ErrorKind::Recording, cause, "check the sampling rate"));
    }
    let (mut previous, mut current) = ((0, 1), (1, 0));
    let mut rest = ratio;
    loop {
        let whole = rest.floor();
        let next = (whole as u64 * current.0 + previous.0, whole as u64 * current.1 + previous.1);
        if next.0 > LARGEST_TERM || next.1 > LARGEST_TERM {
            return Ok(current);
        }
        (previous, current) = (current, next);
        let error = (current.0 as f64 / current.1 as f64 / ratio - 1.0).abs();
        if error < 1e-12 || rest == whole {
            return Ok(current);
        }
        rest = 1.0 / (rest - whole);
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use proptest::prelude::*;

    use super::*;
    use crate::ecg::Lead;

    fn resample(signal: &[f32], old_rate: f64, new_rate: f64) -> Vec<f32> {
        let recording = Recording::new("r", old_rate, vec![(Lead::I, signal.to_vec())]).unwrap();
        recording.resampled(new_rate).unwrap().lead(Lead::I).unwrap().to_vec()
    }

    fn sine(hertz: f64, rate: f64, samples: usize) -> Vec<f32> {
        (0..samples).map(|n| (TAU * hertz * n as f64 / rate + 0.3).sin() as f32).collect()
    }

    /// Measures the amplitude of `hertz` in a signal at 100 Hz, without half a second at both ends.
    fn amplitude(signal: &[f32], hertz: f64) -> f64 {
        let middle = &signal[50..signal.len() - 50];
        let [cosine, sine] = [f64::cos, f64::sin].map(|wave| {
            let product = |(n, x): (usize, &f32)| f64::from(*x) * wave(TAU * hertz * (n + 50) as f64 / 100.0);
            middle.iter().enumerate().map(product).sum::<f64>() * 2.0 / middle.len() as f64
        });
        cosine.hypot(sine)
    }

    fn decibel(ratio: f64) -> f64 {
        20.0 * ratio.log10()
    }

    #[test]
    fn the_pass_band_is_flat_up_to_40_hz() {
        let ripple = (1..=40)
            .map(|hertz| {
                let signal = resample(&sine(f64::from(hertz), 500.0, 5500), 500.0, 100.0);
                decibel(amplitude(&signal, f64::from(hertz))).abs()
            })
            .fold(0.0, f64::max);
        println!("ripple up to 40 Hz: {ripple:.5} dB");
        assert!(ripple < 0.001, "{ripple} dB");
    }

    #[test]
    fn frequencies_that_would_fold_into_the_pass_band_are_removed() {
        let loudest = (60..=250)
            .map(|hertz| {
                let signal = resample(&sine(f64::from(hertz), 500.0, 5500), 500.0, 100.0);
                signal[50..1050].iter().fold(0f32, |peak, x| peak.max(x.abs()))
            })
            .fold(0f32, f32::max);
        println!("from 60 Hz on: {:.1} dB", decibel(f64::from(loudest)));
        assert!(decibel(f64::from(loudest)) < -80.0, "{} dB", decibel(f64::from(loudest)));
    }

    #[test]
    fn mains_hum_of_50_hz_is_halved() {
        // A cosine, since the samples of a sine at the Nyquist rate are all zero.
        let mains: Vec<f32> = (0..5500).map(|n| (TAU * 50.0 * f64::from(n) / 500.0).cos() as f32).collect();
        let half = resample(&mains, 500.0, 100.0)[500].abs();
        assert!((half - 0.5).abs() < 0.01, "{half}");
    }

    #[test]
    fn samples_keep_their_times_at_any_ratio() {
        for (old_rate, new_rate) in [(500.0, 100.0), (100.0, 500.0), (257.0, 100.0), (360.5, 100.0), (1000.0, 333.3)] {
            let samples = (old_rate * 10.0) as usize;
            let signal = resample(&sine(7.0, old_rate, samples), old_rate, new_rate);
            let ideal = sine(7.0, new_rate, signal.len());
            let edge = (new_rate / 2.0) as usize;
            for n in edge..signal.len() - edge {
                assert!((signal[n] - ideal[n]).abs() < 1e-3, "{old_rate} to {new_rate} Hz, sample {n}");
            }
        }
    }

    #[test]
    fn rates_become_fractions_in_lowest_terms() {
        let cases = [
            (500.0, 100.0, (1, 5)),
            (257.0, 100.0, (100, 257)),
            (360.5, 100.0, (200, 721)),
            (100.0, 99.9, (999, 1000)),
            (999.99, 100.0, (10_000, 99_999)),
        ];
        for (old_rate, new_rate, expected) in cases {
            assert_eq!(fraction(old_rate, new_rate).unwrap(), expected, "{old_rate} to {new_rate} Hz");
        }
    }

    #[test]
    fn an_implausible_rate_is_refused() {
        let recording = Recording::new("r", 1e6, vec![(Lead::I, vec![0.0; 9])]).unwrap();
        let error = recording.resampled(100.0).unwrap_err();
        assert_eq!(error.cause(), "cannot resample from 1000000 Hz to 100 Hz, more than a factor of a thousand");
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(recording.resampled(rate).is_err(), "{rate} Hz");
        }
    }

    #[test]
    fn at_its_own_rate_a_recording_stays_as_it_is() {
        let mut recording = Recording::new("r", 100.0, vec![(Lead::I, sine(3.0, 100.0, 77))]).unwrap();
        recording.warn("kept");
        assert_eq!(recording.resampled(100.0).unwrap(), recording);
    }

    proptest! {
        #[test]
        fn a_constant_stays_that_constant(
            old_rate in 20.0..2000.0f64, new_rate in 20.0..2000.0f64, samples in 1..400usize, level in -5.0..5.0f32
        ) {
            let signal = resample(&vec![level; samples], old_rate, new_rate);
            let length = (samples as f64 * new_rate / old_rate).round().max(1.0);
            prop_assert_eq!(signal.len() as f64, length);
            prop_assert!(signal.iter().all(|x| (x - level).abs() < 1e-5));
        }

        #[test]
        fn a_fraction_is_within_its_bound(old_rate in 1.0..2000.0f64, factor in 0.001..1000.0f64) {
            let (up, down) = fraction(old_rate, old_rate * factor).unwrap();
            prop_assert!(up <= LARGEST_TERM && down <= LARGEST_TERM);
            prop_assert!((up as f64 / down as f64 / factor - 1.0).abs() < 1e-5);
        }
    }
}
