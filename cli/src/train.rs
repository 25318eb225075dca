//! `ecgpu pretrain`, `ecgpu train` and `ecgpu finetune`: train on PTB-XL or on one's own records.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use ecgpu::{
    Device, Error, ErrorKind, Result,
    dataset::{Dataset, Options},
    engine::{backend, network::published},
    train::{
        Augmentations, ClassWeights, DatasetRun, LossName, Outcome, RunFolder, RunKind, ScheduleShape, Settings,
        StartMode,
    },
};
use serde_json::json;

use crate::{
    SUCCESS, check_free, interrupt,
    run_display::RunDisplay,
    terminal::{FAINT, GOOD, clean, note, print},
    weights,
};

/// Options of every run. An option that is not given has the value of --config, or else of the recipe.
#[derive(clap::Args)]
pub struct Common {
    /// The folder of PTB-XL, or a table of your own records with the columns file, labels, fold and patient
    #[arg(long, value_name = "PTBXL_DIR|TABLE.csv")]
    data: Option<PathBuf>,
    /// The trained network, as safetensors
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The network: 542k if absent
    #[arg(long, value_name = "NETWORK", value_parser = published::NAMES)]
    network: Option<String>,
    /// Factor by which the network has more channels: 1 if absent
    #[arg(long, value_name = "N")]
    width: Option<usize>,
    /// Passes over the records
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Records per batch
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// The highest learning rate of Adam
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    learning_rate: Option<f64>,
    /// one-cycle, cosine or constant
    #[arg(long, value_name = "SCHEDULE", value_parser = shape)]
    schedule: Option<ScheduleShape>,
    /// Share of all steps in which the learning rate rises; 0.3 if absent with one-cycle, else 0
    #[arg(long, value_name = "PART", allow_negative_numbers = true)]
    warm_up: Option<f64>,
    /// Decoupled weight decay, as in AdamW
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    weight_decay: Option<f64>,
    /// Largest norm of the gradient; larger gradients are scaled down to it
    #[arg(long, value_name = "NORM", allow_negative_numbers = true)]
    clip: Option<f64>,
    /// Validate and keep the exponential moving average of the weights, with this decay per step, such as 0.998
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    ema: Option<f64>,
    /// Train on a random window of this many seconds of each record; pre-training draws one per view. Validation uses whole
    /// records
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    crop: Option<f64>,
    /// all, none, or a list of warp, mixup, band-pass, cutmix, motion, noise, dropout, gain, lead-dropout; with - before what to leave out. An
    /// augmentation may state its rate and its range, such as warp:0.5:0.9..1.1
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    augment: Option<Augmentations>,
    /// Seed of all random numbers
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// auto (a real GPU, else the CPU), gpu, gpu:N, a part of a GPU's name, cpu, or reference (float64)
    #[arg(long, value_name = "DEVICE")]
    device: Option<Device>,
    /// Threads that compute on the CPU; one per core if absent
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// The run's folder: settings, log, curves, checkpoints; beside --out if absent
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    run: Option<PathBuf>,
    /// Continue the run in this folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "force"])]
    resume: Option<PathBuf>,
    /// File of settings, such as another run's config.toml; options override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Overwrite an existing network and run
    #[arg(long)]
    force: bool,
    /// Print one JSON object per epoch and line on standard output
    #[arg(long)]
    json: bool,
}

