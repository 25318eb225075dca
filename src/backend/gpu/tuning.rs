//! A tuning: the fastest correct variant of each step on one machine, as a small text file. The head names the machine and
//! the shaders for which the tuning is valid. One line per step follows: `sizes -> variant`.

use std::{fmt, io::Read, path::Path};

use super::StepShape;
use crate::{
    Error, ErrorKind, Hint, Result,
    kernels::{Kernel, Storage, Variant},
};

/// The first line, with the version of the format.
const FORMAT: &str = "ecgpu tuning 4";
/// The largest tuning file in bytes. A hundred steps take about 16 KiB.
const LARGEST: usize = 1 << 20;
/// The remedy for a tuning that is not valid any more.
const REMEDY: &str = "tune again, or run without a tuning";

/// The adapter and the driver for which a tuning is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Machine {
    /// The adapter's name.
    pub adapter: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// The driver's name.
    pub driver: String,
    /// The driver's description of its version.
    pub driver_info: String,
}

impl Machine {
    pub(super) fn of(info: &wgpu::AdapterInfo) -> Self {
        let backend = super::adapter::backend_name(info.backend);
        let [adapter, driver, driver_info] = [&info.name, &info.driver, &info.driver_info].map(|text| one_line(text));
        Self { adapter, backend, driver, driver_info }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { adapter, backend, driver, driver_info } = self;
        write!(f, "{adapter} ({backend}, {driver} {driver_info})")
    }
}

/// Replaces every run of spaces and control characters by one space.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// The chosen variants of some steps, and the machine and the shaders for which they are valid.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    machine: Machine,
    /// A hash of all variants of the steps, to detect that other variants were compared.
    shaders: u64,
    choices: Vec<(StepShape, String)>,
}

impl Tuning {
    pub(super) fn new(machine: Machine, shaders: u64, choices: Vec<(StepShape, String)>) -> Self {
        Self { machine, shaders, choices }
    }

    /// Reads a tuning file.
    ///
    /// # Errors
    /// The file cannot be read, or [`fmt::Display`] did not write it.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(|error| Error::file(path, error))?;
        // One byte more than the largest size detects a file that is too large, even an endless one.
        file.take(LARGEST as u64 + 1).read_to_end(&mut bytes).map_err(|error| Error::file(path, error))?;
        Self::from_bytes(&bytes).map_err(|error| error.at(path.display()))
    }

    /// Reads the contents of a tuning file.
    ///
    /// # Errors
    /// [`fmt::Display`] did not write them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let foreign = |cause: String| {
            Error::new(ErrorKind::Tuning, cause, "give a file that a tuning was written to, or run without one")
                .with_hint(Hint::Retune)
        };
        if bytes.len() > LARGEST {
            return Err(foreign(format!("more than {LARGEST} bytes are too large for a tuning file")));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| foreign("no tuning file".into()))?;
        let mut lines = (1..).zip(text.lines());
        match lines.next() {
            Some((_, first)) if first == FORMAT => {}
            Some((_, first)) if first.starts_with("ecgpu tuning") => {
                let cause = format!("its first line is '{}' where this build reads '{FORMAT}'", excerpt(first));
                return Err(Error::new(ErrorKind::Tuning, cause, REMEDY).with_hint(Hint::Retune));
            }
            _ => return Err(foreign("no tuning file".into())),
        }
        let tuning = Self::parse(&mut lines)?;
        if !text.ends_with('\n') {
            return Err(wrong("the last line is cut short"));
        }
        Ok(tuning)
    }

    /// Parses the lines after the first.
    fn parse<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>) -> Result<Self> {
        let mut head = |name: &str| -> Result<&'a str> {
            let (at, line) = lines.next().ok_or_else(|| wrong(format!("it ends before '{name}'")))?;
            let value = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(":"));
            let value = value.ok_or_else(|| wrong(format!("line {at} is '{}', not '{name}'", excerpt(line))))?;
            Ok(value.strip_prefix(' ').unwrap_or(value))
        };
        let [adapter, backend, driver, driver_info] =
            [head("adapter")?, head("backend")?, head("driver")?, head("driver_info")?].map(String::from);
        let machine = Machine { adapter, backend, driver, driver_info };
        let shaders = head("shaders")?;
        let shaders = u64::from_str_radix(shaders, 16)
            .ok()
            .filter(|hash| format!("{hash:016x}") == shaders)
            .ok_or_else(|| wrong(format!("'{}' is no hash of shaders", excerpt(shaders))))?;
        let count = head("steps")?;
        let count: usize = count.parse().map_err(|_| wrong(format!("'{}' is no number of steps", excerpt(count))))?;
        let mut choices: Vec<(StepShape, String)> = Vec::new();
        for (at, line) in lines {
            let choice = line.split_once(" -> ").and_then(|(sizes, variant)| Some((StepShape::parse(sizes)?, variant)));
            let (shape, variant) =
                choice.ok_or_else(|| wrong(format!("line {at} is no step with a variant: '{}'", excerpt(line))))?;
            if choices.iter().any(|(other, _)| *other == shape) {
                return Err(wrong(format!("line {at} has a step a second time")));
            }
            choices.push((shape, variant.into()));
        }
        if choices.len() != count {
            return Err(wrong(format!("{count} steps are declared and {} are there", choices.len())));
        }
        Ok(Self { machine, shaders, choices })
    }

    /// Returns the number of steps.
    pub fn len(&self) -> usize {
        self.choices.len()
    }

    /// Whether there is no step.
    pub fn is_empty(&self) -> bool {
        self.choices.is_empty()
    }

    /// Returns the variant that was chosen for a step; none for a step that was not tuned.
    pub fn variant(&self, shape: &StepShape) -> Option<&str> {
        self.choices.iter().find(|(other, _)| other == shape).map(|(_, variant)| variant.as_str())
    }

    /// Checks that the tuning is valid for a machine, for a storage of weights, and for the variants of each step that
    /// `variants` returns.
    ///
    /// # Errors
    /// The tuning is not valid for one of them.
    pub(super) fn check(
        &self,
        machine: &Machine,
        storage: Storage,
        variants: impl Fn(&StepShape) -> Vec<Variant>,
    ) -> Result<()> {
        if self.machine != *machine {
            let cause = format!("the tuning file was made for {}, and this is {machine}", self.machine);
            return Err(Error::new(ErrorKind::Tuning, cause, REMEDY).with_hint(Hint::Retune));
        }
        if let Some((other, _)) = self.choices.iter().find(|(shape, _)| shape.storage != storage) {
            let cause =
                format!("the tuning file was made for weights in {}, and here they are in {storage}", other.storage);
            let remedy = "use the precision that it was made with, or tune again";
            return Err(Error::new(ErrorKind::Tuning, cause, remedy).with_hint(Hint::MatchPrecision));
        }
        for (shape, chosen) in &self.choices {
            index_of(shape, chosen, &variants(shape))?;
        }
        if hash(self.choices.iter().map(|(shape, _)| shape), variants, order) != self.shaders {
            let cause = "the tuning file is stale, as it was made for other shaders or sizes";
            return Err(Error::new(ErrorKind::Tuning, cause, REMEDY).with_hint(Hint::Retune));
        }
        Ok(())
    }
}

