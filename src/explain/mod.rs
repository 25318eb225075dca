//! Explanations of a classification: which parts of a recording a class's logit depends on, by three methods, each with two
//! checks of whether its map may be believed.
//!
//! An explanation is of the network, not of the patient. `docs/explanations.md` says what each method means, and its limits.
//!
//! | module | contents |
//! |---|---|
//! | `gradient_plan` | the plan of a forward and a backward pass |
//! | `signal`, `runner` | changed copies of a record, and a network that runs them |
//! | `maps` | gradient × input, occlusion and Grad-CAM |
//! | `randomisation`, `ranks`, `deletion` | the checks |
//! | `json` | an explanation as JSON, with feature `json` |
//! | `drawing` | maps and checks on ECG paper, with feature `plot` |

mod deletion;
#[cfg(feature = "plot")]
mod drawing;
mod gradient_plan;
#[cfg(feature = "json")]
mod json;
mod maps;
mod randomisation;
mod ranks;
mod runner;
mod signal;

pub use deletion::Deletion;
pub use gradient_plan::gradient_plan;
pub use maps::{Map, Method};
pub use randomisation::{LARGEST_CORRELATION, Randomisation, RandomisationStage};

use crate::{Classifier, Error, ErrorKind, Hint, Prediction, Recording, Result, ecg::Lead, network::Contract};
use maps::maps;
use runner::{Progress, Runner};
use signal::{Signal, Windows};

/// The shortest window that is replaced at once, in seconds: a large square of ECG paper, twice as long as a QRS complex.
const SHORTEST_WINDOW: f64 = 0.2;
/// The largest number of windows. In a record of over ten seconds they are longer.
const MOST_WINDOWS: usize = 50;
/// The longest recording that is explained, in seconds. The time grows with the length.
const LONGEST: f64 = 120.0;

/// What is to be explained, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The name of the class; the most probable one if none.
    pub class: Option<String>,
    /// The methods, at least one.
    pub methods: Vec<Method>,
    /// The seed of the random weights and orders of the checks.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { class: None, methods: Method::ALL.to_vec(), seed: 1 }
    }
}

/// An explanation of why a network gives a class to a recording.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The index of the explained class in [`Prediction::classes`].
    pub class: usize,
    /// The prediction.
    pub prediction: Prediction,
    /// The name of the network.
    pub network: String,
    /// The network's leads: the rows of the maps.
    pub leads: Vec<Lead>,
    /// The network's sampling rate in Hz, at which the maps count samples.
    pub sampling_rate: f64,
    /// The samples per lead of the network's input.
    pub samples: usize,
    /// The samples of a window that is replaced at once; the last window may be shorter.
    pub window: usize,
    /// The seed of the checks.
    pub seed: u64,
    /// The explained class's maps with their checks, in the order of the methods.
    pub attributions: Vec<Attribution>,
    /// The maps of every class, `[classes][methods]`, without checks.
    pub maps: Vec<Vec<Map>>,
}

/// A map with its checks.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Attribution {
    /// The map.
    pub map: Map,
    /// The weight-randomisation check.
    pub randomisation: Randomisation,
    /// The deletion check.
    pub deletion: Deletion,
}

impl Attribution {
    /// Whether the map passes both checks.
    pub fn passed(&self) -> bool {
        self.randomisation.passed && self.deletion.passed
    }
}

impl Explanation {
    /// Returns the name of the explained class.
    pub fn class_name(&self) -> &str {
        &self.prediction.classes[self.class]
    }

    /// Returns the probability of the explained class.
    pub fn probability(&self) -> f64 {
        self.prediction.probabilities[self.class]
    }
}