/// Options of runs with labels.
#[derive(clap::Args)]
pub struct Supervised {
    /// Part of the labelled records of folds 1 to 8 that is used
    #[arg(long, value_name = "PART", allow_negative_numbers = true)]
    label_fraction: Option<f64>,
    /// Folds of 1 to 8 that are not learned from: the network can then be the --teacher of their records
    #[arg(long, value_name = "FOLD", num_args = 1.., value_delimiter = ',')]
    hold_out: Vec<u8>,
    /// focal or bce
    #[arg(long, value_name = "LOSS", value_parser = loss)]
    loss: Option<LossName>,
    /// Train the SCP-ECG statements as further targets, with this weight of their loss beside that of the classes
    #[arg(long, value_name = "WEIGHT", allow_negative_numbers = true)]
    statements: Option<f64>,
    /// Train the patient's sex and age as further targets, with this weight of their loss
    #[arg(long, value_name = "WEIGHT", allow_negative_numbers = true)]
    demographics: Option<f64>,
    /// Distil: weights of networks, as files or names, whose mean probabilities become a part of the targets. A record's
    /// mean is over those that were not trained on its fold (--hold-out), or over all if each was
    #[arg(long, value_name = "FILE", num_args = 1..)]
    teacher: Vec<PathBuf>,
    /// The teachers' part of the targets: 0.5 if absent
    #[arg(long, value_name = "PART", allow_negative_numbers = true)]
    teacher_share: Option<f64>,
    /// balanced (in inverse proportion to a class's records) or none
    #[arg(long, value_name = "WEIGHTS", value_parser = class_weights)]
    class_weights: Option<ClassWeights>,
    /// Stop after this many epochs without a better macro AUROC on fold 9
    #[arg(long, value_name = "EPOCHS")]
    patience: Option<usize>,
}

/// Pre-train an encoder without labels, on folds 1 to 8 of PTB-XL
#[derive(clap::Args)]
pub struct Pretrain {
    #[command(subcommand)]
    method: Method,
}

#[derive(clap::Subcommand)]
enum Method {
    Simclr(Simclr),
    Byol(Byol),
}

/// SimCLR: two augmented views of a record find each other among the batch (Chen et al. 2020)
///
/// Published recipe: 20 epochs, batch 128, Adam 1e-3, temperature 0.07, projection 2048 to 128.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu pretrain simclr --data ptb-xl --out encoder.safetensors
  ecgpu pretrain simclr --data ptb-xl --crop 2.5 --schedule cosine --out encoder.safetensors
  ecgpu pretrain simclr --resume encoder.run")]
struct Simclr {
    #[command(flatten)]
    common: Common,
    /// τ of NT-Xent: 0.07 if absent
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f64>,
}

/// BYOL: one view predicts a slowly moving network's projection of the other view (Grill et al. 2020)
///
/// Published recipe: as SimCLR; projector and predictor 2048 to 256, momentum 0.996 rising to 1 along a cosine.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu pretrain byol --data ptb-xl --out encoder.safetensors
  ecgpu pretrain byol --data ptb-xl --momentum 0.99 --out encoder.safetensors")]
struct Byol {
    #[command(flatten)]
    common: Common,
    /// Initial momentum of the target network: 0.996 if absent
    #[arg(long, value_name = "TAU", allow_negative_numbers = true)]
    momentum: Option<f64>,
}

/// Train a network from scratch on the labels of PTB-XL
///
/// Folds 1 to 8 train, fold 9 validates; the epoch with the highest macro AUROC is kept. If absent: 20 epochs, batch 64,
/// Adam 1e-3, focal loss, all labels, no augmentation.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu train --data ptb-xl --label-fraction 0.1 --out model.safetensors
  ecgpu train --data ptb-xl --crop 2.5 --loss bce --batch 128 --epochs 30 \\
              --schedule one-cycle --learning-rate 1e-2 --weight-decay 1e-2 --out model.safetensors
  ecgpu train --resume model.run")]
pub struct Train {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    supervised: Supervised,
}

/// Fine-tune a pre-trained encoder on some labels of PTB-XL
///
/// Published recipe: 20 epochs, patience 5, batch 32, Adam 5e-4, focal loss with class weights, all augmentations.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu finetune --data ptb-xl --from encoder.safetensors --label-fraction 0.1 --out model.safetensors
  ecgpu finetune --data ptb-xl --from encoder.safetensors --freeze-encoder --label-fraction 0.01 --out probe.safetensors")]
pub struct Finetune {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    supervised: Supervised,
    /// An encoder from `ecgpu pretrain`, or a whole network: a file, or hf:OWNER/NAME[@REVISION][/FILE] on the Hugging Face Hub
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Freeze the encoder, running statistics included, and train the last layer only
    #[arg(long)]
    freeze_encoder: bool,
}

