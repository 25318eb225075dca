//! `ecgpu tune`: finds the fastest correct kernels of a GPU.

use std::path::{Path, PathBuf};

use ecgpu::{
    Device, Error, ErrorKind, Result, Weights,
    engine::backend::{
        Backend, DeviceInfo, Precision,
        gpu::{Candidate, Gpu, StepTuning, open_gpu, tune},
    },
    engine::files,
    engine::network::{Folded, Network, published},
    engine::plan::{Keep, Plan},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::terminal::{BAD, FAINT, GOOD, STRONG, print, report, table};

/// Batch and samples that are tuned by default.
const USUAL: [[u32; 2]; 3] = [[1, 1000], [1, 5000], [32, 1000]];

/// Choose the fastest correct kernels for a GPU
///
/// Every variant of every step is first compared with the float64 reference on the device, and only those that agree are
/// timed. The choice is written to a file for the --tuning of other commands. No command loads a tuning unasked.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu tune --out gpu.tuning                   both networks, at the usual batches and lengths
  ecgpu tune --device gpu:1 --network 542k --batch 128 --samples 1000 --out gpu.tuning
  ecgpu classify records/ --device gpu --tuning gpu.tuning
  ecgpu verify --device gpu --tuning gpu.tuning

Exit code: 0 if every variant is right, 1 if one is not, 2 for a request that makes no sense.")]
pub struct Arguments {
    /// gpu, gpu:N, or a part of a GPU's name
    #[arg(long, default_value = "gpu", value_name = "DEVICE")]
    device: Device,
    /// How the GPU stores weights and activations: f32 or f16. The tuning holds for this precision only
    #[arg(long, default_value = "f32", value_name = "PRECISION")]
    precision: Precision,
    /// The network; all of them if absent
    #[arg(long, value_name = "NETWORK", value_parser = published::NAMES)]
    network: Option<String>,
    /// Records per forward pass, fewer if the device does not take as many; 1 if only --samples is given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Samples per lead; 1000 if only --batch is given
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u32).range(1..))]
    samples: Option<u32>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
    /// Print one JSON object per step, variant and line
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    // Tuning takes minutes: an output file that cannot be written is refused before it.
    check_writable(&arguments.out, arguments.force)?;
    let gpu = open_gpu(&arguments.device)?.ok_or_else(|| {
        let cause = format!("--device {} takes no GPU, and only a GPU is tuned", arguments.device);
        Error::new(ErrorKind::Usage, cause, "give gpu, gpu:N or a part of a GPU's name")
    })?;
    let gpu = gpu.with_precision(arguments.precision);
    let plans = plans(arguments, &gpu)?;
    let progress = progress_bar();
    let tuned = tune(&gpu, &plans, |done, total| {
        progress.set_length(total as u64);
        progress.set_position(done as u64);
    })?;
    progress.finish_and_clear();
    let info = gpu.info();
    if arguments.json {
        let objects = tuned.steps.iter().flat_map(|step| objects(step, &info));
        objects.for_each(|object| print(&format!("{object}\n")));
    } else {
        show(&tuned.steps, &info);
    }
    let wrong = report_wrong(&tuned.steps, &info);
    let Some(tuning) = tuned.tuning else {
        let cause = format!("{} runs some steps by no variant rightly, so that nothing was written", info.name);
        return Err(Error::new(ErrorKind::Parity, cause, "update the driver, or use --device cpu"));
    };
    files::write(&arguments.out, tuning.to_string().as_bytes())?;
    if !arguments.json {
        let steps = tuning.len();
        let precision = match arguments.precision {
            Precision::F32 => String::new(),
            other => format!(" --precision {other}"),
        };
        let out = arguments.out.display();
        print(&format!("\n{out}: {steps} steps, for --tuning with --device gpu{precision}\n"));
    }
    Ok(u8::from(wrong))
}

