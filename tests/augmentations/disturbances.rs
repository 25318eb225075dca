//! What filtering, motion and noise do to a batch.

use std::collections::BTreeSet;
use std::f64::consts::TAU;

use ecgpu::ecg::Lead;
use ecgpu::engine::kernels::training::augment::Draws;
use ecgpu::train::Augmentations;
use ecgpu::train::augment::Band;

use crate::batch::{Batch, Outcome, component, deviation, each, only};

#[test]
fn band_pass_removes_wander_and_mains_and_shifts_no_wave() {
    let rate = 500.0;
    // Ten seconds of an offset, a heart's 10 Hz, wander of 0.1 Hz, and 150 Hz, which is above every upper edge.
    let hertz = [10.0, 0.1, 150.0];
    let wave = |t: usize, f: f64| (TAU * f * t as f64 / rate).sin();
    let batch = Batch::of(3, 5000, rate, |_, _, t| 0.4 + hertz.iter().map(|&f| wave(t, f)).sum::<f64>());
    let Outcome { x, draws, .. } = batch.augmented(&only("band-pass"));
    for (row, &Draws { band: [low, high], .. }) in draws.iter().enumerate() {
        assert!((0.5..=1.5).contains(&low) && (40.0..=60.0).contains(&high));
        let y = || batch.lead(&x, row, 6).iter().map(|&x| f64::from(x));
        let [kept, turned] = component(y(), 10.0 / rate);
        assert!((kept - 1.0).abs() < 0.02 && turned.abs() < 0.01, "10 Hz: {kept}, {turned}");
        let left = |f: f64| component(y(), f / rate).map(|part| part * part).iter().sum::<f64>().sqrt();
        assert!(left(0.1) < 0.1 && left(150.0) < 0.05, "{} and {}", left(0.1), left(150.0));
        assert!((y().sum::<f64>() / 5000.0).abs() < 0.02, "the offset");
    }
}

/// Each of the two passes attenuates an edge by 3 dB.
#[test]
fn band_pass_halves_the_amplitude_at_its_edges() {
    for rate in [100.0, 500.0] {
        let edges = |edge: f64| [edge; 2];
        let band = Band { rate: 1.0, low: edges(1.0), high: edges(40.0) };
        let augmentations = Augmentations { band_pass: Some(band), ..Augmentations::NONE };
        for hertz in [1.0, 40.0] {
            let batch = Batch::of(2, (10.0 * rate) as usize, rate, |_, _, t| (TAU * hertz * t as f64 / rate).sin());
            let x = batch.augmented(&augmentations).x;
            // Away from both ends of the record.
            let middle = &batch.lead(&x, 0, 0)[(3.0 * rate) as usize..(7.0 * rate) as usize];
            let [sine, cosine] = component(middle.iter().map(|&x| f64::from(x)), hertz / rate);
            assert!((sine - 0.5).abs() < 0.01 && cosine.abs() < 0.01, "{rate} Hz: {hertz} Hz leaves {sine}, {cosine}");
        }
    }
}

#[test]
fn the_band_ends_below_half_the_sampling_rate_and_a_note_says_so() {
    let augmentations = only("band-pass");
    assert!(augmentations.notes(500.0).is_empty());
    let notes = augmentations.notes(100.0);
    assert!(notes.len() == 1 && notes[0].contains("between 40 and 45 Hz"), "{notes:?}");
    let batch = Batch::ecgs(4, 100.0);
    let Outcome { x, draws, .. } = batch.augmented(&augmentations);
    assert!(draws.iter().all(|draws| draws.band[1] <= 45.0));
    assert!(x.iter().all(|x| x.abs() < 5.0), "the filter is stable");
    assert!(Augmentations::NONE.notes(100.0).is_empty());
}

