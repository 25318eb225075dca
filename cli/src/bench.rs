//! `ecgpu bench`: times forward passes.

use std::time::{Duration, Instant};

use ecgpu::{
    Classifier, Error, ErrorKind, Result, Weights,
    engine::network::{Network, published},
    engine::plan::{Keep, Plan},
};
use serde_json::json;

use crate::{
    DeviceOptions, SUCCESS,
    terminal::{FAINT, STRONG, print, table},
};

/// Time forward passes, from the host's array to the logits on the host
///
/// Weights and inputs are random, as time does not depend on them. Every case first runs for half a second of warm-up,
/// which compiles its shaders.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu bench                                   both networks, 10 s at 100 Hz and at 500 Hz
  ecgpu bench --device gpu:0 --batch 128 --samples 1000 --network 542k
  ecgpu bench --device cpu --threads 1
  ecgpu bench --json >> times.jsonl")]
pub struct Arguments {
    #[command(flatten)]
    device: DeviceOptions,
    /// The network; all of them if absent
    #[arg(long, value_name = "NETWORK", value_parser = published::NAMES)]
    network: Option<String>,
    /// Records per forward pass
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Samples per lead; 1000 and 5000 if absent
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u32).range(1..))]
    samples: Option<u32>,
    /// Seconds that each case is measured, first one pass at a time, then streamed
    #[arg(long, default_value = "2", value_name = "SECONDS", value_parser = seconds)]
    seconds: Duration,
    /// Print one JSON object per case and line
    #[arg(long)]
    json: bool,
}

/// The times of one case.
pub struct Times {
    network: String,
    samples: usize,
    runs: usize,
    pub median: Duration,
    percentile_95: Duration,
    /// From one streamed forward pass to the next.
    streamed: Duration,
    floating_point_operations: u64,
}

/// Reads a number of seconds above zero.
fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let time = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| !time.is_zero()).ok_or_else(|| "give seconds above 0".into())
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let lengths = arguments.samples.map_or_else(|| vec![1000, 5000], |samples| vec![samples as usize]);
    let batch = arguments.batch as usize;
    let mut rows = Vec::new();
    let mut device = None;
    let chosen = |network: &Network| arguments.network.as_ref().is_none_or(|name| *name == network.name);
    for network in published::all().into_iter().filter(chosen) {
        let classifier = Classifier::on(Weights::random(network, 1), arguments.device.open_one()?)?;
        let info = device.insert(classifier.device());
        for &samples in &lengths {
            let times = measure(&classifier, batch, samples, arguments.seconds)?;
            if arguments.json {
                let object = json!({
                    "network": times.network, "batch": batch, "samples": samples,
                    "device": info.name, "backend": info.backend,
                    "precision": info.storage.to_string(), "runs": times.runs,
                    "median_ms": milliseconds(times.median), "p95_ms": milliseconds(times.percentile_95),
                    "records_per_s": times.records_a_second(batch), "gflop_per_s": times.gflops(),
                    "streamed_records_per_s": times.streamed_records_a_second(batch),
                });
                print(&format!("{object}\n"));
            }
            rows.push(times.row(batch));
        }
    }
    if let (Some(info), false) = (device, arguments.json) {
        print(&format!("{STRONG}{}{STRONG:#} ({})\n\n", info.name, info.backend_and_storage()));
        let heading =
            ["network", "input", "median, ms", "95th percentile, ms", "records/s", "GFLOP/s", "streamed, records/s"];
        table(&heading, &rows).iter().for_each(|line| print(&format!("{line}\n")));
        print(&format!(
            "\n{FAINT}From the host's array to the logits on the host; streamed: many in a row, each uploaded while the last is computed.{FAINT:#}\n"
        ));
    }
    Ok(SUCCESS)
}

/// Times runs for the given time, at least one, after half a second of warm-up.
///
/// # Errors
/// The device cannot run the network at this length, or fails.
pub fn measure(classifier: &Classifier, batch: usize, samples: usize, time: Duration) -> Result<Times> {
    let leads = classifier.folded().network.in_channels();
    let input = input(batch, leads, samples)?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(500) {
        classifier.run(&input, batch, samples)?;
    }
    let (begin, mut times) = (Instant::now(), Vec::new());
    while begin.elapsed() < time || times.is_empty() {
        let run = Instant::now();
        classifier.run(&input, batch, samples)?;
        times.push(run.elapsed());
    }
    times.sort_unstable();
    let streamed = stream(classifier, &input, batch, samples, time)?;
    let plan = Plan::new(classifier.folded(), batch, samples, Keep::Results)?;
    Ok(Times {
        network: classifier.folded().network.name.clone(),
        samples,
        runs: times.len(),
        median: times[times.len() / 2],
        percentile_95: times[times.len() * 95 / 100],
        streamed,
        floating_point_operations: plan.floating_point_operations(),
    })
}

/// Makes an input `[batch, leads, samples]`.
fn input(batch: usize, leads: usize, samples: usize) -> Result<Vec<f32>> {
    let mut input = Vec::new();
    let size = batch.checked_mul(leads).and_then(|rows| rows.checked_mul(samples)).unwrap_or(usize::MAX);
    input.try_reserve_exact(size).map_err(|error| {
        let cause = format!("no memory for an input of {batch} × {leads} × {samples} numbers");
        Error::new(ErrorKind::Usage, cause, "give a smaller --batch or fewer --samples").with_source(error)
    })?;
    input.extend((0..size).map(|at| (at as f32 * 0.01).sin()));
    Ok(input)
}

/// Returns the median time from one streamed forward pass to the next. The host prepares one while the device computes
/// another.
fn stream(classifier: &Classifier, input: &[f32], batch: usize, samples: usize, time: Duration) -> Result<Duration> {
    let mut asked = vec![Instant::now()];
    let inputs = std::iter::from_fn(|| {
        asked.push(Instant::now());
        // The stream takes the first input before anything runs.
        (asked.len() < 4 || asked[0].elapsed() < time).then_some(input)
    });
    classifier.run_many(inputs, batch, samples)?;
    let mut times: Vec<Duration> = asked[1..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

impl Times {
    pub fn records_a_second(&self, batch: usize) -> f64 {
        batch as f64 / self.median.as_secs_f64()
    }

    fn streamed_records_a_second(&self, batch: usize) -> f64 {
        batch as f64 / self.streamed.as_secs_f64()
    }

    fn gflops(&self) -> f64 {
        self.floating_point_operations as f64 / self.median.as_secs_f64() / 1e9
    }

    fn row(&self, batch: usize) -> Vec<String> {
        vec![
            self.network.clone(),
            format!("{batch}×12×{}", self.samples),
            format!("{:.3}", milliseconds(self.median)),
            format!("{:.3}", milliseconds(self.percentile_95)),
            format!("{:.0}", self.records_a_second(batch)),
            format!("{:.1}", self.gflops()),
            format!("{:.0}", self.streamed_records_a_second(batch)),
        ]
    }
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
