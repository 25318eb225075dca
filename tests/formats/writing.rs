//! What is written is read again, by the library and by PhysioNet's `wfdb` package.

use std::fs;
use std::path::{Path, PathBuf};

use ecgpu::Recording;
use ecgpu::ecg::{Condition, Lead, format, format::Writer, synthesize};
use ecgpu_testing::python;
use tempfile::TempDir;

use crate::support::{as_table, assert_says, data, read_one, write};

#[test]
fn a_written_record_is_read_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("norm-1_a.hea");
    let written = synthesize(Condition::Norm, 1, 100.0, 10.0).unwrap();
    write(&written, &path, &["Synthetic\nno patient"]).unwrap();
    let header = fs::read_to_string(&path).unwrap();
    assert!(header.starts_with("norm-1_a 12 100 1000\nnorm-1_a.dat 16 20000(0)/mV 16 0 "), "{header}");
    assert!(header.ends_with(" 0 V6\n# Synthetic\n# no patient\n"), "{header}");
    let again = read_one(&path);
    assert_eq!((again.name(), again.warnings()), ("norm-1_a", written.warnings()));
    for ((lead, x), (other, y)) in written.leads().zip(again.leads()) {
        assert_eq!(lead, other);
        assert!(x.iter().zip(y).all(|(x, y)| (x - y).abs() <= 0.000_051), "lead {lead}");
    }
}

/// Returns a function that runs `tests/wfdb_package.py`, unless the test is skipped.
fn wfdb_package() -> Option<impl Fn(&str, &[&Path])> {
    let run = python("wfdb", "wfdb_package.py")?;
    Some(move |mode: &str, paths: &[&Path]| {
        let paths = paths.iter().map(|path| path.as_os_str());
        run(&std::iter::once(mode.as_ref()).chain(paths).collect::<Vec<_>>());
    })
}

#[test]
fn the_wfdb_package_reads_a_written_record() {
    let Some(wfdb_package) = wfdb_package() else { return };
    let folder = TempDir::new().unwrap();
    let [header, table] = ["r.hea", "r.csv"].map(|name| folder.path().join(name));
    for condition in Condition::ALL {
        let recording = synthesize(condition, 3, 100.0, 10.0).unwrap();
        write(&recording, &header, &["Synthetic"]).unwrap();
        fs::write(&table, as_table(&recording)).unwrap();
        wfdb_package("check", &[&header, &table]);
    }
}

#[test]
fn the_wfdb_package_writes_the_files_of_tests_data_bit_for_bit() {
    let Some(wfdb_package) = wfdb_package() else { return };
    let folder = TempDir::new().unwrap();
    wfdb_package("write", &[folder.path()]);
    let written: Vec<PathBuf> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(written.len() > 5, "{written:?}");
    for path in written {
        let kept = data(path.file_name().unwrap().to_str().unwrap());
        assert!(fs::read(&path).unwrap() == fs::read(&kept).unwrap(), "{}", kept.display());
    }
}

#[test]
fn a_large_amplitude_is_written_in_coarser_steps() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("large.hea");
    let write = |peak: f32| {
        let recording = Recording::new("r", 360.5, vec![(Lead::I, vec![-peak, peak])]).unwrap();
        write(&recording, &path, &[])
    };
    for (peak, gain) in [(32.767, 1000), (32.768, 500), (600.0, 50), (32_767.0, 1)] {
        write(peak).unwrap();
        let header = fs::read_to_string(&path).unwrap();
        assert!(header.starts_with(&format!("large 1 360.5 2\nlarge.dat 16 {gain}(0)/mV ")), "{header}");
        assert!((read_one(&path).lead(Lead::I).unwrap()[0] + peak).abs() < peak / 1000.0);
    }
    assert!(write(40_000.0).unwrap_err().cause().contains("which 16 bits cannot hold"));
}

