//! Section 3 of an SCP-ECG record: which leads there are, and when each was recorded (EN 1064, 5.6).

use crate::{
    Result,
    ecg::format::{damaged, little_endian::u32_at},
};

/// The length of a lead's definition: first sample, last sample, lead.
const DEFINITION: usize = 9;

/// The leads of a record.
pub(super) struct Leads {
    /// The leads, in the order of their signals.
    pub(super) leads: Vec<Lead>,
    /// Whether the reference beat was subtracted from the rhythm.
    pub(super) subtracted: bool,
}

/// A lead, and the part of the recording's time that it covers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lead {
    /// The name, or a description of a code that names no common lead.
    pub(super) name: String,
    /// The number of its first sample; the recording's first is usually 1.
    pub(super) first: u32,
    /// The number of samples.
    pub(super) samples: usize,
}

impl Leads {
    /// Reads the section.
    pub(super) fn new(section: &[u8]) -> Result<Self> {
        let cut_off = || damaged("section 3, the definition of the leads, is cut off", "export or copy the file again");
        let &[count, flags, ref definitions @ ..] = section else { return Err(cut_off()) };
        let definitions = definitions.get(..usize::from(count) * DEFINITION).ok_or_else(cut_off)?;
        let leads = definitions.chunks_exact(DEFINITION).map(|definition| Lead::new(definition).ok_or_else(cut_off)?);
        let leads: Vec<Lead> = leads.collect::<Result<_>>()?;
        if leads.is_empty() {
            return Err(damaged("section 3 defines no lead", "export the recording again, with its leads"));
        }
        Ok(Self { leads, subtracted: flags & 1 == 1 })
    }
}

impl Lead {
    fn new(definition: &[u8]) -> Option<Result<Self>> {
        let (first, last) = (u32_at(definition, 0)?, u32_at(definition, 4)?);
        let name = name(*definition.get(8)?);
        if last < first {
            let cause = format!("lead {name} ends at sample {last}, before it begins at {first}");
            return Some(Err(damaged(cause, "export or copy the file again")));
        }
        Some(Ok(Self { name, first, samples: ((last - first) as usize).saturating_add(1) }))
    }
}

/// Returns the name of a lead by its code (EN 1064, table of ECG lead identification codes). An unspecified lead has no
/// name.
fn name(code: u8) -> String {
    const CHEST: [&str; 13] = ["V1", "V2", "V3", "V4", "V5", "V6", "V7", "V2R", "V3R", "V4R", "V5R", "V6R", "V7R"];
    const FRANK: [&str; 3] = ["X", "Y", "Z"];
    const LIMBS: [&str; 7] = ["III", "aVR", "aVL", "aVF", "-aVR", "V8", "V9"];
    let known = match code {
        0 => "",
        1 => "I",
        2 => "II",
        3..=15 => CHEST[usize::from(code - 3)],
        16..=18 => FRANK[usize::from(code - 16)],
        61..=67 => LIMBS[usize::from(code - 61)],
        _ => return format!("lead of code {code}"),
    };
    known.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_standard_leads_are_known_and_no_other_code_has_their_names() {
        let standard: Vec<u8> = (0..=255).filter(|code| name(*code).parse::<crate::ecg::Lead>().is_ok()).collect();
        assert_eq!(standard, [1, 2, 3, 4, 5, 6, 7, 8, 61, 62, 63, 64]);
        assert_eq!([3, 8, 12, 64, 65].map(name), ["V1", "V6", "V4R", "aVF", "-aVR"]);
        assert_eq!([0, 200].map(name), ["", "lead of code 200"]);
    }
}
