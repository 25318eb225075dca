//! What the tests share: where goldens lie, how a file's tensors are read, and files made in memory.

pub mod ptb_xl;

use std::{
    collections::HashMap,
    io::Write,
    path::{Path, PathBuf},
};

use ecgpu::{
    Device, Result, Weights,
    engine::backend::{self, gpu::wgpu},
    engine::network::{Contract, Network},
    engine::random::Random,
};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// The folder that `variable` names, or `fallback` beside the repository. Without either the caller's test is skipped,
/// aloud; under CI that is a failure.
pub fn shared(variable: &str, fallback: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let folder = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(fallback));
    if folder.is_dir() {
        return Some(folder);
    }
    skip(&format!("{} is not a folder; set {variable}", folder.display()));
    None
}

/// PyTorch's reference values: the complete set, or the small one of `tests/data/golden`.
pub struct Golden {
    folder: PathBuf,
    /// Whether every file and every tensor is there.
    pub complete: bool,
}

impl Golden {
    /// Opens the complete set that `ECGPU_GOLDEN` names, or else that beside the repository. Without either the small set
    /// takes its place, and what it lacks is skipped aloud.
    pub fn open() -> Self {
        match shared("ECGPU_GOLDEN", "shared/golden") {
            Some(folder) => Self { folder, complete: true },
            None => {
                Self { folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/golden"), complete: false }
            }
        }
    }

    /// The path of a file; none, said aloud, where the small set lacks it.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        let path = self.folder.join(format!("{name}.safetensors"));
        if !path.is_file() {
            skip(&format!("{} does not exist", path.display()));
            return None;
        }
        Some(path)
    }

    /// The tensors of a file.
    pub fn tensors(&self, name: &str) -> Option<Tensors> {
        self.path(name).map(Tensors::open)
    }
}

/// Says that a test is skipped and why; fails under CI, where nothing may be.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "must not be skipped under CI: {why}");
    // Not `eprintln!`: the test harness would keep it to itself when the test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// The tensors of a file, as f32.
pub struct Tensors(Vec<u8>);

impl Tensors {
    pub fn open(path: PathBuf) -> Self {
        Self(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        self.file().names().into_iter().map(String::from).collect()
    }

    /// A tensor's shape and values.
    pub fn get(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let file = self.file();
        let tensor = file.tensor(name).unwrap();
        let values = tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        (tensor.shape().to_vec(), values.collect())
    }
}

/// ‖a − b‖² / ‖b‖².
pub fn nmse(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |x: f32| f64::from(x) * f64::from(x);
    let difference: f64 = a.iter().zip(b).map(|(a, b)| square(a - b)).sum();
    difference / b.iter().map(|&b| square(b)).sum::<f64>().max(f64::MIN_POSITIVE)
}

/// Whether there is a GPU, software or not; without one the caller's test is skipped.
pub fn has_gpu() -> bool {
    match backend::open(&Device::Gpu, None) {
        Ok(_) => true,
        Err(error) => {
            skip(&error.to_string());
            false
        }
    }
}

/// A wgpu device of an application's own whose bindings are at most `binding` bytes long. Without an adapter the caller's
/// test is skipped.
pub fn host_device(binding: u64) -> Option<(wgpu::Device, wgpu::Queue)> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let instance = wgpu::Instance::new(descriptor);
    let adapter = match pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())) {
        Ok(adapter) => adapter,
        Err(error) => {
            skip(&error.to_string());
            return None;
        }
    };
    let limits = wgpu::Limits { max_storage_buffer_binding_size: binding, ..wgpu::Limits::default() };
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..wgpu::DeviceDescriptor::default() };
    Some(pollster::block_on(adapter.request_device(&descriptor)).unwrap())
}

/// A `.npy` file with `contents` after its header.
pub fn npy(descr: &str, shape: &[usize], contents: &[u8]) -> Vec<u8> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sides}), }}\n");
    [b"\x93NUMPY\x01\x00", &(dict.len() as u16).to_le_bytes()[..], dict.as_bytes(), contents].concat()
}

/// A tensor as a weights file stores it.
#[derive(Clone)]
pub struct StoredTensor {
    pub name: String,
    pub kind: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl StoredTensor {
    pub fn new(name: &str, shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name: name.into(), kind: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    /// The numbers of a tensor in F32.
    pub fn values(&self) -> Vec<f32> {
        self.bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    }

    /// The same numbers, rounded to F16 or BF16.
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

/// A weights file, to be changed before it is written.
#[derive(Clone)]
pub struct WeightsFile {
    pub tensors: Vec<StoredTensor>,
    pub metadata: HashMap<String, String>,
}

impl WeightsFile {
    /// A network with random parameters, the same ones each time, and the default contract.
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

    pub fn tensor(&mut self, name: &str) -> &mut StoredTensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    /// The file with `values` in place of a tensor's own.
    pub fn with_values(mut self, name: &str, change: impl FnOnce(&mut Vec<f32>)) -> Self {
        let tensor = self.tensor(name);
        let mut values = tensor.values();
        change(&mut values);
        *tensor = StoredTensor::new(name, &tensor.shape, &values);
        self
    }

    /// The file with one entry of its metadata set.
    pub fn stating(mut self, key: &str, text: &str) -> Self {
        self.metadata.insert(key.into(), text.into());
        self
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let views = self.tensors.iter().map(|tensor| {
            let view = TensorView::new(tensor.kind, tensor.shape.clone(), &tensor.bytes).unwrap();
            (tensor.name.as_str(), view)
        });
        let metadata = (!self.metadata.is_empty()).then(|| self.metadata.clone());
        safetensors::serialize(views, metadata).unwrap()
    }

    pub fn read(&self) -> Result<Weights> {
        Weights::from_bytes(&self.to_bytes(), "test.safetensors")
    }
}
