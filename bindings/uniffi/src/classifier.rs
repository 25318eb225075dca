//! The classifier: weights on a device.

use std::{path::Path, sync::Arc};

use ecgpu::{
    Device, Recording, Weights,
    ecg::format::{self, ReadOptions},
};

use crate::{EcgpuError, Prediction, error::Result};

/// A network with its weights on a device. It may be used from any thread, also from several at once.
#[derive(uniffi::Object)]
pub struct Classifier {
    classifier: ecgpu::Classifier,
}

/// The signal of one lead.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Lead {
    /// The name, such as "I", "aVR" or "V1".
    pub name: String,
    /// The samples.
    pub samples: Vec<f32>,
}

/// A unit of voltage. Swift and Kotlin have a `Unit` of their own.
#[derive(Debug, Clone, Copy, uniffi::Enum)]
pub enum VoltageUnit {
    /// Volts.
    Volt,
    /// Millivolts.
    Millivolt,
    /// Microvolts.
    Microvolt,
    /// Nanovolts.
    Nanovolt,
}

#[uniffi::export]
impl Classifier {
    /// Opens the built-in weights. `device` is "auto" (a GPU where it is faster, else the CPU), "gpu", "cpu", "reference" or a
    /// part of a GPU's name.
    ///
    /// # Errors
    /// There is no such device, or it fails.
    #[uniffi::constructor(default(device = "auto"))]
    pub fn new(device: String) -> Result<Arc<Self>> {
        Self::open(Weights::built_in()?, &device)
    }

    /// Opens a safetensors file of a published network.
    ///
    /// # Errors
    /// The file cannot be read or is no such file; or as for the built-in weights.
    #[uniffi::constructor(default(device = "auto"))]
    pub fn from_path(path: String, device: String) -> Result<Arc<Self>> {
        Self::open(Weights::from_path(path)?, &device)
    }

    /// Opens the bytes of such a file, such as those of an asset of an app.
    ///
    /// # Errors
    /// They are no such file; or as for the built-in weights.
    #[uniffi::constructor(default(device = "auto"))]
    pub fn from_bytes(bytes: Vec<u8>, device: String) -> Result<Arc<Self>> {
        Self::open(Weights::from_bytes(&bytes, "bytes")?, &device)
    }

    /// Classifies every recording of a file of any format that the library was built with.
    ///
    /// # Errors
    /// The file cannot be read or holds no ECG, or one of its recordings cannot be classified.
    pub fn classify_file(&self, path: String) -> Result<Vec<Prediction>> {
        self.classify_all(&format::read(Path::new(&path), &ReadOptions::default())?)
    }

    /// Classifies every recording of a file in memory. `name` is the file's name, whose extension tells the format where the
    /// content does not.
    ///
    /// # Errors
    /// As for a file by its path.
    pub fn classify_bytes(&self, name: String, bytes: Vec<u8>) -> Result<Vec<Prediction>> {
        self.classify_all(&format::read_bytes(&name, &bytes, &ReadOptions::default())?)
    }

    /// Classifies leads in memory, all of one length, in `unit`, at `sampling_rate` Hz. I, II and V1 to V6 are needed; III,
    /// aVR, aVL and aVF are derived where they are missing.
    ///
    /// # Errors
    /// A lead is unknown, missing, there twice or of another length, a sample is not finite, the recording lasts less than a
    /// second, or the device failed.
    pub fn classify_leads(&self, leads: Vec<Lead>, sampling_rate: f64, unit: VoltageUnit) -> Result<Prediction> {
        let scale = ecgpu::ecg::Unit::from(unit).millivolts();
        let millivolts = |samples: Vec<f32>| samples.into_iter().map(|it| (f64::from(it) * scale) as f32).collect();
        let named = |Lead { name, samples }| Ok((name.parse()?, millivolts(samples)));
        let leads = leads.into_iter().map(named).collect::<ecgpu::Result<_>>()?;
        let recording = Recording::new("recording", sampling_rate, leads)?;
        Ok(Prediction::new(recording.name(), self.classifier.classify(&recording)?))
    }

    /// Returns what computes, such as "Apple A17 Pro GPU (metal)".
    pub fn device(&self) -> String {
        self.classifier.device().to_string()
    }
}

impl Classifier {
    fn open(weights: Weights, device: &str) -> Result<Arc<Self>> {
        let device: Device = device.parse()?;
        Ok(Arc::new(Self { classifier: ecgpu::Classifier::open(weights, device)? }))
    }

    fn classify_all(&self, recordings: &[Recording]) -> Result<Vec<Prediction>> {
        let results = self.classifier.classify_batch(recordings);
        let named = |(recording, result): (&Recording, ecgpu::Result<_>)| match result {
            Ok(prediction) => Ok(Prediction::new(recording.name(), prediction)),
            Err(error) => Err(EcgpuError::from(error.at(recording.name()))),
        };
        recordings.iter().zip(results).map(named).collect()
    }
}

impl From<VoltageUnit> for ecgpu::ecg::Unit {
    fn from(unit: VoltageUnit) -> Self {
        match unit {
            VoltageUnit::Volt => Self::Volt,
            VoltageUnit::Millivolt => Self::Millivolt,
            VoltageUnit::Microvolt => Self::Microvolt,
            VoltageUnit::Nanovolt => Self::Nanovolt,
        }
    }
}
