//! Weights files: safetensors, recognised by the names and shapes of their tensors.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{Cursor, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use half::{bf16, f16};
use safetensors::{
    Dtype, SafeTensors,
    tensor::{Metadata, TensorInfo},
};

use super::{Contract, Network, published};
use crate::{Error, ErrorKind, Hint, Result, random::Random};

/// The weights that the crate carries; see weights/README.md for how they came to be.
const BUILT_IN: &[u8] = include_bytes!("../../weights/ssl-ecg-542k.safetensors");

/// A file over this size cannot be one of the published networks, the larger of which takes 2.2 MB in F32.
const LARGEST_FILE: u64 = 256 << 20;

/// Batch norm's count of training steps: state dicts carry it, inference has no use for it.
const COUNTER: &str = ".num_batches_tracked";

/// A tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// As many as the shape's product.
    pub values: Arc<[f32]>,
}

/// Tensors by name, batch norm unfolded, as training wants them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parameters(BTreeMap<String, Tensor>);

impl Parameters {
    /// Parameters of these names.
    pub fn new(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Self {
        Self(tensors.into_iter().collect())
    }

    /// A tensor's values.
    ///
    /// # Errors
    /// There is no tensor of this name.
    pub fn values(&self, name: &str) -> Result<&[f32]> {
        let missing = || Error::new(ErrorKind::Weights, format!("tensor {name} is missing"), "use a complete file");
        self.0.get(name).map(|tensor| &*tensor.values).ok_or_else(missing)
    }

    /// Hands a tensor's values out for good; without other owners they can be changed in place.
    pub(super) fn take(&mut self, name: &str) -> Result<Arc<[f32]>> {
        self.values(name)?;
        Ok(self.0.remove(name).map(|tensor| tensor.values).unwrap_or_default())
    }

    /// Every tensor with its name, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}

impl From<&Parameters> for Parameters {
    /// The same tensors, shared.
    fn from(parameters: &Parameters) -> Self {
        parameters.clone()
    }
}

/// A network, its parameters, and what its input and output mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// Which of the published networks it is.
    pub network: Network,
    /// Its tensors under the published names, without prefix.
    pub parameters: Parameters,
    /// What goes in and what comes out.
    pub contract: Contract,
    /// Where the weights were read from.
    pub source: String,
    /// How the file stores its tensors, such as `F32`.
    pub stored_as: String,
    /// What whoever uses the weights should know, such as defaults that the file left open.
    pub notes: Vec<String>,
}

impl Weights {
    /// The weights that come with the crate.
    ///
    /// # Errors
    /// None as the crate is published: its tests load them.
    pub fn built_in() -> Result<Self> {
        Self::from_bytes(BUILT_IN, "built-in")
    }

    /// Reads a safetensors file.
    ///
    /// # Errors
    /// A file that cannot be read, is no safetensors, or holds anything but exactly one published network.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let source = path.display().to_string();
        let failed = |error: std::io::Error| Error::file(path, error);
        let mut file = File::open(path).map_err(failed)?;
        let known = file.metadata().map_err(failed)?;
        if known.is_file() && (1..=LARGEST_FILE).contains(&known.len()) {
            // The place of the tensors stays untouched and so takes no memory: each is read to where it goes, which
            // spares 2 MB and their 0.8 ms.
            let mut bytes = vec![0; known.len() as usize];
            read_header(&mut file, &mut bytes).map_err(failed)?;
            let header = header(&bytes).map_err(|error| error.at(&source))?;
            drop(bytes);
            return read(&header, &mut file, &source).map_err(|error| error.at(&source));
        }
        // A device or a pipe does not say how much it holds.
        let mut bytes = Vec::new();
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > LARGEST_FILE {
            let cause = format!("{source}: over {LARGEST_FILE} bytes, more than any known network");
            let remedy = format!("give a weights file of network {}", published::names());
            return Err(Error::new(ErrorKind::Weights, cause, remedy));
        }
        Self::from_bytes(&bytes, &source)
    }