/// Explains the classification of a recording. `progress` is called with the forward passes so far and all of them.
///
/// Every device gives the same bits each time, except [`Device::Auto`](crate::Device::Auto), which may change from the CPU to a
/// GPU meanwhile.
///
/// # Errors
/// The recording cannot be classified, or is longer than two minutes; there is no such class; no method is given; the device
/// fails, or stores numbers in f16.
pub fn explain(
    classifier: &Classifier,
    recording: &Recording,
    options: &Options,
    progress: &dyn Fn(usize, usize),
) -> Result<Explanation> {
    let usage = |cause: String, remedy: &str| Err(Error::new(ErrorKind::Usage, cause, remedy));
    if options.methods.is_empty() {
        return usage("no method to explain with".into(), "use gradient, occlusion or grad-cam");
    }
    if recording.duration() > LONGEST {
        let cause = format!("a recording of {:.0} s: up to {LONGEST} s are explained", recording.duration());
        return usage(cause, "give a shorter part of it");
    }
    let (backend, folded, contract) = (classifier.backend(), classifier.folded(), classifier.contract());
    if backend.info().storage.is_half() {
        let error = Error::new(ErrorKind::Usage, "explaining in f16: gradients need f32", "explain in f32");
        return Err(error.with_hint(Hint::UseF32));
    }
    let class = options.class.as_deref().map(|name| class_index(contract, name)).transpose()?;
    let prediction = classifier.classify(recording)?;
    let class = class.unwrap_or_else(|| most_probable(&prediction));
    let signal = signal(contract, recording)?;
    let windows = signal.windows;
    let progress = Progress::new(passes(&signal, &options.methods), progress);
    let mut runner = Runner::new(backend, folded.clone(), windows.samples, &progress)?;
    let classes: Vec<usize> = (0..contract.classes.len()).collect();
    let maps = maps(&mut runner, &signal, &classes, &options.methods, true)?;
    let of_class = &maps[class];
    let deletions = deletion::check(&mut runner, (contract, &signal), class, of_class, options.seed)?;
    let randomisations = randomisation::check((backend, folded), &signal, (class, of_class), options.seed, &progress)?;
    let checked = of_class.iter().cloned().zip(randomisations).zip(deletions);
    let attribution = |((map, randomisation), deletion)| Attribution { map, randomisation, deletion };
    Ok(Explanation {
        class,
        prediction,
        network: folded.network.name.clone(),
        leads: contract.leads.clone(),
        sampling_rate: contract.sampling_rate,
        samples: windows.samples,
        window: windows.length,
        seed: options.seed,
        attributions: checked.map(attribution).collect(),
        maps,
    })
}

/// Returns the index of a class by its name, upper or lower case.
fn class_index(contract: &Contract, name: &str) -> Result<usize> {
    let found = contract.classes.iter().position(|class| class.eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        let cause = format!("the network has no class '{name}'");
        Error::new(ErrorKind::Usage, cause, format!("name one of {}", contract.classes.join(", ")))
    })
}

fn most_probable(prediction: &Prediction) -> usize {
    let probability = |&at: &usize| prediction.logits[at];
    (0..prediction.logits.len()).max_by(|a, b| probability(a).total_cmp(&probability(b))).unwrap_or(0)
}

/// Returns the network's input for a recording, divided into windows.
fn signal(contract: &Contract, recording: &Recording) -> Result<Signal> {
    let (values, leads) = (contract.input(recording)?, contract.leads.len());
    let samples = values.len() / leads;
    let shortest = (SHORTEST_WINDOW * contract.sampling_rate).round() as usize;
    let length = shortest.max(samples.div_ceil(MOST_WINDOWS)).max(1);
    Ok(Signal::new(values, leads, Windows { samples, length }))
}

/// Counts the forward passes of an explanation, without those of the few gradients.
fn passes(signal: &Signal, methods: &[Method]) -> usize {
    let (leads, windows) = (signal.leads, signal.windows.count());
    let occlusions = 1 + leads * windows;
    let with_occlusion = usize::from(methods.contains(&Method::Occlusion));
    let of_random_networks = randomisation::networks() * occlusions;
    with_occlusion * (occlusions + leads + windows + of_random_networks) + deletion::passes(methods)
}
