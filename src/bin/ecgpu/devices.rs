//! `ecgpu devices`: what there is to run on.

use std::process::ExitCode;

use ecgpu::{
    Result,
    backend::{
        self, Device,
        gpu::{Adapter, adapters},
    },
};
use serde_json::{Value, json};

use crate::terminal::{FAINT, STRONG, note, print};

/// List every device: GPUs with their backend, driver, limits and features, the CPU, the reference
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu devices
  ecgpu devices --json | jq -r 'select(.type == \"discrete\") | .device'")]
pub struct Arguments {
    /// One JSON object a device and line
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let adapters = adapters();
    for adapter in &adapters {
        print(&if arguments.json { format!("{}\n", object(adapter)) } else { text(adapter) });
    }
    for device in [Device::Cpu, Device::Reference] {
        let info = backend::open(&device, None)?.info();
        let device = device.to_string();
        print(&if arguments.json {
            format!("{}\n", json!({ "device": device, "name": info.name, "backend": info.backend, "type": device }))
        } else {
            format!("{STRONG}{device}{STRONG:#}  {}\n", info.name)
        });
    }
    if adapters.is_empty() && !arguments.json {
        note("no GPU: no Vulkan, Metal or DX12 driver offers an adapter");
    }
    Ok(ExitCode::SUCCESS)
}

/// The limits that bound a shape, under WebGPU's names; sizes are in bytes.
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

fn object(adapter: &Adapter) -> Value {
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
        "type": adapter.kind(),
        "subgroup_sizes": [info.subgroup_min_size, info.subgroup_max_size],
        "limits": limits,
        "features": features,
    })
}

fn text(adapter: &Adapter) -> String {
    let info = adapter.info();
    let line = |name: &str, value: String| format!("  {FAINT}{name:40}{FAINT:#}{value}\n");
    let mut text = format!("{STRONG}gpu:{}{STRONG:#}  {}\n", adapter.index, info.name);
    text += &line("backend", adapter.backend());
    text += &line("driver", format!("{} {}", info.driver, info.driver_info));
    let only_when_asked = if adapter.is_software() { ": runs on the CPU, used only when asked for" } else { "" };
    text += &line("type", format!("{}{only_when_asked}", adapter.kind()));
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
