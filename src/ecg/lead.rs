//! Defines the twelve standard leads, and how the limb leads follow from I and II.

use std::{fmt, str::FromStr};

use crate::{Error, ErrorKind, Result};

/// A lead of the standard 12-lead ECG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lead {
    /// Left arm against right arm.
    I,
    /// Left leg against right arm.
    II,
    /// Left leg against left arm.
    III,
    /// Right arm against the mean of the other two limbs.
    AVR,
    /// Left arm against the mean of the other two limbs.
    AVL,
    /// Left leg against the mean of the other two limbs.
    AVF,
    /// Chest, fourth intercostal space, right of the sternum.
    V1,
    /// Chest, fourth intercostal space, left of the sternum.
    V2,
    /// Chest, between V2 and V4.
    V3,
    /// Chest, fifth intercostal space, midclavicular line.
    V4,
    /// Chest, at V4's level, anterior axillary line.
    V5,
    /// Chest, at V4's level, midaxillary line.
    V6,
}

impl Lead {
    /// All leads in the usual order: limb leads, augmented leads, chest leads.
    pub const STANDARD: [Lead; 12] = {
        use Lead::*;
        [I, II, III, AVR, AVL, AVF, V1, V2, V3, V4, V5, V6]
    };

    /// Returns the name in the field's spelling: `aVR`, not `AVR`.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 12] = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"];
        NAMES[self as usize]
    }

    /// Returns the weights of leads I and II in this lead, where it is a combination of the two (Einthoven 1913,
    /// Goldberger 1942): III = II − I, aVR = −(I + II)/2, aVL = I − II/2, aVF = II − I/2.
    pub fn from_i_and_ii(self) -> Option<[f32; 2]> {
        match self {
            Lead::I => Some([1.0, 0.0]),
            Lead::II => Some([0.0, 1.0]),
            Lead::III => Some([-1.0, 1.0]),
            Lead::AVR => Some([-0.5, -0.5]),
            Lead::AVL => Some([1.0, -0.5]),
            Lead::AVF => Some([-0.5, 1.0]),
            _ => None,
        }
    }
}

/// Spellings in capitals that differ from the usual names: Spanish and French devices write D for "derivation", German ones
/// L for the limb leads and C for the chest.
const SPELLINGS: [(&str, Lead); 15] = [
    ("DI", Lead::I),
    ("DII", Lead::II),
    ("DIII", Lead::III),
    ("D1", Lead::I),
    ("D2", Lead::II),
    ("D3", Lead::III),
    ("L1", Lead::I),
    ("L2", Lead::II),
    ("L3", Lead::III),
    ("C1", Lead::V1),
    ("C2", Lead::V2),
    ("C3", Lead::V3),
    ("C4", Lead::V4),
    ("C5", Lead::V5),
    ("C6", Lead::V6),
];

impl fmt::Display for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Lead {
    type Err = Error;

    /// Reads a lead's name in any case, with the prefixes that devices write, and in the spellings of other languages: `aVR`,
    /// `AVR`, `Lead I`, `MDC_ECG_LEAD_I`, `EKG V-1`; `DI`, `D1` and `L1` for I, `C1` for V1.
    fn from_str(name: &str) -> Result<Self> {
        const SEPARATORS: [char; 5] = ['_', ' ', '-', ':', '.'];
        let usual = |name: &str| Lead::STANDARD.into_iter().find(|lead| lead.name().eq_ignore_ascii_case(name));
        // Most files write the usual names, and readers ask for each of them several times.
        if let Some(lead) = usual(name) {
            return Ok(lead);
        }
        let upper = name.trim().to_ascii_uppercase();
        let mut bare = upper.as_str();
        for prefix in ["MDC_", "ECG", "EKG", "LEAD", "CHANNEL"] {
            // A prefix ends at a separator: "LEADI" is no name that a device writes.
            let rest = bare.strip_prefix(prefix).filter(|rest| prefix.ends_with('_') || rest.starts_with(SEPARATORS));
            bare = rest.map_or(bare, |rest| rest.trim_start_matches(SEPARATORS));
        }
        // "V-1" and "V 1" are V1.
        let joined = bare.replacen("V-", "V", 1).replacen("V_", "V", 1).replacen("V ", "V", 1);
        let spelled = SPELLINGS.iter().find(|(spelling, _)| *spelling == joined).map(|(_, lead)| *lead);
        spelled.or_else(|| usual(&joined)).ok_or_else(|| {
            Error::new(
                ErrorKind::Usage,
                format!("'{name}' is not a lead of the 12-lead ECG"),
                "the leads are I, II, III, aVR, aVL, aVF, V1 to V6",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_spelling_that_devices_write() {
        for (text, lead) in [
            ("AVR", Lead::AVR),
            ("avl", Lead::AVL),
            ("Lead II", Lead::II),
            ("MDC_ECG_LEAD_V3", Lead::V3),
            (" i ", Lead::I),
            ("DIII", Lead::III),
            ("lead_D2", Lead::II),
            ("c6", Lead::V6),
            ("EKG V-2", Lead::V2),
            ("ECG Lead aVF", Lead::AVF),
            ("Channel I", Lead::I),
            ("v_4", Lead::V4),
        ] {
            assert_eq!(text.parse::<Lead>(), Ok(lead), "{text}");
        }
        for text in ["", "V7", "vx", "IIII", "lead", "-aVR", "I-II", "V1-V2", "MLII", "ECG", "leadI"] {
            assert!(text.parse::<Lead>().is_err(), "{text}");
        }
    }
}
