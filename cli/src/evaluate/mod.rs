//! `ecgpu evaluate`: measures networks on a fold of PTB-XL or of one's own records.

mod arrays;
mod figures;
mod robustness;
pub mod table;

use std::path::{Path, PathBuf};

use ecgpu::{
    Classifier, Error, ErrorKind, Result, Weights,
    dataset::{
        Dataset,
        evaluation::{self, Estimate, Fold, doubts},
    },
};
use serde::Serialize;
use serde_json::json;

use self::robustness::Curve;
use crate::{
    DeviceOptions, SUCCESS, check_free, predictions,
    terminal::{note, print},
    weights,
};

/// Measure networks on a fold of PTB-XL or of your own records
///
/// AUROC, average precision, Fmax, precision, recall, F1, specificity, accuracies, Brier score and calibration error, with
/// 95 % bootstrap intervals over patients, for the records with a label and for all; the same for groups of patients.
/// docs/evaluation.md defines each of them.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu evaluate --data ptb-xl --fold 9
  ecgpu evaluate --data ptb-xl --fold 9 --weights a.safetensors b.safetensors    # and their paired difference
  ecgpu evaluate --data table.csv --fold 10 --weights own.safetensors --markdown > report.md
  ecgpu evaluate --data ptb-xl --fold 9 --robustness --figures figures
  ecgpu evaluate --data ptb-xl --fold 9 --robustness --predictions arrays --json")]
