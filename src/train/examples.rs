//! The records of a data set as training examples, with their targets.

use super::Examples;
use crate::{
    dataset::{Dataset, LEADS, Record, Sex},
    network::Contract,
};

/// The number of training records from which a statement is a target of its own.
const FEWEST_RECORDS: usize = 20;

/// The ages in years at which the auxiliary targets of a patient's age change from 0 to 1.
const AGES: [f32; 5] = [40.0, 50.0, 60.0, 70.0, 80.0];

/// Further targets behind the classes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Auxiliary {
    /// The statements by their index: the target is the likelihood of the statement, or 0.
    pub(super) statements: Vec<usize>,
    /// Whether the patient's sex and age are targets: 1 for female, and for each of [`AGES`] 1 from this age on. What is
    /// unknown is 0.5.
    pub(super) demographics: bool,
}

impl Auxiliary {
    /// Returns the numbers of targets: statements, then demographics.
    pub(super) fn counts(&self) -> [usize; 2] {
        [self.statements.len(), if self.demographics { 1 + AGES.len() } else { 0 }]
    }

    /// Appends the targets of a record.
    fn append(&self, record: &Record, targets: &mut Vec<f32>) {
        let likelihood = |statement: &usize| {
            let stated = record.statements.iter().find(|(index, _)| index == statement);
            stated.map_or(0.0, |(_, likelihood)| *likelihood)
        };
        targets.extend(self.statements.iter().map(likelihood));
        if self.demographics {
            let target = |known: Option<bool>| known.map_or(0.5, |is| f32::from(u8::from(is)));
            targets.push(target(record.sex.map(|sex| sex == Sex::Female)));
            targets.extend(AGES.map(|least| target(record.age.map(|age| age >= least))));
        }
    }
}

/// The records of a data set as training examples, normalised by the default contract. The targets of a record are its
/// classes, and auxiliary ones if a run has them.
#[derive(Clone)]
pub struct DatasetExamples<'a> {
    dataset: &'a Dataset,
    contract: Contract,
    /// `[records, targets]`.
    targets: Vec<f32>,
    targets_per_record: usize,
}

impl<'a> DatasetExamples<'a> {
    /// Makes examples of the records, whose samples are normalised as the default contract says. The targets are 1 for the
    /// classes that a record has, and 0 for the others.
    pub fn new(dataset: &'a Dataset) -> Self {
        Self::with_auxiliary(dataset, &Auxiliary::default())
    }

    /// Makes examples that have auxiliary targets behind the classes.
    pub(super) fn with_auxiliary(dataset: &'a Dataset, auxiliary: &Auxiliary) -> Self {
        let targets_per_record = dataset.classes().len() + auxiliary.counts().iter().sum::<usize>();
        let mut targets = Vec::with_capacity(dataset.records().len() * targets_per_record);
        for record in dataset.records() {
            targets.extend(record.classes.iter().map(|has| f32::from(u8::from(*has))));
            auxiliary.append(record, &mut targets);
        }
        Self { dataset, contract: Contract::default(), targets, targets_per_record }
    }

    /// Mixes the classes of some records with the probabilities that other networks gave them, `[records, classes]`: the
    /// target becomes (1 − share)·class + share·probability.
    pub(super) fn distil(&mut self, records: &[usize], probabilities: &[f32], share: f32) {
        let classes = self.dataset.classes().len();
        for (record, probabilities) in records.iter().zip(probabilities.chunks(classes)) {
            let targets = &mut self.targets[record * self.targets_per_record..];
            for (target, probability) in targets.iter_mut().zip(probabilities) {
                *target += share * (probability - *target);
            }
        }
    }
}

/// Returns the statements that at least [`FEWEST_RECORDS`] of these records have, by their index, in ascending order.
pub(super) fn frequent_statements(dataset: &Dataset, records: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; dataset.statements().len()];
    let of_records = records.iter().flat_map(|&index| &dataset.records()[index].statements);
    of_records.for_each(|(statement, _)| counts[*statement] += 1);
    (0..counts.len()).filter(|&statement| counts[statement] >= FEWEST_RECORDS).collect()
}

impl Examples for DatasetExamples<'_> {
    fn leads(&self) -> usize {
        LEADS
    }

    fn samples(&self) -> usize {
        self.dataset.samples()
    }

    fn record(&self, index: usize, into: &mut [f32]) {
        self.dataset.signal(index, into);
        for lead in into.chunks_exact_mut(self.samples()) {
            let normalise = self.contract.normalisation(lead);
            lead.iter_mut().for_each(|sample| *sample = normalise(*sample));
        }
    }

    fn labels(&self, index: usize, into: &mut [f32]) {
        into.copy_from_slice(&self.targets[index * self.targets_per_record..][..self.targets_per_record]);
    }

    fn name(&self, index: usize) -> String {
        self.dataset.records()[index].ecg_id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_sex_and_age_become_targets_and_what_is_unknown_is_in_the_middle() {
        let record = |sex, age| Record {
            ecg_id: 1,
            patient_id: 1,
            fold: 1,
            classes: vec![true],
            labelled: true,
            statements: vec![(7, 0.8)],
            age,
            sex,
            device: None,
            path: "1".into(),
        };
        let auxiliary = Auxiliary { statements: vec![3, 7], demographics: true };
        assert_eq!(auxiliary.counts(), [2, 6]);
        for (record, expected) in [
            (record(Some(Sex::Female), Some(60.0)), [0.0, 0.8, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]),
            (record(Some(Sex::Male), Some(300.0)), [0.0, 0.8, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
            (record(None, None), [0.0, 0.8, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]),
        ] {
            let mut targets = Vec::new();
            auxiliary.append(&record, &mut targets);
            assert_eq!(targets, expected);
        }
    }
}
