//! Weights files in the safetensors format. The network is recognised by the names and shapes of the tensors.

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

#[cfg(feature = "train")]
use super::TensorFile;
use super::{Contract, Network, Parameters, Tensor, published};
use crate::{Error, ErrorKind, Hint, Result, random::Random};

/// The weights file that is compiled into the crate. `weights/README.md` says how it was trained.
#[cfg(not(feature = "half-weights"))]
pub(super) static BUILT_IN: &[u8] = include_bytes!("../../weights/ssl-ecg-542k.safetensors");
/// The weights file that is compiled into the crate, in F16.
#[cfg(feature = "half-weights")]
pub(super) static BUILT_IN: &[u8] = include_bytes!("../../weights/ssl-ecg-542k-f16.safetensors");

/// The largest file that is read, in bytes. The largest published network takes 2.2 MB in F32.
const LARGEST_FILE: u64 = 256 << 20;

/// The largest factor by which a network of a file may have more channels than the published one.
pub(crate) const WIDEST: usize = 8;

/// The suffix of batch norm's step counters, which state dicts contain and inference does not need.
const COUNTER: &str = ".num_batches_tracked";

/// A network with its parameters and its input contract.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// The network.
    pub network: Network,
    /// The tensors under their published names, without prefix.
    pub parameters: Parameters,
    /// The meaning of the network's input and output.
    pub contract: Contract,
    /// The name of the file or of the other source of the weights.
    pub source: String,
    /// The types in which the source stores its tensors, such as `F32`.
    pub stored_as: String,
    /// Remarks for the user of the weights, such as defaults that replace missing metadata.
    pub notes: Vec<String>,
}

impl Weights {
    /// Returns the weights that come with the crate.
    ///
    /// # Errors
    /// Never in a published crate, since the tests load these weights.
    pub fn built_in() -> Result<Self> {
        Self::from_bytes(BUILT_IN, "built-in")
    }

