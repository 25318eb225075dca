//! Files that users brought, rebuilt from public bug reports: each is read with the right numbers, or refused with a clear
//! word. They lie beside the repository, in `shared/cases`.

#![cfg(all(
    feature = "formats",
    feature = "muse",
    feature = "aecg",
    feature = "dicom",
    feature = "edf",
    feature = "mat",
    feature = "hdf5",
    feature = "flac",
    feature = "compressed"
))]

use std::path::{Path, PathBuf};

use ecgpu::{
    Classifier, Device, Prediction, Recording, Result, Weights,
    ecg::{
        Lead, Unit,
        format::{self, ReadOptions},
    },
};
use ecgpu_testing::shared_folder;

/// What a case must give.
enum Expected {
    /// The logits of the same recording without any trouble, within 0.02, and a warning that contains this text. An empty
    /// text stands for any warnings.
    Same(&'static str),
    /// The same logits within 0.1, where the numbers were rounded, and a warning that contains this text.
    Rounded(&'static str),
    /// Any logits, and a warning that contains this text.
    Warned(&'static str),
    /// An error that contains this text.
    Refused(&'static str),
}

use Expected::{Refused, Rounded, Same, Warned};

/// What users state apart from the file.
#[derive(Clone, Copy, PartialEq)]
enum Stated {
    Nothing,
    Microvolts,
    Rate(f64),
    Leads(&'static [Lead]),
    LeadsInMicrovolts(&'static [Lead]),
}

use Stated::{Leads, LeadsInMicrovolts, Microvolts, Nothing, Rate};

const EIGHT: &[Lead] = &[Lead::I, Lead::II, Lead::V1, Lead::V2, Lead::V3, Lead::V4, Lead::V5, Lead::V6];
const TWELVE: &[Lead] = &Lead::STANDARD;

/// Every case that holds the base recording, `base/norm`, in another guise, or must be refused.
const CASES: &[(&str, Stated, Expected)] = &[
    ("20-csv-numeric-header/a.csv", Nothing, Same("numbers the columns")),
    ("22-csv-units-in-header/a.csv", Nothing, Same("")),
    ("23-csv-time-column/a.csv", Nothing, Same("")),
    ("23-csv-time-column/a.csv", Rate(500.0), Same("")),
    ("23-csv-time-column/c1000.csv", Nothing, Warned("the recording lasts 5.0 s")),
    ("23-csv-time-column/c1000.csv", Rate(500.0), Refused("says 1000 Hz, and 500 Hz was given")),
    ("24-csv-int-uV/a.csv", Nothing, Refused("whole numbers without a unit")),
    ("24-csv-int-uV/a.csv", Microvolts, Same("")),
    ("25-csv-decimal-comma/a.csv", Nothing, Same("")),
    ("26-csv-DI-DII/a.csv", Nothing, Same("")),
    ("26-csv-DI-DII/b.csv", Nothing, Same("")),
    ("26-csv-DI-DII/c.csv", Nothing, Same("")),
    ("26-csv-DI-DII/d.csv", Nothing, Same("")),
    ("27-csv-transposed/a.csv", Nothing, Same("one row per lead")),
    ("28-csv-rdsamp/a.csv", Nothing, Same("")),
    ("29-csv-preamble/a.csv", Nothing, Same("")),
    ("30-csv-utf16/a.csv", Nothing, Same("UTF-16")),
    ("31-txt-tsv/a.tsv", Nothing, Same("")),
    ("31-txt-tsv/a.txt", Nothing, Same("")),
    ("31-txt-tsv/b.csv", Nothing, Same("")),
    ("32-csv-nan-empty/a.csv", Nothing, Same("derived from I and II")),
    ("33-csv-trailing-comma/a.csv", Nothing, Same("")),
    ("40-npy-dtypes/1d.npy", Nothing, Refused("shape [5000]")),
    ("40-npy-dtypes/float16.npy", Nothing, Rounded("")),
    ("40-npy-dtypes/int32.npy", Nothing, Refused("whole numbers without a unit")),
    ("40-npy-dtypes/int32.npy", Microvolts, Same("")),
    ("40-npy-dtypes/object.npy", Nothing, Refused("pickled")),
    ("40-npy-dtypes/struct.npy", Nothing, Refused("structured")),
    ("41-npy-nan/nan.npy", Nothing, Rounded("derived from I and II")),
    ("42-npz/a.npz", Nothing, Same("")),
    ("43-npy-lead-order/avl_avr.npy", Nothing, Warned("aVR")),
    ("43-npy-lead-order/sssd.npy", Nothing, Warned("aV")),
    ("46-normalised/x10.npy", Nothing, Warned("unit")),
    ("46-normalised/z.npy", Nothing, Warned("unit")),
    ("48-long/half.npy", Rate(500.0), Refused("too short for an answer")),
    ("48-long/one.npy", Rate(500.0), Refused("too short for an answer")),
    ("48-long/t.npy", Nothing, Same("")),
    ("50-hea-control/r.hea", Nothing, Same("")),
    ("51-hea-latin1/r.hea", Nothing, Same("")),
    ("51-hea-latin1/r2.hea", Nothing, Same("")),
    ("52-hea-crlf/r.hea", Nothing, Same("")),
    ("52-hea-crlf/r2.hea", Nothing, Same("")),
    ("53-hea-mat5/r.hea", Nothing, Refused("MAT")),
    ("53-hea-mat5/r4.hea", Nothing, Same("")),
    ("54-hea-missing/r.hea", Nothing, Rounded("interpolated")),
    ("54-hea-missing/r2.hea", Nothing, Same("derived from I and II")),
    ("55-hea-dup/r.hea", Nothing, Same("there twice")),
    ("56-hea-nodesc/r.hea", Nothing, Same("ignored")),
    ("56-hea-nodesc/r2.hea", Nothing, Same("ignored")),
    ("56-hea-nodesc/r3.hea", Nothing, Refused("none of its 12 signals")),
    // Its header describes twelve of the thirteen signals.
    ("56-hea-nodesc/r3.hea", Leads(TWELVE), Warned("holds 5416 samples")),
    ("57-hea-skew-frames/r.hea", Nothing, Rounded("skewed")),
    ("58-hea-formats/f16.hea", Nothing, Same("")),
    ("58-hea-formats/f24.hea", Nothing, Same("")),
    ("58-hea-formats/f32.hea", Nothing, Same("")),
    ("58-hea-formats/f212.hea", Nothing, Same("")),
    ("58-hea-formats/f516.hea", Nothing, Same("")),
    // The differences of format 8 have eight bits: steep ones were cut when it was written.
    ("58-hea-formats/f8.hea", Nothing, Warned("aVR is off by 0.05 mV")),
    ("59-hea-onefile/r.hea", Nothing, Same("")),
    ("60-hea-gain/r0.hea", Nothing, Warned("states no gain")),
    ("60-hea-gain/r1.hea", Nothing, Same("")),
    ("60-hea-gain/rn.hea", Nothing, Same("")),
    ("60-hea-gain/ru.hea", Nothing, Refused("'NU'")),
    ("60-hea-gain/rz.hea", Nothing, Same("")),
    ("61-hea-rate/r.hea", Nothing, Same("")),
    ("61-hea-rate/r2.hea", Nothing, Same("")),
    ("61-hea-rate/r3.hea", Nothing, Same("")),
    ("61-hea-rate/r4.hea", Nothing, Same("")),
    ("63-hea-upper/R.HEA", Nothing, Same("")),
    ("63-hea-upper/m.hea", Nothing, Same("")),
    ("80-muse-xml-synthetic/r.xml", Nothing, Same("")),
    ("81-aecg-synthetic/r.xml", Nothing, Same("")),
    ("82-dicom-synthetic/r.dcm", Nothing, Same("")),
    ("83-edf-synthetic/r.edf", Nothing, Rounded("")),
    ("84-wfdb-multisegment/m.hea", Nothing, Same("")),
    ("85-mat5-struct/val.mat", Nothing, Refused("whole numbers without a unit")),
    ("85-mat5-struct/val.mat", Microvolts, Same("")),
    ("86-zip/r.npy.gz", Nothing, Warned("aV")),
    ("86-zip/r.zip", Nothing, Same("")),
    ("90-paper-3x4/zeros.npy", Nothing, Warned("is flat")),
    ("91-asc/r.csv", LeadsInMicrovolts(EIGHT), Same("")),
    ("93-csv-13-unnamed/a.csv", Nothing, Refused("13 columns without names")),
    ("93-csv-13-unnamed/a.csv", Leads(TWELVE), Same("counts or times the samples")),
    ("93-csv-13-unnamed/b.csv", Nothing, Refused("the first counts or times the samples")),
    ("94-clipped/a.npy", Nothing, Warned("limb leads contradict each other")),
    ("94-clipped/spike.npy", Nothing, Warned("aVR is off by 1.20 mV")),
    ("95-lead-off/a.npy", Nothing, Warned("throughout")),
    ("96-cabrera/a.npy", Nothing, Warned("aV")),
];

fn options(stated: Stated) -> ReadOptions {
    let mut options = ReadOptions::default();
    match stated {
        Nothing => {}
        Microvolts => options.unit = Some(Unit::Microvolt),
        Rate(rate) => options.sampling_rate = Some(rate),
        Leads(leads) => options.leads = Some(leads.to_vec()),
        LeadsInMicrovolts(leads) => {
            options.leads = Some(leads.to_vec());
            options.unit = Some(Unit::Microvolt);
            options.sampling_rate = Some(500.0);
        }
    }
    options
}

/// Reads the one recording of a file and classifies it.
fn classify(classifier: &Classifier, path: &Path, stated: Stated) -> Result<(Recording, Prediction)> {
    let recording = format::read(path, &options(stated))?.remove(0);
    let prediction = classifier.classify(&recording)?;
    Ok((recording, prediction))
}

/// Describes what is wrong with the outcome of a case, if anything.
fn complaint(expected: &Expected, outcome: &Result<(Recording, Prediction)>, right: &[f32]) -> Option<String> {
    let (tolerance, text) = match (expected, outcome) {
        (Refused(text), Err(error)) => {
            return (!error.cause().contains(text)).then(|| format!("the error is: {error}"));
        }
        (Refused(_), Ok(_)) => return Some("is read, and must be refused".into()),
        (_, Err(error)) => return Some(format!("is refused: {error}")),
        (Same(text), Ok(_)) => (0.02, text),
        (Rounded(text), Ok(_)) => (0.1, text),
        (Warned(text), Ok(_)) => (f32::INFINITY, text),
    };
    let (recording, prediction) = outcome.as_ref().ok()?;
    let largest = prediction.logits.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    if largest > tolerance {
        return Some(format!("logits differ by {largest}; warnings {:?}", recording.warnings()));
    }
    let warnings: Vec<&String> = recording.warnings().iter().chain(&prediction.warnings).collect();
    (!warnings.iter().any(|warning| warning.contains(text)) && !text.is_empty())
        .then(|| format!("no warning contains '{text}': {warnings:?}"))
}

fn cases() -> Option<(PathBuf, Classifier)> {
    let folder = shared_folder("ECGPU_CASES", "shared/cases")?;
    let weights = Weights::built_in().unwrap();
    Some((folder, Classifier::open(weights, Device::Cpu).unwrap()))
}

#[test]
fn every_file_that_users_brought_is_read_right_or_refused_with_a_clear_word() {
    let Some((folder, classifier)) = cases() else { return };
    let (_, right) = classify(&classifier, &folder.join("base/norm.hea"), Nothing).unwrap();
    let mut complaints = Vec::new();
    for (name, stated, expected) in CASES {
        let outcome = classify(&classifier, &folder.join(name), *stated);
        complaints.extend(complaint(expected, &outcome, &right.logits).map(|complaint| format!("{name}: {complaint}")));
    }
    assert!(complaints.is_empty(), "{} of {} cases:\n{}", complaints.len(), CASES.len(), complaints.join("\n"));
}
