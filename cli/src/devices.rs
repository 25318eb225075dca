//! `ecgpu devices`: lists the devices of the machine, and measures them.

use std::time::Duration;

use ecgpu::{
    Classifier, Result, Weights,
    engine::backend::{
        self, Device,
        gpu::{Adapter, adapter_of_auto, adapters, variables},
    },
    engine::network::published::training_code_542k,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::{
    bench::{self, Times, milliseconds},
    terminal::{FAINT, STRONG, note, print, report, table},
};

/// Batch sizes that are measured.
const BATCHES: [usize; 4] = [1, 8, 32, 128];
/// Ten seconds at the built-in network's rate.
const SAMPLES: usize = 1000;
/// How long a batch size is measured, after half a second of warm-up: 3 s per device, and a few seconds more where one
/// run takes long.
const TIME: Duration = Duration::from_millis(250);
/// A batch size is skipped if one run is expected to take longer than this.
const LONGEST_RUN: Duration = Duration::from_secs(2);

/// List every device: GPUs with their backend, driver, limits and features, the CPU, the reference
///
/// With --measure also how long a forward pass of network 542k takes on each for 1, 8, 32 and 128 recordings of ten
/// seconds, from the host's array to the logits on the host. It takes 3 to 10 seconds per device; a batch that would take
/// more than 2 seconds per run is skipped.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu devices
  ecgpu devices --measure                        which device is the fastest for which batch
  ecgpu devices --json | jq -r 'select(.type == \"discrete\") | .device'")]
pub struct Arguments {
    /// Time each device but the reference at batches of 1 to 128
    #[arg(long)]
    measure: bool,
    /// Print one JSON object per device and line
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let mut listed: Vec<Listed> = {
        let auto = adapter_of_auto();
        adapters().iter().map(|adapter| Listed::gpu(adapter, auto == Some(adapter.index))).collect()
    };
    if listed.is_empty() && !arguments.json {
        note("no GPU: no Vulkan, Metal or DX12 driver offers an adapter");
    }
    if !arguments.json {
        variables().iter().for_each(|(name, value)| note(&format!("{name}={value} is set")));
    }
    listed.extend([Listed::processor(Device::Cpu)?, Listed::processor(Device::Reference)?]);
    if !arguments.json {
        listed.iter().for_each(|one| print(&one.text));
    }
    let failed = arguments.measure && measure(&mut listed);
    match (arguments.json, arguments.measure) {
        (true, _) => (0..listed.len()).for_each(|at| print(&format!("{}\n", object(&listed, at)))),
        (false, true) => show(&listed),
        (false, false) => (),
    }
    Ok(u8::from(failed))
}

/// A device, described for a program and for a person.
struct Listed {
    device: Device,
    name: String,
    object: Value,
    text: String,
    /// Times of the batch sizes, in order, as far as they were measured.
    times: Vec<Times>,
}

impl Listed {
    fn gpu(adapter: &Adapter, auto: bool) -> Self {
        let (device, name) = (Device::GpuIndex(adapter.index), adapter.info().name);
        let (object, text) = (adapter_object(adapter, auto), adapter_text(adapter, auto));
        Self { device, name, object, text, times: Vec::new() }
    }

    fn processor(device: Device) -> Result<Self> {
        let info = backend::open(&device, None)?.info();
        let object = json!({ "device": device.to_string(), "name": info.name, "backend": info.backend, "type": device.to_string() });
        let text = format!("{STRONG}{device}{STRONG:#}  {}\n", info.name);
        Ok(Self { device, name: info.name, object, text, times: Vec::new() })
    }

    fn measure(&mut self, progress: &ProgressBar) -> Result<()> {
        let classifier = Classifier::open(Weights::random(training_code_542k(), 1), self.device.clone())?;
        for batch in BATCHES {
            let per_record = self.times.last().map(|times| times.median / BATCHES[self.times.len() - 1] as u32);
            if per_record.is_some_and(|time| time * batch as u32 > LONGEST_RUN) {
                break;
            }
            self.times.push(bench::measure(&classifier, batch, SAMPLES, TIME)?);
            progress.inc(1);
        }
        Ok(())
    }
}

/// Measures every device but the reference, and returns whether one failed.
fn measure(listed: &mut [Listed]) -> bool {
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} measurements, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let points = BATCHES.len() * (listed.len() - 1);
    let progress = ProgressBar::with_draw_target(Some(points as u64), ProgressDrawTarget::stderr()).with_style(style);
    let mut failed = false;
    for one in listed.iter_mut().filter(|one| !matches!(one.device, Device::Reference)) {
        if let Err(error) = one.measure(&progress) {
            failed = true;
            progress.suspend(|| report(&error.at(&one.name)));
        }
    }
    progress.finish_and_clear();
    failed
}

/// Returns the fastest device for a batch size, if one was measured.
fn fastest(listed: &[Listed], batch: usize) -> Option<usize> {
    let medians = listed.iter().map(|one| one.times.get(batch).map(|times| times.median));
    let measured = medians.enumerate().filter_map(|(at, median)| Some((median?, at)));
    measured.min().map(|(_, at)| at)
}