    /// Returns the bytes of the file of [`Weights::built_in`], for instance to compute a hash of them.
    pub fn built_in_file() -> &'static [u8] {
        BUILT_IN
    }

    /// Reads a safetensors file.
    ///
    /// # Errors
    /// The file cannot be read, is not in the safetensors format, or does not contain exactly one published network.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let source = path.display().to_string();
        let failed = |error: std::io::Error| Error::file(path, error);
        let mut file = File::open(path).map_err(failed)?;
        let known = file.metadata().map_err(failed)?;
        if known.is_file() && (1..=LARGEST_FILE).contains(&known.len()) {
            // Only the header is read into this buffer. The pages of the tensors stay untouched and take no memory, and
            // each tensor is later read straight into its own buffer. This saves 2 MB and 0.8 ms.
            let mut bytes = vec![0; known.len() as usize];
            read_header(&mut file, &mut bytes).map_err(failed)?;
            let header = header(&bytes).map_err(|error| error.at(&source))?;
            drop(bytes);
            return read(&header, &mut file, &source).map_err(|error| error.at(&source));
        }
        // A device or a pipe does not state its size.
        let mut bytes = Vec::new();
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > LARGEST_FILE {
            let cause = format!("{source}: over {LARGEST_FILE} bytes, more than any known network");
            let remedy = format!("give a weights file of network {}", published::list_of_names());
            return Err(Error::new(ErrorKind::Weights, cause, remedy));
        }
        Self::from_bytes(&bytes, &source)
    }

    /// Reads the bytes of a safetensors file. Messages call them `source`.
    ///
    /// # Errors
    /// The bytes are not in the safetensors format or do not contain exactly one published network.
    pub fn from_bytes(bytes: &[u8], source: &str) -> Result<Self> {
        header(bytes)
            .and_then(|header| read(&header, &mut Cursor::new(bytes), source))
            .map_err(|error| error.at(source))
    }

    /// Reads an encoder: a file that pre-training wrote, or the encoder of a complete network. The result's `parameters`
    /// are those of the encoder only; its `network` is the complete network.
    ///
    /// # Errors
    /// The file cannot be read, is not in the safetensors format, or does not contain the encoder of a published network.
    #[cfg(feature = "train")]
    pub(crate) fn encoder_from_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        let read_all = |file: File| file.take(LARGEST_FILE).read_to_end(&mut bytes);
        File::open(path).and_then(read_all).map_err(|error| Error::file(path, error))?;
        let source = path.display().to_string();
        header(&bytes)
            .and_then(|header| read_part(&header, &mut Cursor::new(&bytes), &source, Network::encoder))
            .map_err(|error| error.at(&source))
    }

    /// The metadata entry, key and value, of a file that contains an encoder only.
    const PART: [&str; 2] = ["part", "encoder"];

    /// Returns a safetensors file of these weights for [`Weights::from_path`]. Equal weights give equal bytes.
    #[cfg(feature = "train")]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.tensor_file().to_bytes()
    }

    /// Returns a safetensors file of these weights in F16, of half the size.
    ///
    /// # Errors
    /// A number is larger than F16 can hold.
    #[cfg(feature = "train")]
    pub fn to_f16_bytes(&self) -> Result<Vec<u8>> {
        let too_large = |value: &f32| value.abs() > f16::MAX.to_f32();
        if let Some((name, _)) = self.parameters.iter().find(|(_, tensor)| tensor.values.iter().any(too_large)) {
            let cause = format!("tensor {name} has a number beyond {}, where f16 ends", f16::MAX);
            return Err(Error::new(ErrorKind::Weights, cause, "keep these weights in F32").at(&self.source));
        }
        Ok(self.tensor_file().to_f16_bytes())
    }

    /// Returns a safetensors file of the encoder for fine-tuning.
    #[cfg(feature = "train")]
    pub(crate) fn encoder_to_bytes(&self) -> Vec<u8> {
        let mut file = self.tensor_file();
        let encoder: Vec<String> = self.network.encoder().tensors().into_iter().map(|(name, _)| name).collect();
        file.tensors.retain(|name, _| encoder.contains(name));
        for of_classes in ["classes", "thresholds", "temperature"] {
            file.metadata.remove(of_classes);
        }
        let [key, value] = Self::PART.map(String::from);
        file.metadata.extend([(key, value), ("network".into(), self.network.name.clone())]);
        file.to_bytes()
    }

    #[cfg(feature = "train")]
    fn tensor_file(&self) -> TensorFile {
        let tensors = self.parameters.iter().map(|(name, tensor)| (name.to_string(), tensor.clone())).collect();
        TensorFile { metadata: self.contract.to_metadata().into_iter().collect(), tensors }
    }

    /// Makes random weights with the default contract, for measurements of time, which does not depend on the values.
    /// Activations keep a standard deviation of about 1.
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

    /// Returns the number of elements of all tensors, including running statistics and without batch norm's counters.
    pub fn elements(&self) -> usize {
        self.parameters.iter().map(|(_, tensor)| tensor.values.len()).sum()
    }
}

/// Reads the header of a file to the beginning of `bytes`, whose length is that of the file.
fn read_header(file: &mut File, bytes: &mut [u8]) -> std::io::Result<()> {
    let (size, rest) = bytes.split_at_mut(size_of::<u64>().min(bytes.len()));
    file.read_exact(size)?;
    let size = size.try_into().map_or(0, u64::from_le_bytes);
    let size = usize::try_from(size).map_or(rest.len(), |size| size.min(rest.len()));
    file.read_exact(&mut rest[..size])
}

/// Parses the header of a file. Returns the offset of its end and its contents.
fn header(bytes: &[u8]) -> Result<(usize, Metadata)> {
    let not_one = |error: safetensors::SafeTensorError| {
        let remedy = "give a complete file in the safetensors format";
        Error::new(ErrorKind::Weights, format!("not a readable safetensors file ({error})"), remedy)
    };
    let (size, header) = SafeTensors::read_metadata(bytes).map_err(not_one)?;
    Ok((size_of::<u64>() + size, header))
}

/// Reads the weights of a complete network.
fn read(header: &(usize, Metadata), file: &mut (impl Read + Seek), source: &str) -> Result<Weights> {
    let [part, encoder] = Weights::PART;
    if header.1.metadata().as_ref().and_then(|metadata| metadata.get(part)).is_some_and(|part| part == encoder) {
        let cause = "an encoder from pre-training, which has no classes yet";
        return Err(Error::new(ErrorKind::Weights, cause, "fine-tune it first").with_hint(Hint::NameEncoder));
    }
    read_part(header, file, source, Network::clone)
}

