//! Scoring of archives.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
    process::Stdio,
    time::Duration,
};

use ecgpu::ecg::{Condition, Lead, synthesize};
use ecgpu_testing::npy;
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::RowAccessor,
};

use crate::support::{
    Folder, assert_one_line, assert_usage, classified, command, norm, numbers, objects, printed, run,
};

/// An archive: four records of two rates, a batch of eleven of which the last is damaged, a damaged record, and a table that
/// is no ECG.
fn archive() -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.path("inner")).unwrap();
    for (name, seed, rate) in [("a", 1, 100.0), ("b", 2, 500.0), ("inner/c", 3, 100.0), ("inner/d", 4, 500.0)] {
        folder.record(&format!("{name}.hea"), &synthesize(Condition::MiAnterior, seed, rate, 10.0).unwrap());
    }
    let mut batch: Vec<f32> = (0..11).flat_map(|seed| values(seed + 10)).collect();
    // The last one has no value in a lead that nothing replaces.
    batch[10 * 12_000 + 11 * 1000..].fill(f32::NAN);
    folder.with(
        "batch.npy",
        npy("<f4", &[11, 12, 1000], &batch.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()),
    );
    folder.with("damaged.hea", "damaged 12 500 5000\ndamaged.dat 16 1000/mV 16 0 0 0 0 I\n");
    folder.with("labels.csv", "record,label\na,NORM\nb,MI\n");
    folder
}

fn values(seed: u64) -> Vec<f32> {
    let recording = synthesize(Condition::Norm, seed, 100.0, 10.0).unwrap();
    Lead::STANDARD.iter().flat_map(|lead| recording.lead(*lead).unwrap().to_vec()).collect()
}

/// The rows of a CSV file, without the names of the columns.
fn rows(path: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader.records().map(|row| row.unwrap().iter().map(String::from).collect()).collect()
}

/// The rows of a CSV file of scores by source and record, the paths without the folder.
fn by_record(path: &str, folder: &Folder) -> BTreeMap<String, Vec<String>> {
    let prefix = folder.path("");
    let key = |row: &[String]| format!("{} {}", row[0].strip_prefix(&prefix).unwrap(), row[1]);
    rows(path).into_iter().map(|row| (key(&row), row[2..].to_vec())).collect()
}

#[test]
fn every_recording_of_an_archive_has_one_row_in_scores_or_in_errors() {
    let folder = archive();
    let out = Folder::new();
    let scores = out.path("scores.csv");
    let outcome = run(&["score", &folder.path(""), "--out", &scores, "--device", "cpu"]);
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert!(outcome.stdout.contains("2 could not be scored"), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("labels.csv holds no ECG"), "{}", outcome.stderr);
    let scored = by_record(&scores, &folder);
    let batch = (0..10).map(|index| format!("batch.npy batch[{index}]"));
    let records = ["a.hea a", "b.hea b", "inner/c.hea c", "inner/d.hea d"].map(String::from);
    assert_eq!(scored.keys().cloned().collect::<Vec<_>>(), {
        let mut expected: Vec<String> = records.into_iter().chain(batch).collect();
        expected.sort();
        expected
    });
    let errors = rows(&out.path("scores.errors.csv"));
    let causes: Vec<&str> = errors.iter().map(|row| row[2].as_str()).collect();
    let expected = ["batch.npy: batch[10]: lead V6 has no value", "damaged.hea: "];
    assert!(causes.len() == 2 && causes.iter().zip(expected).all(|(cause, part)| cause.contains(part)), "{causes:?}");
    assert!(errors.iter().all(|row| !row[3].is_empty()), "each has a remedy: {errors:?}");
    // The same numbers as classify gives.
    let expected = classified(&[&folder.path("b.hea"), "--device", "cpu"]);
    let row = &scored["b.hea b"];
    assert_eq!(row[..2], ["500", "10"]);
    let [probabilities, logits] =
        [2, 7].map(|at| row[at..at + 5].iter().map(|cell| cell.parse().unwrap()).collect::<Vec<f64>>());
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
    assert!(close(&logits, &numbers(&expected[0]["logits"])), "{logits:?} {}", expected[0]);
    let contract = ecgpu::Weights::built_in().unwrap().contract;
    let is_probability = |(p, logit): (&f64, &f64)| (p - contract.probability(*logit as f32)).abs() < 1e-6;
    assert!(probabilities.iter().zip(&logits).all(is_probability));
    let metadata = fs::read_to_string(out.path("scores.metadata.json")).unwrap();
    assert!(metadata.contains("weights_sha256") && metadata.contains("\"precision\": \"f32\""), "{metadata}");
}

