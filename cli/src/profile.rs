//! `ecgpu profile`: times each stage of a forward pass.

use std::time::Duration;

use ecgpu::{
    Result, Weights,
    engine::backend::{
        Backend, DeviceInfo,
        gpu::{Gpu, Peak},
    },
    engine::kernels::Storage,
    engine::network::{
        Folded,
        published::{self, training_code_542k},
    },
    engine::plan::{Keep, Plan, Step},
};
use serde_json::json;

use crate::{
    DeviceOptions, SUCCESS,
    terminal::{FAINT, STRONG, bar, print, table},
};

/// Time each stage of a forward pass on a device
///
/// Prints the median over the runs. A GPU measures with its own timestamps; on the CPU the time is the mean over the
/// threads. Weights and inputs are random, as time does not depend on them.
///
/// For a GPU also the variant that runs each stage, and how much of the device the stage uses: the larger of its operations
/// as a share of what the device multiplies and adds in registers, and of its bytes as a share of what it copies. Winograd
/// variants need fewer operations than are counted and may be above 100 %.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu profile
  ecgpu profile --device gpu --network 55k --batch 32 --samples 5000
  ecgpu profile --json | jq -s 'max_by(.ms) | .stage'")]
pub struct Arguments {
    #[command(flatten)]
    device: DeviceOptions,
    /// The network
    #[arg(long, default_value = "542k", value_name = "NETWORK", value_parser = published::NAMES)]
    network: String,
    /// Records per forward pass; fewer if the device does not take as many
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Samples per lead
    #[arg(long, default_value_t = 1000, value_name = "T", value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// Measured runs, after the same number of warm-up runs
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Print one JSON object per stage and line
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let network = published::by_name(&arguments.network).unwrap_or_else(training_code_542k);
    let weights = Weights::random(network, 1);
    let folded = Folded::new(&weights.network, &weights.parameters)?;
    let gpu = arguments.device.open_one_gpu()?;
    let processor = if gpu.is_none() { Some(arguments.device.open_one()?) } else { None };
    let backend: &dyn Backend = match (&gpu, &processor) {
        (Some(gpu), _) => gpu,
        (None, Some(processor)) => processor.as_ref(),
        (None, None) => unreachable!("a processor is opened where there is no GPU"),
    };
    // A batch beyond the device's limits is refused here, with the reason.
    let one = Plan::new(&folded, 1, arguments.samples as usize, Keep::Results)?;
    let batch = (arguments.batch as usize).min(backend.largest_batch(&one)?);
    let plan = Plan::new(&folded, batch, arguments.samples as usize, Keep::Results)?;
    let profile = Profile {
        times: times(backend, &plan, arguments.runs)?,
        variants: gpu.as_ref().map(|gpu| gpu.variant_names(&plan)).transpose()?.unwrap_or_default(),
        peak: gpu.as_ref().map(Gpu::measure_peak).transpose()?,
        info: backend.info(),
        plan: &plan,
    };
    if arguments.json {
        (0..plan.steps.len()).for_each(|at| print(&format!("{}\n", profile.object(at))));
    } else {
        let [_, leads, samples] = plan.buffers[plan.input()].shape;
        print(&format!(
            "{STRONG}{}{STRONG:#} ({}), {} {batch}×{leads}×{samples}\n\n",
            profile.info.name,
            profile.info.backend_and_storage(),
            arguments.network
        ));
        profile.show();
    }
    Ok(SUCCESS)
}

/// Returns the median time of each step.
fn times(backend: &dyn Backend, plan: &Plan, count: u32) -> Result<Vec<Duration>> {
    let input: Vec<f32> = (0..plan.buffers[plan.input()].len()).map(|at| (at as f32 * 0.01).sin()).collect();
    let mut executor = backend.prepare(plan)?;
    let runs = (0..2 * count).map(|_| executor.profile(&input)).collect::<Result<Vec<_>>>()?;
    Ok(medians(&runs[count as usize..]))
}

/// Returns the median time of each step over the runs.
fn medians(runs: &[Vec<Duration>]) -> Vec<Duration> {
    let median = |step: usize| {
        let mut times: Vec<Duration> = runs.iter().map(|run| run[step]).collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    (0..runs[0].len()).map(median).collect()
}

/// The measured steps of a plan.
struct Profile<'a> {
    plan: &'a Plan,
    info: DeviceInfo,
    times: Vec<Duration>,
    /// For each step on a GPU, the variant that ran and then those that could have; none for a step that is fused.
    variants: Vec<Vec<&'static str>>,
    /// What a GPU can do.
    peak: Option<Peak>,
}

