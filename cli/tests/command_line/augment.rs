//! Drawings of augmentations.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::{printed, run};

const TITLES: [&str; 7] = [
    "Frequency warping",
    "Mixup",
    "Band-pass variation",
    "Segment CutMix",
    "Motion artefacts",
    "Per-lead noise",
    "Temporal dropout",
];

/// Writes a record of 500 Hz. Returns its folder, its path, and a path for the drawing.
fn record() -> (TempDir, String, String) {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (record, drawing) = (path("record.hea"), path("drawing.svg"));
    printed(&["synth", "--condition", "hyp", "--out", &record]);
    (folder, record, drawing)
}

#[test]
fn every_augmentation_is_drawn_with_its_name_and_amounts() {
    let (_folder, record, drawing) = record();
    let stdout = printed(&["augment", &record, "--out", &drawing]);
    assert!(stdout.ends_with("drawing.svg: 7 augmentations of record\n"), "{stdout}");
    let svg = fs::read_to_string(&drawing).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    for title in TITLES {
        assert_eq!(svg.matches(&format!(">{title}</text>")).count(), 1, "{title}");
    }
    for amount in ["heart rate", " Hz to ", "% of the record", "from synthetic-cd-lbbb-1", " µV", "change in II ×"] {
        assert!(svg.contains(amount), "{amount}");
    }
    // Two leads before and after, and the difference, each of 5000 samples.
    let curves = svg.lines().filter(|line| line.starts_with("<polyline") && line.matches(',').count() == 5000);
    assert_eq!(curves.count(), 7 * 5);
}

#[test]
fn the_same_seed_gives_the_same_drawing_and_no_file_is_overwritten() {
    let (_folder, record, drawing) = record();
    let draw = |more: &[&str]| run(&[&["augment", &record, "--out", &drawing], more].concat());
    assert_eq!(draw(&[]).code, 0);
    let first = fs::read(&drawing).unwrap();
    let refused = draw(&["--seed", "2"]);
    assert!(refused.code == 2 && refused.stderr.contains("is there already"), "{}", refused.stderr);
    assert_eq!(fs::read(&drawing).unwrap(), first);
    assert_eq!(draw(&["--force"]).code, 0);
    assert_eq!(fs::read(&drawing).unwrap(), first);
    assert_eq!(draw(&["--force", "--seed", "2"]).code, 0);
    assert_ne!(fs::read(&drawing).unwrap(), first);
}

#[test]
fn a_list_chooses_augmentations_and_a_second_file_is_the_partner() {
    let (folder, record, drawing) = record();
    let partner = folder.path().join("partner.hea").display().to_string();
    printed(&["synth", "--condition", "sttc", "--sampling-rate", "250", "--out", &partner]);
    let drawn = |list: &str| {
        printed(&["augment", &record, &partner, "--augment", list, "--out", &drawing, "--force"]);
        let svg = fs::read_to_string(&drawing).unwrap();
        let there = TITLES.map(|title| svg.contains(&format!(">{title}<")));
        (svg, there)
    };
    let (svg, there) = drawn("mixup,cutmix");
    assert_eq!(there, [false, true, false, true, false, false, false]);
    assert_eq!(svg.matches(">from partner<").count(), 2);
    assert_eq!(drawn("-warp").1, [false, true, true, true, true, true, true]);
}

#[test]
fn a_drawing_that_is_impossible_is_explained_in_one_line() {
    let (_folder, record, drawing) = record();
    for (arguments, code, text) in [
        (vec!["missing.hea"], 1, "check the path"),
        (vec![&record, "--augment", "none"], 2, "no augmentation to draw"),
        (vec![&record, "--augment", "nois"], 2, "there is no augmentation 'nois'"),
        (vec![&record, "missing.hea"], 1, "check the path"),
    ] {
        let outcome = run(&[&["augment", "--out", &drawing], arguments.as_slice()].concat());
        assert!(outcome.code == code && outcome.stderr.contains(text), "{arguments:?}: {}", outcome.stderr);
        assert!(!Path::new(&drawing).exists());
    }
}

#[test]
fn at_100_hz_a_note_says_that_the_band_ends_earlier() {
    let (folder, _, drawing) = record();
    let slow = folder.path().join("slow.hea").display().to_string();
    printed(&["synth", "--sampling-rate", "100", "--seconds", "12", "--out", &slow]);
    let outcome = run(&["augment", &slow, "--out", &drawing]);
    assert_eq!(outcome.code, 0);
    assert!(outcome.stderr.contains("between 40 and 45 Hz"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("the first 10.0 s of 12.0 s"), "{}", outcome.stderr);
}
