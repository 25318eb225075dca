//! The files from which the fuzz targets begin are ECGs, so that a target gets past the header.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ecgpu::ecg::{
    Unit,
    format::{self, ReadOptions},
};

/// Lists the files of `fuzz/seeds`, each with its target.
fn seeds() -> Vec<(String, PathBuf)> {
    let entries = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let targets = entries(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds"));
    let target = |folder: &Path| folder.file_name().unwrap().to_string_lossy().into_owned();
    targets.iter().flat_map(|folder| entries(folder).into_iter().map(move |seed| (target(folder), seed))).collect()
}

#[test]
fn every_seed_is_read_as_its_target_reads_it() {
    let stated = ReadOptions { sampling_rate: Some(100.0), unit: Some(Unit::Microvolt), leads: None };
    for (target, seed) in seeds() {
        let bytes = fs::read(&seed).unwrap();
        let name = format!("x.{}", target.replace('_', "."));
        let read = match bytes.iter().position(|byte| *byte == 0) {
            Some(end) if target == "hea" => {
                let (header, rest) = (&bytes[..end], &bytes[end + 1..]);
                format::read_parts(&[(&name, header), ("x.dat", rest), ("y.dat", rest), ("y.hea", rest)], &stated)
            }
            _ => format::read_bytes(&name, &bytes, &stated),
        };
        let read = read.unwrap_or_else(|error| panic!("{}: {error}", seed.display()));
        let contradicted = read[0].warnings().iter().find(|warning| warning.contains("but the content is"));
        assert_eq!(contradicted, None, "{}", seed.display());
    }
}

#[test]
fn every_target_has_a_seed() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")).unwrap();
    let targets: Vec<&str> = manifest.split("{ name = \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(targets.len() > 10, "{targets:?}");
    for target in targets {
        assert!(seeds().iter().any(|(of, _)| of == target), "{target}");
    }
}