    /// Reads safetensors from memory; `source` is what messages call them.
    ///
    /// # Errors
    /// As [`Weights::from_path`].
    pub fn from_bytes(bytes: &[u8], source: &str) -> Result<Self> {
        header(bytes)
            .and_then(|header| read(&header, &mut Cursor::new(bytes), source))
            .map_err(|error| error.at(source))
    }

    /// Reads an encoder: one that pre-training wrote, or the encoder of a whole network. `parameters` are its alone, and
    /// `network` is the whole network that it belongs to.
    ///
    /// # Errors
    /// As [`Weights::from_path`].
    #[cfg(feature = "train")]
    pub fn encoder_from_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        let read_all = |file: File| file.take(LARGEST_FILE).read_to_end(&mut bytes);
        File::open(path).and_then(read_all).map_err(|error| Error::file(path, error))?;
        let source = path.display().to_string();
        header(&bytes)
            .and_then(|header| read_part(&header, &mut Cursor::new(&bytes), &source, Network::encoder))
            .map_err(|error| error.at(&source))
    }

    /// Whether a file's metadata say that it holds an encoder alone, and what they say it with.
    const PART: [&str; 2] = ["part", "encoder"];

    /// A safetensors file of these weights, as [`Weights::from_path`] reads it: the same bytes for the same weights.
    #[cfg(feature = "train")]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.contents().to_bytes()
    }

    /// A safetensors file of the encoder, as [`Weights::encoder_from_path`] reads it.
    #[cfg(feature = "train")]
    pub fn encoder_to_bytes(&self) -> Vec<u8> {
        let mut contents = self.contents();
        let encoder: Vec<String> = self.network.encoder().tensors().into_iter().map(|(name, _)| name).collect();
        contents.tensors.retain(|name, _| encoder.contains(name));
        for of_classes in ["classes", "thresholds"] {
            contents.metadata.remove(of_classes);
        }
        let [key, value] = Self::PART.map(String::from);
        contents.metadata.extend([(key, value), ("network".into(), self.network.name.clone())]);
        contents.to_bytes()
    }

    #[cfg(feature = "train")]
    fn contents(&self) -> crate::train::Contents {
        let tensors = self.parameters.iter().map(|(name, tensor)| (name.to_string(), tensor.clone())).collect();
        crate::train::Contents { metadata: self.contract.to_metadata().into_iter().collect(), tensors }
    }

    /// Random weights under the default contract, for measuring time, which does not depend on them: activations keep a
    /// deviation of about 1.
    pub fn random(network: Network, seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let mut tensor = |(name, shape): (String, Vec<usize>)| {
            let deviation = shape[1..].iter().product::<usize>().max(1) as f64;
            // A variance is never negative.
            let mut number = || (random.normal() / deviation.sqrt()) as f32;
            let values = (0..shape.iter().product()).map(|_| if name.ends_with("_var") { 1.0 } else { number() });
            (name.clone(), Tensor { values: values.collect(), shape })
        };
        let parameters = Parameters::new(network.tensors().into_iter().map(&mut tensor));
        let (contract, source) = (Contract::default(), format!("random, seed {seed}"));
        Self { network, parameters, contract, source, stored_as: "F32".into(), notes: Vec::new() }
    }

    /// Numbers that training changes and the running statistics, without the counters.
    pub fn elements(&self) -> usize {
        self.parameters.iter().map(|(_, tensor)| tensor.values.len()).sum()
    }
}

/// Reads a file's header to the beginning of `bytes`, which are as many as the file has.
fn read_header(file: &mut File, bytes: &mut [u8]) -> std::io::Result<()> {
    let (size, rest) = bytes.split_at_mut(size_of::<u64>().min(bytes.len()));
    file.read_exact(size)?;
    let size = size.try_into().map_or(0, u64::from_le_bytes);
    let size = usize::try_from(size).map_or(rest.len(), |size| size.min(rest.len()));
    file.read_exact(&mut rest[..size])
}

/// A file's header, and where it ends.
fn header(bytes: &[u8]) -> Result<(usize, Metadata)> {
    let not_one = |error: safetensors::SafeTensorError| {
        let remedy = "give a complete file in the safetensors format";
        Error::new(ErrorKind::Weights, format!("not a readable safetensors file ({error})"), remedy)
    };
    let (size, header) = SafeTensors::read_metadata(bytes).map_err(not_one)?;
    Ok((size_of::<u64>() + size, header))
}

