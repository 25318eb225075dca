//! PTB-XL as examples to train on, and a run on it from settings.

use std::path::Path;

use super::{
    Augmenting, Data, Examples, Folder, Kind, Outcome, Settings, Task, TrainingStep,
    augment::Signal,
    files::{check_writable, write},
    run::{Observer, check, run},
};
use crate::{
    Error, ErrorKind, Hint, Result, Weights,
    backend::Backend,
    dataset::{CLASSES, Dataset, LEADS, TRAINING_FOLDS},
    network::{Contract, Network, Parameters},
};

/// The fold that validates.
const VALIDATION_FOLD: u8 = 9;

/// PTB-XL's records over the contract's deviation.
pub struct PtbXl<'a> {
    dataset: &'a Dataset,
    scale: f32,
}

impl<'a> PtbXl<'a> {
    /// The records in units of the deviation that the default contract states: 0.235 mV.
    pub fn new(dataset: &'a Dataset) -> Self {
        Self { dataset, scale: (1.0 / Contract::default().deviation) as f32 }
    }
}

impl Examples for PtbXl<'_> {
    fn leads(&self) -> usize {
        LEADS
    }

    fn samples(&self) -> usize {
        self.dataset.sampling_rate().samples()
    }

    fn record(&self, index: usize, into: &mut [f32]) {
        self.dataset.signal(index, into);
        into.iter_mut().for_each(|sample| *sample *= self.scale);
    }

    fn labels(&self, index: usize, into: &mut [f32]) {
        into.copy_from_slice(&self.dataset.records()[index].labels());
    }

    fn name(&self, index: usize) -> String {
        self.dataset.records()[index].ecg_id.to_string()
    }
}

/// A run on PTB-XL that has been checked and only has to be started.
pub struct PtbXlRun<'a> {
    settings: &'a Settings,
    dataset: &'a Dataset,
    training: Vec<usize>,
    validation: Vec<usize>,
    task: Task,
    contract: Contract,
}

impl<'a> PtbXlRun<'a> {
    /// Chooses the records and makes the task. Nothing is written.
    ///
    /// # Errors
    /// Settings that make no sense, an encoder that cannot be read or is of another network, or a label fraction that leaves
    /// a class without records.
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
        let (network, encoder) = start(settings)?;
        let objective = settings.objective(&counts)?;
        let fresh = TrainingStep::initial(&network, &objective, settings.seed);
        let parameters = match &encoder {
            Some(encoder) => with_encoder(&fresh, &encoder.parameters),
            None => fresh,
        };
        let rate = f64::from(dataset.sampling_rate().hz());
        let contract = Contract {
            sampling_rate: rate,
            samples: dataset.sampling_rate().samples(),
            provenance: provenance(settings, training.len(), encoder.as_ref()),
            ..Contract::default()
        };
        let samples = settings.crop_samples(rate, contract.samples)?;
        let augmentations = settings.augmentations()?;
        let signal = Signal { leads: contract.leads.clone(), sampling_rate: rate, millivolts: contract.deviation };
        let task = Task {
            optimiser: settings.optimiser()?,
            augmenting: augmentations.map(|augmentations| Augmenting { augmentations, signal, seed: settings.seed }),
            freeze_encoder: settings.freeze_encoder.unwrap_or(false),
            ..Task::new(network, objective, parameters, [settings.batch, samples])
        };
        let examples = PtbXl::new(dataset);
        let data = Data { examples: &examples, training: &training, validation: &validation };
        check(&task, &data, &settings.recipe())?;
        Ok(Self { settings, dataset, training, validation, task, contract })
    }

    /// Records that are trained on.
    pub fn training_records(&self) -> usize {
        self.training.len()
    }

    /// What the run is for: the network, the objective and everything else that learns.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// What whoever starts the run should know.
    pub fn notes(&self) -> Vec<String> {
        let rate = self.contract.sampling_rate;
        self.task.augmenting.iter().flat_map(|augmenting| augmenting.augmentations.notes(rate)).collect()
    }

    /// Starts the run, or goes on with it, and writes the network that comes of it to the settings' `out`. Nothing comes of a
    /// run that the observer breaks off.
    ///
    /// # Errors
    /// As of [`run`], and what cannot be written.
    pub fn start(
        &self,
        backend: &dyn Backend,
        folder: &Path,
        mode: Start,
        observe: Observer<'_>,
    ) -> Result<Option<Outcome>> {
        let out = self.settings.out.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::Usage, "no file for the result", "name one").with_hint(Hint::NameOutput)
        })?;
        let examples = PtbXl::new(self.dataset);
        let data = Data { examples: &examples, training: &self.training, validation: &self.validation };
        let recipe = self.settings.recipe();
        check_writable(out)?;
        let folder = match mode {
            Start::Resume => Folder::resume(folder, self.contract.clone()),
            Start::New { force } => Folder::create(folder, &self.settings.to_toml()?, self.contract.clone(), force)?,
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

/// How a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// In a new folder, or with `force` over a run that is there.
    New {
        /// Whether what is there is written over.
        force: bool,
    },
    /// From the last checkpoint in its folder.
    Resume,
}

/// The network, and the encoder that it starts from.
fn start(settings: &Settings) -> Result<(Network, Option<Weights>)> {
    let network = settings.network()?;
    if settings.kind != Kind::Finetune {
        return Ok((network, None));
    }
    let path = settings.from.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Usage, "fine-tuning from nothing", "name a pre-trained encoder")
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

/// The encoder's parameters where it has them, else the fresh ones.
fn with_encoder(fresh: &Parameters, encoder: &Parameters) -> Parameters {
    let both = fresh.iter().chain(encoder.iter());
    Parameters::new(both.map(|(name, tensor)| (name.to_string(), tensor.clone())))
}

fn provenance(settings: &Settings, records: usize, encoder: Option<&Weights>) -> String {
    let Settings { kind, seed, .. } = settings;
    let what = match kind {
        Kind::Simclr => "pre-trained by SimCLR without labels",
        Kind::Byol => "pre-trained by BYOL without labels",
        Kind::Train => "trained from scratch",
        Kind::Finetune if settings.freeze_encoder == Some(true) => "last layer trained behind a frozen encoder",
        Kind::Finetune => "fine-tuned",
    };
    let fraction = settings.label_fraction.map_or(String::new(), |part| format!(", {} % of the labels", part * 100.0));
    let windows = settings.crop.map_or(String::new(), |seconds| {
        let use_of = match kind {
            Kind::Simclr | Kind::Byol => "two of each record",
            Kind::Train | Kind::Finetune => "judged by the mean of the windows' logits",
        };
        format!(", on random windows of {seconds} s, {use_of}")
    });
    let encoder = encoder.map_or(String::new(), |encoder| format!("; encoder: {}", encoder.contract.provenance));
    format!("PTB-XL 1.0.3, folds 1 to 8{fraction} ({records} records), {what}{windows}, seed {seed}{encoder}")
}