impl Profile<'_> {
    /// Returns the operations of a step, and the bytes that it must at least read and write.
    fn work(&self, step: &Step) -> [f64; 2] {
        let stored = |id| if self.plan.may_be_f16(id) { self.info.storage } else { Storage::F32 };
        let buffers = step.reads.iter().chain([&step.write]);
        let bytes: usize = buffers.map(|&id| self.plan.buffers[id].len() * stored(id).bytes()).sum();
        [step.kernel.operation().floating_point_operations() as f64, bytes as f64]
    }

    /// Returns the rates of a step: 10⁹ operations per second and 10⁹ bytes per second.
    fn rates(&self, at: usize) -> [f64; 2] {
        self.work(&self.plan.steps[at]).map(|count| count / self.times[at].as_secs_f64().max(1e-9) / 1e9)
    }

    /// Returns the share of the device that a step uses: that of its operations or that of its bytes, whichever is larger.
    fn share(&self, at: usize) -> Option<f64> {
        let peak = self.peak.filter(|_| !self.times[at].is_zero())?;
        let [gflops, gigabytes] = self.rates(at);
        Some((gflops * 1e9 / peak.operations_per_second).max(gigabytes * 1e9 / peak.bytes_per_second))
    }

    fn variant(&self, at: usize) -> Option<&'static str> {
        self.variants.get(at)?.first().copied()
    }

    fn show(&self) {
        let total: Duration = self.times.iter().sum();
        let part = |time: Duration| time.as_secs_f64() / total.as_secs_f64().max(1e-9);
        let row = |(at, step): (usize, &Step)| {
            let time = self.times[at];
            let shape = self.plan.buffers[step.write].shape.map(|size| size.to_string()).join("×");
            let what = vec![step.name.clone(), step.kernel.operation().describe(), shape];
            if time.is_zero() {
                return [what, ["", "with the one above", "", "", "", "", ""].map(String::from).to_vec()].concat();
            }
            let [gflops, gigabytes] = self.rates(at);
            let measured = vec![
                self.variant(at).unwrap_or_default().to_string(),
                format!("{:.1}", time.as_secs_f64() * 1e6),
                format!("{gflops:.1}"),
                format!("{gigabytes:.1}"),
                self.share(at).map(|share| format!("{:.0} %", share * 100.0)).unwrap_or_default(),
                format!("{:.0} %", part(time) * 100.0),
                bar(part(time)),
            ];
            [what, measured].concat()
        };
        let heading = ["stage", "operation", "output", "variant", "µs", "GFLOP/s", "GB/s", "of the device", "part", ""];
        let rows: Vec<Vec<String>> = self.plan.steps.iter().enumerate().map(row).collect();
        table(&heading, &rows).iter().for_each(|line| print(&format!("{line}\n")));
        let gflops = self.plan.floating_point_operations() as f64 / total.as_secs_f64().max(1e-9) / 1e9;
        print(&format!(
            "\n{:.1} µs in all, {gflops:.1} GFLOP/s. {FAINT}Operations of the plain sum, also where a kernel needs fewer.{FAINT:#}\n",
            total.as_secs_f64() * 1e6
        ));
        if let Some(peak) = self.peak {
            let [operations, bytes] = [peak.operations_per_second, peak.bytes_per_second].map(|rate| rate / 1e9);
            print(&format!(
                "{FAINT}Measured on the device: {operations:.0} GFLOP/s in registers, {bytes:.0} GB/s copied.{FAINT:#}\n"
            ));
        }
    }

    fn object(&self, at: usize) -> serde_json::Value {
        let step = &self.plan.steps[at];
        let [gflops, gigabytes] = self.rates(at);
        json!({
            "device": self.info.name,
            "precision": self.info.storage.to_string(),
            "stage": step.name,
            "operation": step.kernel.operation().describe(),
            "shape": self.plan.buffers[step.write].shape,
            "variant": self.variant(at),
            "other_variants": self.variants.get(at).and_then(|names| names.get(1..)).unwrap_or_default(),
            "ms": self.times[at].as_secs_f64() * 1e3,
            "gflop_per_s": gflops,
            "gb_per_s": gigabytes,
            "share_of_device": self.share(at),
            "peak_gflop_per_s": self.peak.map(|peak| peak.operations_per_second / 1e9),
            "peak_gb_per_s": self.peak.map(|peak| peak.bytes_per_second / 1e9),
        })
    }
}
