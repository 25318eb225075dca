//! `ecgpu verify`: compares a device with the reference.

use ecgpu::{
    Error, ErrorKind, Result, Weights,
    engine::backend::{Backend, DeviceInfo},
    engine::kernels::{Storage, VARIANT_NAMES},
    engine::network::{Folded, published},
    engine::plan::{Keep, Plan},
    engine::verify::{
        LARGEST_LOGIT_ERROR, LARGEST_LOGIT_ERROR_F16, LARGEST_NMSE, LARGEST_NMSE_F16, StageReport, verify,
    },
    train,
};
use serde_json::json;

use crate::{
    Setup,
    terminal::{BAD, FAINT, GOOD, STRONG, note, print, table},
};

/// Compare every stage on a device with the float64 reference
///
/// Runs the given weights and random networks of awkward shapes. The error of a stage is its normalised mean square
/// error, Σ(device − reference)² / Σ reference². Stages that a GPU computes in one step, such as `encoder.0 + encoder.3`,
/// are compared both separately and as one step. In f16 each stage is computed from what the device stored before it, and
/// the logits are also compared with those of the whole network in float64.
///
/// Without --weights the built-in network is compared, and the other published one with random weights.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu verify                     a real GPU where there is one, else the CPU
  ecgpu verify --device gpu:1
  ecgpu verify --device gpu --precision f16
  ecgpu verify --device gpu --variant winograd
  ecgpu verify --device gpu --training
  ecgpu verify --json | jq -c 'select(.passed | not)'

Exit code: 0 if every stage is within the bounds, 1 if one is not.")]
pub struct Arguments {
    #[command(flatten)]
    setup: Setup,
    /// Random networks to compare in addition to the given one
    #[arg(long, default_value_t = 12, value_name = "N")]
    networks: u64,
    /// Run every operation of a GPU that has a variant of this name by that variant, and replace none that is wrong
    #[arg(long, value_name = "VARIANT", value_parser = VARIANT_NAMES)]
    variant: Option<String>,
    /// Compare a training step of each objective instead: its losses, its gradient and the parameters after it
    #[arg(long, conflicts_with_all = ["weights", "networks", "precision"])]
    training: bool,
    /// Print one JSON object per stage and line
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let backend = arguments.open()?;
    let info = backend.info();
    let reports = arguments.reports(backend.as_ref())?;
    let failed = reports.iter().find(|report| !report.passed);
    if arguments.json {
        reports.iter().for_each(|report| print(&format!("{}\n", object(report, &info))));
    } else {
        print(&format!(
            "{STRONG}{}{STRONG:#} ({}) beside the float64 reference\n\n",
            info.name,
            info.backend_and_storage()
        ));
        show(&reports);
        let bounds = bounds(info.storage);
        print(&match failed {
            None => format!("\n{GOOD}All {} stages agree{GOOD:#} ({bounds}).\n", reports.len()),
            Some(first) => format!(
                "\n{BAD}Stage {} of {} is the first that diverges{BAD:#} ({bounds}).\n\
                 Update the driver, or run on another device: results from this one are wrong.\n",
                first.stage, first.network
            ),
        });
    }
    Ok(u8::from(failed.is_some()))
}

impl Arguments {
    fn open(&self) -> Result<Box<dyn Backend>> {
        let Some(variant) = &self.variant else { return self.setup.device.open_one() };
        let gpu = self.setup.device.open_gpu("--variant")?.with_variant(variant);
        for network in published::all() {
            let random = Weights::random(network, 1);
            let plan = Plan::new(&Folded::new(&random.network, &random.parameters)?, 2, 1000, Keep::Results)?;
            if gpu.has_variant(&plan, variant) {
                return Ok(Box::new(gpu));
            }
        }
        let cause = format!("{} has no variant '{variant}' of any operation", gpu.info().name);
        Err(Error::new(ErrorKind::Usage, cause, "see the variants that it has with profile --json"))
    }

    fn reports(&self, backend: &dyn Backend) -> Result<Vec<StageReport>> {
        if self.training {
            return train::verify(backend);
        }
        let weights = self.setup.weights(self.json)?;
        weights.notes.iter().for_each(|text| note(text));
        let given = Folded::new(&weights.network, &weights.parameters)?;
        let mut reports = verify(backend, &given, self.networks)?;
        let others = published::all().into_iter().filter(|network| network.name != given.network.name);
        for other in others.filter(|_| self.setup.weights.is_none()) {
            let random = Weights::random(other, 1);
            reports.extend(verify(backend, &Folded::new(&random.network, &random.parameters)?, 0)?);
        }
        Ok(reports)
    }
}

fn bounds(storage: Storage) -> String {
    if storage.is_half() {
        return format!(
            "bounds: NMSE {LARGEST_NMSE_F16:.0e} per stage alone, {LARGEST_NMSE:.0e} if it is stored in f32; logits of the \
             whole network {LARGEST_LOGIT_ERROR_F16:.0e} of the largest"
        );
    }
    format!("bounds: NMSE {LARGEST_NMSE:.0e} per stage, logits {LARGEST_LOGIT_ERROR:.0e} of the largest")
}

fn verdict(report: &StageReport) -> &'static str {
    if report.passed { "agrees" } else { "DIVERGES" }
}

fn show(reports: &[StageReport]) {
    let heading = ["network, input", "stage", "operation", "shape", "largest error", "NMSE", "at", "verdict"];
    let row = |report: &StageReport| {
        let [batch, channel, sample] = report.worst;
        vec![
            report.network.clone(),
            report.stage.clone(),
            report.operation.clone(),
            report.shape.map(|size| size.to_string()).join("×"),
            format!("{:.1e}", report.largest_error),
            format!("{:.1e}", report.nmse),
            format!("[{batch}, {channel}, {sample}]"),
            verdict(report).to_string(),
        ]
    };
    let lines = table(&heading, &reports.iter().map(row).collect::<Vec<_>>());
    let style = |at: usize| match at.checked_sub(1).map(|at| reports[at].passed) {
        None => FAINT,
        Some(true) => anstyle::Style::new(),
        Some(false) => BAD,
    };
    for (at, line) in lines.iter().enumerate() {
        let style = style(at);
        print(&format!("{style}{line}{style:#}\n"));
    }
}

fn object(report: &StageReport, info: &DeviceInfo) -> serde_json::Value {
    json!({
        "device": info.name,
        "precision": info.storage.to_string(),
        "network": report.network,
        "stage": report.stage,
        "operation": report.operation,
        "shape": report.shape,
        "largest_error": report.largest_error,
        "nmse": report.nmse,
        "worst": report.worst,
        "passed": report.passed,
    })
}
