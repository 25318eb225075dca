//! Weights files in memory.

use std::collections::HashMap;

use ecgpu::{
    Result, Weights,
    engine::{
        network::{Contract, Network},
        random::Random,
    },
};
use half::{bf16, f16};
use safetensors::{Dtype, tensor::TensorView};

/// A tensor in the form in which a weights file stores it.
#[derive(Clone)]
pub struct StoredTensor {
    pub name: String,
    pub kind: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl StoredTensor {
    /// Stores `values` as F32.
    pub fn new(name: &str, shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name: name.into(), kind: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    /// Returns the numbers of a tensor that is stored as F32.
    pub fn values(&self) -> Vec<f32> {
        self.bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    }

    /// Returns the same tensor, its numbers rounded to F16 or BF16.
    pub fn stored_as(&self, kind: Dtype) -> Self {
        let rounded = |value: &f32| match kind {
            Dtype::F32 => value.to_le_bytes().to_vec(),
            Dtype::F16 => f16::from_f32(*value).to_le_bytes().to_vec(),
            Dtype::BF16 => bf16::from_f32(*value).to_le_bytes().to_vec(),
            _ => panic!("{kind} is no type of weights"),
        };
        Self { kind, bytes: self.values().iter().flat_map(rounded).collect(), ..self.clone() }
    }
}

/// A weights file in memory, which a test changes before it writes it.
#[derive(Clone)]
pub struct WeightsFile {
    pub tensors: Vec<StoredTensor>,
    pub metadata: HashMap<String, String>,
}

impl WeightsFile {
    /// Fills a network with random parameters, which are the same at each call, and states the default contract.
    pub fn random(network: &Network) -> Self {
        let tensor = |(stream, (name, shape)): (u64, (String, Vec<usize>))| {
            let mut random = Random::new(1, stream);
            let inputs: usize = shape[1..].iter().product();
            let deviation = (2.0 / inputs as f64).sqrt();
            let positive = name.ends_with("running_var") || shape.len() == 1 && name.ends_with("weight");
            let draw = |_| if positive { random.between(0.5, 1.5) } else { deviation * random.normal() } as f32;
            let values: Vec<f32> = (0..shape.iter().product()).map(draw).collect();
            StoredTensor::new(&name, &shape, &values)
        };
        let tensors = (0..).zip(network.tensors()).map(tensor).collect();
        Self { tensors, metadata: Contract::default().to_metadata() }
    }

    /// Returns a tensor by its name.
    pub fn tensor(&mut self, name: &str) -> &mut StoredTensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    /// Returns the file after `change` of one tensor's values.
    pub fn with_values(mut self, name: &str, change: impl FnOnce(&mut Vec<f32>)) -> Self {
        let tensor = self.tensor(name);
        let mut values = tensor.values();
        change(&mut values);
        *tensor = StoredTensor::new(name, &tensor.shape, &values);
        self
    }

    /// Returns the file with one entry of its metadata set.
    pub fn stating(mut self, key: &str, text: &str) -> Self {
        self.metadata.insert(key.into(), text.into());
        self
    }

    /// Serialises the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let views = self.tensors.iter().map(|tensor| {
            let view = TensorView::new(tensor.kind, tensor.shape.clone(), &tensor.bytes).unwrap();
            (tensor.name.as_str(), view)
        });
        let metadata = (!self.metadata.is_empty()).then(|| self.metadata.clone());
        safetensors::serialize(views, metadata).unwrap()
    }

    /// Reads the file as a user's.
    pub fn read(&self) -> Result<Weights> {
        Weights::from_bytes(&self.to_bytes(), "test.safetensors")
    }
}
