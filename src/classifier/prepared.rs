//! Recordings that are ready for the network.

use crate::{
    Recording, Result,
    ecg::quality,
    network::{Contract, DcOffset},
};

/// A recording as the network takes it, and what is unusual about it. Any thread can prepare the next recordings while the
/// device computes on these.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Prepared {
    /// The network's input, `[leads, samples]`: at the network's sampling rate and in its scale.
    pub input: Vec<f32>,
    /// What is unusual about the recording, in words, for [`Prediction::warnings`](crate::Prediction::warnings).
    pub warnings: Vec<String>,
}

impl Prepared {
    pub(super) fn new(contract: &Contract, recording: &Recording) -> Result<Self> {
        Ok(Self { input: contract.input(recording)?, warnings: warnings(contract, recording) })
    }

    /// Prepares recordings, on all cores with the feature `threads`.
    pub(super) fn all(contract: &Contract, recordings: &[Recording]) -> Vec<Result<Self>> {
        #[cfg(feature = "threads")]
        if recordings.len() > 1 && crate::worker::shared_threads().is_ok() {
            use rayon::prelude::*;
            return recordings.par_iter().map(|recording| Self::new(contract, recording)).collect();
        }
        recordings.iter().map(|recording| Self::new(contract, recording)).collect()
    }
}

/// Returns what is unusual about a recording, in words, for the reader of its prediction.
fn warnings(contract: &Contract, recording: &Recording) -> Vec<String> {
    let mut warnings = recording.warnings().to_vec();
    warnings.extend(quality::warnings(recording));
    if contract.dc_offset == DcOffset::Kept {
        warnings.extend(quality::large_dc_offset(recording));
    }
    // Resampling rounds the length to a whole sample.
    if (recording.duration() - contract.duration()).abs() * contract.sampling_rate > 1.0 {
        let (given, trained) = (recording.duration(), contract.duration());
        warnings.push(format!("the recording lasts {given:.1} s; the network was trained to judge {trained:.1} s"));
    }
    warnings
}
