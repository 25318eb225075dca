//! `ecgpu inspect`: describes a weights file.

use std::path::PathBuf;

use ecgpu::{
    Result, Weights,
    engine::network::{Layer, NamedLayer},
};
use serde_json::json;

use crate::{
    SUCCESS,
    terminal::{FAINT, STRONG, clean, note, print, table},
    weights::open,
};

/// Show a weights file: network, layers, parameters, input contract, provenance
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu inspect model.safetensors
  ecgpu inspect                    the built-in weights")]
pub struct Arguments {
    #[arg(value_name = "FILE", help = crate::weights_help())]
    file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let weights = arguments.file.as_ref().map_or_else(Weights::built_in, |name| open(name, arguments.json))?;
    weights.notes.iter().for_each(|text| note(text));
    print(&if arguments.json { format!("{}\n", object(&weights)?) } else { text(&weights)? });
    Ok(SUCCESS)
}

/// One line of the table of layers.
struct LayerRow {
    name: String,
    operation: String,
    /// Output shape `[channels, samples]` for the contract's length.
    output: [usize; 2],
    elements: usize,
}

fn rows(weights: &Weights) -> Result<Vec<LayerRow>> {
    let shapes = weights.network.shapes(weights.contract.samples)?;
    let row = |(named, output): (&NamedLayer, [usize; 2])| LayerRow {
        name: named.name.clone(),
        operation: named.layer.to_string(),
        output,
        elements: named.layer.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum(),
    };
    Ok(weights.network.layers.iter().zip(shapes).map(row).collect())
}

/// Counts the elements that training changes: all but the running statistics.
fn trained(weights: &Weights) -> usize {
    let statistics = |layer: &Layer| if let Layer::BatchNorm { channels } = layer { 2 * channels } else { 0 };
    weights.elements() - weights.network.layers.iter().map(|named| statistics(&named.layer)).sum::<usize>()
}

fn text(weights: &Weights) -> Result<String> {
    let contract = &weights.contract;
    let mut text = format!(
        "{STRONG}Network {}{STRONG:#}, {} elements ({} trained), stored as {}, from {}\n\n",
        weights.network.name,
        weights.elements(),
        trained(weights),
        weights.stored_as,
        clean(&weights.source),
    );
    let cells = |LayerRow { name, operation, output: [channels, samples], elements }: LayerRow| {
        vec![name, operation, format!("{channels}×{samples}"), elements.to_string()]
    };
    let rows: Vec<Vec<String>> = rows(weights)?.into_iter().map(cells).collect();
    for line in table(&["layer", "operation", "output", "elements"], &rows) {
        text += &format!("{line}\n");
    }
    let names = |items: Vec<String>| items.join(" ");
    text += &format!("\n{STRONG}Input contract{STRONG:#}\n");
    for (name, value) in [
        ("leads", names(contract.leads.iter().map(ToString::to_string).collect())),
        ("sampling rate", format!("{} Hz", contract.sampling_rate)),
        ("samples", format!("{} ({} s)", contract.samples, contract.duration())),
        ("unit", contract.unit.to_string()),
        ("DC offset", contract.dc_offset.to_string()),
        ("mean", contract.mean.to_string()),
        ("standard deviation", contract.deviation.to_string()),
        ("classes", names(contract.classes.clone())),
        ("thresholds", names(contract.thresholds.iter().map(ToString::to_string).collect())),
        ("temperature", contract.temperature.to_string()),
        ("provenance", contract.provenance.clone()),
    ] {
        text += &format!("  {FAINT}{name:20}{FAINT:#}{}\n", clean(&value));
    }
    Ok(text)
}

fn object(weights: &Weights) -> Result<serde_json::Value> {
    let layer = |LayerRow { name, operation, output, elements }: LayerRow| json!({ "name": name, "operation": operation, "output": output, "elements": elements });
    let contract = &weights.contract;
    Ok(json!({
        "source": weights.source,
        "network": weights.network.name,
        "elements": weights.elements(),
        "trained": trained(weights),
        "stored_as": weights.stored_as,
        "layers": rows(weights)?.into_iter().map(layer).collect::<Vec<_>>(),
        "contract": {
            "leads": contract.leads.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "sampling_rate_hz": contract.sampling_rate,
            "samples": contract.samples,
            "unit": contract.unit.to_string(),
            "dc_offset": contract.dc_offset.to_string(),
            "mean": contract.mean,
            "std": contract.deviation,
            "classes": contract.classes,
            "thresholds": contract.thresholds,
            "temperature": contract.temperature,
            "provenance": contract.provenance,
        },
        "notes": weights.notes,
    }))
}
