//! Computes synthetic 12-lead ECGs for tests and demonstrations. They are no patient's: results on them say nothing about
//! accuracy.
//!
//! The heart is a moving dipole: a sum of Gaussians in time, each with a direction in space (McSharry et al. 2003;
//! Sameni et al. 2007, doi 10.1155/2007/43407), plus a plateau for the ST segment. The leads are its projections by the
//! matrix of Dower et al. (1980). X points to the left, Y down, Z to the back; times are in ms from the R peak,
//! amplitudes in mV. The kernels were chosen by hand so that each condition meets its textbook criteria, which the
//! tests below measure.
//!
//! A seed varies heart rate, rhythm, amplitudes and the heart's position, and adds baseline wander and muscle noise.
//! The signal is computed at 500 Hz and then resampled, as a recorded one would be.

use std::f64::consts::TAU;

use super::{Condition, Lead, Recording, check_sampling_rate};
use crate::{Error, ErrorKind, Result, random::Random};

/// The warning of every synthetic recording, also of one that is read back from a file.
pub(super) const SYNTHETIC: &str = "a synthetic signal, not a patient's";

/// Sampling rate in Hz at which the model is evaluated.
const MODEL_RATE: f64 = 500.0;

/// Longest signal in seconds; an hour at 500 Hz takes about 100 MB.
const LONGEST: f64 = 3600.0;
/// Most samples per lead: an hour at 5 kHz. Twelve leads of f32 then take 0.9 GB.
const MOST_SAMPLES: f64 = LONGEST * 5000.0;

/// Begin and end of the ST segment's plateau, in ms.
const ST_SEGMENT: [f64; 2] = [65.0, 260.0];
/// Width of the plateau's sigmoid edges, in ms.
const EDGE: f64 = 15.0;

/// Dower's matrix: the weights of X, Y and Z in the eight leads from which the other four follow.
const DOWER: [(Lead, Vector); 8] = [
    (Lead::I, [0.632, -0.235, 0.059]),
    (Lead::II, [0.235, 1.066, -0.132]),
    (Lead::V1, [-0.515, 0.157, -0.917]),
    (Lead::V2, [0.044, 0.164, -1.387]),
    (Lead::V3, [0.882, 0.098, -1.277]),
    (Lead::V4, [1.213, 0.127, -0.601]),
    (Lead::V5, [1.125, 0.127, -0.086]),
    (Lead::V6, [0.831, 0.076, 0.230]),
];

/// A vector in space: X, Y and Z.
type Vector = [f64; 3];

/// Computes a synthetic 12-lead ECG of `condition` in millivolts, `seconds` long at `sampling_rate` Hz. The same seed
/// gives the same samples, to the last bit on one platform. The recording is named after condition and seed, such as
/// `synthetic-norm-1`, and has a warning that it is synthetic.
///
/// # Errors
/// The duration is not between 0 and an hour, the sampling rate is not a positive number, there would be more than 18
/// million samples per lead, or [`Recording::resampled`] refuses the sampling rate.
pub fn synthesize(condition: Condition, seed: u64, sampling_rate: f64, seconds: f64) -> Result<Recording> {
    if !(seconds > 0.0 && seconds <= LONGEST) {
        let cause = format!("a synthetic ECG of {seconds} seconds");
        return Err(Error::new(ErrorKind::Usage, cause, "give a duration above 0 and at most 3600 seconds"));
    }
    check_sampling_rate(sampling_rate, ErrorKind::Usage)?;
    if seconds * sampling_rate > MOST_SAMPLES {
        let cause = format!("a synthetic ECG of {seconds} seconds at {sampling_rate} Hz");
        let remedy = format!("give at most {MOST_SAMPLES} samples per lead");
        return Err(Error::new(ErrorKind::Usage, cause, remedy));
    }
    let mut random = Random::new(seed, condition as u64);
    let variation = Variation::drawn(&mut random);
    let mut leads = project(&dipole(&model(condition), &variation, &mut random, seconds));
    for (_, signal) in &mut leads {
        add_noise(signal, &variation, &mut random);
    }
    let name = format!("synthetic-{condition}-{seed}");
    let eight = recording(&name, leads)?.resampled(sampling_rate)?;
    // The limb leads are combined last, so that Einthoven's law holds to rounding.
    let twelve = Lead::STANDARD.into_iter().zip(eight.in_order(&Lead::STANDARD)?).collect();
    let mut complete = Recording::new(name, sampling_rate, twelve)?;
    complete.warn(SYNTHETIC);
    Ok(complete)
}