/// Recognises the network and reads the tensors of a part of it, which `part` selects.
fn read_part(
    (end, header): &(usize, Metadata),
    file: &mut (impl Read + Seek),
    source: &str,
    part: impl Fn(&Network) -> Network,
) -> Result<Weights> {
    let mut stored = Stored { infos: header.tensors(), start: *end, file };
    let names: Vec<&str> = stored.infos.keys().map(String::as_str).filter(|name| !name.ends_with(COUNTER)).collect();
    let (network, prefix) = recognise(&names)?;
    let network = stored.sized(network, &prefix);
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

/// Says which metadata are missing and which defaults replace them.
fn default_note(contract: &Contract, assumed: &[&str]) -> String {
    format!(
        "the weights file does not state {}; assumed: {} at {} Hz, DC offset {}, mean {}, standard deviation {}, leads {}, \
         classes {}",
        assumed.join(", "),
        contract.unit,
        contract.sampling_rate,
        contract.dc_offset,
        contract.mean,
        contract.deviation,
        contract.leads.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        contract.classes.join(" "),
    )
}

/// Returns whether `name` is `known` with the prefix.
fn is_prefixed(name: &str, prefix: &str, known: &str) -> bool {
    name.strip_prefix(prefix) == Some(known)
}

/// Finds the published network and the name prefix that explain most of the file's tensors.
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
        Error::new(ErrorKind::Weights, cause, format!("give the weights of network {}", published::list_of_names()))
    })
}

/// The tensors that a file stores.
struct Stored<'a, File> {
    infos: HashMap<String, &'a TensorInfo>,
    /// The offset of the first tensor in the file.
    start: usize,
    file: &'a mut File,
}

impl<File: Read + Seek> Stored<'_, File> {
    /// Returns the published network with the width and the number of classes that the file's tensors have. A file with
    /// other differences is refused when its tensors are read.
    fn sized(&self, network: Network, prefix: &str) -> Network {
        let rows = |name: &str| self.infos.get(&format!("{prefix}{name}")).and_then(|info| info.shape.first().copied());
        let tensors = network.tensors();
        let first = tensors.first().and_then(|(name, shape)| Some(rows(name)? / shape.first()?));
        let width = first.filter(|width| (1..=WIDEST).contains(width)).unwrap_or(1);
        let classes = tensors.last().and_then(|(name, _)| rows(name)).filter(|classes| *classes > 0);
        let classes = classes.unwrap_or(network.classes());
        network.widened(width).with_classes(classes)
    }

    /// Reads a tensor, checks its shape and values, and adds its type to `stored_as`.
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
        // First a check without early exit: a search that may stop at any element is not vectorised and takes four times
        // as long.
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

    /// Reads the values of a tensor as f32. Returns `None` for a type other than F32, F16 and BF16.
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
                // NaN until they are read. Zeros may compile to memset, each byte of which valgrind counts as an instruction.
                let mut values: Arc<[f32]> = std::iter::repeat_n(f32::NAN, len).collect();
                let numbers = Arc::get_mut(&mut values).expect("a new Arc has one owner");
                self.file.read_exact(bytemuck::cast_slice_mut(numbers))?;
                // The file is little-endian; on a little-endian processor this compiles to nothing.
                numbers.iter_mut().for_each(|value| *value = f32::from_bits(u32::from_le(value.to_bits())));
                Ok(Some(values))
            }
            Dtype::F16 => halves(|bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => halves(|bytes| bf16::from_le_bytes(bytes).to_f32()),
            _ => Ok(None),
        }
    }
}

/// Checks that the metadata fit the network.
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
    fn the_built_in_weights_are_network_542k_with_complete_metadata() {
        let weights = Weights::built_in().unwrap();
        assert_eq!((weights.network.name.as_str(), weights.elements()), ("542k", 541_701));
        assert_eq!(weights.notes, Vec::<String>::new());
        assert_eq!(weights.contract.deviation, 0.235);
        assert!(weights.contract.provenance.contains("PTB-XL"));
    }
}
