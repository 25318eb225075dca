//! Label fractions: the stratified choice of the records whose labels a training run may use.
//!
//! Each combination of classes is a stratum. The records of a stratum are shuffled and spread evenly over [0, 1): the
//! n-th of N gets the position (n + u)/N, with one random u per stratum. All records sorted by position form one sequence
//! that depends on the seed only, and a fraction is a prefix of it. So fractions are nested, every stratum contributes its
//! share to within one record, and a stratum of one record is drawn with the same probability as any other record.

use std::collections::BTreeMap;

use super::{Record, TRAINING_FOLDS};
use crate::{Error, ErrorKind, Result, random::Random};

/// The high bits of the random streams used here, so that other uses of the same seed draw other numbers. The low 32 bits
/// hold an `ecg_id`.
const STREAMS: u64 = 0x4C42 << 48;
/// Set in the streams that belong to a stratum instead of a record.
const STRATUM: u64 = 1 << 32;

/// Implements [`Dataset::label_fraction`](super::Dataset::label_fraction).
pub(super) fn draw(records: &[Record], classes: &[String], fraction: f64, seed: u64) -> Result<Vec<usize>> {
    if !(fraction > 0.0 && fraction <= 1.0) {
        let cause = format!("a label fraction of {fraction}");
        return Err(Error::new(ErrorKind::Usage, cause, "give a number above 0 and at most 1, such as 0.1"));
    }
    let sequence = sequence(records, seed);
    let count = (fraction * sequence.len() as f64).round() as usize;
    let mut drawn = sequence;
    drawn.truncate(count);
    drawn.sort_unstable();
    every_class(records, classes, &drawn, fraction)?;
    Ok(drawn)
}

/// Returns the indices of all labelled records of the training folds, in the order in which a growing fraction takes them.
fn sequence(records: &[Record], seed: u64) -> Vec<usize> {
    let mut strata: BTreeMap<&[bool], Vec<usize>> = BTreeMap::new();
    for (index, record) in records.iter().enumerate() {
        if record.is_labelled() && TRAINING_FOLDS.contains(&record.fold) {
            strata.entry(&record.classes).or_default().push(index);
        }
    }
    // The random number of a record depends on seed and ecg_id only, not on the other records in the folder.
    let number = |stream: u64| Random::new(seed, STREAMS | stream).bits();
    let key = |index: usize| (number(u64::from(records[index].ecg_id)), records[index].ecg_id);
    let mut positions = Vec::new();
    for (classes, mut stratum) in strata {
        stratum.sort_by_key(|index| key(*index));
        // Of more than 32 classes, the last 32 choose the stream.
        let combination = classes.iter().fold(0, |bits: u32, has| bits << 1 | u32::from(*has));
        let offset = Random::new(seed, STREAMS | STRATUM | u64::from(combination)).uniform();
        let size = stratum.len() as f64;
        positions.extend(stratum.iter().enumerate().map(|(n, index)| ((n as f64 + offset) / size, *index)));
    }
    positions.sort_by(|(a, i), (b, j)| a.total_cmp(b).then(key(*i).cmp(&key(*j))));
    positions.into_iter().map(|(_, index)| index).collect()
}

