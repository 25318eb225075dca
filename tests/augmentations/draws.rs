//! What is drawn for each record, how often, and what is refused.

use std::collections::BTreeSet;

use ecgpu::Device;
use ecgpu::engine::kernels::training::augment::Draws;
use ecgpu::train::Augmentations;
use ecgpu::train::augment::{Amount, Band, Mixup, Motion};

use crate::batch::{Batch, Outcome, SEED, happened, only};

#[test]
fn each_augmentation_is_drawn_as_often_as_published_and_within_its_range() {
    let batch = Batch::of(4000, 100, 100.0, |_, _, _| 0.0);
    let batch = Batch { labels: vec![0.0; 4000], classes: 1, ..batch };
    let draws = batch.augmented(&Augmentations::default()).draws;
    let names = ["warp", "mixup", "band-pass", "cutmix", "motion", "noise", "dropout"];
    for (at, rate) in [0.5, 0.4, 0.3, 0.25, 0.2, 0.6, 0.3].into_iter().enumerate() {
        let share = draws.iter().filter(|draws| happened(draws)[at]).count() as f64 / 4000.0;
        // Within four standard deviations of a share of 4000 records.
        assert!((share - rate).abs() < 4.0 * f64::sqrt(rate * (1.0 - rate) / 4000.0), "{}: {share}", names[at]);
    }
    let within = |what: &str, low: f64, high: f64, amount: &dyn Fn(&Draws) -> f64| {
        let amounts: Vec<f64> = draws.iter().map(amount).filter(|amount| *amount > 0.0).collect();
        let [least, most] =
            [amounts.iter().copied().fold(f64::MAX, f64::min), amounts.iter().copied().fold(0.0, f64::max)];
        let slack = 0.02 * (high - low);
        assert!(least >= low - 1e-6 && most <= high + 1e-6, "{what}: {least} to {most}");
        assert!(least < low + slack && most > high - slack, "{what}: {least} to {most}, not all of {low} to {high}");
    };
    within("factor", 0.95, 1.05, &|draws| draws.factor);
    within("mixup", 0.0, 0.5, &|draws| draws.share);
    within("lower edge", 0.5, 1.5, &|draws| draws.band[0]);
    within("upper edge", 40.0, 45.0, &|draws| draws.band[1]);
    within("CutMix", 10.0, 30.0, &|draws| draws.cut.len as f64);
    within("wander", 0.5, 2.0, &|draws| draws.wander);
    within("noise", 0.005, 0.02, &|draws| draws.noise);
    within("dropout", 5.0, 20.0, &|draws| draws.gap.len as f64);
    within("first replaced sample", 1.0, 89.0, &|draws| if draws.cut.len > 0 { draws.cut.start as f64 } else { 0.0 });
    assert!(draws.iter().all(|Draws { cut, gap, .. }| [cut, gap].iter().all(|s| s.start + s.len <= 99)));
}

#[test]
fn a_record_without_an_augmentation_keeps_every_bit() {
    let batch = Batch::ecgs(40, 100.0);
    let none = batch.plan(&Augmentations::NONE, SEED, 1).unwrap();
    assert!(none.steps.is_empty());
    assert_eq!(batch.run(&Device::Reference, &none, 0).x, batch.x);

    let Augmentations { warp, .. } = Augmentations::default();
    let rare = Augmentations { warp: warp.map(|warp| Amount { rate: 0.0, ..warp }), ..Augmentations::default() };
    let Outcome { x, labels, draws } = batch.augmented(&rare);
    let mut untouched = 0;
    for (row, draws) in draws.iter().enumerate() {
        let happened = happened(draws);
        let same = (0..12).all(|lead| batch.lead(&x, row, lead) == batch.lead(&batch.x, row, lead));
        assert_eq!(same, happened == [false; 7], "row {row}: {happened:?}");
        if !happened[1] && !happened[3] {
            assert_eq!(labels[row * 40..][..40], batch.labels[row * 40..][..40]);
        }
        untouched += usize::from(same);
    }
    assert!(untouched > 0);
}

