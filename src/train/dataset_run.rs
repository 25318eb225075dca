//! Runs on a data set from settings.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::{
    AugmentationPipeline, Data, DatasetExamples, Observer, Outcome, RunFolder, RunKind, Settings, Task, TrainingStep,
    augment::Signal,
    examples::{Auxiliary, frequent_statements},
    inference,
    recipe::check,
    run::run,
    run_identity::digits,
};
use crate::{
    Error, ErrorKind, Hint, Result, Weights,
    backend::Backend,
    dataset::{Dataset, TRAINING_FOLDS, evaluation::trained_on},
    files::{check_writable, write},
    network::{Contract, Network, Parameters, local_file},
};

/// The fold for validation.
const VALIDATION_FOLD: u8 = 9;

/// A run on a data set that has been checked and can be started.
pub struct DatasetRun<'a> {
    settings: &'a Settings,
    dataset: &'a Dataset,
    training: Vec<usize>,
    validation: Vec<usize>,
    /// All records, with targets that no teacher has a part in yet.
    examples: DatasetExamples<'a>,
    teachers: Vec<Weights>,
    task: Task,
    contract: Contract,
}

impl<'a> DatasetRun<'a> {
    /// Chooses the records and makes the task. Writes nothing.
    ///
    /// # Errors
    /// A setting is invalid; the encoder or a teacher cannot be read or does not fit; the label fraction leaves a class
    /// without records.
    pub fn new(settings: &'a Settings, dataset: &'a Dataset) -> Result<Self> {
        let supervised = settings.kind.is_supervised();
        let training = match settings.label_fraction.filter(|_| supervised) {
            Some(fraction) => dataset.label_fraction(fraction, settings.seed)?,
            None => dataset.in_folds(TRAINING_FOLDS),
        };
        let training = without(training, &settings.hold_out, dataset)?;
        let validation = if supervised { dataset.labelled(VALIDATION_FOLD..=VALIDATION_FOLD) } else { Vec::new() };
        let auxiliary = auxiliary(settings, dataset, &training)?;
        let counts = auxiliary.counts();
        let logits = dataset.classes().len() + counts.iter().sum::<usize>();
        let teachers = settings.teacher.iter().map(|path| teacher(path, dataset)).collect::<Result<Vec<_>>>()?;
        settings.share_of_teachers()?;
        let (network, encoder) = network_and_encoder(settings, logits)?;
        let objective = settings.objective(&class_counts(dataset, &training), counts)?;
        let initial = TrainingStep::initial(&network, &objective, settings.seed);
        let parameters = match &encoder {
            Some(encoder) => with_encoder(&initial, &encoder.parameters),
            None => initial,
        };
        let rate = f64::from(dataset.sampling_rate().hz());
        let contract = Contract {
            sampling_rate: rate,
            samples: dataset.samples(),
            classes: dataset.classes().to_vec(),
            thresholds: vec![0.5; dataset.classes().len()],
            provenance: provenance(settings, dataset, training.len(), encoder.as_ref())?,
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
            auxiliary: counts.iter().sum(),
            ..Task::new(network, objective, parameters, [settings.batch, samples])
        };
        let examples = DatasetExamples::with_auxiliary(dataset, &auxiliary);
        let run = Self { settings, dataset, training, validation, examples, teachers, task, contract };
        check(&run.task, &run.data(&run.examples), &settings.recipe())?;
        Ok(run)
    }

    fn data<'e>(&'e self, examples: &'e DatasetExamples) -> Data<'e> {
        Data { examples, training: &self.training, validation: &self.validation }
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
        let limits = self.task.augmentation.iter().flat_map(|pipeline| pipeline.augmentations.notes(rate));
        self.dataset.notes().iter().cloned().chain(limits).collect()
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
        check_writable(out)?;
        let folder = match mode {
            StartMode::Resume => RunFolder::resume(folder, self.contract.clone())?,
            StartMode::New { force } => {
                RunFolder::create(folder, &self.settings.to_toml()?, self.contract.clone(), force)?
            }
        };
        let examples = self.examples(backend)?;
        let recipe = self.settings.recipe();
        let outcome = run(backend, self.task.clone(), self.data(&examples), &recipe, Some(&folder), observe)?;
        if let Some(outcome) = &outcome {
            let weights = folder.weights(&self.task, &outcome.parameters, &outcome.best);
            let supervised = self.settings.kind.is_supervised();
            write(out, &if supervised { weights.to_bytes() } else { weights.encoder_to_bytes() })?;
        }
        Ok(outcome)
    }

