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

use super::{Lead, Recording, check_sampling_rate};
use crate::{Error, ErrorKind, Result};

/// Largest term of the fraction that approximates the ratio of two sampling rates.
const LARGEST_TERM: u64 = 100_000;

/// Largest factor by which a sampling rate is lowered.
const LARGEST_RATIO: f64 = 1000.0;

/// Largest factor by which a sampling rate is raised. A recording of less than a twentieth of the rate that a network needs
/// has no shape of a heartbeat, and a small file must not become a large one.
const LARGEST_RISE: f64 = 20.0;

/// Attenuation in dB for which the window is designed; the margin above 80 dB covers the window's own ripple.
const ATTENUATION: f64 = 83.0;

/// Kaiser's window shape for [`ATTENUATION`]: β = 0.1102 (A − 8.7) for A > 50 dB.
const BETA: f64 = 0.1102 * (ATTENUATION - 8.7);

/// Half the filter's length in samples of the lower rate. Kaiser: length = (A − 7.95) / (14.36 Δf), with the transition
/// Δf = 0.2 as a fraction of the rate.
const HALF_LENGTH: f64 = (ATTENUATION - 7.95) / (14.36 * 0.2) / 2.0;

/// Leads that are filtered at the same time, each in a lane of the processor's vectors: as many as a recording has, and some
/// more, so that they are whole vectors.
const LANES: usize = 16;
const _: () = assert!(Lead::STANDARD.len() <= LANES);

/// Weights whose products are summed apart, so that an addition need not wait for the one before.
const TAPS: usize = 4;

/// Products that are added in a row, a multiple of [`TAPS`]. Then the sum goes into another, so that rounding does not grow
/// with the length of a filter.
const ADDED: usize = 64;

/// Input samples that are put into frames at a time, besides the filter's length: as many as stay in the second cache.
const BLOCK: usize = 2048;

/// Frames that take the samples of one lead before those of the next: as many as stay in the first cache.
const TILE: usize = 128;

/// One sample of each lead.
type Frame = [f32; LANES];

impl Recording {
    /// Returns the recording at `sampling_rate` Hz: round(samples · new rate / old rate) samples per lead, at least one.
    /// At its own rate the recording stays unchanged.
    ///
    /// # Errors
    /// The sampling rate is not a positive number, more than twenty times the recording's, or less than a thousandth.
    pub fn resampled(&self, sampling_rate: f64) -> Result<Recording> {
        let filter = Filter::new(self.sampling_rate(), sampling_rate, self.samples())?;
        let (leads, signals): (Vec<_>, Vec<_>) = self.leads().unzip();
        let leads = leads.into_iter().zip(filter.apply(&signals)).collect();
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
    /// The weights of 2 · reach input samples, per phase; they add up to one. Zeros fill the last taps.
    phases: Vec<Vec<[f32; TAPS]>>,
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
        let phases = (0..used as u64).map(|output| in_taps(&weights(phase(output), reach, cutoff))).collect();
        Ok(Self { up, down, samples, length, reach, phases })
    }

    /// Resamples the signals of a recording, which have as many samples as the filter was made for.
    fn apply(&self, signals: &[&[f32]]) -> Vec<Vec<f32>> {
        debug_assert!(signals.len() <= LANES && signals.iter().all(|signal| signal.len() == self.samples));
        if self.up == self.down {
            return signals.iter().map(|signal| signal.to_vec()).collect();
        }
        let mut resampled = vec![Vec::with_capacity(self.length); signals.len()];
        let weighted_sum = weighted_sum_of_this_processor();
        let taps = self.phases[0].len() * TAPS;
        let in_block = (BLOCK as u64 * self.up / self.down).max(1) as usize;
        let mut frames = Vec::new();
        for start in (0..self.length).step_by(in_block) {
            let outputs = start..self.length.min(start + in_block);
            let first = self.before(outputs.start);
            let needed = (self.before(outputs.end - 1) - first) as usize + taps;
            frames.resize(needed, [0.0; LANES]);
            for (frames, at) in frames.chunks_mut(TILE).zip((first + 1 - self.reach as i64..).step_by(TILE)) {
                self.fill(frames, signals, at);
            }
            for output in outputs {
                // The taps are the inputs from before + 1 − reach to before + reach, then some whose weights are zero.
                let inputs = &frames[(self.before(output) - first) as usize..][..taps];
                let frame = weighted_sum(&self.phases[output % self.phases.len()], inputs.as_chunks().0);
                resampled.iter_mut().zip(frame).for_each(|(resampled, sample)| resampled.push(sample));
            }
        }
        resampled
    }

    /// Returns the last input sample that does not come after an output sample.
    fn before(&self, output: usize) -> i64 {
        (output as u64 * self.down / self.up) as i64
    }

    /// Copies the input samples from `start` on into frames. Beyond the ends of a signal its first and last samples repeat.
    fn fill(&self, frames: &mut [Frame], signals: &[&[f32]], start: i64) {
        let ahead = start.min(0).unsigned_abs() as usize;
        let begin = (start.max(0) as usize).min(self.samples);
        for (lane, signal) in signals.iter().enumerate() {
            let [Some(first), Some(last)] = [signal.first(), signal.last()] else { return };
            let (head, rest) = frames.split_at_mut(ahead.min(frames.len()));
            let (middle, tail) = rest.split_at_mut((self.samples - begin).min(rest.len()));
            head.iter_mut().for_each(|frame| frame[lane] = *first);
            middle.iter_mut().zip(&signal[begin..]).for_each(|(frame, sample)| frame[lane] = *sample);
            tail.iter_mut().for_each(|frame| frame[lane] = *last);
        }
    }
}

