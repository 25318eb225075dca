//! `ecgpu synth`: writes a synthetic ECG.

use std::path::PathBuf;

use ecgpu::{
    Result,
    ecg::{Condition, format::Writer, synthesize},
};

use crate::{SUCCESS, check_free, terminal::print};

/// Write a synthetic ECG, for tests and demonstrations
///
/// The model projects a moving dipole onto the twelve leads. The record is no patient's, and a score on it says nothing
/// about the network's accuracy.
#[derive(clap::Args)]
#[command(after_help = "\
Conditions: norm, mi (mi-inferior), mi-anterior, sttc, hyp, cd (cd-lbbb), cd-rbbb

Examples:
  ecgpu synth --condition norm --out norm.hea
  ecgpu synth --condition cd-rbbb --seed 7 --sampling-rate 100 --seconds 30 --out rbbb.hea")]
pub struct Arguments {
    /// Condition of the heart
    #[arg(long, default_value = "norm")]
    condition: Condition,
    /// Seed of heart rate, amplitudes, rotation and noise
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Sampling rate in Hz
    #[arg(long, default_value_t = 500.0, value_name = "HZ", allow_negative_numbers = true)]
    sampling_rate: f64,
    /// Length in seconds
    #[arg(long, default_value_t = 10.0, allow_negative_numbers = true)]
    seconds: f64,
    /// The file to write, in the format of its extension; the samples of a WFDB header are written beside it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let Arguments { condition, seed, out, .. } = arguments;
    let writer = Writer::of(out)?;
    check_free(&writer.files(out).iter().map(PathBuf::as_path).collect::<Vec<_>>(), arguments.force)?;
    let recording = synthesize(*condition, *seed, arguments.sampling_rate, arguments.seconds)?;
    let comment = format!("synthetic ECG, condition {condition}, seed {seed}: not a recording of anyone");
    writer.write(&recording, out, &[comment])?;
    let (seconds, rate) = (recording.duration(), recording.sampling_rate());
    print(&format!("{}: synthetic ECG, {condition}, {seconds:.1} s at {rate} Hz\n", out.display()));
    Ok(SUCCESS)
}
