//! Runs on PTB-XL: its records as training examples, and runs from settings.

use std::path::Path;

use super::{
    AugmentationPipeline, Data, Examples, Observer, Outcome, RunFolder, RunKind, Settings, Task, TrainingStep,
    augment::Signal, recipe::check, run::run,
};
use crate::{
    Error, ErrorKind, Hint, Result, Weights,
    backend::Backend,
    dataset::{CLASSES, Dataset, LEADS, TRAINING_FOLDS},
    files::{check_writable, write},
    network::{Contract, Network, Parameters},
};

/// The fold for validation.
const VALIDATION_FOLD: u8 = 9;

/// The records of PTB-XL as training examples, normalised by the default contract.
pub struct PtbXlExamples<'a> {
    dataset: &'a Dataset,
    contract: Contract,
}

impl<'a> PtbXlExamples<'a> {
    /// Makes examples of the records, whose samples are normalised as the default contract says.
    pub fn new(dataset: &'a Dataset) -> Self {
        Self { dataset, contract: Contract::default() }
    }
}

impl Examples for PtbXlExamples<'_> {
    fn leads(&self) -> usize {
        LEADS
    }

    fn samples(&self) -> usize {
        self.dataset.sampling_rate().samples()
    }

    fn record(&self, index: usize, into: &mut [f32]) {
        self.dataset.signal(index, into);
        for lead in into.chunks_exact_mut(self.samples()) {
            let normalise = self.contract.normalisation(lead);
            lead.iter_mut().for_each(|sample| *sample = normalise(*sample));
        }
    }

    fn labels(&self, index: usize, into: &mut [f32]) {
        into.copy_from_slice(&self.dataset.records()[index].labels());
    }

    fn name(&self, index: usize) -> String {
        self.dataset.records()[index].ecg_id.to_string()
    }
}

/// A run on PTB-XL that has been checked and can be started.
pub struct PtbXlRun<'a> {
    settings: &'a Settings,
    dataset: &'a Dataset,
    training: Vec<usize>,
    validation: Vec<usize>,
    task: Task,
    contract: Contract,
}

impl<'a> PtbXlRun<'a> {
    /// Chooses the records and makes the task. Writes nothing.
    ///
    /// # Errors
    /// A setting is invalid, the encoder cannot be read or belongs to another network, or the label fraction leaves a class
    /// without records.
    pub fn new(settings: &'a Settings, dataset: &'a Dataset) -> Result<Self> {
        let supervised = settings.kind.is_supervised();
        let training = match settings.label_fraction.filter(|_| supervised) {
            Some(fraction) => dataset.label_fraction(fraction, settings.seed)?,
            None => dataset.in_folds(TRAINING_FOLDS),
        };
        let validation = if supervised { dataset.labelled(VALIDATION_FOLD..=VALIDATION_FOLD) } else { Vec::new() };
        let mut counts = [0; CLASSES.len()];
        for &index in &training {
            let classes = dataset.records()[index].classes;
            counts.iter_mut().zip(classes).for_each(|(count, has)| *count += usize::from(has));
        }
        let (network, encoder) = network_and_encoder(settings)?;
        let objective = settings.objective(&counts)?;
        let initial = TrainingStep::initial(&network, &objective, settings.seed);
        let parameters = match &encoder {
            Some(encoder) => with_encoder(&initial, &encoder.parameters),
            None => initial,
        };
        let rate = f64::from(dataset.sampling_rate().hz());
        let contract = Contract {
            sampling_rate: rate,
            samples: dataset.sampling_rate().samples(),
            provenance: provenance(settings, training.len(), encoder.as_ref()),
            ..Contract::default()
        };
        let samples = settings.crop_samples(rate, contract.samples)?;
        let signal = Signal { leads: contract.leads.clone(), sampling_rate: rate, millivolts: contract.deviation };
        let seed = settings.seed;
        let augmentation = settings.augmentations()?;
        let task = Task {
            optimiser: settings.optimiser()?,
            augmentation: augmentation.map(|augmentations| AugmentationPipeline { augmentations, signal, seed }),
            freeze_encoder: settings.freeze_encoder.unwrap_or(false),
            ..Task::new(network, objective, parameters, [settings.batch, samples])
        };
        let examples = PtbXlExamples::new(dataset);
        let data = Data { examples: &examples, training: &training, validation: &validation };
        check(&task, &data, &settings.recipe())?;
        Ok(Self { settings, dataset, training, validation, task, contract })
    }

    /// Returns the number of training records.
    pub fn training_records(&self) -> usize {
        self.training.len()
    }

    /// Returns the task.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Returns remarks that the user should know before the run starts.
    pub fn notes(&self) -> Vec<String> {
        let rate = self.contract.sampling_rate;
        self.task.augmentation.iter().flat_map(|pipeline| pipeline.augmentations.notes(rate)).collect()
    }