fn read(header: &(usize, Metadata), file: &mut (impl Read + Seek), source: &str) -> Result<Weights> {
    let [part, encoder] = Weights::PART;
    if header.1.metadata().as_ref().and_then(|metadata| metadata.get(part)).is_some_and(|part| part == encoder) {
        let cause = "an encoder from pre-training, which has no classes yet";
        return Err(Error::new(ErrorKind::Weights, cause, "fine-tune it first").with_hint(Hint::NameEncoder));
    }
    read_part(header, file, source, Network::clone)
}

/// Reads the tensors of what `part` makes of the recognised network.
fn read_part(
    (end, header): &(usize, Metadata),
    file: &mut (impl Read + Seek),
    source: &str,
    part: impl Fn(&Network) -> Network,
) -> Result<Weights> {
    let mut stored = Stored { infos: header.tensors(), start: *end, file };
    let names: Vec<&str> = stored.infos.keys().map(String::as_str).filter(|name| !name.ends_with(COUNTER)).collect();
    let (network, prefix) = recognise(&names)?;
    let expected = network.tensors();
    if let Some(name) = names.iter().find(|name| !expected.iter().any(|(known, _)| is_prefixed(name, &prefix, known))) {
        let cause = format!("tensor {name} is not part of network {}", network.name);
        return Err(Error::new(ErrorKind::Weights, cause, "remove it: the file must hold one published network alone"));
    }
    let mut tensors = Vec::with_capacity(expected.len());
    let mut stored_as = Vec::new();
    for (name, shape) in part(&network).tensors() {
        let tensor = stored.tensor(&network, &format!("{prefix}{name}"), shape, &mut stored_as)?;
        tensors.push((name, tensor));
    }
    let (contract, assumed) = Contract::from_metadata(header.metadata().as_ref().unwrap_or(&Default::default()))?;
    check_contract(&contract, &network)?;
    let mut notes = Vec::new();
    if !assumed.is_empty() {
        notes.push(default_note(&contract, &assumed));
    }
    let parameters = Parameters::new(tensors);
    Ok(Weights { network, parameters, contract, source: source.into(), stored_as: stored_as.join(", "), notes })
}

fn default_note(contract: &Contract, assumed: &[&str]) -> String {
    format!(
        "the weights file does not state {}; assumed: {} at {} Hz, mean {}, standard deviation {}, leads {}, classes {}",
        assumed.join(", "),
        contract.unit,
        contract.sampling_rate,
        contract.mean,
        contract.deviation,
        contract.leads.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        contract.classes.join(" "),
    )
}

fn is_prefixed(name: &str, prefix: &str, known: &str) -> bool {
    name.strip_prefix(prefix) == Some(known)
}

/// The published network, and the prefix before its names, under which most of the file's tensors are known.
fn recognise(names: &[&str]) -> Result<(Network, String)> {
    let mut best: (usize, Option<(Network, String)>) = (0, None);
    for network in published::all() {
        let known: Vec<String> = network.tensors().into_iter().map(|(name, _)| name).collect();
        let mut prefixes: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, known) in names.iter().flat_map(|name| known.iter().map(move |known| (name, known))) {
            let prefix = name.strip_suffix(known.as_str());
            if let Some(prefix) = prefix.filter(|prefix| prefix.is_empty() || prefix.ends_with('.')) {
                *prefixes.entry(prefix).or_default() += 1;
            }
        }
        for (prefix, matches) in prefixes {
            if matches > best.0 {
                best = (matches, Some((network.clone(), prefix.to_string())));
            }
        }
    }
    best.1.ok_or_else(|| {
        let first = names.first().map_or("no tensor at all".into(), |name| format!("tensors such as {name}"));
        let cause = format!("no known network: the file holds {first}");
        Error::new(ErrorKind::Weights, cause, format!("give the weights of network {}", published::names()))
    })
}

/// A file's tensors.
struct Stored<'a, File> {
    infos: HashMap<String, &'a TensorInfo>,
    /// Where in the file they begin.
    start: usize,
    file: &'a mut File,
}

