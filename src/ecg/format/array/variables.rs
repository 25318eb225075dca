//! Finds the ECG among the named arrays of one file.

use super::super::{ReadOptions, damaged, shown};
#[cfg(any(feature = "compressed", feature = "mat"))]
use super::{
    Array,
    recordings::{Description, recording_of_leads, recordings},
};
#[cfg(any(feature = "compressed", feature = "mat"))]
use crate::Recording;
use crate::{Result, ecg::Lead};

/// Names of the array that holds the ECG, the likeliest first, in lower case.
const PREFERRED: [&str; 12] = [
    "val",
    "tracings",
    "ecg",
    "p_signal",
    "signal",
    "signals",
    "data",
    "x",
    "waveform",
    "waveforms",
    "leads_data",
    "d_signal",
];

/// Names of a number that states the sampling rate in Hz, in lower case and without underscores.
const RATE: [&str; 10] = [
    "fs",
    "samplingrate",
    "samplerate",
    "rate",
    "samplingfrequency",
    "samplefrequency",
    "sfreq",
    "freq",
    "frequency",
    "hz",
];

/// Names of a text that states the unit, in lower case and without underscores.
const UNIT: [&str; 3] = ["unit", "units", "physicalunit"];

/// Names of a list of the leads' names, in lower case and without underscores.
const LEADS: [&str; 7] = ["leads", "leadnames", "leadname", "signames", "signame", "channels", "channelnames"];

/// Largest number of names that an error lists.
const LISTED: usize = 12;

/// Whether a variable states the sampling rate by its name.
pub(in crate::ecg::format) fn is_rate(name: &str) -> bool {
    RATE.contains(&bare(name).replace('_', "").as_str())
}

/// Whether a variable states the unit by its name.
pub(in crate::ecg::format) fn is_unit(name: &str) -> bool {
    UNIT.contains(&bare(name).replace('_', "").as_str())
}

/// Whether a variable names the leads by its name.
pub(in crate::ecg::format) fn is_leads(name: &str) -> bool {
    LEADS.contains(&bare(name).replace('_', "").as_str())
}

/// Returns a variable's name without those of the structures and groups around it, in lower case.
fn bare(name: &str) -> String {
    name.rsplit(['.', '/']).next().unwrap_or_default().to_lowercase()
}

/// An array's name and shape.
#[derive(Debug, Clone)]
pub(in crate::ecg::format) struct Shaped {
    pub(in crate::ecg::format) name: String,
    pub(in crate::ecg::format) shape: Vec<usize>,
}

/// The arrays that hold the ECG, by their positions.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::ecg::format) enum Choice {
    /// One array of all leads.
    One(usize),
    /// Arrays of one lead each, named by it.
    Leads(Vec<usize>),
}

/// Chooses the arrays that hold the ECG: those named by leads, or the one of which a side is as long as the list of leads.
///
/// # Errors
/// No array fits, or several do and none has a usual name.
pub(in crate::ecg::format) fn choose(arrays: &[Shaped], options: &ReadOptions) -> Result<Choice> {
    let leads = options.leads().len();
    let lengths = |array: &Shaped| array.shape.iter().copied().filter(|side| *side != 1).collect::<Vec<_>>();
    let named = |array: &Shaped| lengths(array).len() == 1 && bare(&array.name).parse::<Lead>().is_ok();
    let positions = |is: &dyn Fn(&Shaped) -> bool| (0..arrays.len()).filter(|at| is(&arrays[*at])).collect::<Vec<_>>();
    let by_lead = positions(&named);
    if by_lead.len() >= 2 {
        return Ok(Choice::Leads(by_lead));
    }
    let is_plane = |array: &Shaped| matches!(lengths(array)[..], [_, _] | [_, _, _]);
    let fits = |array: &Shaped| is_plane(array) && lengths(array).iter().rev().take(2).any(|side| *side == leads);
    let fitting = positions(&fits);
    let rank =
        |at: &usize| PREFERRED.iter().position(|name| *name == bare(&arrays[*at].name)).unwrap_or(PREFERRED.len());
    let best = fitting.iter().map(rank).min();
    match fitting.iter().copied().filter(|at| Some(rank(at)) == best).collect::<Vec<_>>()[..] {
        [at] => Ok(Choice::One(at)),
        // The array's own error says what is wrong with its shape.
        [] if arrays.len() == 1 => Ok(Choice::One(0)),
        [] => match positions(&is_plane)[..] {
            [at] => Ok(Choice::One(at)),
            _ => {
                let cause = format!("none of its arrays holds {leads} leads: {}", list(arrays));
                Err(damaged(cause, format!("give one array of [{leads}, samples] or [samples, {leads}]")))
            }
        },
        _ => {
            let cause = format!("several of its arrays may be the ECG: {}", list(arrays));
            Err(damaged(cause, "keep one of them, or name it 'ecg'"))
        }
    }
}

