//! What each augmentation does to a batch, and what it leaves alone.

#![cfg(feature = "train")]

use std::{collections::BTreeSet, f64::consts::TAU};

use ecgpu::{
    Device,
    ecg::{Condition, Lead, synthesize},
    engine::backend,
    engine::kernels::training::{
        Schedule, SupervisedLossKind,
        augment::{Draws, Segment},
    },
    engine::network::published::model_card_55k,
    engine::plan::{Builder, Plan},
    train::{
        AugmentationPipeline, Augmentations, Heads, Objective, Optimiser, TrainingStep,
        augment::{Amount, Augmented, Band, Mixup, Motion, Signal},
    },
};
use ecgpu_testing::has_gpu;

const SEED: u64 = 11;

/// Records `[records, 12, samples]` with labels `[records, classes]`.
#[derive(Clone)]
struct Batch {
    records: usize,
    classes: usize,
    samples: usize,
    x: Vec<f32>,
    labels: Vec<f32>,
    signal: Signal,
}

/// What comes out, and what was drawn.
struct Outcome {
    x: Vec<f32>,
    labels: Vec<f32>,
    draws: Vec<Draws>,
}

impl Batch {
    /// The sample `value(record, lead, t)` in mV, with one label for each record.
    fn of(records: usize, samples: usize, rate: f64, value: impl Fn(usize, usize, usize) -> f64) -> Self {
        let at = |i: usize| value(i / (12 * samples), i / samples % 12, i % samples) as f32;
        let x = (0..records * 12 * samples).map(at).collect();
        let labels = (0..records * records).map(|i| f32::from(i / records == i % records)).collect();
        let signal = Signal { leads: Lead::STANDARD.to_vec(), sampling_rate: rate, millivolts: 1.0 };
        Self { records, classes: records, samples, x, labels, signal }
    }

    /// Synthetic ECGs of ten seconds.
    fn ecgs(records: usize, rate: f64) -> Self {
        let leads: Vec<Vec<Vec<f32>>> = (0..records)
            .map(|seed| {
                let ecg = synthesize(Condition::ALL[seed % 7], seed as u64, rate, 10.0).unwrap();
                let eight = ecg.in_order(&Lead::STANDARD).unwrap();
                let follows = |lead: Lead| lead.from_i_and_ii().map(|[a, b]| (a, b));
                let derive = |(lead, signal): (Lead, &Vec<f32>)| match follows(lead) {
                    Some((a, b)) => (0..signal.len()).map(|t| a * eight[0][t] + b * eight[1][t]).collect(),
                    None => signal.clone(),
                };
                Lead::STANDARD.into_iter().zip(&eight).map(derive).collect()
            })
            .collect();
        Self::of(records, (10.0 * rate) as usize, rate, |r, lead, t| f64::from(leads[r][lead][t]))
    }

    fn plan(&self, augmentations: &Augmentations, seed: u64, views: usize) -> ecgpu::Result<Plan> {
        let mut builder = Builder::default();
        let records = builder.input("records", [views * self.records, 12, self.samples])?;
        let schedule = builder.input("schedule", [1, 1, Schedule::LEN])?;
        let labels = builder.input("labels", [views * self.records, self.classes, 1])?;
        let Augmented { records, labels, draws, .. } =
            AugmentationPipeline { augmentations: *augmentations, signal: self.signal.clone(), seed }.add(
                &mut builder,
                views,
                [records, schedule],
                Some(labels),
            )?;
        Ok(builder.finish([Some(records), labels, draws].into_iter().flatten().collect()))
    }

    fn run(&self, device: &Device, plan: &Plan, step: u32) -> Outcome {
        let mut trainer = backend::open(device, None).unwrap().prepare_training(plan).unwrap();
        let schedule =
            Schedule { step, learning_rate: 0.0, corrections: [1.0; 2], target_momentum: 0.0, accumulate: [0.0, 1.0] };
        let mut outputs = Vec::new();
        let views = plan.buffers[plan.inputs[0]].shape[0] / self.records;
        let (x, labels) = (self.x.repeat(views), self.labels.repeat(views));
        trainer.run(&[&x, &schedule.numbers(), &labels], &mut outputs).unwrap();
        let drawn: Vec<f64> = outputs.get(2).into_iter().flatten().map(|&number| f64::from(number)).collect();
        let draws = (0..drawn.len() / Draws::LEN).map(|row| Draws::of(&drawn, row)).collect();
        let labels = outputs.remove(1);
        Outcome { x: outputs.remove(0), labels, draws }
    }

    fn augmented(&self, augmentations: &Augmentations) -> Outcome {
        self.run(&Device::Reference, &self.plan(augmentations, SEED, 1).unwrap(), 0)
    }

    fn lead<'a>(&self, x: &'a [f32], row: usize, lead: usize) -> &'a [f32] {
        &x[(row * 12 + lead) * self.samples..][..self.samples]
    }

    /// What was added to a lead.
    fn added(&self, x: &[f32], row: usize, lead: usize) -> Vec<f64> {
        let pairs = self.lead(x, row, lead).iter().zip(self.lead(&self.x, row % self.records, lead));
        pairs.map(|(after, before)| f64::from(*after) - f64::from(*before)).collect()
    }
}

