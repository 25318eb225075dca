//! The channels of a multiplex group: which lead each is, and how its samples become voltages (PS3.3, section C.10.9).

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::{super::damaged, element::Elements, object::Attributes};
use crate::{
    Result,
    ecg::{Lead, Unit},
};

/// The elements of a channel that are needed.
const CHANNEL: [Tag; 9] = [
    tags::CHANNEL_LABEL,
    tags::CHANNEL_SOURCE_SEQUENCE,
    tags::CHANNEL_SENSITIVITY,
    tags::CHANNEL_SENSITIVITY_UNITS_SEQUENCE,
    tags::CHANNEL_SENSITIVITY_CORRECTION_FACTOR,
    tags::CHANNEL_BASELINE,
    tags::CHANNEL_TIME_SKEW,
    tags::CHANNEL_SAMPLE_SKEW,
    tags::CHANNEL_OFFSET,
];
/// The elements of a code.
const CODE: [Tag; 4] = [tags::CODE_VALUE, tags::LONG_CODE_VALUE, tags::CODING_SCHEME_DESIGNATOR, tags::CODE_MEANING];

/// The leads' numbers in SCP-ECG (EN 1064, table of lead identifications). MDC (ISO 11073-10101) has the same numbers in
/// its partition 2.
const NUMBERS: [(u32, Lead); 12] = [
    (1, Lead::I),
    (2, Lead::II),
    (3, Lead::V1),
    (4, Lead::V2),
    (5, Lead::V3),
    (6, Lead::V4),
    (7, Lead::V5),
    (8, Lead::V6),
    (61, Lead::III),
    (62, Lead::AVR),
    (63, Lead::AVL),
    (64, Lead::AVF),
];
/// What a lead's number follows in a code: in MDC, in SCP-ECG as DICOM writes it.
const PREFIXES: [&str; 2] = ["2:", "5.6.3-9-"];
/// The first code of MDC's partition 2, as a single number.
const PARTITION_2: u32 = 2 << 16;

/// A channel of a multiplex group.
#[derive(Debug)]
pub(super) struct Channel {
    /// The lead's name, or what else names the channel.
    pub(super) name: String,
    /// The unit of the sensitivity, empty if there is none.
    pub(super) unit: String,
    /// A sample in the unit is `raw × scale + offset`.
    pub(super) scale: f64,
    pub(super) offset: f64,
    /// Whether the channel begins earlier or later than its group.
    pub(super) skewed: bool,
    /// Whether the lead's code says another lead than its name, which is used.
    pub(super) contradicted: bool,
}

impl Channel {
    /// Reads the definition of a channel.
    pub(super) fn of(item: Elements) -> Result<Self> {
        let channel = Attributes::of(item, &CHANNEL)?;
        let source = code(&channel, tags::CHANNEL_SOURCE_SEQUENCE)?;
        let unit = code(&channel, tags::CHANNEL_SENSITIVITY_UNITS_SEQUENCE)?;
        let (name, contradicted) = name(&source, &channel.text(tags::CHANNEL_LABEL));
        let factor = channel.number(tags::CHANNEL_SENSITIVITY)?;
        let correction = channel.number(tags::CHANNEL_SENSITIVITY_CORRECTION_FACTOR)?;
        let scale = factor.unwrap_or(1.0) * correction.unwrap_or(1.0);
        if (scale == 0.0 || !scale.is_finite()) && name.parse::<Lead>().is_ok() {
            let cause = format!("lead {name} has a sensitivity of {scale}");
            return Err(damaged(cause, "correct it or export the recording again"));
        }
        let mut skewed = false;
        for tag in [tags::CHANNEL_TIME_SKEW, tags::CHANNEL_SAMPLE_SKEW, tags::CHANNEL_OFFSET] {
            skewed |= channel.number(tag)?.is_some_and(|skew| skew != 0.0);
        }
        let offset = channel.number(tags::CHANNEL_BASELINE)?.unwrap_or(0.0);
        // Without a sensitivity a unit says nothing about the samples.
        let unit = if factor.is_some() { unit_name(&unit) } else { String::new() };
        Ok(Self { name, unit, scale, offset, skewed, contradicted })
    }

    /// Returns the lead, if the channel is one.
    pub(super) fn lead(&self) -> Option<Lead> {
        self.name.parse().ok()
    }
}

/// A coded entry.
#[derive(Debug, Default)]
struct Code {
    value: String,
    scheme: String,
    meaning: String,
}