/// Lists names and shapes.
fn list(arrays: &[Shaped]) -> String {
    let one = |array: &Shaped| format!("{} {:?}", shown(array.name.as_bytes()), array.shape);
    let mut listed: Vec<String> = arrays.iter().take(LISTED).map(one).collect();
    match arrays.len() {
        0 => return "there is none".into(),
        count if count > LISTED => listed.push(format!("and {} more", count - LISTED)),
        _ => {}
    }
    listed.join(", ")
}

/// The value of a variable.
#[cfg(any(feature = "compressed", feature = "mat"))]
#[derive(Debug)]
pub(in crate::ecg::format) enum Value {
    Array(Array),
    Texts(Vec<String>),
}

/// A named value of a file.
#[cfg(any(feature = "compressed", feature = "mat"))]
#[derive(Debug)]
pub(in crate::ecg::format) struct Variable {
    pub(in crate::ecg::format) name: String,
    pub(in crate::ecg::format) value: Value,
}

/// Makes the recordings of a file's variables, which may also state sampling rate, unit and leads. `description` is what
/// the format defines where the variables say nothing.
#[cfg(any(feature = "compressed", feature = "mat"))]
pub(in crate::ecg::format) fn read(
    variables: &[Variable],
    stem: &str,
    mut description: Description,
    options: &ReadOptions,
) -> Result<Vec<Recording>> {
    describe(variables, &mut description);
    let arrays = variables.iter().filter_map(|Variable { name, value }| match value {
        Value::Array(array) if array.scalar().is_none() => Some((name, array)),
        _ => None,
    });
    let arrays: Vec<(&String, &Array)> = arrays.collect();
    let shaped = arrays.iter().map(|(name, array)| Shaped { name: name.to_string(), shape: array.shape().to_vec() });
    match choose(&shaped.collect::<Vec<_>>(), options)? {
        Choice::One(at) => {
            let (_, array) = arrays[at];
            recordings(array, stem, &description, options)
        }
        Choice::Leads(positions) => {
            description.leads = Some(positions.iter().map(|at| bare(arrays[*at].0)).collect());
            let arrays: Vec<&Array> = positions.iter().map(|at| arrays[*at].1).collect();
            recording_of_leads(stem.into(), &arrays, description, options).map(|recording| vec![recording])
        }
    }
}

/// Adds what variables say of the ECG.
#[cfg(any(feature = "compressed", feature = "mat"))]
fn describe(variables: &[Variable], description: &mut Description) {
    for Variable { name, value } in variables {
        match value {
            Value::Array(array) if is_rate(name) => {
                let rate = array.scalar().filter(|rate| rate.is_finite() && *rate > 0.0);
                description.sampling_rate = rate.or(description.sampling_rate);
            }
            Value::Texts(texts) if is_unit(name) => {
                let unit = texts.first().and_then(|text| text.parse().ok());
                description.unit = unit.or(description.unit);
            }
            // A list of other things than leads, such as of paths, does not name them.
            Value::Texts(texts) if is_leads(name) && texts.iter().any(|text| text.parse::<Lead>().is_ok()) => {
                description.leads = Some(texts.clone());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(arrays: &[(&str, &[usize])]) -> Result<Choice> {
        let shaped = |(name, shape): &(&str, &[usize])| Shaped { name: name.to_string(), shape: shape.to_vec() };
        choose(&arrays.iter().map(shaped).collect::<Vec<_>>(), &ReadOptions::default())
    }

    #[test]
    fn the_array_with_a_side_of_the_leads_is_chosen() {
        assert_eq!(chosen(&[("y", &[100]), ("q", &[100, 12, 500])]), Ok(Choice::One(1)));
        assert_eq!(chosen(&[("a", &[12, 500]), ("ECG.data", &[500, 12])]), Ok(Choice::One(1)), "a usual name");
        assert_eq!(chosen(&[("y", &[3]), ("q", &[8, 500])]), Ok(Choice::One(1)), "its own error explains it");
    }

    #[test]
    fn arrays_named_by_leads_are_chosen_together() {
        assert_eq!(chosen(&[("II", &[500, 1]), ("y", &[500]), ("g/i", &[500])]), Ok(Choice::Leads(vec![0, 2])));
    }

    #[test]
    fn several_arrays_that_fit_are_listed() {
        let error = chosen(&[("a", &[12, 500]), ("b", &[12, 500])]).unwrap_err();
        assert_eq!(error.cause(), "several of its arrays may be the ECG: a [12, 500], b [12, 500]");
        let error = chosen(&[("a", &[3]), ("b", &[5])]).unwrap_err();
        assert_eq!(error.cause(), "none of its arrays holds 12 leads: a [3], b [5]");
        assert_eq!(chosen(&[]).unwrap_err().cause(), "none of its arrays holds 12 leads: there is none");
    }

    #[test]
    fn usual_names_state_the_rate_the_unit_and_the_leads() {
        assert!(["fs", "Fs", "ECG.sampling_rate", "info/SamplingFrequency"].into_iter().all(is_rate));
        assert!(is_unit("Units") && is_leads("lead_names") && is_leads("sig_name") && !is_rate("offset"));
    }
}