/// Whether a recording is synthetic, as far as its file says: it then has the warning of [`synthesize`].
pub fn is_synthetic(recording: &Recording) -> bool {
    recording.warnings().iter().any(|warning| warning == SYNTHETIC)
}

fn recording(name: &str, leads: Vec<(Lead, Vec<f64>)>) -> Result<Recording> {
    let single = |signal: Vec<f64>| signal.into_iter().map(|x| x as f32).collect();
    Recording::new(name, MODEL_RATE, leads.into_iter().map(|(lead, signal)| (lead, single(signal))).collect())
}

/// A Gaussian wave of the dipole.
#[derive(Debug, Clone, Copy)]
struct Kernel {
    /// Time of the centre, in ms from the R peak.
    centre: f64,
    /// Standard deviation in ms.
    width: f64,
    /// Amplitude along X, Y and Z, in mV.
    direction: Vector,
}

const fn kernel(centre: f64, width: f64, x: f64, y: f64, z: f64) -> Kernel {
    Kernel { centre, width, direction: [x, y, z] }
}

/// The dipole of one heart beat.
struct Beat {
    kernels: Vec<Kernel>,
    /// The ST segment's plateau in millivolts.
    plateau: Vector,
}

const P: Kernel = kernel(-160.0, 22.0, 0.05, 0.10, -0.02);
const SEPTUM: Kernel = kernel(-26.0, 8.0, -0.14, -0.06, -0.28);
const MAIN: Kernel = kernel(0.0, 13.0, 1.05, 0.75, 0.05);
const BASE: Kernel = kernel(26.0, 11.0, 0.05, -0.25, 0.42);

/// Returns the beat that shows `condition`.
fn model(condition: Condition) -> Beat {
    let (kernels, plateau) = match condition {
        Condition::Norm => {
            let t = [kernel(250.0, 55.0, 0.10, 0.07, -0.06), kernel(290.0, 38.0, 0.16, 0.10, -0.10)];
            (vec![P, SEPTUM, MAIN, BASE, t[0], t[1]], [0.0; 3])
        }
        Condition::MiInferior => {
            let main = kernel(0.0, 13.0, 0.95, 0.35, 0.05);
            let q = kernel(-22.0, 13.0, 0.05, -0.50, 0.0);
            let t = kernel(270.0, 45.0, 0.15, 0.15, -0.08);
            (vec![P, SEPTUM, main, BASE, q, t], along([-0.1, 1.0, 0.2], 0.22))
        }
        Condition::MiAnterior => {
            let main = kernel(0.0, 13.0, 0.95, 0.70, 0.10);
            let q = kernel(-16.0, 14.0, -0.10, 0.0, 0.55);
            let t = kernel(270.0, 45.0, 0.15, 0.08, -0.25);
            (vec![P, main, BASE, q, t], along([0.3, 0.1, -1.0], 0.26))
        }
        Condition::Sttc => {
            let t = kernel(270.0, 45.0, -0.15, -0.08, -0.02);
            (vec![P, SEPTUM, MAIN, BASE, t], along([-0.85, -0.3, 0.1], 0.13))
        }
        Condition::Hyp => {
            let main = kernel(2.0, 16.0, 2.0, 0.75, 0.75);
            let base = kernel(32.0, 13.0, 0.1, -0.25, 0.7);
            let t = kernel(270.0, 48.0, -0.22, -0.06, -0.28);
            (vec![P, SEPTUM, main, base, t], along([2.0, 0.5, 0.6], -0.10))
        }
        Condition::CdLbbb => (left_block(), along([0.9, 0.2, 0.7], -0.15)),
        Condition::CdRbbb => {
            let base = kernel(26.0, 11.0, 0.05, -0.25, 0.30);
            let late = kernel(64.0, 17.0, -0.45, 0.02, -0.60);
            let t = kernel(270.0, 48.0, 0.22, 0.13, 0.06);
            (vec![P, SEPTUM, MAIN, base, late, t], [0.0; 3])
        }
    };
    Beat { kernels, plateau }
}

