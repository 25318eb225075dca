//! Recordings: read from files in memory, or synthetic.

use ecgpu::ecg::{
    self, Lead,
    format::{self, ReadOptions},
    quality,
};
use js_sys::Uint8Array;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::{Result, thrown};

/// One ECG.
#[wasm_bindgen]
pub struct Recording(pub(crate) ecgpu::Recording);

/// Reads the recordings of files that belong together, each with its name. Without options, what the files do not say is
/// assumed, with a warning.
///
/// # Errors
/// The files are of no known format, damaged, or incomplete; or an option makes no sense.
#[wasm_bindgen]
pub fn read(
    names: Vec<String>,
    files: Vec<Uint8Array>,
    sampling_rate: Option<f64>,
    unit: Option<String>,
    leads: Option<Vec<String>>,
) -> Result<Vec<Recording>> {
    let read = || {
        let options = ReadOptions {
            sampling_rate,
            unit: unit.map(|unit| unit.parse()).transpose()?,
            leads: leads.map(|leads| leads.iter().map(|name| name.parse()).collect()).transpose()?,
        };
        let files: Vec<Vec<u8>> = files.iter().map(Uint8Array::to_vec).collect();
        let parts: Vec<(&str, &[u8])> =
            names.iter().zip(&files).map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        format::read_parts(&parts, &options)
    };
    read().map(|recordings| recordings.into_iter().map(Recording).collect()).map_err(thrown)
}

/// Makes a synthetic ECG of a condition; equal seeds give equal ECGs. `sampling_rate` is in Hz, `duration` in seconds.
///
/// # Errors
/// There is no such condition, or the ECG would have no sample or too many.
#[wasm_bindgen]
pub fn synthesize(condition: &str, seed: u32, sampling_rate: f64, duration: f64) -> Result<Recording> {
    let condition = condition.parse().map_err(thrown)?;
    ecg::synthesize(condition, seed.into(), sampling_rate, duration).map(Recording).map_err(thrown)
}

/// Lists the formats that can be read, with their extensions.
#[wasm_bindgen]
pub fn formats() -> String {
    format::names()
}

#[wasm_bindgen]
impl Recording {
    /// The record's name.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.0.name().into()
    }

    /// The sampling rate in Hz.
    #[wasm_bindgen(getter)]
    pub fn sampling_rate(&self) -> f64 {
        self.0.sampling_rate()
    }

    /// The duration in seconds.
    #[wasm_bindgen(getter)]
    pub fn duration(&self) -> f64 {
        self.0.duration()
    }

    /// The names of the leads, in the file's order.
    #[wasm_bindgen(getter)]
    pub fn leads(&self) -> Vec<String> {
        self.0.leads().map(|(lead, _)| lead.to_string()).collect()
    }

    /// What is unusual about the file and the signal, one sentence each.
    #[wasm_bindgen(getter)]
    pub fn warnings(&self) -> Vec<String> {
        self.0.warnings().iter().cloned().chain(quality::warnings(&self.0)).collect()
    }

    /// The samples of a recorded lead in mV; none if it was not recorded.
    ///
    /// # Errors
    /// There is no lead of this name.
    pub fn lead(&self, name: &str) -> Result<Option<Vec<f32>>> {
        let lead = name.parse().map_err(thrown)?;
        Ok(self.0.lead(lead).map(<[f32]>::to_vec))
    }

    /// The samples in mV of a lead that was recorded or can be derived.
    ///
    /// # Errors
    /// There is no lead of this name, or it is neither recorded nor derivable.
    pub fn recorded_or_derived(&self, name: &str) -> Result<Vec<f32>> {
        let lead = name.parse().map_err(thrown)?;
        self.0.in_order(&[lead]).map(|mut leads| leads.remove(0)).map_err(thrown)
    }
}

/// The names of the twelve leads in their usual order.
#[wasm_bindgen]
pub fn standard_leads() -> Vec<String> {
    Lead::STANDARD.iter().map(ToString::to_string).collect()
}