    /// Starts or resumes the run and writes the resulting weights to the settings' `out`. A run that the observer stops
    /// writes no weights and has no outcome.
    ///
    /// # Errors
    /// The settings name no `out`; a loss or a gradient is not finite; the device fails; a file cannot be written.
    pub fn start(
        &self,
        backend: &dyn Backend,
        folder: &Path,
        mode: StartMode,
        observe: Observer<'_>,
    ) -> Result<Option<Outcome>> {
        let out = self.settings.out.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::Usage, "no file for the result", "name one").with_hint(Hint::NameOutput)
        })?;
        let examples = PtbXlExamples::new(self.dataset);
        let data = Data { examples: &examples, training: &self.training, validation: &self.validation };
        let recipe = self.settings.recipe();
        check_writable(out)?;
        let folder = match mode {
            StartMode::Resume => RunFolder::resume(folder, self.contract.clone())?,
            StartMode::New { force } => {
                RunFolder::create(folder, &self.settings.to_toml()?, self.contract.clone(), force)?
            }
        };
        let outcome = run(backend, self.task.clone(), data, &recipe, Some(&folder), observe)?;
        if let Some(outcome) = &outcome {
            let weights = folder.weights(&self.task, &outcome.parameters, &outcome.best);
            let supervised = self.settings.kind.is_supervised();
            write(out, &if supervised { weights.to_bytes() } else { weights.encoder_to_bytes() })?;
        }
        Ok(outcome)
    }
}

/// Whether a run is a new one or a resumed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartMode {
    /// Begins a new run.
    New {
        /// Whether an existing run in the folder is replaced.
        force: bool,
    },
    /// Resumes from the last checkpoint in the folder.
    Resume,
}

/// Returns the network and, for fine-tuning, the encoder that it starts from.
fn network_and_encoder(settings: &Settings) -> Result<(Network, Option<Weights>)> {
    let network = settings.network()?;
    if settings.kind != RunKind::Finetune {
        return Ok((network, None));
    }
    let path = settings.from.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Usage, "fine-tuning without an encoder", "name a pre-trained encoder")
            .with_hint(Hint::NameEncoder)
    })?;
    let encoder = Weights::encoder_from_path(path)?;
    if encoder.network.name != network.name {
        let cause = format!("{}: an encoder of network {}, not {}", path.display(), encoder.network.name, network.name);
        let remedy = format!("choose network {}, or use another encoder", encoder.network.name);
        return Err(Error::new(ErrorKind::Usage, cause, remedy).with_hint(Hint::NameNetwork));
    }
    let (stated, needed) = (&encoder.contract, Contract::default());
    if (stated.deviation, stated.mean, &stated.leads, stated.unit)
        != (needed.deviation, needed.mean, &needed.leads, needed.unit)
    {
        let cause = format!("{}: an encoder for inputs of another scale or order of leads", path.display());
        return Err(Error::new(ErrorKind::Weights, cause, "use one for millivolts over 0.235, leads I to V6"));
    }
    Ok((network, Some(encoder)))
}

/// Replaces the initial parameters of the encoder by those of a pre-trained one.
fn with_encoder(initial: &Parameters, encoder: &Parameters) -> Parameters {
    // Of two tensors with the same name, the later one is kept.
    let both = initial.iter().chain(encoder.iter());
    Parameters::new(both.map(|(name, tensor)| (name.to_string(), tensor.clone())))
}

/// Describes the origin of the weights in words.
fn provenance(settings: &Settings, records: usize, encoder: Option<&Weights>) -> String {
    let Settings { kind, seed, .. } = settings;
    let what = match kind {
        RunKind::Simclr => "pre-trained by SimCLR without labels",
        RunKind::Byol => "pre-trained by BYOL without labels",
        RunKind::Train => "trained from scratch",
        RunKind::Finetune if settings.freeze_encoder == Some(true) => "last layer trained behind a frozen encoder",
        RunKind::Finetune => "fine-tuned",
    };
    let fraction = settings.label_fraction.map_or(String::new(), |part| format!(", {} % of the labels", part * 100.0));
    let windows = settings.crop.map_or(String::new(), |seconds| {
        let use_of = match kind {
            RunKind::Simclr | RunKind::Byol => "two of each record",
            RunKind::Train | RunKind::Finetune => "validated by the mean of the windows' logits",
        };
        format!(", on random windows of {seconds} s, {use_of}")
    });
    let encoder = encoder.map_or(String::new(), |encoder| format!("; encoder: {}", encoder.contract.provenance));
    format!("PTB-XL 1.0.3, folds 1 to 8{fraction} ({records} records), {what}{windows}, seed {seed}{encoder}")
}