#[test]
fn the_steps_of_a_converter_are_kept() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("steps.hea");
    // Leads of converters with other gains: 200 a millivolt is a part of 1000, 2000 and 5000 need finer steps.
    for (gain, written) in [(200.0, 1000), (1000.0, 1000), (2000.0, 2000), (2500.0, 5000)] {
        let signal = (-3000..3000).map(|step| (f64::from(step) / gain) as f32).collect();
        let recording = Recording::new("r", 500.0, vec![(Lead::I, vec![0.5; 6000]), (Lead::V1, signal)]).unwrap();
        write(&recording, &path, &[]).unwrap();
        let header = fs::read_to_string(&path).unwrap();
        assert!(header.contains(&format!("steps.dat 16 {written}(0)/mV 16 0 ")), "{header}");
        assert!(recording.leads().eq(read_one(&path).leads()), "{gain} steps a millivolt");
    }
}

/// Writes a recording, and reads it with the options that the writer names.
fn written_and_read(recording: &Recording, path: &Path) -> Recording {
    let writer = Writer::of(path).unwrap();
    writer.write(recording, path, &[]).unwrap();
    assert!(writer.files(path).iter().all(|file| file.is_file()), "{}", path.display());
    let options = writer.options(recording).unwrap_or_default();
    format::read(path, &options).unwrap().remove(0)
}

#[test]
fn each_writer_keeps_rate_leads_and_samples() {
    let folder = TempDir::new().unwrap();
    let full = synthesize(Condition::Hyp, 2, 360.0, 2.0).unwrap();
    // Not the standard order, and leads that need others to be derived.
    let some: Vec<(Lead, Vec<f32>)> =
        [Lead::V5, Lead::II, Lead::AVR].map(|lead| (lead, full.lead(lead).unwrap().to_vec())).to_vec();
    let some = Recording::new("some", 360.0, some).unwrap();
    let all = Lead::STANDARD.map(|lead| (lead, full.lead(lead).unwrap().to_vec())).to_vec();
    let all = Recording::new("all", 360.0, all).unwrap();
    let formats = [
        ("hea", 0.000_051),
        ("npy", 0.0),
        ("csv", 0.0),
        #[cfg(feature = "edf")]
        ("edf", 0.000_1),
    ];
    for (extension, tolerance) in formats {
        for recording in [&all, &some] {
            let path = folder.path().join("file").with_extension(extension);
            let again = written_and_read(recording, &path);
            assert_eq!((again.sampling_rate(), again.warnings()), (360.0, &[][..]), "{extension}");
            assert_eq!(again.leads().len(), recording.leads().len());
            for (lead, signal) in recording.leads() {
                let same = signal.iter().zip(again.lead(lead).unwrap()).all(|(x, y)| (x - y).abs() <= tolerance);
                assert!(same && again.samples() == signal.len(), "{extension}: lead {lead}");
            }
        }
    }
    assert_eq!(written_and_read(&full, &folder.path().join("synthetic.hea")).warnings(), full.warnings());
    let table = folder.path().join("synthetic.csv");
    write(&full, &table, &[]).unwrap();
    assert!(
        fs::read_to_string(table).unwrap().starts_with("# synthetic ECG: not a recording of anyone\ntime (s),I (mV),")
    );
}

#[test]
fn an_unknown_extension_is_refused_with_the_known_ones() {
    for name in ["a.pdf", "a", ".csv"] {
        let error = Writer::of(Path::new(name)).err().unwrap();
        assert_says(&error, "its extension is none that can be written", "write WFDB (.hea), NumPy (.npy)");
    }
    assert!(Writer::of(Path::new("A.CSV")).is_ok());
}

#[test]
fn a_records_name_must_be_valid() {
    let recording = synthesize(Condition::Norm, 1, 100.0, 1.0).unwrap();
    let write = |name: &str| write(&recording, Path::new(name), &[]).unwrap_err();
    assert_says(&write("a b.hea"), "'a b' cannot be a WFDB record's name", "use letters, digits, _ and - only");
    assert_says(&write("a.dat"), "a.dat: its extension is none that can be written", "write WFDB (.hea)");
    assert_says(&write("/no/such/folder/a.hea"), "/no/such/folder/a.dat", "check the path");
}
