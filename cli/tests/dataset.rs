//! Reading PTB-XL for training: a small synthetic copy, intact and broken in many ways, and fold 9 of the real one.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use ecgpu::{
    Error, ErrorKind, Recording,
    dataset::{CLASSES, Counts, Dataset, LEADS, Options, SamplingRate, check},
    ecg::{
        Lead,
        format::{self, Writer},
    },
};
use ecgpu_testing::{ptb_xl::PtbXl, shared_folder};
use tempfile::TempDir;

fn quiet(_: usize, _: usize) {}

fn open(copy: &PtbXl) -> Dataset {
    Dataset::open(copy.path(), &Options::default(), &quiet).unwrap()
}

fn refused(copy: &PtbXl) -> Error {
    Dataset::open(copy.path(), &Options::default(), &quiet).unwrap_err()
}

/// Returns why the cache was written, or nothing where it was not.
fn written(copy: &PtbXl) -> Option<String> {
    open(copy).cache_file().unwrap().written.clone()
}

#[test]
fn a_copy_gives_the_labels_folds_and_samples_of_its_files() {
    let mut copy = PtbXl::new(12);
    copy.rows.reverse();
    copy.write_table();
    let data = open(&copy);
    let ids: Vec<u32> = data.records().iter().map(|record| record.ecg_id).collect();
    assert_eq!(ids, (1..=12).collect::<Vec<_>>(), "in the order of ecg_id, not of the rows");
    let fourth = &data.records()[3];
    assert_eq!((fourth.fold, fourth.patient_id, fourth.classes()), (4, 1003, &[false, false, true, true, false][..]));
    assert!(!data.records()[5].is_labelled(), "a rhythm alone is no label");
    let mut signal = vec![0.0; LEADS * 1000];
    for (index, record) in data.records().iter().enumerate() {
        data.signal(index, &mut signal);
        let file = format::read(&copy.path().join(&record.path), &Default::default()).unwrap().remove(0);
        assert_eq!(signal, file.in_order(&Lead::STANDARD).unwrap().concat(), "record {}", record.ecg_id);
    }
    assert_eq!(data.in_folds(1..=2), [0, 1, 10, 11]);
    assert_eq!(data.labelled(5..=7), [4, 6]);
    assert_eq!(data.label_fraction(1.0, 3).unwrap(), [0, 1, 2, 3, 4, 6, 7, 10]);
}

#[test]
fn the_cache_holds_the_values_that_the_wfdb_reader_gives() {
    // Six records, the nth with every sixth value from n on.
    let copy = PtbXl::new(6);
    let ramp = |lead: usize, n: usize, record: usize| (((lead * 1000 + n) * 6 + record) as i32 - 32_767).min(32_767);
    let ramps = |record: usize| {
        let lead = move |lead: usize| (0..1000).map(|n| ramp(lead, n, record) as f32 / 1000.0).collect();
        Lead::STANDARD.into_iter().zip((0..LEADS).map(lead)).collect()
    };
    for (n, row) in copy.rows.iter().enumerate() {
        let recording = Recording::new("ramp", 100.0, ramps(n)).unwrap();
        let header = copy.header(&row.path);
        Writer::of(&header).unwrap().write(&recording, &header, &[]).unwrap();
    }
    let data = open(&copy);
    let mut signal = vec![0.0; LEADS * 1000];
    for (index, record) in data.records().iter().enumerate() {
        data.signal(index, &mut signal);
        let file = format::read(&copy.path().join(&record.path), &Default::default()).unwrap().remove(0);
        assert_eq!(signal, file.in_order(&Lead::STANDARD).unwrap().concat());
        assert_eq!((signal[3001] * 1000.0).round() as i32, ramp(3, 1, index));
    }
}