fn check_writable(out: &Path, force: bool) -> Result<()> {
    if out.exists() && !force {
        let cause = format!("{} is there already", out.display());
        return Err(Error::new(ErrorKind::Usage, cause, "choose another name, or add --force"));
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if out.is_dir() || !folder.is_dir() {
        let cause = format!("{} cannot be written", out.display());
        return Err(Error::new(ErrorKind::File, cause, "name a file in a folder that is there"));
    }
    Ok(())
}

/// Makes a plan for each network, batch and length, with its name. A batch beyond the device's limits is lowered to them,
/// as in the classifier.
fn plans(arguments: &Arguments, gpu: &Gpu) -> Result<Vec<(String, Plan)>> {
    let sizes = match (arguments.batch, arguments.samples) {
        (None, None) => USUAL.to_vec(),
        (batch, samples) => vec![[batch.unwrap_or(1), samples.unwrap_or(1000)]],
    };
    let chosen = |network: &Network| arguments.network.as_ref().is_none_or(|name| *name == network.name);
    let mut plans = Vec::new();
    for network in published::all().into_iter().filter(chosen) {
        let weights = Weights::random(network, 1);
        let folded = Folded::new(&weights.network, &weights.parameters)?;
        for [batch, samples] in sizes.iter().map(|sizes| sizes.map(|size| size as usize)) {
            let one = Plan::new(&folded, 1, samples, Keep::Results)?;
            let batch = batch.min(gpu.largest_batch(&one)?);
            let name = format!("{} {batch}×{}×{samples}", folded.network.name, folded.network.in_channels());
            plans.push((name, Plan::new(&folded, batch, samples, Keep::Results)?));
        }
    }
    Ok(plans)
}

/// A progress bar on standard error, hidden where that is no terminal.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} steps, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style)
}

/// Names every incorrect variant on standard error, and returns whether there is one.
fn report_wrong(steps: &[StepTuning], info: &DeviceInfo) -> bool {
    let mut wrong = false;
    for (step, candidate) in steps.iter().flat_map(|step| step.candidates.iter().map(move |one| (step, one))) {
        if let Some(fault) = &candidate.fault {
            wrong = true;
            let variant = candidate.variant;
            let cause =
                format!("variant {variant} of step {} ({}) is wrong on {}: {fault}", step.step, step.shape, info.name);
            report(&Error::new(ErrorKind::Parity, cause, "it is not chosen; update the driver and tune again"));
        }
    }
    wrong
}

fn microseconds(candidate: &Candidate) -> Option<f64> {
    candidate.time.map(|time| time.as_secs_f64() * 1e6)
}

fn show(steps: &[StepTuning], info: &DeviceInfo) {
    print(&format!(
        "{STRONG}{}{STRONG:#} ({}), each variant beside the float64 reference\n\n",
        info.name,
        info.backend_and_storage()
    ));
    let heading = ["network, input", "step", "operation", "output", "variant", "µs", "NMSE", "verdict", ""];
    let (mut rows, mut styles) = (Vec::new(), vec![FAINT]);
    for step in steps {
        for (at, candidate) in step.candidates.iter().enumerate() {
            let chosen = step.chosen == Some(at);
            // The columns of the step are filled beside its first variant only.
            let once = |text: String| if at == 0 { text } else { String::new() };
            rows.push(vec![
                once(step.plan.clone()),
                once(step.step.clone()),
                once(step.shape.kernel.operation().describe()),
                once(step.output.map(|size| size.to_string()).join("×")),
                candidate.variant.to_string(),
                microseconds(candidate).map_or_else(|| "-".into(), |time| format!("{time:.1}")),
                candidate.nmse.map_or_else(|| "-".into(), |nmse| format!("{nmse:.1e}")),
                if candidate.fault.is_none() { "agrees" } else { "WRONG" }.to_string(),
                if chosen { "← fastest" } else { "" }.to_string(),
            ]);
            styles.push(match (chosen, &candidate.fault) {
                (_, Some(_)) => BAD,
                (true, None) => GOOD,
                (false, None) => anstyle::Style::new(),
            });
        }
    }
    for (line, style) in table(&heading, &rows).iter().zip(styles) {
        print(&format!("{style}{line}{style:#}\n"));
    }
}

fn objects(step: &StepTuning, info: &DeviceInfo) -> Vec<serde_json::Value> {
    let object = |(at, candidate): (usize, &Candidate)| {
        json!({
            "device": info.name,
            "backend": info.backend,
            "precision": info.storage.to_string(),
            "plan": step.plan,
            "step": step.step,
            "operation": step.shape.kernel.operation().describe(),
            "shape": step.output,
            "sizes": step.shape.to_string(),
            "variant": candidate.variant,
            "us": microseconds(candidate),
            "nmse": candidate.nmse,
            "passed": candidate.fault.is_none(),
            "fault": candidate.fault,
            "chosen": step.chosen == Some(at),
        })
    };
    step.candidates.iter().enumerate().map(object).collect()
}