pub struct Arguments {
    /// The folder of PTB-XL, or a table of your own records
    #[arg(long, value_name = "PTBXL_DIR|TABLE.csv")]
    data: PathBuf,
    /// The fold to measure: 9 validates, 10 tests
    #[arg(long, value_name = "FOLD")]
    fold: u8,
    /// Weights to measure, as files or names; the built-in weights if absent
    #[arg(long, value_name = "FILE", num_args = 1..)]
    weights: Vec<PathBuf>,
    #[command(flatten)]
    device: DeviceOptions,
    /// Measure recordings with noise, hum, offsets, missing leads and so on, too
    #[arg(long)]
    robustness: bool,
    /// Write the benchmark's arrays preds_x.npy, targs_x.npy and classes_x.npy of the records with a label; with several
    /// networks into a folder of each
    #[arg(long, value_name = "DIR")]
    predictions: Option<PathBuf>,
    /// Draw ROC, precision and recall, reliability, label confusion, subgroups and robustness of the records with a label, as
    /// SVG: roc_NAME.svg and so on
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
    /// Print Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Seed of the bootstrap
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

/// What was measured of one network.
#[derive(Serialize)]
pub struct Evaluation {
    /// The name of the weights file.
    weights: String,
    provenance: String,
    #[serde(flatten)]
    measured: evaluation::Evaluation,
    robustness: Vec<Curve>,
}

/// The paired difference of two networks.
#[derive(Serialize)]
pub struct Comparison {
    first: String,
    second: String,
    macro_auroc: Estimate,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let weights = read_weights(&arguments.weights, arguments.json)?;
    let outputs = |paths: &dyn Fn(&Path, &str) -> Vec<PathBuf>, folder: &Option<PathBuf>| -> Result<()> {
        let Some(folder) = folder else { return Ok(()) };
        let paths: Vec<PathBuf> = weights.iter().flat_map(|(name, _)| paths(folder, name)).collect();
        check_free(&paths.iter().map(PathBuf::as_path).collect::<Vec<_>>(), arguments.force)?;
        make_folder(folder, &paths)
    };
    let single = weights.len() == 1;
    let arrays_of = |folder: &Path, name: &str| if single { folder.to_path_buf() } else { folder.join(name) };
    outputs(&|folder, name| arrays::paths(&arrays_of(folder, name)).to_vec(), &arguments.predictions)?;
    outputs(&figures::paths, &arguments.figures)?;
    let dataset = predictions::open(&arguments.data, arguments.json)?;
    let fold = Fold::new(&dataset, arguments.fold)?;
    let mut warnings = dataset.notes().to_vec();
    for (name, weights) in &weights {
        dataset.check_classes(weights)?;
        warnings.extend(doubts(name, &weights.contract.provenance, arguments.fold));
    }
    warnings.iter().for_each(|text| note(text));
    let extra = if arguments.robustness { robustness::classifications(fold.labelled.len()) } else { 0 };
    let progress = predictions::progress(weights.len() * (fold.all.len() + extra), arguments.json);
    let evaluations: Vec<Evaluation> = weights
        .into_iter()
        .map(|(name, weights)| evaluate(name, weights, &dataset, &fold, arguments, &progress))
        .collect::<Result<_>>()?;
    progress.finish_and_clear();
    if let Some(folder) = &arguments.predictions {
        for Evaluation { weights, measured, .. } in &evaluations {
            arrays::write(&arrays_of(folder, weights), &measured.labelled, dataset.classes())?;
        }
    }
    if let Some(folder) = &arguments.figures {
        evaluations
            .iter()
            .try_for_each(|evaluation| figures::write(folder, evaluation, dataset.classes(), arguments.fold))?;
    }
    let comparisons = compare(&evaluations, &evaluation::patients(&dataset, &fold.labelled), arguments.seed);
    let data = if dataset.cache_file().is_some() { "PTB-XL" } else { "a table of records" };
    print(&output(arguments, data, &evaluations, &comparisons, &warnings));
    Ok(SUCCESS)
}

fn output(
    arguments: &Arguments,
    data: &str,
    evaluations: &[Evaluation],
    comparisons: &[Comparison],
    warnings: &[String],
) -> String {
    if arguments.json {
        let object = json!({
            "fold": arguments.fold,
            "data": data,
            "warnings": warnings,
            "evaluations": evaluations,
            "differences": comparisons,
        });
        return format!("{object:#}\n");
    }
    table::report(evaluations, comparisons, warnings, arguments.markdown)
}

/// Reads all weights files, with a name for each.
fn read_weights(paths: &[PathBuf], hidden: bool) -> Result<Vec<(String, Weights)>> {
    if paths.is_empty() {
        return Ok(vec![("built-in".into(), Weights::built_in()?)]);
    }
    let mut read: Vec<(String, Weights)> = Vec::new();
    for path in paths {
        let name = weights::short_name(path)?;
        if read.iter().any(|(known, _)| *known == name) {
            let cause = format!("two weights files are called {name}");
            return Err(Error::new(ErrorKind::Usage, cause, "give each of them a name of its own"));
        }
        read.push((name, weights::open(path, hidden)?));
    }
    Ok(read)
}

/// Makes a folder and checks that all files can be written there.
fn make_folder(folder: &Path, files: &[PathBuf]) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| {
        let cause = format!("{}: {error}", folder.display());
        Error::new(ErrorKind::File, cause, "name a folder that can be written")
    })?;
    files.iter().try_for_each(|file| ecgpu::engine::files::check_writable(file))
}

fn evaluate(
    name: String,
    weights: Weights,
    dataset: &Dataset,
    fold: &Fold,
    arguments: &Arguments,
    progress: &indicatif::ProgressBar,
) -> Result<Evaluation> {
    let provenance = weights.contract.provenance.clone();
    let classifier = Classifier::on(weights, arguments.device.open_one()?)?;
    let advance = predictions::advance(progress);
    let measured = evaluation::Evaluation::new(&classifier, dataset, fold, arguments.seed, &advance)?;
    let robustness = match arguments.robustness {
        true => {
            let undisturbed = measured.summaries[0].macro_auroc.value;
            robustness::measure(&classifier, dataset, &fold.labelled, undisturbed, &advance)?
        }
        false => Vec::new(),
    };
    Ok(Evaluation { weights: name, provenance, measured, robustness })
}

/// Compares each network with the first one.
fn compare(evaluations: &[Evaluation], patients: &[u32], seed: u64) -> Vec<Comparison> {
    let Some((first, others)) = evaluations.split_first() else { return Vec::new() };
    let difference = |other: &Evaluation| Comparison {
        first: other.weights.clone(),
        second: first.weights.clone(),
        macro_auroc: evaluation::difference(&other.measured.labelled, &first.measured.labelled, patients, seed),
    };
    others.iter().map(difference).collect()
}