#[test]
fn a_second_start_reads_the_cache_alone() {
    let copy = PtbXl::new(3);
    assert_eq!(written(&copy).as_deref(), Some("there was none"));
    let read = AtomicUsize::new(0);
    let count = |_: usize, _: usize| _ = read.fetch_add(1, Ordering::Relaxed);
    let data = Dataset::open(copy.path(), &Options::default(), &count).unwrap();
    assert_eq!((data.cache_file().unwrap().written.clone(), read.into_inner()), (None, 0));
    assert_eq!(data.cache_file().unwrap().path, copy.path().join(".ecgpu-100hz.cache"));
    // Labels are not cached.
    let mut copy = copy;
    copy.rows[0].scp_codes = "{'CLBBB': 0.0}".into();
    copy.write_table();
    let data = open(&copy);
    assert_eq!(
        (data.cache_file().unwrap().written.clone(), data.records()[0].classes()),
        (None, &[false, false, false, false, true][..])
    );
}

#[test]
fn a_cache_of_other_records_or_with_damage_is_written_again() {
    let copy = PtbXl::new(3);
    let path = open(&copy).cache_file().unwrap().path.clone();
    let sound = fs::read(&path).unwrap();
    let with = |bytes: &[u8]| {
        // Written to a new file, as the old one may be mapped.
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        let why = written(&copy);
        assert_eq!(fs::read(&path).unwrap(), sound);
        why.unwrap()
    };
    assert_eq!(with(&sound[..sound.len() - 1]), "it was cut off");
    assert_eq!(with(&[sound.clone(), vec![0]].concat()), "it was cut off");
    assert_eq!(with(b"a poem"), "the file there was no cache of this version");
    assert_eq!(with(&[]), "the file there was no cache of this version");
    for place in [64, sound.len() / 2, sound.len() - 1] {
        let mut damaged = sound.clone();
        damaged[place] ^= 1;
        assert_eq!(with(&damaged), "it was damaged", "byte {place}");
    }
    // A record that was written again with the same size, and a record that the table no longer lists.
    let samples = copy.samples(&copy.rows[1].path);
    let bytes = fs::read(&samples).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    fs::write(&samples, bytes).unwrap();
    assert_eq!(written(&copy).as_deref(), Some("the records have changed since it was written"));
    assert_eq!(written(&copy), None);
    let mut copy = copy;
    copy.rows.remove(0);
    copy.write_table();
    assert_eq!(written(&copy).as_deref(), Some("the records have changed since it was written"));
    assert_eq!(open(&copy).records()[0].ecg_id, 2);
}

#[test]
fn a_cache_is_written_to_the_chosen_folder_and_nowhere_else() {
    let (copy, other, elsewhere) = (PtbXl::new(2), PtbXl::new(2), TempDir::new().unwrap());
    let options = Options { cache: Some(elsewhere.path().join("new")), ..Options::default() };
    let open = |copy: &PtbXl| Dataset::open(copy.path(), &options, &quiet).unwrap().cache_file().unwrap().clone();
    let (first, second) = (open(&copy), open(&other));
    assert!(first.path.starts_with(elsewhere.path()) && first.path != second.path, "two copies, two caches");
    assert_eq!((open(&copy).written, open(&other).written), (None, None));
    assert_eq!(fs::read_dir(elsewhere.path().join("new")).unwrap().count(), 2);
    assert_eq!(fs::read_dir(copy.path()).unwrap().count(), 3, "records and two tables");
    let file = elsewhere.path().join("file");
    fs::write(&file, "").unwrap();
    let nowhere = Options { cache: Some(file), ..Options::default() };
    let error = Dataset::open(copy.path(), &nowhere, &quiet).unwrap_err();
    assert!(
        error.cause().starts_with("no place for the cache") && error.hint() == Some(ecgpu::Hint::NameCacheFolder),
        "{error}"
    );
}

