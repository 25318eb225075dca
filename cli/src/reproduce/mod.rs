//! `ecgpu reproduce`: the published comparison of three ways to train with few labels, from the data to a report.

mod planned;
mod report;
mod results;

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use ecgpu::{
    Device, Error, ErrorKind, Result,
    dataset::Dataset,
    engine::{
        backend::{self, Backend},
        files,
    },
    train::{DatasetRun, Event, StartMode},
};

use self::{
    planned::{Planned, Recipe, plan},
    results::{Finished, Results},
};
use crate::{
    SUCCESS, interrupt, predictions,
    run_display::RunDisplay,
    terminal::{GOOD, clean, note, print},
};

/// Train SimCLR, BYOL and supervised networks on a part of the labels over several seeds, and write a report
///
/// Each seed pre-trains an encoder by SimCLR and one by BYOL on folds 1 to 8 of PTB-XL without labels, and fine-tunes both
/// on the fraction of the labels; trains a network on the same labels from scratch; and, as a control, trains the last
/// layer behind a random encoder that stays as it is. Fold 9 chooses the epoch. The report compares macro AUROCs with their
/// spread over the seeds. A run that was stopped goes on where it stopped when the command is given again.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu reproduce --data ptb-xl --out comparison
  ecgpu reproduce --data ptb-xl --label-fraction 0.01 0.1 1 --seeds 5 --out comparison
  ecgpu reproduce --data ptb-xl --crop 10 --out as-published")]
pub struct Arguments {
    /// The folder of PTB-XL
    #[arg(long, value_name = "PTBXL_DIR")]
    data: PathBuf,
    /// Number of seeds; the first is 42
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    /// Parts of the labelled records of folds 1 to 8
    #[arg(long, value_name = "PART", num_args = 1.., default_values_t = [0.1])]
    label_fraction: Vec<f64>,
    /// Seconds of the random windows that the networks train on. The published recipe has whole records of 10 s, which
    /// take four times as long as windows of 2.5 s
    #[arg(long, default_value_t = 2.5, value_name = "SECONDS")]
    crop: f64,
    /// Epochs of each run at most; the published recipe has 20
    #[arg(long, default_value_t = 20, value_name = "N")]
    epochs: usize,
    /// The network
    #[arg(long, default_value = "542k", value_name = "NETWORK")]
    network: String,
    /// The fold that the report measures; 10 if the data have it, else 9, which also chose the epochs
    #[arg(long, value_name = "FOLD")]
    fold: Option<u8>,
    /// auto (a real GPU, else the CPU), gpu, gpu:N, a part of a GPU's name, or cpu
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: Device,
    /// Threads that compute on the CPU; one per core if absent
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// The folder of the report, the networks and their runs
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let recipe = Recipe {
        data: std::path::absolute(&arguments.data).unwrap_or(arguments.data.clone()),
        out: std::path::absolute(&arguments.out).unwrap_or(arguments.out.clone()),
        seeds: (42..42 + arguments.seeds).collect(),
        fractions: arguments.label_fraction.clone(),
        crop: arguments.crop,
        epochs: arguments.epochs,
        network: arguments.network.clone(),
        device: arguments.device.to_string(),
    };
    let runs = plan(&recipe)?;
    create_folder(&recipe.out)?;
    let dataset = predictions::open(&recipe.data, arguments.json)?;
    dataset.notes().iter().for_each(|text| note(text));
    let fold = measured_fold(arguments.fold, &dataset)?;
    let backend = backend::open_one(&arguments.device, arguments.threads)?;
    let stop = interrupt::flag()?;
    for (at, planned) in runs.iter().enumerate() {
        if !arguments.json {
            print(&format!("{} of {}: {}\n", at + 1, runs.len(), planned.name));
        }
        if train(planned, &dataset, backend.as_ref(), arguments.json, &stop)?.is_break() {
            note(&format!("stopped; the same command goes on with {}", planned.name));
            return Ok(interrupt::EXIT_CODE);
        }
    }
    let results =
        Results::measure(&recipe, &runs, &dataset, fold, || backend::open_one(&arguments.device, arguments.threads))?;
    let [markdown, json] = ["report.md", "report.json"].map(|name| recipe.out.join(name));
    files::write(&markdown, report::markdown(&results).as_bytes())?;
    files::write(&json, report::json(&results).as_bytes())?;
    if arguments.json {
        print(&report::json(&results));
    } else {
        print(&report::table(&results));
        print(&format!("\n{GOOD}{}{GOOD:#}\n", clean(&markdown.display().to_string())));
    }
    Ok(SUCCESS)
}

fn create_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|error| {
        let cause = format!("{}: {error}", path.display());
        Error::new(ErrorKind::File, cause, "choose a folder that can be written")
    })
}

/// Returns the fold that the report measures.
fn measured_fold(asked: Option<u8>, dataset: &Dataset) -> Result<u8> {
    let has = |fold: u8| !dataset.labelled(fold..=fold).is_empty();
    let fold = asked.unwrap_or(if has(10) { 10 } else { 9 });
    if !has(fold) {
        let cause = format!("the data have no labelled record in fold {fold}");
        return Err(Error::new(ErrorKind::Usage, cause, "choose another fold, or get the whole data set"));
    }
    if fold == 9 {
        note("fold 9 is measured, which also chose the epoch of each network: its figures are a little too good");
    } else if fold < 9 {
        note(&format!("WARNING: fold {fold} is measured, on which the networks are trained: its figures say nothing"));
    }
    Ok(fold)
}

/// Runs or continues one training run, unless it is finished.
fn train(
    planned: &Planned,
    dataset: &Dataset,
    backend: &dyn Backend,
    json: bool,
    stop: &AtomicBool,
) -> Result<ControlFlow<()>> {
    if Finished::read(planned)?.is_some() {
        return Ok(ControlFlow::Continue(()));
    }
    planned.write_random_encoder()?;
    let settings = &planned.settings;
    let display = RunDisplay::new(settings, json);
    let run = DatasetRun::new(settings, dataset)?;
    display.begin(&run, &backend.info().name);
    let mode = match planned.folder.join("last.safetensors").exists() {
        true => StartMode::Resume,
        false => StartMode::New { force: true },
    };
    let start = Instant::now();
    let outcome = run.start(backend, &planned.folder, mode, &mut |event: Event| {
        // One line per run, not per epoch.
        if !matches!(event, Event::Epoch(_)) {
            display.show(&event);
        }
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    display.end();
    match outcome? {
        None => Ok(ControlFlow::Break(())),
        Some(outcome) => {
            let records = run.training_records();
            Finished::new(&outcome, records, backend.info().name.clone(), start.elapsed()).write(planned)?;
            Ok(ControlFlow::Continue(()))
        }
    }
}