/// Returns the first code of a sequence; an empty one if it is missing.
fn code(channel: &Attributes, sequence: Tag) -> Result<Code> {
    let Some(item) = channel.get(sequence).and_then(|sequence| sequence.items().next()).transpose()? else {
        return Ok(Code::default());
    };
    let code = Attributes::of(item, &CODE)?;
    let [short, long] = [tags::CODE_VALUE, tags::LONG_CODE_VALUE].map(|tag| code.text(tag));
    Ok(Code {
        value: if short.is_empty() { long } else { short },
        scheme: code.text(tags::CODING_SCHEME_DESIGNATOR),
        meaning: code.text(tags::CODE_MEANING),
    })
}

/// Returns the name of a channel: the lead that the code's meaning or the label names, or else that of the code, or else
/// the first text that there is. Returns also whether the code says another lead than the name does.
fn name(source: &Code, label: &str) -> (String, bool) {
    let coded = lead_of_code(source);
    let named = [&source.meaning, label].into_iter().find_map(lead_of_text);
    // Some writers number their channels and take the numbers for codes; names are right even then.
    let contradicted = coded.is_some() && named.is_some() && coded != named;
    let texts = [&source.meaning, label, &source.value];
    let text = || texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default().to_string();
    (named.or(coded).map_or_else(text, |lead| lead.to_string()), contradicted)
}

/// Returns the lead of a code of MDC or SCP-ECG, as a number or as MDC's name.
fn lead_of_code(code: &Code) -> Option<Lead> {
    let of_number = |number: u32| NUMBERS.iter().find(|(other, _)| *other == number).map(|(_, lead)| *lead);
    if let Some(number) = PREFIXES.iter().find_map(|prefix| code.value.strip_prefix(prefix)) {
        return number.parse().ok().and_then(of_number);
    }
    if code.scheme.eq_ignore_ascii_case("MDC")
        && let Ok(number) = code.value.parse::<u32>()
    {
        return number.checked_sub(PARTITION_2).and_then(of_number);
    }
    code.value.parse().ok()
}

/// Returns the lead that a text names, such as `Lead I (Einthoven)` or `aVR, augmented voltage, right`.
fn lead_of_text(text: &str) -> Option<Lead> {
    let lead = text.parse().ok();
    let explained = || text.split_once([',', '(']).and_then(|(name, _)| name.parse().ok());
    lead.or_else(explained)
}

/// Returns the name of a unit: the code, which is UCUM's, or the meaning where only that is a unit of voltage.
fn unit_name(code: &Code) -> String {
    let is_voltage = |text: &&String| text.parse::<Unit>().is_ok();
    [&code.value, &code.meaning].into_iter().find(is_voltage).unwrap_or(&code.value).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(value: &str, scheme: &str, meaning: &str) -> Code {
        Code { value: value.into(), scheme: scheme.into(), meaning: meaning.into() }
    }

    #[test]
    fn leads_are_found_by_code_by_meaning_and_by_label() {
        for (value, scheme, meaning, label, lead) in [
            ("2:1", "MDC", "", "", "I"),
            ("2:64", "MDC", "aVF, augmented voltage, foot", "", "aVF"),
            ("5.6.3-9-3", "SCPECG", "Lead V1", "", "V1"),
            ("131134", "MDC", "", "", "aVR"),
            ("MDC_ECG_LEAD_V6", "MDC", "", "", "V6"),
            ("", "", "Lead I (Einthoven)", "", "I"),
            ("X1", "99LOCAL", "Lead aVR", "", "aVR"),
            ("", "", "", "II", "II"),
            ("2:999", "MDC", "aVL, augmented voltage, left", "", "aVL"),
        ] {
            assert_eq!(name(&code(value, scheme, meaning), label), (lead.into(), false), "{value} {meaning} {label}");
        }
        assert_eq!(name(&code("2:86", "MDC", "Lead ES"), "").0, "Lead ES");
        assert_eq!(name(&code("2:65", "MDC", ""), "").0, "2:65", "−aVR is no standard lead");
        assert_eq!(name(&code("2:3", "MDC", "Lead III"), ""), ("III".into(), true), "the name wins");
    }

    #[test]
    fn units_are_named_by_code_or_by_meaning() {
        for (value, meaning, unit) in [
            ("uV", "microvolt", "uV"),
            ("mV", "", "mV"),
            ("X", "millivolt", "millivolt"),
            ("{AU}", "arbitrary", "{AU}"),
        ] {
            assert_eq!(unit_name(&code(value, "UCUM", meaning)), unit);
        }
    }
}