    /// Returns the examples with their targets, which the teachers compute a part of.
    fn examples(&self, backend: &dyn Backend) -> Result<DatasetExamples<'a>> {
        let mut examples = self.examples.clone();
        if self.teachers.is_empty() {
            return Ok(examples);
        }
        let classes = self.dataset.classes().len();
        let chosen: Vec<Vec<usize>> = self.training.iter().map(|&record| self.teachers_of(record)).collect();
        let mut mean = vec![0.0; self.training.len() * classes];
        for (at, Weights { network, parameters, contract, .. }) in self.teachers.iter().enumerate() {
            let rows: Vec<usize> = (0..chosen.len()).filter(|&row| chosen[row].contains(&at)).collect();
            let records: Vec<usize> = rows.iter().map(|&row| self.training[row]).collect();
            let logits = inference::logits(backend, network, parameters, &examples, &records)?;
            for (&row, logits) in rows.iter().zip(logits.chunks(classes)) {
                let mean = mean[row * classes..].iter_mut().zip(logits);
                mean.for_each(|(mean, &logit)| {
                    *mean += (contract.probability(logit) / chosen[row].len() as f64) as f32
                });
            }
        }
        examples.distil(&self.training, &mean, self.settings.share_of_teachers()?);
        Ok(examples)
    }

    /// Returns the teachers whose probabilities a record learns: those that were not trained on its fold, or all if each was.
    fn teachers_of(&self, record: usize) -> Vec<usize> {
        let fold = self.dataset.records()[record].fold;
        let all = 0..self.teachers.len();
        let unseen = all.clone().filter(|&at| !trained_on(&self.teachers[at].contract.provenance, fold));
        let unseen: Vec<usize> = unseen.collect();
        if unseen.is_empty() { all.collect() } else { unseen }
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

/// Leaves out the records of the folds that a run does not learn from.
///
/// # Errors
/// One of them is none of the training folds, or no record is left.
fn without(mut records: Vec<usize>, hold_out: &[u8], dataset: &Dataset) -> Result<Vec<usize>> {
    if let Some(fold) = hold_out.iter().find(|fold| !TRAINING_FOLDS.contains(fold)) {
        let cause = format!("fold {fold} held out, which no run learns from");
        return Err(Error::new(ErrorKind::Usage, cause, "hold out some of the folds 1 to 8"));
    }
    records.retain(|&record| !hold_out.contains(&dataset.records()[record].fold));
    if records.is_empty() {
        let cause = "no training record outside the folds that are held out";
        return Err(Error::new(ErrorKind::Usage, cause, "hold out fewer folds"));
    }
    Ok(records)
}

/// Returns the auxiliary targets.
///
/// # Errors
/// Some are wanted, but the run has no labels, or the training records do not have them.
fn auxiliary(settings: &Settings, dataset: &Dataset, training: &[usize]) -> Result<Auxiliary> {
    let wanted = |weight: Option<f64>| weight.is_some_and(|weight| weight != 0.0);
    let supervised = settings.kind.is_supervised();
    let refused = |cause: &str, remedy: &str| Err(Error::new(ErrorKind::Usage, cause, remedy));
    let mut auxiliary = Auxiliary { demographics: wanted(settings.demographics), ..Auxiliary::default() };
    if wanted(settings.statements) {
        auxiliary.statements = frequent_statements(dataset, training);
        if auxiliary.statements.is_empty() || !supervised {
            let cause = "SCP-ECG statements as targets, of which the training records have too few";
            return refused(cause, "leave them out, or train on more of PTB-XL");
        }
    }
    let known = |&index: &usize| {
        let record = &dataset.records()[index];
        record.age.is_some() || record.sex.is_some()
    };
    if auxiliary.demographics && (!supervised || !training.iter().any(known)) {
        let cause = "age and sex as targets, which no training record states";
        return refused(cause, "leave them out, or give a table with the columns age and sex");
    }
    Ok(auxiliary)
}

/// Returns the numbers of records of each class.
fn class_counts(dataset: &Dataset, records: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; dataset.classes().len()];
    for &index in records {
        let classes = dataset.records()[index].classes();
        counts.iter_mut().zip(classes).for_each(|(count, has)| *count += usize::from(*has));
    }
    counts
}

/// Reads a teacher.
///
/// # Errors
/// The file cannot be read, or is for other inputs or classes.
fn teacher(path: &Path, dataset: &Dataset) -> Result<Weights> {
    let teacher = Weights::from_path(local_file(path)?)?;
    check_input(&teacher, path)?;
    dataset.check_classes(&teacher)?;
    Ok(teacher)
}