/// Refuses a choice in which a class has no record, since a network could not learn that class.
fn every_class(records: &[Record], classes: &[String], drawn: &[usize], fraction: f64) -> Result<()> {
    let absent = |class: &usize| !drawn.iter().any(|index| records[*index].classes[*class]);
    let Some(class) = (0..classes.len()).find(absent) else { return Ok(()) };
    let cause = format!(
        "a label fraction of {fraction} takes {} records of folds 1 to 8, none of them with class {}",
        drawn.len(),
        classes[class]
    );
    Err(Error::new(ErrorKind::Dataset, cause, "give a larger fraction, or a folder with more of the folds 1 to 8"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::dataset::CLASSES;

    fn draw(records: &[Record], fraction: f64, seed: u64) -> Result<Vec<usize>> {
        super::draw(records, &CLASSES.map(String::from), fraction, seed)
    }

    /// Makes 2000 records over ten folds. Half are NORM, one in ten is unlabelled, the rarest combination has six records.
    fn records() -> Vec<Record> {
        let classes = |n: u32| match n % 20 {
            0 | 1 => [false; 5],
            2..=11 => [true, false, false, false, false],
            12..=14 => [false, true, false, false, false],
            15 | 16 => [false, false, true, false, false],
            17 if n < 120 => [false, true, false, true, true],
            17 | 18 => [false, false, false, true, false],
            _ => [false, false, false, false, true],
        };
        let record = |n| Record {
            ecg_id: n,
            patient_id: n,
            fold: (n / 20 % 10 + 1) as u8,
            classes: classes(n).to_vec(),
            labelled: classes(n).contains(&true),
            statements: Vec::new(),
            age: None,
            sex: None,
            device: None,
            path: format!("records100/{n}").into(),
        };
        (0..2000).map(record).collect()
    }

    #[test]
    fn equal_seeds_draw_equal_fractions_and_other_seeds_draw_others() {
        let records = records();
        let draw = |seed| draw(&records, 0.1, seed).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).is_sorted());
    }

    #[test]
    fn a_fraction_of_1_is_all_labelled_records_of_folds_1_to_8() {
        let records = records();
        let all = draw(&records, 1.0, 7).unwrap();
        assert_eq!(all.len(), 8 * 200 * 9 / 10);
        assert!(all.iter().all(|index| records[*index].is_labelled() && records[*index].fold <= 8));
    }

    #[test]
    fn each_combination_of_classes_keeps_its_share_within_one_record() {
        let records = records();
        let all = draw(&records, 1.0, 3).unwrap();
        for (fraction, seed) in [(0.05, 1), (0.1, 2), (0.1, 3), (0.37, 4), (0.9, 5)] {
            let part = draw(&records, fraction, seed).unwrap();
            let of = |set: &[usize], classes: &[bool]| {
                set.iter().filter(|index| records[**index].classes == *classes).count()
            };
            assert_eq!(part.len(), (fraction * all.len() as f64).round() as usize);
            for classes in all.iter().map(|index| records[*index].classes.clone()).collect::<HashSet<_>>() {
                let (drawn, share) = (of(&part, &classes) as f64, fraction * of(&all, &classes) as f64);
                assert!((drawn - share).abs() <= 1.0, "{fraction}: {drawn} of {share} for {classes:?}");
            }
        }
    }

    #[test]
    fn a_smaller_fraction_is_a_subset_of_a_larger_one() {
        let records = records();
        let sets = [0.05, 0.1, 0.11, 0.5, 1.0].map(|fraction| draw(&records, fraction, 9).unwrap());
        for pair in sets.windows(2) {
            let larger: HashSet<_> = pair[1].iter().collect();
            assert!(pair[0].len() < larger.len() && pair[0].iter().all(|index| larger.contains(index)));
        }
    }

    #[test]
    fn the_choice_does_not_depend_on_the_validation_and_test_folds() {
        let mut records = records();
        let whole = draw(&records, 0.1, 5).unwrap();
        records.retain(|record| record.fold <= 8);
        let ids = |set: Vec<usize>| -> Vec<u32> { set.into_iter().map(|index| records[index].ecg_id).collect() };
        let without = ids(draw(&records, 0.1, 5).unwrap());
        let whole: Vec<u32> = whole.into_iter().map(|index| self::records()[index].ecg_id).collect();
        assert_eq!(whole, without);
    }

    #[test]
    fn invalid_fractions_and_fractions_without_some_class_are_refused() {
        let records = records();
        for fraction in [0.0, -0.1, 1.0001, f64::NAN, f64::INFINITY] {
            let error = draw(&records, fraction, 1).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        }
        let error = draw(&records, 0.002, 1).unwrap_err();
        assert!(error.cause().contains("takes 3 records of folds 1 to 8, none of them with class "), "{error}");
        let error = draw(&records[..0], 0.5, 1).unwrap_err();
        assert!(error.cause().contains("takes 0 records"), "{error}");
    }
}