/// Returns the waves of a left bundle branch block, which shares nothing with the normal QRS complex.
fn left_block() -> Vec<Kernel> {
    let qrs = [
        kernel(-30.0, 20.0, 0.55, 0.30, 0.45),
        kernel(15.0, 24.0, 0.85, 0.25, 0.75),
        kernel(62.0, 20.0, 0.75, -0.05, 0.35),
    ];
    vec![P, qrs[0], qrs[1], qrs[2], kernel(300.0, 60.0, -0.30, -0.08, -0.38)]
}

/// Scales `vector` to `length`; a negative length reverses it.
fn along(vector: Vector, length: f64) -> Vector {
    let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    vector.map(|x| x * length / norm)
}

/// The differences of one recording from the model of its condition.
struct Variation {
    /// Seconds between beats.
    interval: f64,
    /// Standard deviation of the interval, as a fraction of it.
    irregularity: f64,
    /// Largest change of a wave's amplitude, as a fraction.
    amplitude: f64,
    /// Rotation in radians about the axis from front to back, then about the axis from head to foot.
    rotation: [f64; 2],
    /// Amplitude of the baseline wander in mV.
    wander: f64,
    /// Frequency of the baseline wander in Hz.
    wander_rate: f64,
    /// Standard deviation of the muscle noise in mV.
    noise: f64,
}

impl Variation {
    fn drawn(random: &mut Random) -> Self {
        let fifteen_degrees = 15f64.to_radians();
        Self {
            interval: 60.0 / random.between(50.0, 100.0),
            irregularity: random.between(0.03, 0.05),
            amplitude: 0.15,
            rotation: [(); 2].map(|()| random.between(-fifteen_degrees, fifteen_degrees)),
            wander: random.between(0.02, 0.08),
            wander_rate: random.between(0.15, 0.30),
            noise: random.between(0.010, 0.030),
        }
    }

    /// Rotates `vector` as the heart is rotated.
    fn turned(&self, [x, y, z]: Vector) -> Vector {
        let [(sin_a, cos_a), (sin_b, cos_b)] = self.rotation.map(f64::sin_cos);
        let [x, y] = [x * cos_a - y * sin_a, x * sin_a + y * cos_a];
        [x * cos_b - z * sin_b, y, x * sin_b + z * cos_b]
    }
}

/// Computes the dipole in mV at [`MODEL_RATE`], `seconds` long.
fn dipole(beat: &Beat, variation: &Variation, random: &mut Random, seconds: f64) -> Vec<Vector> {
    let mut scaled = |vector: Vector| vector.map(|x| x * (1.0 + variation.amplitude * random.between(-1.0, 1.0)));
    let kernels: Vec<Kernel> = beat
        .kernels
        .iter()
        .map(|wave| Kernel { direction: variation.turned(scaled(wave.direction)), ..*wave })
        .collect();
    let plateau = variation.turned(scaled(beat.plateau));
    let samples = ((seconds * MODEL_RATE).round() as usize).max(1);
    let mut signal = vec![[0.0; 3]; samples];
    // The first R peak is half an interval before the start, so that the signal begins within a beat.
    let mut peak = -variation.interval / 2.0;
    while peak < seconds + 1.0 {
        for wave in &kernels {
            let shape = |ms: f64| (-0.5 * ((ms - wave.centre) / wave.width).powi(2)).exp();
            let reach = 6.0 * wave.width;
            add(&mut signal, peak, [wave.centre - reach, wave.centre + reach], wave.direction, shape);
        }
        let [start, end] = ST_SEGMENT;
        let span = [start - 8.0 * EDGE, end + 8.0 * EDGE];
        add(&mut signal, peak, span, plateau, |ms| step(ms - start) - step(ms - end));
        peak += variation.interval * (1.0 + variation.irregularity * random.normal().clamp(-3.0, 3.0));
    }
    signal
}