/// Each augmentation by itself, at every record.
fn each() -> impl Iterator<Item = (&'static str, Augmentations)> {
    Augmentations::default().always().each()
}

fn only(name: &str) -> Augmentations {
    name.parse::<Augmentations>().unwrap().always()
}

/// Whether each of the seven happened.
fn happened(draws: &Draws) -> [bool; 7] {
    let Draws { factor, band, share, cut, wander, noise, gap, .. } = draws;
    [*factor != 1.0, *share > 0.0, band[0] > 0.0, cut.len > 0, *wander > 0.0, *noise > 0.0, gap.len > 0]
}

fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// The amplitude of the sine and the cosine of `turns` a sample in a signal.
fn component(signal: impl IntoIterator<Item = f64>, turns: f64) -> [f64; 2] {
    let mut sums = [0.0; 2];
    let mut count = 0;
    for (t, x) in signal.into_iter().enumerate() {
        sums[0] += x * (TAU * turns * t as f64).sin();
        sums[1] += x * (TAU * turns * t as f64).cos();
        count += 1;
    }
    sums.map(|sum| 2.0 * sum / f64::from(count))
}

#[test]
fn each_happens_as_often_as_published_and_within_its_range() {
    let batch = Batch::of(4000, 100, 100.0, |_, _, _| 0.0);
    let batch = Batch { labels: vec![0.0; 4000], classes: 1, ..batch };
    let draws = batch.augmented(&Augmentations::default()).draws;
    let names = ["warp", "mixup", "band-pass", "cutmix", "motion", "noise", "dropout"];
    for (at, rate) in [0.5, 0.4, 0.3, 0.25, 0.2, 0.6, 0.3].into_iter().enumerate() {
        let share = draws.iter().filter(|draws| happened(draws)[at]).count() as f64 / 4000.0;
        // Four standard deviations of a share of 4000.
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
fn what_does_not_happen_leaves_every_bit() {
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
fn limb_leads_follow_from_i_and_ii_whatever_happens() {
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

#[test]
fn chest_leads_are_disturbed_each_by_itself() {
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
                // Within the record; the cubic leaves 0.5 % of a wave of 14 samples.
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
    // Lead r of record r is 1, all others 0, so that the leads show whose samples they are.
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
fn band_pass_takes_wander_and_mains_away_and_moves_no_wave() {
    let rate = 500.0;
    // Ten seconds of a heart's 10 Hz, a wander of 0.1 Hz, an offset, and what lies above every upper edge.
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

/// At an edge each pass takes 3 dB.
#[test]
fn band_pass_halves_what_lies_at_its_edges() {
    for rate in [100.0, 500.0] {
        let edges = |edge: f64| [edge; 2];
        let band = Band { rate: 1.0, low: edges(1.0), high: edges(40.0) };
        let augmentations = Augmentations { band_pass: Some(band), ..Augmentations::NONE };
        for hertz in [1.0, 40.0] {
            let batch = Batch::of(2, (10.0 * rate) as usize, rate, |_, _, t| (TAU * hertz * t as f64 / rate).sin());
            let x = batch.augmented(&augmentations).x;
            // Away from the ends.
            let middle = &batch.lead(&x, 0, 0)[(3.0 * rate) as usize..(7.0 * rate) as usize];
            let [sine, cosine] = component(middle.iter().map(|&x| f64::from(x)), hertz / rate);
            assert!((sine - 0.5).abs() < 0.01 && cosine.abs() < 0.01, "{rate} Hz: {hertz} Hz leaves {sine}, {cosine}");
        }
    }
}

#[test]
fn the_band_ends_below_half_the_sampling_rate_and_that_is_said() {
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
            // Ten seconds; two zeros a wave.
            assert!((crossings - 20.0 * frequency).abs() <= 1.0, "{rate} Hz: {crossings} zeros at {frequency} Hz");
            let amplitude = added.iter().fold(0.0f64, |most, x| most.max(x.abs())) * millivolts;
            assert!(amplitude > 0.0099 && amplitude < 0.0501, "{amplitude} mV");
            amplitudes.insert((amplitude * 1e6) as u64);
        }
        assert_eq!(amplitudes.len(), 16, "each lead of each record has its own");
    }
}

#[test]
fn noise_is_normal_and_as_large_as_drawn_beside_the_lead() {
    let batch = Batch::ecgs(4, 500.0);
    let Outcome { x, draws, .. } = batch.augmented(&only("noise"));
    for (row, lead) in (0..4).flat_map(|row| [0, 1, 6, 11].map(|lead| (row, lead))) {
        let added = batch.added(&x, row, lead);
        let before: Vec<f64> = batch.lead(&batch.x, row, lead).iter().map(|&x| f64::from(x)).collect();
        let level = deviation(&added) / deviation(&before);
        // Four standard deviations of a deviation of 5000 numbers are 4 %.
        assert!((level / draws[row].noise - 1.0).abs() < 0.04, "{level} instead of {}", draws[row].noise);
        let fourth = added.iter().map(|x| x.powi(4)).sum::<f64>() / 5000.0 / deviation(&added).powi(4);
        assert!((fourth - 3.0).abs() < 0.4, "a kurtosis of {fourth}");
        let next = added.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / 5000.0 / deviation(&added).powi(2);
        assert!(next.abs() < 0.06, "neighbours correlate by {next}");
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
fn draws_follow_from_seed_step_and_row_alone() {
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
fn what_makes_no_sense_is_refused_with_a_remedy() {
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

#[test]
fn a_gpu_draws_the_same_and_augments_alike() {
    if has_gpu() {
        draws_and_augments_as_the_reference(&Device::Gpu);
    }
}

#[test]
fn a_cpu_draws_the_same_and_augments_alike() {
    draws_and_augments_as_the_reference(&Device::Cpu);
}

fn draws_and_augments_as_the_reference(device: &Device) {
    let batches = [Batch::ecgs(9, 100.0), Batch::ecgs(3, 500.0), Batch::of(5, 37, 120.0, |r, l, t| (r + l + t) as f64)];
    for (batch, views) in batches.iter().flat_map(|batch| [(batch, 1), (batch, 2)]) {
        let all = Augmentations::default();
        for (name, augmentations) in all.always().each().chain([("all", all.always()), ("as published", all)]) {
            let plan = batch.plan(&augmentations, 1 << 33 | 5, views).unwrap();
            let [computed, reference] = [device, &Device::Reference].map(|device| batch.run(device, &plan, 70_000));
            let place = format!("{name}, {} samples, {views} views", batch.samples);
            for (a, b) in computed.draws.iter().zip(&reference.draws) {
                let whole = |d: &Draws| (happened(d), d.partner, d.cut, d.cut_partner, d.gap);
                assert_eq!(whole(a), whole(b), "{place}");
                let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.abs();
                assert!(near(a.factor, b.factor) && near(a.anchor, b.anchor) && near(a.share, b.share), "{place}");
                assert!(near(a.band[0], b.band[0]) && near(a.band[1], b.band[1]), "{place}");
                assert!(near(a.wander, b.wander) && near(a.noise, b.noise), "{place}");
            }
            let worst = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert_eq!(
                (computed.x.len(), computed.labels.len()),
                (reference.x.len(), reference.labels.len()),
                "{place}"
            );
            let largest = reference.x.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
            let [x, labels] = [worst(&computed.x, &reference.x) / largest, worst(&computed.labels, &reference.labels)];
            // A position in time is rounded to 2^-13 of a sample at 5000; the rest to what sine and logarithm of a GPU are.
            let bound = if augmentations.warp.is_some() { 1e-4 } else { 1e-5 };
            assert!(x < bound && labels < 1e-6, "{place}: {x:.1e} of the largest sample, labels {labels:.1e}");
        }
    }
}

/// A step of training that augments gives the losses of one that is handed the augmented batch.
#[test]
fn a_training_step_trains_on_the_augmented_batch() {
    let devices = [Device::Reference, Device::Cpu, Device::Gpu];
    for device in devices.iter().filter(|device| !matches!(device, Device::Gpu) || has_gpu()) {
        let batch = Batch::ecgs(5, 100.0);
        let augmenting = AugmentationPipeline {
            augmentations: Augmentations::default().always(),
            signal: batch.signal.clone(),
            seed: 3,
        };
        let network = model_card_55k();
        let heads = Heads { hidden: 16, out: 8 };
        let supervised = Objective::Supervised { loss: SupervisedLossKind::FOCAL, class_weights: vec![1.0; 5] };
        for objective in [supervised, Objective::SimClr { temperature: 0.5, heads }, Objective::Byol { heads }] {
            let parameters = TrainingStep::initial(&network, &objective, 1);
            let step = |augmentation: Option<&AugmentationPipeline>| {
                let sizes = [batch.records, batch.samples];
                TrainingStep::new(&network, &objective, &Optimiser::default(), &parameters, sizes, augmentation)
                    .unwrap()
            };
            let losses = |step: TrainingStep, x: &[f32], labels: &[f32]| {
                let mut trainer = backend::open(device, None).unwrap().prepare_training(&step.plan).unwrap();
                let mut inputs = vec![x, &[0.0; Schedule::LEN], labels];
                inputs.truncate(step.plan.inputs.len());
                let mut outputs = Vec::new();
                trainer.run(&inputs, &mut outputs).unwrap();
                outputs.remove(0)
            };
            let views = objective.views();
            let outside = batch.run(device, &batch.plan(&augmenting.augmentations, 3, views).unwrap(), 0);
            let expected = losses(step(None), &outside.x, &outside.labels);
            let x = batch.x.repeat(views);
            let inside = losses(step(Some(&augmenting)), &x, &batch.labels);
            let unlike = losses(step(None), &x, &batch.labels);
            let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far(&inside, &expected) < 1e-5, "{objective:?}: {inside:?} instead of {expected:?}");
            assert!(far(&unlike, &expected) > 1e-3, "{objective:?}: augmentations change the loss");
        }
    }
}
