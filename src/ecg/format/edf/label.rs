//! The leads that labels of signals name.

use crate::ecg::Lead;

/// Names of the reference electrode that a label may end with: a common one, and Wilson's central terminal.
const REFERENCES: [&str; 2] = ["REF", "WCT"];

/// Returns the lead that a label names, such as `ECG V1`, `EKG II-Ref`, `ECG Lead aVR` or `I`.
pub(super) fn lead(label: &str) -> Option<Lead> {
    let separator = |letter: char| letter.is_whitespace() || matches!(letter, '-' | '_' | ':' | '.');
    let upper = label.trim().to_ascii_uppercase();
    let reference = REFERENCES.iter().find_map(|reference| upper.strip_suffix(reference));
    let name = reference.filter(|rest| rest.ends_with(separator)).unwrap_or(&upper).trim_end_matches(separator);
    // Without the type of signal, ECG or EKG, C1 to C6 are electrodes of an electroencephalogram.
    let electrode = matches!(name.as_bytes(), [b'C', number, ..] if number.is_ascii_digit());
    name.parse().ok().filter(|_| !electrode)
}

/// Returns the name for a signal: that of the lead, or else the label, which then is no name of a lead.
pub(super) fn name(label: &str) -> String {
    match lead(label) {
        Some(lead) => lead.to_string(),
        None if label.parse::<Lead>().is_ok() => format!("'{label}'"),
        None => label.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_are_found_in_the_labels_that_recorders_write() {
        for (label, lead_of_it) in [
            ("ECG I", Lead::I),
            ("EKG II", Lead::II),
            ("ECG I-REF", Lead::I),
            ("ECG V1-Ref", Lead::V1),
            ("V3-REF", Lead::V3),
            ("I", Lead::I),
            ("aVR", Lead::AVR),
            ("ECG Lead I", Lead::I),
            ("Lead III", Lead::III),
            ("ecg_avl", Lead::AVL),
            ("EKG-V6", Lead::V6),
            ("ECG C4", Lead::V4),
            ("MDC_ECG_LEAD_V2", Lead::V2),
        ] {
            assert_eq!(lead(label), Some(lead_of_it), "{label}");
        }
    }

    #[test]
    fn other_signals_are_no_leads() {
        for label in ["", "ECG", "ECG1", "EEG C3", "C3", "C3-REF", "EEG Fpz-Cz", "Resp", "ECG V7", "REF", "V10"] {
            assert_eq!(lead(label), None, "{label}");
            assert!(name(label).parse::<Lead>().is_err(), "{label}");
        }
    }
}