/// Prints the times of each device, with the fastest of each batch size marked.
fn show(listed: &[Listed]) {
    let cell = |at: usize, batch: usize| match listed[at].times.get(batch) {
        None => "-".to_string(),
        Some(times) => {
            let mark = if fastest(listed, batch) == Some(at) { " ●" } else { "" };
            format!("{:.2} ms{mark}", milliseconds(times.median))
        }
    };
    let row = |(at, one): (usize, &Listed)| {
        let cells = (0..BATCHES.len()).map(|batch| cell(at, batch));
        [one.device.to_string(), one.name.clone()].into_iter().chain(cells).collect()
    };
    let measured = listed.iter().enumerate().filter(|(_, one)| !matches!(one.device, Device::Reference));
    let rows: Vec<Vec<String>> = measured.map(row).collect();
    let batches = BATCHES.map(|batch| if batch == 1 { "1 record".to_string() } else { format!("{batch} records") });
    let heading: Vec<&str> = ["device", ""].into_iter().chain(batches.iter().map(String::as_str)).collect();
    print("\n");
    table(&heading, &rows).iter().for_each(|line| print(&format!("{line}\n")));
    print(&format!(
        "\n● the fastest. {FAINT}Medians, network 542k, 12×{SAMPLES}, from the host's array to the logits on the host.\n\
         auto measures anew for each shape that it runs, and takes no software adapter.{FAINT:#}\n"
    ));
}

/// Describes a device as JSON, with its measured times.
fn object(listed: &[Listed], at: usize) -> Value {
    let mut object = listed[at].object.clone();
    let point = |(batch, times): (usize, &Times)| {
        json!({
            "network": "542k",
            "batch": BATCHES[batch],
            "samples": SAMPLES,
            "median_ms": milliseconds(times.median),
            "records_per_s": times.records_a_second(BATCHES[batch]),
            "fastest": fastest(listed, batch) == Some(at),
        })
    };
    if !listed[at].times.is_empty() {
        object["measured"] = listed[at].times.iter().enumerate().map(point).collect();
    }
    object
}

/// Returns the limits that bound a shape, by WebGPU's names. Sizes are in bytes.
fn limits(adapter: &Adapter) -> [(&'static str, u64); 5] {
    let limits = adapter.limits();
    [
        ("max_buffer_size", limits.max_buffer_size),
        ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size),
        ("max_compute_workgroups_per_dimension", limits.max_compute_workgroups_per_dimension.into()),
        ("max_compute_invocations_per_workgroup", limits.max_compute_invocations_per_workgroup.into()),
        ("max_compute_workgroup_storage_size", limits.max_compute_workgroup_storage_size.into()),
    ]
}

fn adapter_object(adapter: &Adapter, auto: bool) -> Value {
    let info = adapter.info();
    let limits: serde_json::Map<_, _> =
        limits(adapter).map(|(name, value)| (name.to_string(), json!(value))).into_iter().collect();
    let features: serde_json::Map<_, _> =
        adapter.features().into_iter().map(|(name, has)| (name.to_string(), json!(has))).collect();
    json!({
        "device": format!("gpu:{}", adapter.index),
        "name": info.name,
        "backend": adapter.backend(),
        "driver": info.driver,
        "driver_info": info.driver_info,
        "shader_compiler": adapter.shader_compiler(),
        "type": adapter.kind(),
        "auto": auto,
        "conformant": adapter.conformant,
        "subgroup_sizes": [info.subgroup_min_size, info.subgroup_max_size],
        "limits": limits,
        "features": features,
    })
}

fn adapter_text(adapter: &Adapter, auto: bool) -> String {
    let info = adapter.info();
    let line = |name: &str, value: String| format!("  {FAINT}{name:40}{FAINT:#}{value}\n");
    let mut text = format!("{STRONG}gpu:{}{STRONG:#}  {}\n", adapter.index, info.name);
    text += &line("backend", adapter.backend());
    text += &line("driver", format!("{} {}", info.driver, info.driver_info));
    if let Some(compiler) = adapter.shader_compiler() {
        text += &line("shader compiler", compiler);
    }
    if !adapter.conformant {
        text += &line("conformant", "no: the driver does not claim it, run ecgpu verify".into());
    }
    let used = match (adapter.is_software(), auto) {
        (true, _) => ": runs on the CPU, used only when asked for",
        (false, true) => ": the one that auto takes",
        (false, false) => "",
    };
    text += &line("type", format!("{}{used}", adapter.kind()));
    text += &line("subgroup sizes", format!("{} to {}", info.subgroup_min_size, info.subgroup_max_size));
    for (name, value) in limits(adapter) {
        text += &line(name, value.to_string());
    }
    for (name, has) in adapter.features() {
        let without = if name == "shader_f16" { "no: --precision f16 packs pairs into 32 bits" } else { "no" };
        text += &line(name, if has { "yes" } else { without }.into());
    }
    text
}
