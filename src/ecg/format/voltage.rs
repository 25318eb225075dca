//! Settles the unit of leads whose file states a unit for each of them.

use super::{damaged, shown};
use crate::{Hint, Result, ecg::Unit};

/// A lead and the unit that the file states for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stated<'a> {
    /// The lead's name, for messages.
    pub(super) lead: &'a str,
    /// The name of its unit, empty if there is none.
    pub(super) unit: &'a str,
}

impl Stated<'_> {
    /// Returns the factor that converts the lead's values to `common`. A lead without a unit is in `common` already.
    pub(super) fn factor(&self, common: Unit) -> f64 {
        self.voltage().map_or(1.0, |unit| unit.millivolts() / common.millivolts())
    }

    /// Returns the unit, if it is one of voltage.
    fn voltage(&self) -> Option<Unit> {
        self.unit.parse().ok()
    }
}

/// Returns the unit to which all leads are converted: their own if they share one, the one that was `given` if a lead has
/// none, and otherwise millivolts. A shared unit is kept, since the user may override what the file says.
///
/// # Errors
/// A lead has no unit of voltage, and none was given.
pub(super) fn common(leads: &[Stated], given: Option<Unit>) -> Result<Unit> {
    let unitless = leads.iter().find(|lead| lead.voltage().is_none());
    if let Some(Stated { lead, unit }) = unitless {
        return given.ok_or_else(|| {
            let cause = match unit.trim() {
                "" => format!("lead {lead} has no unit"),
                other => format!("lead {lead} is in '{}', which is no unit of voltage", shown(other.as_bytes())),
            };
            damaged(cause, "state the unit of its values, such as uV").with_hint(Hint::StateUnit)
        });
    }
    let first = leads.first().and_then(Stated::voltage);
    Ok(first.filter(|unit| leads.iter().all(|lead| lead.voltage() == Some(*unit))).unwrap_or(Unit::Millivolt))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common_of(units: &[&str], given: Option<Unit>) -> Result<Unit> {
        let leads: Vec<Stated> = units.iter().map(|unit| Stated { lead: "I", unit }).collect();
        common(&leads, given)
    }

    #[test]
    fn a_shared_unit_is_kept_and_others_become_millivolts() {
        assert_eq!(common_of(&["uV", "\u{b5}V\0"], None), Ok(Unit::Microvolt));
        assert_eq!(common_of(&["V ", "V"], None), Ok(Unit::Volt));
        assert_eq!(common_of(&["nV", "nanovolts"], None), Ok(Unit::Nanovolt));
        assert_eq!(common_of(&["uV", "mV"], None), Ok(Unit::Millivolt));
        assert_eq!(Stated { lead: "I", unit: "nV" }.factor(Unit::Millivolt), 1e-6);
        assert_eq!(Stated { lead: "I", unit: "uV" }.factor(Unit::Microvolt), 1.0);
    }

    #[test]
    fn a_lead_without_a_unit_of_voltage_needs_one_from_the_user() {
        let error = common_of(&["uV", ""], None).unwrap_err();
        assert_eq!((error.cause(), error.hint()), ("lead I has no unit", Some(Hint::StateUnit)));
        let error = common_of(&["mmHg"], None).unwrap_err();
        assert_eq!(error.cause(), "lead I is in 'mmHg', which is no unit of voltage");
        assert_eq!(common_of(&["uV", ""], Some(Unit::Millivolt)), Ok(Unit::Millivolt));
        assert_eq!(Stated { lead: "I", unit: "" }.factor(Unit::Microvolt), 1.0);
    }
}