/// Returns the index of the chosen variant among those that a device can run.
///
/// # Errors
/// The device cannot run it.
pub(super) fn index_of(shape: &StepShape, chosen: &str, variants: &[Variant]) -> Result<usize> {
    variants.iter().position(|variant| variant.name == chosen).ok_or_else(|| {
        let names: Vec<&str> = variants.iter().map(|variant| variant.name).collect();
        let (operation, names) = (shape.operation(), names.join(", "));
        wrong(format!("this device runs {operation} as {names} and not as '{}'", excerpt(chosen)))
    })
}

/// Makes an error of a damaged file.
fn wrong(cause: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Tuning, format!("a damaged tuning file, {cause}"), REMEDY).with_hint(Hint::Retune)
}

/// Returns the beginning of a text, for an error.
fn excerpt(text: &str) -> String {
    const SHOWN: usize = 60;
    let more = if text.chars().nth(SHOWN).is_some() { "…" } else { "" };
    text.chars().take(SHOWN).chain(more.chars()).collect()
}

/// Shows the order in which a variant's shader reads each of its constants: the packed form of the numbers 1, 2, 3, …
pub(super) fn order(kernel: &Kernel, variant: &Variant) -> Vec<Vec<f32>> {
    let kernel = kernel.with_few_channels();
    let constants = (1..).zip(kernel.operation().constants());
    let packed = |(read, length): (usize, usize)| {
        let counting: Vec<f32> = (1..=length).map(|number| number as f32).collect();
        variant.packing.pack(&kernel, read, &counting)
    };
    constants.map(packed).collect()
}

/// Hashes this crate's version and all variants of some steps, with their shaders and the order of their constants.
pub(super) fn hash<'a>(
    shapes: impl Iterator<Item = &'a StepShape>,
    variants: impl Fn(&StepShape) -> Vec<Variant>,
    order: impl Fn(&Kernel, &Variant) -> Vec<Vec<f32>>,
) -> u64 {
    let mut hash = fnv1a(FNV_OFFSET, env!("CARGO_PKG_VERSION").bytes().map(u64::from));
    for shape in shapes {
        let variants = variants(shape);
        hash = fnv1a(hash, format!("{shape} {variants:?}\n").bytes().map(u64::from));
        for numbers in variants.iter().flat_map(|variant| order(&shape.kernel, variant)) {
            hash = fnv1a(hash, numbers.iter().map(|number| number.to_bits().into()));
        }
    }
    hash
}

/// The offset basis of the 64-bit FNV-1a hash, by Fowler, Noll and Vo.
pub(super) const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
/// The prime of the 64-bit FNV-1a hash.
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// Continues an FNV-1a hash with some symbols.
pub(super) fn fnv1a(hash: u64, symbols: impl Iterator<Item = u64>) -> u64 {
    symbols.fold(hash, |hash, symbol| (hash ^ symbol).wrapping_mul(FNV_PRIME))
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { adapter, backend, driver, driver_info } = &self.machine;
        writeln!(f, "{FORMAT}\nadapter: {adapter}\nbackend: {backend}")?;
        writeln!(f, "driver: {driver}\ndriver_info: {driver_info}")?;
        writeln!(f, "shaders: {:016x}\nsteps: {}", self.shaders, self.choices.len())?;
        self.choices.iter().try_for_each(|(shape, variant)| writeln!(f, "{shape} -> {variant}"))
    }
}

#[cfg(test)]
#[path = "tuning_tests.rs"]
mod tests;