#[test]
fn draws_depend_only_on_seed_step_and_row() {
    let batch = Batch::ecgs(6, 100.0);
    let run = |seed, step| batch.run(&Device::Reference, &batch.plan(&only("all"), seed, 2).unwrap(), step);
    let first = run(1, 5);
    assert_eq!(first.x, run(1, 5).x);
    assert_eq!((first.x.len(), first.draws.len()), (2 * batch.x.len(), 12));
    for other in [run(2, 5), run(1 << 40, 5), run(1, 6)] {
        assert_ne!(first.x, other.x);
        assert!(first.draws.iter().zip(&other.draws).all(|(a, b)| a.factor != b.factor && a.wander != b.wander));
    }
    let factors: BTreeSet<u64> = first.draws.iter().map(|draws| draws.factor.to_bits()).collect();
    assert_eq!(factors.len(), 12, "each view of each record has its own");
    for (row, draws) in first.draws.iter().enumerate() {
        assert_eq!([draws.partner / 6, draws.cut_partner / 6], [row / 6; 2], "views do not mix");
    }
    let alone = only("-mixup,-cutmix");
    let fewer = Batch { records: 3, labels: vec![0.0; 18], ..batch.clone() };
    let fewer = Batch { x: batch.x[..batch.x.len() / 2].to_vec(), ..fewer };
    let part = fewer.run(&Device::Reference, &fewer.plan(&alone, 1, 1).unwrap(), 5);
    let whole = batch.run(&Device::Reference, &batch.plan(&alone, 1, 1).unwrap(), 5);
    assert_eq!(part.x, whole.x[..part.x.len()]);
}

#[test]
fn impossible_settings_are_refused_with_their_cause() {
    let batch = Batch::ecgs(2, 100.0);
    let refuse = |augmentations: Augmentations, batch: &Batch, cause: &str| {
        let error = batch.plan(&augmentations, 0, 1).expect_err(cause);
        assert!(error.cause().contains(cause), "{error}");
    };
    let none = Augmentations::NONE;
    let amount = |rate, low, high| Some(Amount { rate, range: [low, high] });
    refuse(Augmentations { warp: amount(1.5, 0.95, 1.05), ..none }, &batch, "a rate of 1.5");
    refuse(Augmentations { warp: amount(f64::NAN, 0.95, 1.05), ..none }, &batch, "a rate of NaN");
    refuse(Augmentations { warp: amount(0.5, 1.05, 0.95), ..none }, &batch, "from 1.05 to 0.95");
    refuse(Augmentations { noise: amount(0.5, 0.0, f64::NAN), ..none }, &batch, "noise");
    refuse(Augmentations { dropout: amount(0.5, 0.1, 1.0), ..none }, &batch, "too short");
    refuse(Augmentations { mixup: Some(Mixup { rate: 0.5, alpha: 0.0 }), ..none }, &batch, "alpha");
    let fast = Motion { rate: 0.5, amplitude: [0.0, 0.1], frequency: [1.0, 60.0] };
    refuse(Augmentations { motion: Some(fast), ..none }, &batch, "frequency of the wander in Hz from 1 to 60");
    let narrow = Band { rate: 0.5, low: [0.5, 50.0], high: [40.0, 60.0] };
    refuse(Augmentations { band_pass: Some(narrow), ..none }, &batch, "lower edge");

    let single = Batch::ecgs(1, 100.0);
    refuse(only("mixup"), &single, "a batch of one record");
    assert!(single.plan(&only("noise"), 0, 1).is_ok());
    let at = |rate, millivolts| {
        let mut batch = batch.clone();
        (batch.signal.sampling_rate, batch.signal.millivolts) = (rate, millivolts);
        batch
    };
    refuse(only("noise"), &at(0.0, 1.0), "a sampling rate of 0 Hz");
    refuse(only("noise"), &at(100.0, f64::NAN), "units of NaN mV");
    let mut eleven = batch.clone();
    eleven.signal.leads.pop();
    refuse(only("noise"), &eleven, "12 leads, of which 11");
    let short = Batch::of(2, 3, 100.0, |_, _, _| 0.0);
    assert!(short.plan(&only("cutmix"), 0, 1).is_ok(), "one sample of three");
    let short = Batch::of(2, 2, 100.0, |_, _, _| 0.0);
    refuse(only("cutmix"), &short, "too short");
}