#[test]
fn a_parquet_file_holds_the_same_and_says_how_it_was_made() {
    let folder = archive();
    let out = Folder::new();
    let [parquet, csv] = ["s.parquet", "s.csv"].map(|name| out.path(name));
    let outcome = run(&["score", &folder.path(""), "--out", &parquet, "--device", "cpu", "--json"]);
    let summary = &objects(&outcome.stdout)[0];
    assert_eq!((outcome.code, summary["scored"].as_u64(), summary["failed"].as_u64()), (1, Some(14), Some(2)));
    run(&["score", &folder.path(""), "--out", &csv, "--device", "cpu", "--errors", &out.path("e.csv")]);
    let file = SerializedFileReader::new(File::open(&parquet).unwrap()).unwrap();
    let metadata = file.metadata().file_metadata();
    let value = |key: &str| {
        let found = metadata.key_value_metadata().unwrap().iter().find(|pair| pair.key == key);
        found.and_then(|pair| pair.value.clone()).unwrap()
    };
    let weights = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../weights/ssl-ecg-542k.safetensors")).unwrap();
    use sha2::Digest;
    let hash: String = sha2::Sha256::digest(&weights).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(value("ecgpu.weights_sha256"), hash);
    assert_eq!([value("ecgpu.precision"), value("ecgpu.backend")], ["f32", "cpu"]);
    let rows_of_csv = rows(&csv);
    let rows_of_parquet: Vec<_> = file.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!((rows_of_csv.len(), rows_of_parquet.len()), (14, 14));
    for (text, row) in rows_of_csv.iter().zip(&rows_of_parquet) {
        assert_eq!([row.get_string(0).unwrap(), row.get_string(1).unwrap()], [&text[0], &text[1]]);
        let numbers: Vec<f64> = text[2..9].iter().map(|cell| cell.parse().unwrap()).collect();
        assert_eq!((2..9).map(|at| row.get_double(at).unwrap()).collect::<Vec<_>>(), numbers);
        let logits: Vec<f32> = text[9..14].iter().map(|cell| cell.parse().unwrap()).collect();
        assert_eq!((9..14).map(|at| row.get_float(at).unwrap()).collect::<Vec<_>>(), logits);
        let labels = row.get_list(14).unwrap();
        let labels: Vec<&str> = labels.elements().iter().map(label_of).collect();
        assert_eq!(labels.join("; "), text[14]);
    }
}

fn label_of(field: &parquet::record::Field) -> &str {
    match field {
        parquet::record::Field::Str(text) => text,
        other => panic!("{other} is no text"),
    }
}

#[test]
fn a_run_that_was_killed_goes_on_and_gives_the_same() {
    let folder = archive();
    let out = Folder::new();
    // The reference computes so slowly that the run is killed in its middle.
    let arguments = |name: &str| {
        ["score", &folder.path(""), "--device", "reference", "--batch", "2", "--out", &out.path(name)].map(String::from)
    };
    let whole = arguments("whole.parquet");
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    assert_eq!(run(&whole).code, 1);
    let stopped = arguments("stopped.parquet");
    let stopped: Vec<&str> = stopped.iter().map(String::as_str).collect();
    let journal = out.path("stopped.parquet.journal");
    let mut process =
        command(&stopped).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let batches = || fs::read_to_string(&journal).unwrap_or_default().matches("{\"batch\"").count();
    while batches() < 2 {
        assert!(process.try_wait().unwrap().is_none(), "the run has ended before it could be killed");
        std::thread::sleep(Duration::from_millis(5));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(!Path::new(&out.path("stopped.parquet")).exists());
    // As if the process had been killed while it wrote a line.
    let kept = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, format!("{kept}{{\"result\":{{\"source\":\"a")).unwrap();
    assert_one_line(&run(&stopped), 2, "a run that was stopped");
    let resumed = run(&[&stopped[..], &["--resume"]].concat());
    assert_eq!(resumed.code, 1, "{}", resumed.stderr);
    assert!(resumed.stdout.contains("before the run was stopped"), "{}", resumed.stdout);
    for suffix in ["parquet", "errors.csv"] {
        let [whole, stopped] =
            ["whole", "stopped"].map(|name| fs::read(out.path(&format!("{name}.{suffix}"))).unwrap());
        assert!(whole == stopped, "{suffix} differs");
    }
    assert!(!Path::new(&journal).exists());
}

