//! `ecgpu export`: weights in formats of other programs.

mod onnx;

use std::path::{Path, PathBuf};

use ecgpu::{Error, ErrorKind, Result, engine::files};

use crate::{
    SUCCESS, check_free,
    terminal::{GOOD, clean, note, print},
    weights, weights_to_choose,
};

/// Write weights in the formats of other programs
///
/// ONNX of opset 17, with the batch, the number of samples and the network's own input [batch, leads, samples] free: for ONNX
/// Runtime and whatever else reads ONNX. Or safetensors in F16, of half the size. Both state the input contract.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("format").required(true).multiple(true))]
#[command(after_help = "\
Examples:
  ecgpu export model.safetensors --onnx model.onnx
  ecgpu export 542k --f16 half.safetensors")]
pub struct Arguments {
    #[arg(value_name = "WEIGHTS", help = weights_to_choose())]
    weights: PathBuf,
    /// The ONNX file to write
    #[arg(long, value_name = "FILE.onnx", group = "format")]
    onnx: Option<PathBuf>,
    /// The safetensors file in F16 to write
    #[arg(long, value_name = "FILE.safetensors", group = "format")]
    f16: Option<PathBuf>,
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let outputs: Vec<&Path> = arguments.onnx.iter().chain(&arguments.f16).map(PathBuf::as_path).collect();
    if arguments.onnx.is_some() && arguments.onnx == arguments.f16 {
        let cause = "--onnx and --f16 name the same file";
        return Err(Error::new(ErrorKind::Usage, cause, "give each a file of its own"));
    }
    check_free(&outputs, arguments.force)?;
    let weights = weights::open(&arguments.weights, false)?;
    weights.notes.iter().for_each(|text| note(text));
    let mut written = Vec::new();
    if let Some(path) = &arguments.onnx {
        written.push((path, onnx::bytes(&weights)?));
    }
    if let Some(path) = &arguments.f16 {
        written.push((path, weights.to_f16_bytes()?));
    }
    for (path, bytes) in written {
        files::write(path, &bytes)?;
        print(&format!("{GOOD}{}{GOOD:#}, {} bytes\n", clean(&path.display().to_string()), bytes.len()));
    }
    Ok(SUCCESS)
}
