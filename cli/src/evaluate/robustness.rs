//! The macro AUROC of recordings that are disturbed more and more.

use std::f64::consts::TAU;

use ecgpu::{
    Classifier, Result,
    dataset::{
        Dataset,
        evaluation::{Progress, classify},
    },
    engine::random::Random,
    evaluate::Aurocs,
};
use serde::Serialize;

use super::table::Table;

/// The course of one kind of disturbance.
#[derive(Debug, Clone, Serialize)]
pub struct Curve {
    pub disturbance: &'static str,
    pub unit: &'static str,
    /// Strength and macro AUROC.
    pub points: Vec<(f64, Option<f64>)>,
}

/// A kind of disturbance: its name, the unit of its strength, the strengths, and what it does to the leads of a record in
/// mV at 100 Hz. The number is a seed.
struct Disturbance {
    name: &'static str,
    unit: &'static str,
    strengths: &'static [f64],
    apply: fn(f64, u64, &mut [Vec<f32>]),
}

const DISTURBANCES: [Disturbance; 10] = [
    Disturbance { name: "noise", unit: "mV deviation", strengths: &[0.01, 0.03, 0.1, 0.3], apply: noise },
    Disturbance { name: "hum of 49 Hz", unit: "mV", strengths: &[0.03, 0.1, 0.3], apply: hum },
    Disturbance { name: "offsets", unit: "mV at most", strengths: &[0.1, 0.3, 1.0], apply: offsets },
    Disturbance { name: "scale", unit: "times", strengths: &[0.5, 0.8, 1.25, 2.0], apply: scale },
    Disturbance { name: "high-pass, one pole", unit: "Hz", strengths: &[0.05, 0.5, 1.0], apply: high_pass },
    Disturbance { name: "high-pass, zero phase", unit: "Hz", strengths: &[0.05, 0.5, 1.0], apply: zero_phase },
    Disturbance { name: "masked", unit: "share of the record", strengths: &[0.1, 0.25, 0.5], apply: mask },
    Disturbance { name: "leads off", unit: "leads", strengths: &[1.0, 2.0, 4.0], apply: leads_off },
    Disturbance { name: "arms exchanged", unit: "share of the records", strengths: &[0.1, 0.5, 1.0], apply: exchange },
    Disturbance { name: "shortened", unit: "s", strengths: &[7.5, 5.0, 2.5], apply: shorten },
];

/// The sampling rate in Hz at which records are disturbed.
const RATE: f64 = 100.0;

/// The first of the chest leads in [`ecgpu::ecg::Lead::STANDARD`]; those before are I, II, III, aVR, aVL and aVF.
const V1: usize = 6;

/// Computes III, aVR, aVL and aVF from I and II, as every recorder does.
fn derive(leads: &mut [Vec<f32>]) {
    for t in 0..leads[0].len() {
        let [i, ii] = [leads[0][t], leads[1][t]];
        let derived = [ii - i, -(i + ii) / 2.0, i - ii / 2.0, ii - i / 2.0];
        derived.into_iter().enumerate().for_each(|(at, x)| leads[2 + at][t] = x);
    }
}

/// Changes the eight leads that are recorded, I, II and V1 to V6, and derives the others.
fn recorded(leads: &mut [Vec<f32>], mut change: impl FnMut(usize, &mut Vec<f32>)) {
    for (at, lead) in leads.iter_mut().enumerate().filter(|(at, _)| *at < 2 || *at >= V1) {
        change(at, lead);
    }
    derive(leads);
}

fn noise(deviation: f64, seed: u64, leads: &mut [Vec<f32>]) {
    let mut random = Random::new(seed, 1);
    recorded(leads, |_, lead| lead.iter_mut().for_each(|x| *x += (deviation * random.normal()) as f32));
}

fn hum(amplitude: f64, seed: u64, leads: &mut [Vec<f32>]) {
    let mut random = Random::new(seed, 2);
    recorded(leads, |_, lead| {
        let phase = random.uniform();
        let wave = |t: usize| (amplitude * (TAU * (49.0 * t as f64 / RATE + phase)).sin()) as f32;
        lead.iter_mut().enumerate().for_each(|(t, x)| *x += wave(t));
    });
}