/// Returns the network and, for fine-tuning, the encoder that it starts from.
fn network_and_encoder(settings: &Settings, logits: usize) -> Result<(Network, Option<Weights>)> {
    let network = settings.network(logits)?;
    if settings.kind != RunKind::Finetune {
        return Ok((network, None));
    }
    let path = settings.from.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Usage, "fine-tuning without an encoder", "name a pre-trained encoder")
            .with_hint(Hint::NameEncoder)
    })?;
    let encoder = Weights::encoder_from_path(local_file(path)?)?;
    if encoder.network.name != network.name {
        let cause = format!("{}: an encoder of network {}, not {}", path.display(), encoder.network.name, network.name);
        let remedy = format!("choose network {}, or use another encoder", encoder.network.name);
        return Err(Error::new(ErrorKind::Usage, cause, remedy).with_hint(Hint::NameNetwork));
    }
    if encoder.network.encoder() != network.encoder() {
        let cause = format!("{}: an encoder of another width than {}", path.display(), settings.width);
        return Err(Error::new(ErrorKind::Usage, cause, "choose the width that it was trained with"));
    }
    check_input(&encoder, path)?;
    Ok((network, Some(encoder)))
}

/// Checks that weights were trained on inputs of the default contract.
fn check_input(weights: &Weights, path: &Path) -> Result<()> {
    let (stated, needed) = (&weights.contract, Contract::default());
    if (stated.deviation, stated.mean, &stated.leads, stated.unit)
        != (needed.deviation, needed.mean, &needed.leads, needed.unit)
    {
        let cause = format!("{}: a network for inputs of another scale or order of leads", path.display());
        return Err(Error::new(ErrorKind::Weights, cause, "use one for millivolts over 0.235, leads I to V6"));
    }
    Ok(())
}

/// Replaces the initial parameters of the encoder by those of a pre-trained one.
fn with_encoder(initial: &Parameters, encoder: &Parameters) -> Parameters {
    // Of two tensors with the same name, the later one is kept.
    let both = initial.iter().chain(encoder.iter());
    Parameters::new(both.map(|(name, tensor)| (name.to_string(), tensor.clone())))
}

/// The commit that the library was compiled from, if the environment named it then: a published crate has no repository.
const COMMIT: Option<&str> = option_env!("ECGPU_COMMIT");

/// Describes the origin of the weights in words. The last part is the first 64 bits of the SHA-256 of the settings, without
/// files and device.
fn provenance(settings: &Settings, dataset: &Dataset, records: usize, encoder: Option<&Weights>) -> Result<String> {
    let Settings { kind, seed, .. } = settings;
    let data = if dataset.cache_file().is_some() { "PTB-XL 1.0.3" } else { "a table of records" };
    let what = match kind {
        RunKind::Simclr => "pre-trained by SimCLR without labels",
        RunKind::Byol => "pre-trained by BYOL without labels",
        RunKind::Train => "trained from scratch",
        RunKind::Finetune if settings.freeze_encoder == Some(true) => "last layer trained behind a frozen encoder",
        RunKind::Finetune => "fine-tuned",
    };
    // The labels have no effect where the targets are those of the teachers alone.
    let without_labels =
        settings.teacher_share == Some(1.0) && !settings.teacher.is_empty() && settings.statements.is_none();
    let fraction = match settings.label_fraction {
        Some(_) if without_labels => ", no labels".into(),
        Some(part) => format!(", {} % of the labels", part * 100.0),
        None => String::new(),
    };
    let held_out: Vec<String> = settings.hold_out.iter().map(u8::to_string).collect();
    let held_out = if held_out.is_empty() { String::new() } else { format!(" without {}", held_out.join(" and ")) };
    let windows = settings.crop.map_or(String::new(), |seconds| format!(", on random windows of {seconds} s"));
    let teachers = match settings.teacher.len() {
        0 => String::new(),
        count if without_labels => format!(", on the probabilities of {count} teachers"),
        count => format!(", with {count} teachers"),
    };
    let encoder = encoder.map_or(String::new(), |encoder| format!("; encoder: {}", encoder.contract.provenance));
    let hash = digits(Sha256::new_with_prefix(settings.without_paths().to_toml()?));
    let commit = COMMIT.map_or(String::new(), |commit| format!(" of commit {commit}"));
    Ok(format!(
        "{data}, folds 1 to 8{held_out}{fraction} ({records} records), {what}{windows}{teachers}, seed {seed}, ecgpu {}{commit}, \
         settings {hash}{encoder}",
        env!("CARGO_PKG_VERSION")
    ))
}
