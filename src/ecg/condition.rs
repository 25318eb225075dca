//! The findings that synthetic ECGs show.

use std::{fmt, str::FromStr};

use crate::{Error, ErrorKind, Result};

/// The finding that a synthetic ECG shows, named after PTB-XL's diagnostic superclasses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// A normal ECG.
    Norm,
    /// Inferior myocardial infarction: Q waves and raised ST in II, III and aVF.
    MiInferior,
    /// Anterior myocardial infarction: QS complexes and raised ST in V1 to V3.
    MiAnterior,
    /// ST and T wave changes: lowered ST and inverted T in V3 to V5.
    Sttc,
    /// Left ventricular hypertrophy with strain.
    Hyp,
    /// Conduction disturbance: complete left bundle branch block.
    CdLbbb,
    /// Conduction disturbance: complete right bundle branch block.
    CdRbbb,
}

impl Condition {
    /// Every condition.
    pub const ALL: [Condition; 7] = {
        use Condition::*;
        [Norm, MiInferior, MiAnterior, Sttc, Hyp, CdLbbb, CdRbbb]
    };

    /// Returns the name that [`FromStr`] reads.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 7] = ["norm", "mi-inferior", "mi-anterior", "sttc", "hyp", "cd-lbbb", "cd-rbbb"];
        NAMES[self as usize]
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Condition {
    type Err = Error;

    /// Reads a condition's name in any case; `mi` is the inferior infarction, `cd` the left bundle branch block.
    fn from_str(text: &str) -> Result<Self> {
        let lower = text.trim().to_ascii_lowercase();
        let name = match lower.as_str() {
            "mi" => "mi-inferior",
            "cd" => "cd-lbbb",
            other => other,
        };
        Condition::ALL.into_iter().find(|condition| condition.name() == name).ok_or_else(|| {
            let names = Condition::ALL.map(Condition::name).join(", ");
            let cause = format!("there is no synthetic condition '{text}'");
            Error::new(
                ErrorKind::Usage,
                cause,
                format!("the conditions are {names}; mi and cd are short for the first"),
            )
        })
    }
}