/// Adds `direction` · `shape` to the part of `signal` within `span`, in ms from the R `peak`, which is given in seconds.
fn add(signal: &mut [Vector], peak: f64, span: [f64; 2], direction: Vector, shape: impl Fn(f64) -> f64) {
    let [first, end] = span.map(|ms| ((peak + ms / 1000.0) * MODEL_RATE).ceil().max(0.0) as usize);
    for (n, dipole) in signal.iter_mut().enumerate().take(end).skip(first) {
        let value = shape((n as f64 / MODEL_RATE - peak) * 1000.0);
        for (axis, x) in dipole.iter_mut().zip(direction) {
            *axis += x * value;
        }
    }
}

/// Evaluates a sigmoid edge around 0 ms.
fn step(ms: f64) -> f64 {
    1.0 / (1.0 + (-ms / EDGE).exp())
}

/// Projects the dipole onto the eight leads of [`DOWER`], in mV.
fn project(dipole: &[Vector]) -> Vec<(Lead, Vec<f64>)> {
    let lead = |weights: Vector| dipole.iter().map(|x| x.iter().zip(weights).map(|(x, w)| x * w).sum()).collect();
    DOWER.map(|(name, weights)| (name, lead(weights))).to_vec()
}

/// Adds baseline wander, as breathing causes it, and muscle noise to one lead.
fn add_noise(signal: &mut [f64], variation: &Variation, random: &mut Random) {
    let phase = random.between(0.0, TAU);
    for (n, x) in signal.iter_mut().enumerate() {
        let turn = TAU * variation.wander_rate * n as f64 / MODEL_RATE;
        *x += variation.wander * (turn + phase).sin() + variation.noise * random.normal();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The model of one condition without variation or noise, at 500 Hz and 60 beats per minute.
    struct Measured(Recording);

    /// The sample of the third R peak: R peaks come half a second after each full second.
    const PEAK: f64 = 1250.0;

    fn measured(beat: &Beat) -> Measured {
        let still = Variation {
            interval: 1.0,
            irregularity: 0.0,
            amplitude: 0.0,
            rotation: [0.0; 2],
            wander: 0.0,
            wander_rate: 0.2,
            noise: 0.0,
        };
        let leads = project(&dipole(beat, &still, &mut Random::new(0, 0), 5.0));
        let eight = recording("still", leads).unwrap();
        let twelve = Lead::STANDARD.into_iter().zip(eight.in_order(&Lead::STANDARD).unwrap()).collect();
        Measured(Recording::new("still", MODEL_RATE, twelve).unwrap())
    }

    impl Measured {
        /// Returns the samples between two times in ms from the R peak.
        fn span(&self, lead: Lead, from: f64, to: f64) -> &[f32] {
            let sample = |ms: f64| (PEAK + ms * MODEL_RATE / 1000.0) as usize;
            &self.0.lead(lead).unwrap()[sample(from)..sample(to)]
        }

        fn at(&self, lead: Lead, ms: f64) -> f32 {
            self.span(lead, ms, ms + 2.0)[0]
        }

        fn highest(&self, lead: Lead, from: f64, to: f64) -> f32 {
            self.span(lead, from, to).iter().copied().fold(f32::MIN, f32::max)
        }

        fn lowest(&self, lead: Lead, from: f64, to: f64) -> f32 {
            self.span(lead, from, to).iter().copied().fold(f32::MAX, f32::min)
        }

        /// Returns the ST level in mV, 60 ms after the J point of a QRS complex of normal width.
        fn st(&self, lead: Lead) -> f32 {
            self.at(lead, 104.0)
        }

        /// Returns the net amplitude of the QRS complex in mV.
        fn net(&self, lead: Lead) -> f32 {
            self.highest(lead, -90.0, 120.0) + self.lowest(lead, -90.0, 120.0)
        }

        /// Returns the axis in degrees in the frontal plane. aVF is shorter than I by √3/2, which the formula corrects.
        fn axis(&self) -> f32 {
            (2.0 / 3f32.sqrt() * self.net(Lead::AVF)).atan2(self.net(Lead::I)).to_degrees()
        }
    }

    /// Measures the time in ms for which the QRS complex alone passes 0.05 mV in any lead.
    fn qrs_duration(condition: Condition) -> f64 {
        let kernels = model(condition).kernels.into_iter().filter(|wave| wave.centre.abs() < 100.0).collect();
        let complex = measured(&Beat { kernels, plateau: [0.0; 3] });
        let above = |n: &usize| complex.0.leads().any(|(_, signal)| signal[*n].abs() > 0.05);
        let within: Vec<usize> = (1000..1500).filter(above).collect();
        (within[within.len() - 1] - within[0]) as f64 * 2.0
    }

    fn assert_near(what: &str, value: f32, expected: f32, tolerance: f32) {
        assert!((value - expected).abs() <= tolerance, "{what}: {value}, expected {expected}");
    }

    #[test]
    fn the_normal_ecg_has_a_normal_axis_and_normal_voltages() {
        let ecg = measured(&model(Condition::Norm));
        assert_near("axis", ecg.axis(), 51.0, 2.0);
        let sokolow = ecg.highest(Lead::V5, -90.0, 90.0) - ecg.lowest(Lead::V1, -90.0, 90.0);
        assert_near("SV1 + RV5", sokolow, 1.80, 0.03);
        assert_near("QRS duration", qrs_duration(Condition::Norm) as f32, 87.0, 10.0);
        assert!(Lead::STANDARD.iter().all(|lead| ecg.st(*lead).abs() < 0.02), "ST is on the baseline");
    }

    #[test]
    fn an_inferior_infarction_has_q_waves_and_raised_st_below_and_lowered_st_above() {
        let ecg = measured(&model(Condition::MiInferior));
        assert_near("Q in II", ecg.lowest(Lead::II, -60.0, 0.0), -0.48, 0.02);
        let q = ecg.span(Lead::II, -90.0, 0.0).iter().filter(|x| **x < -0.02).count() * 2;
        assert_near("Q duration in II", q as f32, 39.0, 6.0);
        assert_near("ST in III", ecg.st(Lead::III), 0.26, 0.02);
        assert_near("ST in aVL", ecg.st(Lead::AVL), -0.16, 0.02);
    }

    #[test]
    fn an_anterior_infarction_has_qs_complexes_and_raised_st_in_front() {
        let ecg = measured(&model(Condition::MiAnterior));
        for (lead, st) in [(Lead::V1, 0.18), (Lead::V2, 0.33), (Lead::V3, 0.36)] {
            assert_near(lead.name(), ecg.st(lead), st, 0.02);
        }
        for lead in [Lead::V1, Lead::V2] {
            assert!(ecg.highest(lead, -90.0, 0.0) < 0.05 && ecg.lowest(lead, -90.0, 0.0) < -0.7, "QS in {lead}");
        }
    }

    #[test]
    fn st_and_t_changes_leave_the_qrs_complex_normal() {
        let ecg = measured(&model(Condition::Sttc));
        assert_near("axis", ecg.axis(), 51.0, 2.0);
        for (lead, st) in [(Lead::V3, -0.12), (Lead::V4, -0.15), (Lead::V5, -0.14)] {
            assert_near(lead.name(), ecg.st(lead), st, 0.02);
            assert!(ecg.lowest(lead, 200.0, 400.0) < -0.15, "T is inverted in {lead}");
        }
    }

    #[test]
    fn hypertrophy_passes_sokolow_and_lyons_limit_and_shows_strain() {
        let ecg = measured(&model(Condition::Hyp));
        let sokolow = ecg.highest(Lead::V5, -90.0, 90.0) - ecg.lowest(Lead::V1, -90.0, 90.0);
        assert_near("SV1 + RV5", sokolow, 3.94, 0.03);
        assert_near("ST in V5", ecg.st(Lead::V5), -0.10, 0.02);
        assert_near("T in V5", ecg.lowest(Lead::V5, 200.0, 400.0), -0.28, 0.03);
    }

    #[test]
    fn a_left_bundle_branch_block_is_wide_and_points_away_from_v1() {
        let ecg = measured(&model(Condition::CdLbbb));
        assert_near("QRS duration", qrs_duration(Condition::CdLbbb) as f32, 181.0, 12.0);
        assert_near("QS in V1", ecg.lowest(Lead::V1, -90.0, 120.0), -1.18, 0.02);
        let t = [ecg.highest(Lead::V1, 200.0, 450.0), ecg.lowest(Lead::V6, 200.0, 450.0)];
        assert!(t[0] > 0.3 && t[1] < -0.2, "T points away from the QRS complex: {t:?}");
    }

    #[test]
    fn a_right_bundle_branch_block_has_a_second_r_in_v1_and_a_late_s_on_the_left() {
        let ecg = measured(&model(Condition::CdRbbb));
        assert_near("QRS duration", qrs_duration(Condition::CdRbbb) as f32, 140.0, 10.0);
        assert_near("R' in V1", ecg.highest(Lead::V1, 40.0, 120.0), 0.78, 0.02);
        assert_near("S in I", ecg.lowest(Lead::I, 20.0, 130.0), -0.32, 0.02);
        assert_near("S in V6", ecg.lowest(Lead::V6, 20.0, 130.0), -0.51, 0.02);
    }

    #[test]
    fn a_seed_gives_the_same_samples_and_another_seed_others() {
        let draw = |condition, seed| synthesize(condition, seed, 100.0, 10.0).unwrap();
        let first = draw(Condition::Norm, 1);
        assert_eq!(first, draw(Condition::Norm, 1));
        assert_ne!(first.lead(Lead::II), draw(Condition::Norm, 2).lead(Lead::II));
        assert_eq!((first.name(), first.samples(), first.duration()), ("synthetic-norm-1", 1000, 10.0));
        assert!(first.warnings()[0].contains("synthetic") && is_synthetic(&first));
    }

    #[test]
    fn the_limb_leads_agree_and_the_amplitudes_are_those_of_an_ecg() {
        for (condition, seed) in Condition::ALL.into_iter().flat_map(|c| (0..5).map(move |seed| (c, seed))) {
            let ecg = synthesize(condition, seed, 100.0, 10.0).unwrap();
            let [i, ii, iii] = [Lead::I, Lead::II, Lead::III].map(|lead| ecg.lead(lead).unwrap());
            assert!((0..1000).all(|n| (ii[n] - i[n] - iii[n]).abs() < 1e-6), "{}", ecg.name());
            let largest = ecg.leads().flat_map(|(_, signal)| signal).fold(0f32, |peak, x| peak.max(x.abs()));
            assert!((0.5..4.0).contains(&largest), "{}: {largest} mV", ecg.name());
        }
    }

    #[test]
    fn conditions_are_read_by_name() {
        for condition in Condition::ALL {
            assert_eq!(condition.to_string().parse::<Condition>(), Ok(condition));
        }
        assert_eq!("MI".parse::<Condition>(), Ok(Condition::MiInferior));
        assert_eq!("cd".parse::<Condition>(), Ok(Condition::CdLbbb));
        assert!("healthy".parse::<Condition>().unwrap_err().remedy().contains("norm, mi-inferior"));
    }

    #[test]
    fn a_duration_or_rate_that_makes_no_sense_is_refused() {
        for (rate, seconds) in [(100.0, 0.0), (100.0, -1.0), (100.0, f64::NAN), (100.0, 1e9), (0.0, 10.0), (1e9, 10.0)]
        {
            assert!(synthesize(Condition::Norm, 0, rate, seconds).is_err(), "{rate} Hz, {seconds} s");
        }
    }
}
