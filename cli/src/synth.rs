//! `ecgpu synth`: a synthetic ECG as a WFDB record.

use std::{path::PathBuf, process::ExitCode};

use ecgpu::{
    Result,
    ecg::{Condition, format, synthesize},
};

use crate::{check_free, terminal::print};

/// Write a synthetic ECG as a WFDB record, for tests and demonstrations
///
/// A moving dipole projected onto the twelve leads. Nothing it gives is a patient's, and no score on it says how well
/// the network does on one.
#[derive(clap::Args)]
#[command(after_help = "\
Conditions: norm, mi (mi-inferior), mi-anterior, sttc, hyp, cd (cd-lbbb), cd-rbbb

Examples:
  ecgpu synth --condition norm --out norm.hea
  ecgpu synth --condition cd-rbbb --seed 7 --sampling-rate 100 --seconds 30 --out rbbb.hea")]
pub struct Arguments {
    /// What the heart has
    #[arg(long, default_value = "norm")]
    condition: Condition,
    /// Heart rate, amplitudes, rotation and noise follow from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Samples a second
    #[arg(long, default_value_t = 500.0, value_name = "HZ", allow_negative_numbers = true)]
    sampling_rate: f64,
    /// How long it lasts
    #[arg(long, default_value_t = 10.0, allow_negative_numbers = true)]
    seconds: f64,
    /// The header to write; the samples go beside it
    #[arg(long, value_name = "FILE.hea")]
    out: PathBuf,
    /// Write over files that are there
    #[arg(long)]
    force: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { condition, seed, out, .. } = arguments;
    check_free(&[out, &out.with_extension("dat")], arguments.force)?;
    let recording = synthesize(*condition, *seed, arguments.sampling_rate, arguments.seconds)?;
    let comment = format!("synthetic ECG, condition {condition}, seed {seed}: not a recording of anyone");
    format::write_wfdb(&recording, out, &[comment])?;
    let (seconds, rate) = (recording.duration(), recording.sampling_rate());
    print(&format!("{}: synthetic ECG, {condition}, {seconds:.1} s at {rate} Hz\n", out.display()));
    Ok(ExitCode::SUCCESS)
}