/// Multiplies frames by weights and adds the products, lane by lane.
type WeightedSum = fn(&[[f32; TAPS]], &[[Frame; TAPS]]) -> Frame;

/// Returns the fastest function; all have the same bits.
fn weighted_sum_of_this_processor() -> WeightedSum {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return |weights, inputs| unsafe { weighted_sum_with_avx2(weights, inputs) };
    }
    weighted_sum
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn weighted_sum_with_avx2(weights: &[[f32; TAPS]], inputs: &[[Frame; TAPS]]) -> Frame {
    weighted_sum(weights, inputs)
}

#[inline(always)]
fn weighted_sum(weights: &[[f32; TAPS]], inputs: &[[Frame; TAPS]]) -> Frame {
    let mut total = [0.0; LANES];
    for (weights, inputs) in weights.chunks(ADDED / TAPS).zip(inputs.chunks(ADDED / TAPS)) {
        let mut sums = [[0.0; LANES]; TAPS];
        for (weights, inputs) in weights.iter().zip(inputs) {
            for tap in 0..TAPS {
                for lane in 0..LANES {
                    sums[tap][lane] += weights[tap] * inputs[tap][lane];
                }
            }
        }
        for lane in 0..LANES {
            total[lane] += (sums[0][lane] + sums[1][lane]) + (sums[2][lane] + sums[3][lane]);
        }
    }
    total
}

/// Rounds weights to f32 and fills the last taps with zeros.
fn in_taps(weights: &[f64]) -> Vec<[f32; TAPS]> {
    let tap = |weights: &[f64], at: usize| weights.get(at).map_or(0.0, |weight| *weight as f32);
    weights.chunks(TAPS).map(|weights| std::array::from_fn(|at| tap(weights, at))).collect()
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
    if !(1.0 / LARGEST_RATIO..=LARGEST_RISE).contains(&ratio) {
        let bound = if ratio > 1.0 { "more than twenty times as high" } else { "less than a thousandth" };
        let cause = format!("cannot resample from {old_rate} Hz to {new_rate} Hz, {bound}");
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
    fn rounding_stays_120_db_below_the_signal() {
        for (old_rate, new_rate) in [(500.0, 100.0), (257.0, 100.0), (5000.0, 100.0), (100.0, 500.0)] {
            let signal = sine(7.0, old_rate, (old_rate * 10.0) as usize);
            let filter = Filter::new(old_rate, new_rate, signal.len()).unwrap();
            let cutoff = (new_rate / old_rate).min(1.0);
            let exact = |output: usize| {
                let phase = (output as u64 * filter.down % filter.up) as f64 / filter.up as f64;
                let first = filter.before(output) + 1 - filter.reach as i64;
                let input = |at: i64| f64::from(signal[at.clamp(0, signal.len() as i64 - 1) as usize]);
                (first..).zip(weights(phase, filter.reach, cutoff)).map(|(at, weight)| input(at) * weight).sum::<f64>()
            };
            let resampled = resample(&signal, old_rate, new_rate);
            let (mut errors, mut squares) = (0.0, 0.0);
            for (output, x) in resampled.iter().enumerate() {
                errors += (f64::from(*x) - exact(output)).powi(2);
                squares += exact(output).powi(2);
            }
            let below = -10.0 * (errors / squares).log10();
            assert!(below > 120.0, "{old_rate} to {new_rate} Hz: {below:.1} dB");
        }
    }

    #[test]
    fn every_processor_gives_the_same_bits() {
        let noise = |at: usize| (at * 7919 % 1009) as f32 / 1009.0 - 0.5;
        for groups in [1, 15, 16, 17, 40] {
            let weights: Vec<[f32; TAPS]> =
                (0..groups).map(|n| std::array::from_fn(|tap| noise(n * TAPS + tap))).collect();
            let frame = |n: usize, tap: usize| std::array::from_fn(|lane| noise((n * TAPS + tap) * LANES + lane + 5));
            let inputs: Vec<[Frame; TAPS]> = (0..groups).map(|n| std::array::from_fn(|tap| frame(n, tap))).collect();
            let bits = |frame: Frame| frame.map(f32::to_bits);
            let fastest = weighted_sum_of_this_processor();
            assert_eq!(
                bits(fastest(&weights, &inputs)),
                bits(weighted_sum(&weights, &inputs)),
                "{groups} groups of taps"
            );
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
        assert_eq!(error.cause(), "cannot resample from 1000000 Hz to 100 Hz, less than a thousandth");
        let slow = Recording::new("r", 4.9, vec![(Lead::I, vec![0.0; 9])]).unwrap();
        let error = slow.resampled(100.0).unwrap_err();
        assert_eq!(error.cause(), "cannot resample from 4.9 Hz to 100 Hz, more than twenty times as high");
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
            old_rate in 100.0..2000.0f64, new_rate in 20.0..2000.0f64, samples in 1..400usize, level in -5.0..5.0f32
        ) {
            let signal = resample(&vec![level; samples], old_rate, new_rate);
            let length = (samples as f64 * new_rate / old_rate).round().max(1.0);
            prop_assert_eq!(signal.len() as f64, length);
            prop_assert!(signal.iter().all(|x| (x - level).abs() < 1e-5));
        }

        #[test]
        fn a_fraction_is_within_its_bound(old_rate in 1.0..2000.0f64, factor in 0.001..20.0f64) {
            let (up, down) = fraction(old_rate, old_rate * factor).unwrap();
            prop_assert!(up <= LARGEST_TERM && down <= LARGEST_TERM);
            prop_assert!((up as f64 / down as f64 / factor - 1.0).abs() < 1e-5);
        }
    }
}