fn offsets(largest: f64, seed: u64, leads: &mut [Vec<f32>]) {
    let mut random = Random::new(seed, 3);
    recorded(leads, |_, lead| {
        let offset = random.between(-largest, largest) as f32;
        lead.iter_mut().for_each(|x| *x += offset);
    });
}

fn scale(factor: f64, _: u64, leads: &mut [Vec<f32>]) {
    leads.iter_mut().flatten().for_each(|x| *x *= factor as f32);
}

/// Filters by one pole, like a recorder's time constant.
fn high_pass(edge: f64, _: u64, leads: &mut [Vec<f32>]) {
    let kept = 1.0 / (1.0 + TAU * edge / RATE);
    for lead in leads {
        let (mut before, mut y) = (lead.first().copied().unwrap_or(0.0), 0.0);
        for x in lead {
            y = kept * (y + f64::from(*x - before));
            before = std::mem::replace(x, y as f32);
        }
    }
}

/// Filters forward and backward, so that no wave is shifted, like software that filters whole records.
fn zero_phase(edge: f64, seed: u64, leads: &mut [Vec<f32>]) {
    for _ in 0..2 {
        high_pass(edge, seed, leads);
        leads.iter_mut().for_each(|lead| lead.reverse());
    }
}

fn mask(share: f64, seed: u64, leads: &mut [Vec<f32>]) {
    let samples = leads[0].len();
    let masked = (share * samples as f64) as usize;
    let start = Random::new(seed, 4).below(samples - masked + 1);
    leads.iter_mut().for_each(|lead| lead[start..start + masked].fill(0.0));
}

fn leads_off(count: f64, seed: u64, leads: &mut [Vec<f32>]) {
    let mut random = Random::new(seed, 5);
    let mut chosen: Vec<usize> = (0..leads.len()).collect();
    for _ in 0..count as usize {
        let lead = chosen.swap_remove(random.below(chosen.len()));
        leads[lead].fill(0.0);
    }
}

/// Exchanges the electrodes of the arms in a share of the records: I is inverted, II and III change places, and so do aVR
/// and aVL.
fn exchange(share: f64, seed: u64, leads: &mut [Vec<f32>]) {
    if Random::new(seed, 6).uniform() < share {
        leads[0].iter_mut().for_each(|x| *x = -*x);
        leads.swap(1, 2);
        leads.swap(3, 4);
    }
}

fn shorten(seconds: f64, _: u64, leads: &mut [Vec<f32>]) {
    leads.iter_mut().for_each(|lead| lead.truncate((seconds * RATE) as usize));
}

/// Returns how many records [`measure`] classifies for one network.
pub fn classifications(records: usize) -> usize {
    records * DISTURBANCES.iter().map(|disturbance| disturbance.strengths.len()).sum::<usize>()
}

/// Classifies all records under every disturbance. `undisturbed` is the macro AUROC without any.
///
/// # Errors
/// The device fails.
pub fn measure(
    classifier: &Classifier,
    dataset: &Dataset,
    records: &[usize],
    undisturbed: Option<f64>,
    progress: Progress,
) -> Result<Vec<Curve>> {
    let mut curves = Vec::new();
    for Disturbance { name, unit, strengths, apply } in &DISTURBANCES {
        let neutral = match *name {
            "scale" => 1.0,
            "shortened" => dataset.samples() as f64 / RATE,
            _ => 0.0,
        };
        let mut points = vec![(neutral, undisturbed)];
        for &strength in *strengths {
            let change = |index: usize, leads: &mut [Vec<f32>]| apply(strength, index as u64, leads);
            let scores = classify(classifier, dataset, records, &change, progress)?;
            let aurocs = Aurocs::new(&scores.logits, scores.predictions.labels(), dataset.classes().len());
            points.push((strength, aurocs.mean()));
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        curves.push(Curve { disturbance: name, unit, points });
    }
    Ok(curves)
}

/// The table of all curves.
pub fn table(curves: &[Curve]) -> Table {
    let mut table = Table::new(&["disturbance", "strength", "macro AUROC"]);
    for Curve { disturbance, unit, points } in curves {
        for (strength, auroc) in points {
            let auroc = auroc.map_or("–".into(), |auroc| format!("{auroc:.4}"));
            table.row([disturbance.to_string(), format!("{strength} {unit}"), auroc]);
        }
    }
    table
}
