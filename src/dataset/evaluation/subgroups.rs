//! The macro AUROC of groups of patients.

use serde::Serialize;

use super::summary::{Estimate, macro_auroc, rankings};
use crate::{
    dataset::{Dataset, Record},
    evaluate::Predictions,
};

/// The fewest records for which a group is reported: the interval of fewer says nothing.
const FEWEST: usize = 50;

/// The upper ends of the age bands in years, without the last band.
const AGES: [f32; 4] = [40.0, 55.0, 65.0, 75.0];

/// One group of records, such as those of women.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Subgroup {
    /// What the records are grouped by: sex, age or device.
    pub group: &'static str,
    /// The name of the group.
    pub name: String,
    /// The number of records.
    pub records: usize,
    /// The mean of the classes' areas under the ROC curve.
    pub macro_auroc: Estimate,
    /// The AUROC of each class.
    pub auroc: Vec<Option<f64>>,
}

/// Returns the group of a record, if it is known.
type GroupOf = dyn Fn(&Record) -> Option<String>;

/// Returns the age band of a record.
fn age_band(record: &Record) -> Option<String> {
    let age = record.age?;
    let band = AGES.iter().position(|end| age < *end).unwrap_or(AGES.len());
    Some(match (band.checked_sub(1).map(|below| AGES[below]), AGES.get(band)) {
        (None, Some(end)) => format!("under {end}"),
        (Some(start), Some(end)) => format!("{start} to {}", end - 1.0),
        (Some(start), None) => format!("{start} and over"),
        (None, None) => unreachable!("there is more than one band"),
    })
}

/// Measures all groups of some records that have enough of them. `patients` has the patient of each record, `seed` is that
/// of the bootstrap.
pub(super) fn measure(
    dataset: &Dataset,
    records: &[usize],
    predictions: &Predictions,
    patients: &[u32],
    seed: u64,
) -> Vec<Subgroup> {
    let sex = |record: &Record| record.sex.map(|sex| sex.to_string());
    let device = |record: &Record| record.device.clone();
    let groups: [(&str, &GroupOf); 3] = [("sex", &sex), ("age", &age_band), ("device", &device)];
    let mut subgroups = Vec::new();
    for (group, of) in groups {
        let names: Vec<Option<String>> = records.iter().map(|&index| of(&dataset.records()[index])).collect();
        let mut distinct: Vec<&String> = names.iter().flatten().collect();
        distinct.sort();
        distinct.dedup();
        // "under 40" belongs before "40 to 54".
        distinct.sort_by_key(|name| !name.starts_with("under"));
        for name in distinct {
            let own: Vec<usize> = (0..records.len()).filter(|&at| names[at].as_ref() == Some(name)).collect();
            let Some(part) = predictions.subset(&own).filter(|_| own.len() >= FEWEST) else { continue };
            let patients: Vec<u32> = own.iter().map(|&at| patients[at]).collect();
            let auroc = rankings(&part).iter().map(|ranking| ranking.auroc(|_| 1)).collect();
            let macro_auroc = macro_auroc(&part, &patients, seed);
            subgroups.push(Subgroup { group, name: name.clone(), records: own.len(), macro_auroc, auroc });
        }
    }
    subgroups
}