fn shape(text: &str) -> std::result::Result<ScheduleShape, String> {
    named(
        text,
        &[
            ("one-cycle", ScheduleShape::OneCycle),
            ("cosine", ScheduleShape::Cosine),
            ("constant", ScheduleShape::Constant),
        ],
    )
}

fn loss(text: &str) -> std::result::Result<LossName, String> {
    named(text, &[("focal", LossName::Focal), ("bce", LossName::Bce)])
}

fn class_weights(text: &str) -> std::result::Result<ClassWeights, String> {
    named(text, &[("balanced", ClassWeights::Balanced), ("none", ClassWeights::None)])
}

fn named<T: Copy>(text: &str, known: &[(&str, T)]) -> std::result::Result<T, String> {
    let found = known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    found
        .ok_or_else(|| known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "))
        .map_err(|names| format!("use one of {names}"))
}

/// Replaces a setting by an option that was given.
fn set<T: Clone>(setting: &mut T, given: &Option<T>) {
    if let Some(given) = given {
        setting.clone_from(given);
    }
}

fn set_optional<T: Clone>(setting: &mut Option<T>, given: &Option<T>) {
    if given.is_some() {
        setting.clone_from(given);
    }
}

/// Returns the absolute path, so that a run can be continued from another folder.
fn absolute(path: &Option<PathBuf>) -> Option<PathBuf> {
    path.as_deref().map(weights::absolute)
}

impl Common {
    fn apply(&self, settings: &mut Settings) {
        set_optional(&mut settings.data, &absolute(&self.data));
        set_optional(&mut settings.out, &absolute(&self.out));
        set(&mut settings.network, &self.network);
        set(&mut settings.width, &self.width);
        set(&mut settings.device, &self.device.as_ref().map(ToString::to_string));
        set(&mut settings.seed, &self.seed);
        set(&mut settings.epochs, &self.epochs);
        set(&mut settings.batch, &self.batch);
        set(&mut settings.learning_rate, &self.learning_rate);
        if self.schedule == Some(ScheduleShape::OneCycle) && settings.schedule != ScheduleShape::OneCycle {
            settings.warm_up = 0.3;
        }
        set(&mut settings.schedule, &self.schedule);
        set(&mut settings.warm_up, &self.warm_up);
        set(&mut settings.weight_decay, &self.weight_decay);
        set_optional(&mut settings.clip, &self.clip);
        set_optional(&mut settings.ema, &self.ema);
        set_optional(&mut settings.crop, &self.crop);
        set(&mut settings.augment, &self.augment.as_ref().map(ToString::to_string));
    }
}

impl Supervised {
    fn apply(&self, settings: &mut Settings) {
        set_optional(&mut settings.label_fraction, &self.label_fraction);
        if !self.hold_out.is_empty() {
            settings.hold_out.clone_from(&self.hold_out);
        }
        set_optional(&mut settings.loss, &self.loss);
        set_optional(&mut settings.statements, &self.statements);
        set_optional(&mut settings.demographics, &self.demographics);
        if !self.teacher.is_empty() {
            settings.teacher = self.teacher.iter().map(|path| weights::absolute(path)).collect();
        }
        set_optional(&mut settings.teacher_share, &self.teacher_share);
        set_optional(&mut settings.class_weights, &self.class_weights);
        set_optional(&mut settings.patience, &self.patience);
    }
}

pub fn pretrain(arguments: &Pretrain) -> Result<u8> {
    match &arguments.method {
        Method::Simclr(Simclr { common, temperature }) => {
            start(common, RunKind::Simclr, |settings| set_optional(&mut settings.temperature, temperature))
        }
        Method::Byol(Byol { common, momentum }) => {
            start(common, RunKind::Byol, |settings| set_optional(&mut settings.momentum, momentum))
        }
    }
}

pub fn train(Train { common, supervised }: &Train) -> Result<u8> {
    start(common, RunKind::Train, |settings| supervised.apply(settings))
}

pub fn finetune(Finetune { common, supervised, from, freeze_encoder }: &Finetune) -> Result<u8> {
    start(common, RunKind::Finetune, |settings| {
        supervised.apply(settings);
        set_optional(&mut settings.from, &absolute(from));
        if *freeze_encoder {
            settings.freeze_encoder = Some(true);
        }
    })
}

/// Merges the settings of a run: the recipe, then a file, then the options.
fn settings(common: &Common, kind: RunKind, apply: impl Fn(&mut Settings)) -> Result<Settings> {
    let read = |text: &str, from: &Path| Settings::read(kind, text).map_err(|error| error.at(from.display()));
    let mut settings = match (&common.config, &common.resume) {
        (Some(file), _) => read(&std::fs::read_to_string(file).map_err(|error| Error::file(file, error))?, file)?,
        (None, Some(folder)) => read(&RunFolder::settings(folder)?, folder)?,
        (None, None) => Settings::new(kind),
    };
    let started_with = settings.clone();
    common.apply(&mut settings);
    apply(&mut settings);
    // Another commit must not come into a run when it is continued.
    settings.from.iter_mut().chain(&mut settings.teacher).try_for_each(|path| weights::pin(path, common.json))?;
    if common.resume.is_some() {
        settings.check_same(&started_with)?;
    }
    Ok(settings)
}

fn start(common: &Common, kind: RunKind, apply: impl Fn(&mut Settings)) -> Result<u8> {
    let settings = settings(common, kind, apply)?;
    let missing = |what: &str, remedy: &str| Error::new(ErrorKind::Usage, format!("a run without {what}"), remedy);
    let data = settings
        .data
        .as_ref()
        .ok_or_else(|| missing("data", "name the folder of PTB-XL, or a table of records, with --data"))?;
    let out = settings.out.as_ref().ok_or_else(|| missing("a result", "name a file for it with --out"))?;
    let folder = common.resume.clone().or(common.run.clone()).unwrap_or_else(|| out.with_extension("run"));
    let mode = match common.resume {
        Some(_) => StartMode::Resume,
        None => {
            check_free(&[out], common.force)?;
            StartMode::New { force: common.force }
        }
    };
    let progress = RunDisplay::new(&settings, common.json);
    let dataset = Dataset::open(data, &Options::default(), &|done, all| progress.reading(done, all))?;
    let run = DatasetRun::new(&settings, &dataset)?;
    run.notes().iter().for_each(|text| note(text));
    let backend = backend::open_one(&settings.device.parse()?, common.threads)?;
    progress.begin(&run, &backend.info().name);
    let stop = interrupt::flag()?;
    let outcome = run.start(backend.as_ref(), &folder, mode, &mut |event| {
        progress.show(&event);
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    progress.end();
    match outcome? {
        Some(outcome) => {
            finish(&settings, dataset.classes(), &folder, &outcome, common.json);
            Ok(SUCCESS)
        }
        None => {
            let command = match kind {
                RunKind::Simclr | RunKind::Byol => format!("pretrain {kind}"),
                RunKind::Train | RunKind::Finetune => kind.to_string(),
            };
            note(&format!("stopped; go on with: ecgpu {command} --resume {}", folder.display()));
            Ok(interrupt::EXIT_CODE)
        }
    }
}

fn finish(settings: &Settings, classes: &[String], folder: &Path, outcome: &Outcome, json: bool) {
    let out = settings.out.as_ref().map_or(String::new(), |out| out.display().to_string());
    if json {
        let result = json!({ "out": out, "run": folder.display().to_string(), "best": outcome.best });
        return print(&format!("{result}\n"));
    }
    let mut text = format!("\n{GOOD}{}{GOOD:#} holds epoch {}", clean(&out), outcome.best.epoch);
    if let Some(auroc) = outcome.best.auroc {
        text += &format!(", macro AUROC {auroc:.4} on fold 9:");
        for (class, auroc) in classes.iter().zip(&outcome.best.auroc_by_class) {
            text += &auroc.map_or(format!(" {class} –"), |auroc| format!(" {class} {auroc:.3}"));
        }
    }
    print(&format!(
        "{text}\n{FAINT}Log, curves and checkpoints are in {}.{FAINT:#}\n",
        clean(&folder.display().to_string())
    ));
}
