//! The runs of a comparison, in the order of their execution.

use std::{fmt, path::PathBuf};

use ecgpu::{
    Error, ErrorKind, Result, Weights,
    engine::{
        files,
        network::{Contract, published},
    },
    train::{RunKind, Settings},
};

/// What a comparison consists of.
pub struct Recipe {
    pub data: PathBuf,
    pub out: PathBuf,
    pub seeds: Vec<u64>,
    pub fractions: Vec<f64>,
    pub crop: f64,
    pub epochs: usize,
    pub network: String,
    pub device: String,
}

/// How a network's encoder is trained before it sees labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// SimCLR on all records of folds 1 to 8, then fine-tuning.
    Simclr,
    /// BYOL on all records of folds 1 to 8, then fine-tuning.
    Byol,
    /// No pre-training.
    Supervised,
    /// A random encoder that stays as it is; only the last layer is trained.
    RandomEncoder,
}

impl Method {
    pub const ALL: [Self; 4] = [Self::Simclr, Self::Byol, Self::Supervised, Self::RandomEncoder];
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Method::Simclr => "SimCLR",
            Method::Byol => "BYOL",
            Method::Supervised => "supervised",
            Method::RandomEncoder => "random encoder, frozen",
        })
    }
}

/// One run.
pub struct Planned {
    /// The name of its files, such as `simclr-10pct-seed42`.
    pub name: String,
    pub method: Method,
    pub seed: u64,
    /// The fraction of the labels; `None` for pre-training.
    pub fraction: Option<f64>,
    /// The folder of the run.
    pub folder: PathBuf,
    pub settings: Settings,
}

impl Planned {
    /// Returns the weights file that the run writes.
    pub fn weights(&self) -> PathBuf {
        self.folder.with_extension("safetensors")
    }

    /// Writes the random encoder that the control starts from. Its activations keep a standard deviation of about 1 without
    /// batch statistics, unlike those of the initial parameters of training, whose last layer would see nearly constants.
    pub fn write_random_encoder(&self) -> Result<()> {
        let (Method::RandomEncoder, Some(path)) = (self.method, &self.settings.from) else { return Ok(()) };
        let network =
            published::by_name(&self.settings.network).unwrap_or_else(|| unreachable!("`plan` checks the name"));
        let weights = Weights::random(network, self.seed);
        let provenance = format!("random parameters, seed {}", self.seed);
        let contract = Contract { provenance, ..Contract::default() };
        files::write(path, &Weights { contract, ..weights }.to_bytes())
    }
}

/// Lists all runs of a comparison: first the encoders of a seed, then what is trained on labels.
///
/// # Errors
/// The network is unknown, or a number makes no sense.
pub fn plan(recipe: &Recipe) -> Result<Vec<Planned>> {
    if published::by_name(&recipe.network).is_none() {
        let cause = format!("no network is called '{}'", recipe.network);
        return Err(Error::new(ErrorKind::Usage, cause, format!("use {}", published::NAMES.join(" or "))));
    }
    if let Some(fraction) = recipe.fractions.iter().find(|fraction| !(**fraction > 0.0 && **fraction <= 1.0)) {
        let cause = format!("a label fraction of {fraction}");
        return Err(Error::new(ErrorKind::Usage, cause, "give numbers above 0 and at most 1, such as 0.1"));
    }
    let mut runs = Vec::new();
    for &seed in &recipe.seeds {
        runs.push(encoder(recipe, Method::Simclr, seed));
        runs.push(encoder(recipe, Method::Byol, seed));
        for &fraction in &recipe.fractions {
            runs.extend(Method::ALL.map(|method| with_labels(recipe, method, seed, fraction)));
        }
    }
    Ok(runs)
}

fn file_name(method: Method) -> &'static str {
    match method {
        Method::Simclr => "simclr",
        Method::Byol => "byol",
        Method::Supervised => "supervised",
        Method::RandomEncoder => "random",
    }
}

fn planned(recipe: &Recipe, method: Method, seed: u64, fraction: Option<f64>, kind: RunKind) -> Planned {
    let part = fraction.map_or("encoder".into(), |fraction| format!("{}pct", fraction * 100.0));
    let name = format!("{}-{part}-seed{seed}", file_name(method));
    let folder = recipe.out.join(&name);
    let mut settings = Settings::new(kind);
    settings.data = Some(recipe.data.clone());
    settings.out = Some(folder.with_extension("safetensors"));
    settings.network.clone_from(&recipe.network);
    settings.device.clone_from(&recipe.device);
    settings.seed = seed;
    settings.epochs = recipe.epochs;
    settings.crop = Some(recipe.crop);
    Planned { name, method, seed, fraction, folder, settings }
}

fn encoder(recipe: &Recipe, method: Method, seed: u64) -> Planned {
    planned(recipe, method, seed, None, if method == Method::Byol { RunKind::Byol } else { RunKind::Simclr })
}

fn with_labels(recipe: &Recipe, method: Method, seed: u64, fraction: f64) -> Planned {
    let kind = if method == Method::Supervised { RunKind::Train } else { RunKind::Finetune };
    let mut planned = planned(recipe, method, seed, Some(fraction), kind);
    planned.settings.label_fraction = Some(fraction);
    if method != Method::Supervised {
        let encoder = format!("{}-encoder-seed{seed}.safetensors", file_name(method));
        planned.settings.from = Some(recipe.out.join(encoder));
    }
    if method == Method::RandomEncoder {
        planned.settings.freeze_encoder = Some(true);
    }
    planned
}
