//! What warping, mixing and dropout do to a batch.

use std::collections::BTreeSet;
use std::f64::consts::TAU;

use ecgpu::engine::kernels::training::augment::{Draws, Segment};

use crate::batch::{Batch, Outcome, only};

#[test]
fn warping_changes_the_rate_of_the_beats_and_keeps_their_height_and_the_length() {
    for rate in [100.0, 500.0] {
        let batch = Batch::of(8, (10.0 * rate) as usize, rate, |_, _, t| (TAU * 7.0 * t as f64 / rate).sin());
        let Outcome { x, labels, draws } = batch.augmented(&only("warp"));
        assert_eq!((x.len(), &labels), (batch.x.len(), &batch.labels));
        for (row, &Draws { factor, anchor, .. }) in draws.iter().enumerate() {
            assert!((0.95..=1.05).contains(&factor) && (factor - 1.0).abs() > 1e-4);
            for (t, &y) in batch.lead(&x, row, 0).iter().enumerate() {
                let position = anchor + (t as f64 - anchor) * factor;
                let expected = (TAU * 7.0 * position / rate).sin();
                // Only within the record. Cubic interpolation is off by 0.5 % for a wave of 14 samples.
                if position > 1.0 && position < batch.samples as f64 - 2.0 {
                    assert!((f64::from(y) - expected).abs() < 0.01, "{rate} Hz, sample {t}: {y}, not {expected}");
                }
                assert!(y.abs() < 1.05);
            }
        }
    }
}

#[test]
fn mixup_mixes_labels_as_it_mixes_samples() {
    // Lead r of record r is 1 and all others are 0, so that each lead shows the share of one record.
    let batch = Batch::of(8, 100, 100.0, |record, lead, _| f64::from(u8::from(record == lead)));
    let mut partners = BTreeSet::new();
    for (name, augmentations) in [("mixup", only("mixup")), ("cutmix", only("cutmix")), ("all", only("mixup,cutmix"))] {
        let Outcome { x, labels, draws } = batch.augmented(&augmentations);
        for (row, draws) in draws.iter().enumerate() {
            let of = |class: usize| batch.lead(&x, row, class).iter().map(|x| f64::from(*x)).sum::<f64>() / 100.0;
            for class in 0..8 {
                let label = f64::from(labels[row * 8 + class]);
                assert!((label - of(class)).abs() < 1e-6, "{name}, row {row}: label {label}, samples {}", of(class));
            }
            assert!(f64::from(labels[row * 8 + row]) < 1.0 - 1e-9 || draws.share < 1e-6, "{name}: another has a share");
            if draws.share > 0.0 {
                assert!(draws.partner != row && draws.share <= 0.5);
                partners.insert((row, draws.partner));
            }
            if draws.cut.len > 0 {
                assert!(draws.cut_partner != row);
                partners.insert((row, draws.cut_partner));
            }
        }
    }
    assert!(partners.len() > 10, "partners are drawn, not the next record: {partners:?}");
}

#[test]
fn cutmix_takes_one_segment_from_one_other_record_and_leaves_the_rest() {
    let batch = Batch::ecgs(6, 100.0);
    let Outcome { x, draws, .. } = batch.augmented(&only("cutmix"));
    for (row, Draws { cut, cut_partner, .. }) in draws.iter().enumerate() {
        for (lead, t) in (0..12).flat_map(|lead| (0..batch.samples).map(move |t| (lead, t))) {
            let from = if cut.contains(t) { *cut_partner } else { row };
            assert_eq!(batch.lead(&x, row, lead)[t], batch.lead(&batch.x, from, lead)[t]);
        }
    }
}

#[test]
fn dropout_leaves_a_straight_line_between_the_samples_beside_the_gap() {
    let batch = Batch::ecgs(6, 100.0);
    let Outcome { x, labels, draws } = batch.augmented(&only("dropout"));
    assert_eq!(labels, batch.labels);
    for (row, Draws { gap: Segment { start, len }, .. }) in draws.iter().enumerate() {
        let (start, len) = (*start, *len);
        assert!((50..=200).contains(&len) && start >= 1 && start + len < 1000);
        for lead in 0..12 {
            let [before, after] = [&batch.x, &x].map(|x| batch.lead(x, row, lead));
            assert_eq!((&before[..start], &before[start + len..]), (&after[..start], &after[start + len..]));
            let bend = |t: usize| after[t - 1] - 2.0 * after[t] + after[t + 1];
            assert!((start..start + len).all(|t| bend(t).abs() < 1e-6), "row {row}, lead {lead}");
        }
    }
}

#[test]
fn gain_scales_all_leads_alike_and_lead_dropout_zeroes_whole_leads_as_often_as_drawn() {
    let batch = Batch::ecgs(40, 100.0);
    let Outcome { x, labels, draws } = batch.augmented(&only("gain:1:0.5..2,lead-dropout:1:0.2..0.6"));
    assert_eq!(labels, batch.labels);
    let (mut dropped, mut expected) = (0.0, 0.0);
    for (row, Draws { gain, dropped_leads, .. }) in draws.iter().enumerate() {
        assert!((0.5..=2.0).contains(gain) && (0.2..=0.6).contains(dropped_leads));
        expected += 12.0 * dropped_leads;
        for lead in 0..12 {
            let [before, after] = [&batch.x, &x].map(|x| batch.lead(x, row, lead));
            if after.iter().all(|x| *x == 0.0) {
                dropped += 1.0;
                continue;
            }
            let near = |(a, b): (&f32, &f32)| (f64::from(*a) * gain - f64::from(*b)).abs() < 1e-6;
            assert!(before.iter().zip(after).all(near), "row {row}, lead {lead}, gain {gain}");
        }
    }
    // 480 leads with a probability of about 0.4: a standard deviation of 11.
    assert!(f64::abs(dropped - expected) < 45.0, "{dropped} dropped leads instead of {expected}");
}
