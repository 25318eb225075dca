//! One record of a data set: its labels and what groups it belongs to.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::statements::Statement;

/// The sex of a patient as the metadata state it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Sex {
    /// Female, 1 in PTB-XL.
    Female,
    /// Male, 0 in PTB-XL.
    Male,
}

impl fmt::Display for Sex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Sex::Female => "female",
            Sex::Male => "male",
        })
    }
}

/// One record: a row of `ptbxl_database.csv`, or of a table of one's own.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// The unique number of the record: `ecg_id` in PTB-XL, the number of the line in a table of one's own.
    pub ecg_id: u32,
    /// The patient's number. All records of a patient should be in the same fold. In a table of one's own it is the place
    /// of the patient among all patients, and the patient's name is not kept.
    pub patient_id: u32,
    /// The fold, from 1 to 10.
    pub fold: u8,
    /// Which of the data set's classes the record has.
    pub(crate) classes: Vec<bool>,
    /// Whether the classes are known. A record of PTB-XL without any class is unlabelled and useful for pre-training only.
    pub(crate) labelled: bool,
    /// The SCP-ECG statements of the record with their likelihoods.
    pub(crate) statements: Vec<Statement>,
    /// The patient's age in years, if known. PTB-XL states 300 for all ages above 89.
    pub age: Option<f32>,
    /// The patient's sex, if known.
    pub sex: Option<Sex>,
    /// The name of the recorder, if known.
    pub device: Option<String>,
    /// The path of the record. In PTB-XL it has no extension and is relative to the data folder.
    pub path: PathBuf,
}

impl Record {
    /// Returns whether the classes of the record are known.
    pub fn is_labelled(&self) -> bool {
        self.labelled
    }

    /// Returns which of the data set's classes the record has.
    pub fn classes(&self) -> &[bool] {
        &self.classes
    }

    /// Returns the path of the header file for a data folder.
    pub(super) fn header_file(&self, folder: &Path) -> PathBuf {
        folder.join(self.path.with_extension("hea"))
    }

    /// Returns the path of the signal file for a data folder.
    pub(super) fn signal_file(&self, folder: &Path) -> PathBuf {
        folder.join(self.path.with_extension("dat"))
    }
}

/// Parses a whole number. PTB-XL writes some as 15709.0, since their columns once had gaps.
pub(super) fn whole(column: &str, text: &str) -> std::result::Result<u32, String> {
    let number = text.parse::<f64>().ok().filter(|x| x.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(x));
    number.map(|x| x as u32).ok_or_else(|| format!("{column} '{text}' is no whole number"))
}

/// Parses an age in years; empty or NaN if unknown.
pub(super) fn age(text: &str) -> std::result::Result<Option<f32>, String> {
    if text.is_empty() || text.eq_ignore_ascii_case("nan") {
        return Ok(None);
    }
    let age = text.parse::<f32>().ok().filter(|age| (0.0..=300.0).contains(age));
    age.map(Some).ok_or_else(|| format!("age '{text}' is no number of years"))
}

/// Parses a sex: 0 or 1 as PTB-XL codes it, or a word; empty if unknown.
pub(super) fn sex(text: &str) -> std::result::Result<Option<Sex>, String> {
    match text.to_ascii_lowercase().as_str() {
        "" | "nan" => Ok(None),
        "0" | "0.0" | "male" | "m" => Ok(Some(Sex::Male)),
        "1" | "1.0" | "female" | "f" => Ok(Some(Sex::Female)),
        _ => Err(format!("sex '{text}' is none of female, male, 1 (female) and 0 (male)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_may_end_in_point_zero() {
        assert_eq!((whole("a", "15709.0"), whole("a", "7"), whole("a", "0")), (Ok(15709), Ok(7), Ok(0)));
        for text in ["", "1.5", "-1", "nan", "inf", "1e300", "x"] {
            assert_eq!(whole("strat_fold", text), Err(format!("strat_fold '{text}' is no whole number")));
        }
    }

    #[test]
    fn ages_and_sexes_may_be_unknown_but_not_nonsense() {
        assert_eq!(
            (age(""), age("nan"), age("56.0"), age("300")),
            (Ok(None), Ok(None), Ok(Some(56.0)), Ok(Some(300.0)))
        );
        assert_eq!(
            (sex(""), sex("0"), sex("1.0"), sex("F")),
            (Ok(None), Ok(Some(Sex::Male)), Ok(Some(Sex::Female)), Ok(Some(Sex::Female)))
        );
        assert!(age("old").is_err() && age("-1").is_err() && sex("2").is_err());
    }
}