#[test]
fn a_run_goes_on_only_under_its_own_conditions() {
    let folder = archive();
    let out = Folder::new();
    let scores = out.path("s.csv");
    let source = folder.path("");
    let arguments = ["score", &source, "--out", &scores, "--device", "reference", "--batch", "2"];
    let journal = out.path("s.csv.journal");
    let mut process =
        command(&arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while fs::read_to_string(&journal).unwrap_or_default().matches("{\"batch\"").count() < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    let other = ["score", &source, "--out", &scores, "--device", "cpu", "--batch", "2", "--resume"];
    assert_one_line(&run(&other), 2, "the run began with");
    // A file that comes before those that were scored.
    folder.record("0.hea", &norm(100.0));
    let resumed = [&arguments[..], &["--resume"]].concat();
    let outcome = run(&resumed);
    assert!(
        outcome.code == 2 && outcome.stderr.contains("the sources do not have the files any more"),
        "{}",
        outcome.stderr
    );
    fs::remove_file(folder.path("0.hea")).unwrap();
    fs::remove_file(folder.path("0.dat")).unwrap();
    assert_eq!(run(&resumed).code, 1);
    assert_eq!(rows(&scores).len(), 14);
    assert_one_line(&run(&resumed), 2, "s.csv is there already");
}

#[test]
fn shards_have_each_recording_once() {
    let folder = archive();
    let out = Folder::new();
    let mut found = BTreeMap::new();
    let mut errors = 0;
    for shard in 1..=3 {
        let scores = out.path(&format!("{shard}.csv"));
        run(&["score", &folder.path(""), "--out", &scores, "--device", "cpu", "--shard", &format!("{shard}/3")]);
        let rows_of_shard = by_record(&scores, &folder);
        assert!(rows_of_shard.len() >= 2, "{shard}: {}", rows_of_shard.len());
        for key in rows_of_shard.into_keys() {
            assert_eq!(found.insert(key.clone(), shard), None, "{key} is in two shards");
        }
        errors += rows(&out.path(&format!("{shard}.errors.csv"))).len();
    }
    assert_eq!((found.len(), errors), (14, 2));
}

#[test]
fn a_manifest_says_for_each_file_what_the_file_does_not_say() {
    let folder = Folder::new();
    let microvolts: Vec<u8> = values(1).iter().flat_map(|x| ((x * 1000.0).round() as i16).to_le_bytes()).collect();
    folder.with("a.npy", npy("<i2", &[12, 1000], &microvolts));
    folder.record("b.hea", &norm(500.0));
    let lines = ["path,unit,sampling_rate", "a.npy,uV,100", "b.hea,,", "missing.hea,,", "b.hea,feet,", ",,"];
    let manifest = folder.with("list.csv", lines.join("\n") + "\n");
    let scores = folder.path("s.csv");
    let outcome = run(&["score", "--manifest", &manifest, "--out", &scores, "--device", "cpu"]);
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    let scored = by_record(&scores, &folder);
    assert_eq!(scored.keys().collect::<Vec<_>>(), ["a.npy a", "b.hea b"]);
    assert_eq!(scored["a.npy a"].last().unwrap(), "", "nothing had to be assumed");
    let errors: Vec<String> = rows(&folder.path("s.errors.csv")).into_iter().map(|row| row[2].clone()).collect();
    for part in ["missing.hea", "list.csv, line 5: 'feet' is no unit", "list.csv, line 6: an empty path"] {
        assert!(errors.iter().any(|error| error.contains(part)), "{part}: {errors:?}");
    }
    assert_eq!(errors.len(), 3);
    let empty = folder.with("empty.csv", "file\na.npy\n");
    assert_one_line(
        &run(&["score", "--manifest", &empty, "--out", &scores, "--force"]),
        1,
        "no column path among file",
    );
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_read() {
    let folder = Folder::new();
    let record = folder.record("a.hea", &norm(100.0));
    let there = folder.with("there.csv", "");
    for shard in ["0/3", "4/3", "1", "a/b"] {
        assert_usage(&["score", &record, "--out", "x.csv", "--shard", shard], "write it as 3/16");
    }
    assert_usage(&["score", "--out", "x.csv"], "<SOURCE>");
    assert_usage(&["score", &record], "--out");
    assert_one_line(&run(&["score", &record, "--out", "x.txt"]), 2, ".parquet or .csv");
    assert_one_line(&run(&["score", &record, "--out", &there]), 2, "is there already");
    assert_one_line(&run(&["score", &folder.path("none"), "--out", &folder.path("x.csv")]), 1, "none");
    let [csv, folder_is_file] = [folder.path("x.csv"), format!("{record}/x.csv")];
    assert_one_line(&run(&["score", &record, "--out", &csv, "--errors", &csv]), 2, "of both scores and errors");
    assert_one_line(&run(&["score", &record, "--out", &csv, "--errors", &folder_is_file]), 1, "a.hea");
    let printed = printed(&["score", &record, "--out", &there, "--force", "--device", "cpu"]);
    assert!(printed.starts_with("1 recording scored"), "{printed}");
    assert_eq!(rows(&there).len(), 1);
}
