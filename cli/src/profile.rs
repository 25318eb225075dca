//! `ecgpu profile`: times each stage of a forward pass.

use std::{process::ExitCode, time::Duration};

use ecgpu::{
    Result, Weights,
    engine::backend::DeviceInfo,
    engine::kernels::Storage,
    engine::network::{
        Folded,
        published::{self, training_code_542k},
    },
    engine::plan::{Keep, Plan, Step},
};
use serde_json::json;

use crate::{
    DeviceOptions,
    terminal::{FAINT, STRONG, bar, print, table},
};

/// Time each stage of a forward pass on a device
///
/// Prints the median over the runs. A GPU measures with its own timestamps; on the CPU the time is the mean over the
/// threads. Weights and inputs are random, as time does not depend on them.
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

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let network = published::by_name(&arguments.network).unwrap_or_else(training_code_542k);
    let weights = Weights::random(network, 1);
    let folded = Folded::new(&weights.network, &weights.parameters)?;
    let backend = arguments.device.open_one()?;
    // A batch beyond the device's limits is refused here, with the reason.
    let one = Plan::new(&folded, 1, arguments.samples as usize, Keep::Results)?;
    let batch = (arguments.batch as usize).min(backend.largest_batch(&one)?);
    let plan = Plan::new(&folded, batch, arguments.samples as usize, Keep::Results)?;
    let input: Vec<f32> = (0..plan.buffers[plan.input()].len()).map(|at| (at as f32 * 0.01).sin()).collect();
    let mut executor = backend.prepare(&plan)?;
    let mut runs = Vec::new();
    for _ in 0..2 * arguments.runs {
        runs.push(executor.profile(&input)?);
    }
    let medians = medians(&runs[arguments.runs as usize..]);
    let info = backend.info();
    if arguments.json {
        for (step, &time) in plan.steps.iter().zip(&medians) {
            print(&format!("{}\n", object(&plan, step, time, &info)));
        }
    } else {
        let [_, leads, samples] = plan.buffers[plan.input()].shape;
        print(&format!(
            "{STRONG}{}{STRONG:#} ({}), {} {batch}×{leads}×{samples}\n\n",
            info.name,
            info.backend_and_storage(),
            arguments.network
        ));
        show(&plan, &medians, info.storage);
    }
    Ok(ExitCode::SUCCESS)
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

/// Returns the rates of a step: 10⁹ operations per second, and 10⁹ bytes per second that it must at least read and write.
fn rates(plan: &Plan, step: &Step, time: Duration, storage: Storage) -> [f64; 2] {
    let stored = |id| if plan.may_be_f16(id) { storage } else { Storage::F32 };
    let buffers = step.reads.iter().chain([&step.write]);
    let bytes: usize = buffers.map(|&id| plan.buffers[id].len() * stored(id).bytes()).sum();
    let operations = step.kernel.operation().floating_point_operations();
    [operations, bytes].map(|count| count as f64 / time.as_secs_f64().max(1e-9) / 1e9)
}

fn show(plan: &Plan, times: &[Duration], storage: Storage) {
    let total: Duration = times.iter().sum();
    let part = |time: Duration| time.as_secs_f64() / total.as_secs_f64().max(1e-9);
    let row = |(step, &time): (&Step, &Duration)| {
        let shape = plan.buffers[step.write].shape.map(|size| size.to_string()).join("×");
        let what = vec![step.name.clone(), step.kernel.operation().describe(), shape];
        if time.is_zero() {
            let with = ["with the one above", "", "", "", ""].map(String::from);
            return [what, with.to_vec()].concat();
        }
        let [gflops, gigabytes] = rates(plan, step, time, storage);
        let measured = vec![
            format!("{:.1}", time.as_secs_f64() * 1e6),
            format!("{gflops:.1}"),
            format!("{gigabytes:.1}"),
            format!("{:.0} %", part(time) * 100.0),
            bar(part(time)),
        ];
        [what, measured].concat()
    };
    let heading = ["stage", "operation", "output", "µs", "GFLOP/s", "GB/s", "part", ""];
    let rows: Vec<Vec<String>> = plan.steps.iter().zip(times).map(row).collect();
    table(&heading, &rows).iter().for_each(|line| print(&format!("{line}\n")));
    let gflops = plan.floating_point_operations() as f64 / total.as_secs_f64().max(1e-9) / 1e9;
    print(&format!(
        "\n{:.1} µs in all, {gflops:.1} GFLOP/s. {FAINT}Operations of the plain sum, also where a kernel needs fewer.{FAINT:#}\n",
        total.as_secs_f64() * 1e6
    ));
}

fn object(plan: &Plan, step: &Step, time: Duration, info: &DeviceInfo) -> serde_json::Value {
    let [gflops, gigabytes] = rates(plan, step, time, info.storage);
    json!({
        "device": info.name,
        "precision": info.storage.to_string(),
        "stage": step.name,
        "operation": step.kernel.operation().describe(),
        "shape": plan.buffers[step.write].shape,
        "ms": time.as_secs_f64() * 1e3,
        "gflop_per_s": gflops,
        "gb_per_s": gigabytes,
    })
}