impl<File: Read + Seek> Stored<'_, File> {
    fn tensor(
        &mut self,
        network: &Network,
        name: &str,
        shape: Vec<usize>,
        stored_as: &mut Vec<String>,
    ) -> Result<Tensor> {
        let refuse = |what: String| {
            let cause = format!("network {}, tensor {name} of shape {shape:?}: {what}", network.name);
            Error::new(ErrorKind::Weights, cause, "give a file that fits the network exactly")
        };
        let info = self.infos.get(name).copied().ok_or_else(|| refuse("it is missing".into()))?;
        if info.shape != shape {
            return Err(refuse(format!("the file has shape {:?}", info.shape)));
        }
        let values = self
            .values(info)
            .map_err(|error| Error::new(ErrorKind::File, error.to_string(), "check the file and its disk"))?;
        let values = values.ok_or_else(|| refuse(format!("stored as {}, not F32, F16 or BF16", info.dtype)))?;
        // All at once first: a search that may end anywhere takes no vectors, and four times as long.
        if !values.iter().fold(true, |all, value| all & value.is_finite())
            && let Some(at) = values.iter().position(|value| !value.is_finite())
        {
            return Err(refuse(format!("element {at} is {}", values[at])));
        }
        if let Some(at) = values.iter().position(|&value| name.ends_with("running_var") && value < 0.0) {
            return Err(refuse(format!("element {at} is {}, but a variance is never negative", values[at])));
        }
        let kind = info.dtype.to_string();
        if !stored_as.contains(&kind) {
            stored_as.push(kind);
        }
        Ok(Tensor { shape, values })
    }

    /// A tensor's values in f32; nothing where the type is none of those that weights are published in.
    fn values(&mut self, info: &TensorInfo) -> std::io::Result<Option<Arc<[f32]>>> {
        let len = info.shape.iter().product();
        self.file.seek(SeekFrom::Start((self.start + info.data_offsets.0) as u64))?;
        let mut halves = |to_f32: fn([u8; 2]) -> f32| {
            let mut bytes = vec![[0u8; 2]; len];
            self.file.read_exact(bytes.as_flattened_mut())?;
            Ok(Some(bytes.into_iter().map(to_f32).collect()))
        };
        match info.dtype {
            Dtype::F32 => {
                let mut values: Arc<[f32]> = std::iter::repeat_n(0.0, len).collect();
                let numbers = Arc::get_mut(&mut values).expect("it has just been made");
                self.file.read_exact(bytemuck::cast_slice_mut(numbers))?;
                // Where the processor's order of bytes is the file's, nothing is left of this.
                numbers.iter_mut().for_each(|value| *value = f32::from_bits(u32::from_le(value.to_bits())));
                Ok(Some(values))
            }
            Dtype::F16 => halves(|bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => halves(|bytes| bf16::from_le_bytes(bytes).to_f32()),
            _ => Ok(None),
        }
    }
}

fn check_contract(contract: &Contract, network: &Network) -> Result<()> {
    let shapes = network.shapes(contract.samples).map_err(|error| {
        let cause = format!("metadata 'samples' is {}: {}", contract.samples, error.cause());
        Error::new(ErrorKind::Weights, cause, "correct the file's metadata")
    })?;
    let logits = shapes.last().map_or(0, |[features, _]| *features);
    for (what, stated, needed) in
        [("leads", contract.leads.len(), network.in_channels()), ("classes", contract.classes.len(), logits)]
    {
        if stated != needed {
            let cause = format!("metadata names {stated} {what}, but network {} has {needed}", network.name);
            return Err(Error::new(ErrorKind::Weights, cause, "correct the file's metadata"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_weights_are_network_542k_with_a_complete_contract() {
        let weights = Weights::built_in().unwrap();
        assert_eq!((weights.network.name.as_str(), weights.elements()), ("542k", 541_701));
        assert_eq!(weights.notes, Vec::<String>::new());
        assert_eq!(weights.contract.deviation, 0.235);
        assert!(weights.contract.provenance.contains("PTB-XL"));
    }
}
