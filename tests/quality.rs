//! Warnings about real ECGs, fold 9 of PTB-XL, as recorded and with faults made in the numbers.

use std::collections::HashMap;

use ecgpu::{
    Classifier, Device, Recording, Weights,
    ecg::{
        Lead,
        format::{self, ReadOptions},
        quality,
    },
};
use ecgpu_testing::shared_folder;

/// Reads the records of fold 9; none where they are missing.
fn fold_9() -> Option<Vec<Recording>> {
    let folder = shared_folder("ECGPU_PTBXL", "shared/ptbxl/unpacked")?;
    let table = csv::Reader::from_path(folder.join("ptbxl_database.csv")).unwrap();
    let rows = table.into_deserialize::<HashMap<String, String>>().map(Result::unwrap);
    let in_fold_9 = rows.filter(|row| row["strat_fold"].starts_with('9'));
    let read = |row: HashMap<String, String>| {
        let path = folder.join(&row["filename_lr"]).with_extension("hea");
        format::read(&path, &ReadOptions::default()).unwrap().remove(0)
    };
    Some(in_fold_9.map(read).collect())
}

/// Returns the recording with lead I and II replaced by functions of both, and the four leads that follow from them.
fn with_limb_leads(recording: &Recording, change: impl Fn(f32, f32) -> (f32, f32)) -> Recording {
    let [i, ii] = [Lead::I, Lead::II].map(|lead| recording.lead(lead).unwrap());
    let changed: Vec<(f32, f32)> = i.iter().zip(ii).map(|(i, ii)| change(*i, *ii)).collect();
    let lead = |lead: Lead| match lead.from_i_and_ii() {
        Some([a, b]) => changed.iter().map(|(i, ii)| a * i + b * ii).collect(),
        None => recording.lead(lead).unwrap().to_vec(),
    };
    let leads = Lead::STANDARD.map(|name| (name, lead(name)));
    Recording::new(recording.name(), recording.sampling_rate(), leads.into()).unwrap()
}

/// Returns the share of recordings with a warning that contains `text`.
fn share(recordings: &[Recording], text: &str) -> f64 {
    let warned = |recording: &&Recording| quality::warnings(recording).iter().any(|warning| warning.contains(text));
    recordings.iter().filter(warned).count() as f64 / recordings.len() as f64
}

#[test]
fn exchanged_limb_electrodes_are_found_in_real_records_with_few_false_alarms() {
    let Some(recorded) = fold_9() else { return };
    assert_eq!(recorded.len(), 2183, "records of fold 9");
    let exchanged = |change: fn(f32, f32) -> (f32, f32)| -> Vec<Recording> {
        recorded.iter().map(|recording| with_limb_leads(recording, change)).collect()
    };
    let [arms, arm_and_leg] = [exchanged(|i, ii| (-i, ii - i)), exchanged(|i, ii| (i - ii, -ii))];
    let [false_alarms, found_arms, found_arm_and_leg] =
        [&recorded, &arms, &arm_and_leg].map(|recordings| share(recordings, "upside down beside"));
    println!("false alarms {false_alarms:.4}, LA/RA found {found_arms:.4}, RA/LL found {found_arm_and_leg:.4}");
    assert!(false_alarms <= 0.01, "{false_alarms}");
    assert!(found_arms >= 0.98 && found_arm_and_leg >= 0.96, "{found_arms} {found_arm_and_leg}");
}

#[test]
fn sound_real_records_raise_hardly_any_other_warning() {
    let Some(recorded) = fold_9() else { return };
    for text in ["vary by", "contradict", "flat", "throughout", "reaches"] {
        let share = share(&recorded, text);
        println!("'{text}': {share:.4}");
        assert!(share <= 0.003, "'{text}': {share}");
    }
}

#[test]
fn a_wrong_unit_or_gain_is_found_in_real_records() {
    let Some(recorded) = fold_9() else { return };
    // Twice as large is within what recordings differ among themselves.
    for (factor, least) in [(1000.0, 1.0), (0.001, 1.0), (10.0, 0.95), (2.0, 0.0)] {
        let scaled = |recording: &Recording| {
            let scaled = |(lead, signal): (Lead, &[f32])| (lead, signal.iter().map(|x| x * factor).collect());
            Recording::new("r", 100.0, recording.leads().map(scaled).collect()).unwrap()
        };
        let found = share(&recorded.iter().map(scaled).collect::<Vec<_>>(), "vary by");
        println!("{factor} times as large: {found:.4} found");
        assert!(found >= least, "{factor}: {found}");
    }
}

#[test]
fn electrode_offsets_do_not_change_an_answer() {
    let Some(recorded) = fold_9() else { return };
    let classifier = Classifier::open(Weights::built_in().unwrap(), Device::Cpu).unwrap();
    for recording in recorded.iter().step_by(100) {
        // Offsets of −2 to +2 mV. The limb leads keep to III = II − I.
        let offset = |lead: Lead| (lead as usize * 7 % 9) as f32 / 2.0 - 2.0;
        let limb = with_limb_leads(recording, |i, ii| (i + offset(Lead::I), ii + offset(Lead::II)));
        let chest = |(lead, signal): (Lead, &[f32])| match lead.from_i_and_ii() {
            Some(_) => (lead, signal.to_vec()),
            None => (lead, signal.iter().map(|x| x + offset(lead)).collect()),
        };
        let shifted = Recording::new("r", 100.0, limb.leads().map(chest).collect()).unwrap();
        // PTB-XL's own aVR, aVL and aVF are rounded to microvolts.
        let sound = with_limb_leads(recording, |i, ii| (i, ii));
        let [without, with_offsets] = [&sound, &shifted].map(|one| classifier.classify(one).unwrap());
        for (a, b) in without.probabilities.iter().zip(&with_offsets.probabilities) {
            assert!((a - b).abs() < 1e-4, "{}: {a} became {b}", recording.name());
        }
    }
}