#[test]
fn motion_adds_a_wave_of_the_drawn_frequency_at_any_sampling_rate() {
    for (rate, millivolts) in [(100.0, 1.0), (500.0, 1.0), (100.0, 0.235)] {
        let mut batch = Batch::ecgs(4, rate);
        batch.signal.millivolts = millivolts;
        let Outcome { x, draws, .. } = batch.augmented(&only("motion"));
        let mut amplitudes = BTreeSet::new();
        for (row, lead) in (0..4).flat_map(|row| [0, 1, 6, 11].map(|lead| (row, lead))) {
            let added = batch.added(&x, row, lead);
            let crossings = added.windows(2).filter(|pair| pair[0].signum() != pair[1].signum()).count() as f64;
            let frequency = draws[row].wander;
            assert!((0.5..=2.0).contains(&frequency));
            // Two zeros per wave, for ten seconds.
            assert!((crossings - 20.0 * frequency).abs() <= 1.0, "{rate} Hz: {crossings} zeros at {frequency} Hz");
            let amplitude = added.iter().fold(0.0f64, |most, x| most.max(x.abs())) * millivolts;
            assert!(amplitude > 0.0099 && amplitude < 0.0501, "{amplitude} mV");
            amplitudes.insert((amplitude * 1e6) as u64);
        }
        assert_eq!(amplitudes.len(), 16, "each lead of each record has its own");
    }
}

#[test]
fn noise_is_normally_distributed_with_the_drawn_share_of_the_lead() {
    let batch = Batch::ecgs(4, 500.0);
    let Outcome { x, draws, .. } = batch.augmented(&only("noise"));
    for (row, lead) in (0..4).flat_map(|row| [0, 1, 6, 11].map(|lead| (row, lead))) {
        let added = batch.added(&x, row, lead);
        let before: Vec<f64> = batch.lead(&batch.x, row, lead).iter().map(|&x| f64::from(x)).collect();
        let level = deviation(&added) / deviation(&before);
        // 4 % are four standard deviations of the deviation of 5000 numbers.
        assert!((level / draws[row].noise - 1.0).abs() < 0.04, "{level} instead of {}", draws[row].noise);
        let fourth = added.iter().map(|x| x.powi(4)).sum::<f64>() / 5000.0 / deviation(&added).powi(4);
        assert!((fourth - 3.0).abs() < 0.4, "a kurtosis of {fourth}");
        let next = added.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / 5000.0 / deviation(&added).powi(2);
        assert!(next.abs() < 0.06, "neighbours correlate by {next}");
    }
}

#[test]
fn each_chest_lead_is_disturbed_independently() {
    let batch = Batch::ecgs(2, 500.0);
    for name in ["motion", "noise"] {
        let x = batch.augmented(&only(name)).x;
        let independent = [0, 1, 6, 7, 8, 9, 10, 11].map(|lead| batch.added(&x, 0, lead));
        for (at, a) in independent.iter().enumerate() {
            for b in &independent[..at] {
                let product = a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / a.len() as f64;
                let correlation = product / (deviation(a) * deviation(b));
                // Waves of one frequency correlate by their phases, but no two are the same.
                assert!(correlation.abs() < if name == "noise" { 0.06 } else { 0.9999 }, "{name}: {correlation}");
            }
        }
    }
}

#[test]
fn limb_leads_still_follow_from_i_and_ii_after_every_augmentation() {
    let batch = Batch::ecgs(4, 100.0);
    for (name, augmentations) in each().chain([("all", only("all"))]) {
        let x = batch.augmented(&augmentations).x;
        assert_ne!(x, batch.x, "{name}");
        for (row, (at, lead)) in (0..4).flat_map(|row| Lead::STANDARD.iter().enumerate().map(move |lead| (row, lead))) {
            let Some([a, b]) = lead.from_i_and_ii() else { continue };
            let [i, ii, follows] = [0, 1, at].map(|lead| batch.lead(&x, row, lead));
            // Rounding to f32 of values of a few mV.
            let worst = (0..batch.samples).map(|t| (a * i[t] + b * ii[t] - follows[t]).abs()).fold(0.0, f32::max);
            assert!(worst < 2e-6, "{name}: {lead} is {worst} mV off");
        }
    }
}