/// Rewrites a record's header.
fn edit_header(copy: &PtbXl, row: usize, from: &str, to: &str) {
    let path = copy.header(&copy.rows[row].path);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

fn edit_samples(copy: &PtbXl, row: usize, change: impl FnOnce(&mut Vec<u8>)) {
    let path = copy.samples(&copy.rows[row].path);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn each_broken_record_is_named_with_cause_and_remedy() {
    let copy = PtbXl::new(9);
    fs::remove_file(copy.header(&copy.rows[0].path)).unwrap();
    fs::remove_file(copy.samples(&copy.rows[1].path)).unwrap();
    edit_samples(&copy, 2, |bytes| bytes.truncate(23_000));
    edit_header(&copy, 3, " 12 100 1000", " 12 500 1000");
    edit_header(&copy, 4, " 12 100 1000", " 12 100 900");
    edit_header(&copy, 5, " V6", " VX");
    edit_samples(&copy, 6, |bytes| bytes[2400..2402].copy_from_slice(&i16::MIN.to_le_bytes()));
    edit_samples(&copy, 7, |bytes| bytes[240] ^= 1);
    edit_header(&copy, 8, "1000(0)/mV", "0.5(0)/mV");
    let problems = check(copy.path(), SamplingRate::Hz100, &quiet).unwrap().problems;
    let causes: Vec<&str> = problems.iter().map(Error::cause).collect();
    for (index, part) in [
        "No such file",
        "No such file",
        "1000 samples are declared and 00003_lr.dat holds 958",
        "a sampling rate of 500 Hz, not 100 Hz",
        "holds 1000 samples, 900 are declared",
        "ignored, since no standard lead: VX",
        "lead I has no value at 1 sample: interpolated",
        "has checksum",
        "mV, more than 16 bits of microvolts hold",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(causes[index].starts_with(&format!("record {}: ", index + 1)), "{}", causes[index]);
        assert!(causes[index].contains(part), "'{part}' is not in: {}", causes[index]);
        let remedy = format!("get records100/00000/{:05}_lr.hea and its .dat file again", index + 1);
        assert_eq!(problems[index].remedy(), remedy);
    }
    assert_eq!(problems.len(), 9);
    let error = refused(&copy);
    assert_eq!(error.kind(), ErrorKind::Dataset);
    assert!(error.cause().contains("9 problems: record 1: ") && error.cause().contains("record 9: "), "{error}");
    assert_eq!(fs::read_dir(copy.path()).unwrap().count(), 3, "no cache of a broken copy, nor a part of one");
}

#[test]
fn ten_of_many_problems_are_named_and_the_others_counted() {
    let copy = PtbXl::new(14);
    copy.rows[1..].iter().for_each(|row| fs::remove_file(copy.samples(&row.path)).unwrap());
    let text = refused(&copy).to_string();
    assert!(text.contains("13 problems: record 2: ") && text.contains("record 11: "), "{text}");
    assert!(text.contains("; and 3 more: ") && !text.contains("record 12: "), "{text}");
}

#[test]
fn impossible_rows_are_named_by_their_line() {
    let mut copy = PtbXl::new(8);
    let same_id = copy.rows[0].ecg_id.clone();
    copy.rows[1].ecg_id = same_id;
    copy.rows[2].path = copy.rows[0].path.clone();
    copy.rows[3].scp_codes = "{'XYZ': 100.0}".into();
    copy.rows[4].scp_codes = "NORM".into();
    copy.rows[5].fold = "11".into();
    copy.rows[6].path = "../../etc/passwd".into();
    copy.rows[7].patient_id = "nan".into();
    copy.write_table();
    let text = refused(&copy).to_string();
    for part in [
        "7 problems: ",
        "line 3: ecg_id 1 is there twice",
        "line 4: records100/00000/00001_lr belongs to another record too",
        "line 5: statement 'XYZ' is not in scp_statements.csv",
        "line 6: scp_codes 'NORM' cannot be read",
        "line 7: strat_fold '11' is not 1 to 10",
        "line 8: filename_lr '../../etc/passwd' is no record in records100",
        "line 9: patient_id 'nan' is no whole number",
    ] {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
}

#[test]
fn a_folder_without_ptb_xl_is_refused_with_what_it_lacks() {
    let refused = |change: fn(&Path)| {
        let copy = PtbXl::new(2);
        change(copy.path());
        refused(&copy)
    };
    let error = refused(|folder| fs::remove_file(folder.join("ptbxl_database.csv")).unwrap());
    assert!(error.cause().contains("ptbxl_database.csv: No such file"), "{error}");
    assert!(error.remedy().contains("download"), "{error}");
    let error = refused(|folder| fs::remove_file(folder.join("scp_statements.csv")).unwrap());
    assert!(error.cause().contains("scp_statements.csv: No such file"), "{error}");
    let error = refused(|folder| fs::write(folder.join("ptbxl_database.csv"), "ecg_id,patient_id\n1,2\n").unwrap());
    assert!(error.cause().ends_with("there is no column 'scp_codes'"), "{error}");
    let error = refused(|folder| {
        let header = "ecg_id,patient_id,scp_codes,strat_fold,filename_lr\n";
        fs::write(folder.join("ptbxl_database.csv"), header).unwrap();
    });
    assert!(error.cause().ends_with("there are no rows"), "{error}");
    let error = refused(|folder| {
        fs::write(folder.join("scp_statements.csv"), ",diagnostic,diagnostic_class\nABC,1.0,OTHER\n").unwrap();
    });
    assert!(error.cause().ends_with("line 2: 'OTHER' is none of the classes NORM, MI, STTC, HYP, CD"), "{error}");
    let copy = PtbXl::new(2);
    let options = Options { sampling_rate: SamplingRate::Hz500, ..Options::default() };
    let error = Dataset::open(copy.path(), &options, &quiet).unwrap_err();
    assert!(error.cause().contains("records500/00000/00001_hr.hea: No such file"), "{error}");
}

fn ecgpu(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ecgpu")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_counts_folds_and_classes_and_compares_checksums() {
    let copy = PtbXl::new(12);
    let folder = copy.path().to_str().unwrap();
    let (code, stdout, stderr) = ecgpu(&["dataset", folder]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for line in [
        "fold  records  unlabelled  NORM  MI  STTC  HYP  CD",
        "   1        2           0     1   0     0    0   1",
        "   6        1           1     0   0     0    0   0",
        " all       12           2     2   2     4    2   2",
        "Every record is sound; SHA256SUMS.txt is not there, so only the records' own checksums were compared.",
    ] {
        assert!(stdout.contains(&format!("{line}\n")), "'{line}' is not in:\n{stdout}");
    }
    fs::write(copy.path().join("SHA256SUMS.txt"), copy.checksums()).unwrap();
    let (code, stdout, _) = ecgpu(&["dataset", folder]);
    assert!(code == 0 && stdout.contains("Every record is sound; 26 files agree with SHA256SUMS.txt"), "{stdout}");
    // A comment, which changes only the checksum, and a missing file.
    edit_header(&copy, 1, "V6\n", "V6\n# altered\n");
    fs::remove_file(copy.samples(&copy.rows[4].path)).unwrap();
    let (code, stdout, stderr) = ecgpu(&["dataset", folder]);
    assert!(code == 1 && stdout.contains("2 problems; 22 files agree with SHA256SUMS.txt"), "{stdout}");
    assert!(stderr.contains("00002_lr.hea: its checksum is not that of SHA256SUMS.txt: "), "{stderr}");
    assert!(stderr.contains("error: record 5: ") && stderr.lines().count() == 2, "{stderr}");
    let (code, stdout, stderr) = ecgpu(&["dataset", folder, "--json"]);
    let object: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, stderr.as_str(), object["problems"].as_array().unwrap().len()), (1, "", 2));
    assert_eq!(object["folds"]["2"]["classes"]["MI"], 1);
    assert_eq!((&object["all"]["records"], &object["checksums"]), (&12.into(), &22.into()));
}

/// The counts come from an independent program that read the same tables.
#[test]
fn fold_9_of_the_real_ptb_xl_has_the_published_counts() {
    let Some(folder) = shared_folder("ECGPU_PTBXL", "shared/ptbxl/unpacked") else { return };
    let cache = TempDir::new().unwrap();
    let options = Options { cache: Some(cache.path().into()), ..Options::default() };
    let data = Dataset::open(&folder, &options, &quiet).unwrap();
    let fold_9 = data.in_folds(9..=9).into_iter().map(|index| &data.records()[index]);
    assert_eq!(CLASSES, ["NORM", "MI", "STTC", "HYP", "CD"]);
    let expected = Counts { records: 2183, unlabelled: 37, classes: [955, 540, 528, 268, 495] };
    assert_eq!(Counts::of(fold_9), expected);
    assert_eq!(data.labelled(9..=9).len(), 2146);
}
