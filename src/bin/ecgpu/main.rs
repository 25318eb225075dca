//! The command line: one file a command.

mod augment;
mod bench;
mod classify;
mod dataset;
mod devices;
mod download;
mod inspect;
mod profile;
mod synth;
mod terminal;
mod train;
mod tune;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ecgpu::{
    Device, Error, ErrorKind, Result, Weights,
    backend::{self, Backend, gpu::Tuning},
};

/// Classifies 12-lead ECGs on any GPU with hand-written compute shaders.
///
/// For research; not a medical device.
#[derive(Parser)]
#[command(name = "ecgpu", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Classify(classify::Arguments),
    Devices(devices::Arguments),
    Verify(verify::Arguments),
    Bench(bench::Arguments),
    Profile(profile::Arguments),
    Tune(tune::Arguments),
    Inspect(inspect::Arguments),
    Synth(synth::Arguments),
    Dataset(dataset::Arguments),
    Download(download::Arguments),
    Pretrain(train::Pretrain),
    Train(train::Train),
    Finetune(train::Finetune),
    Augment(augment::Arguments),
}

/// Where to run and what.
#[derive(clap::Args)]
struct Setup {
    #[command(flatten)]
    place: Place,
    /// A safetensors file of network 542k or 55k; the built-in weights if absent
    #[arg(long, value_name = "FILE")]
    weights: Option<std::path::PathBuf>,
}

/// Where to run.
#[derive(clap::Args)]
struct Place {
    /// auto (a real GPU, else the CPU), gpu, gpu:N, a part of a GPU's name, cpu, or reference (float64)
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: Device,
    /// Threads that compute on the CPU; all there are if absent
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// The kernels that `ecgpu tune` chose for the GPU
    #[arg(long, value_name = "FILE")]
    tuning: Option<std::path::PathBuf>,
}

impl Place {
    fn open(&self) -> Result<Box<dyn Backend>> {
        let Some(path) = &self.tuning else { return backend::open(&self.device, self.threads) };
        let tuning = Tuning::from_path(path)?;
        let gpu = backend::open_gpu(&self.device)?.ok_or_else(|| {
            let cause = format!("--device {} takes no GPU here, and --tuning is for a GPU", self.device);
            Error::new(ErrorKind::Usage, cause, "give --device gpu, or leave --tuning out")
        })?;
        let gpu = gpu.with_tuning(tuning).map_err(|error| error.at(path.display()))?;
        Ok(Box::new(gpu))
    }
}

impl Setup {
    fn weights(&self) -> Result<Weights> {
        self.weights.as_ref().map_or_else(Weights::built_in, Weights::from_path)
    }
}

/// Mesa's layer that sorts devices asks Wayland for the display's one, and libwayland complains on standard error where
/// there is no session, as in a container or over ssh. Devices are chosen here by type, so the layer is not needed then.
fn silence_device_selection() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: the first call in `main`, when no other thread is there to read the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

fn main() -> ExitCode {
    silence_device_selection();
    let outcome = match Arguments::parse().command {
        Command::Classify(arguments) => classify::run(&arguments),
        Command::Devices(arguments) => devices::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Profile(arguments) => profile::run(&arguments),
        Command::Tune(arguments) => tune::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Synth(arguments) => synth::run(&arguments),
        Command::Dataset(arguments) => dataset::run(&arguments),
        Command::Download(arguments) => download::run(&arguments),
        Command::Pretrain(arguments) => train::pretrain(&arguments),
        Command::Train(arguments) => train::train(&arguments),
        Command::Finetune(arguments) => train::finetune(&arguments),
        Command::Augment(arguments) => augment::run(&arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            terminal::report(&error);
            exit_code(&error)
        }
    }
}

/// Refuses to write over what is there, unless that was asked for.
fn check_free(paths: &[&std::path::Path], force: bool) -> Result<()> {
    match paths.iter().find(|path| path.exists()) {
        Some(there) if !force => {
            let cause = format!("{} is there already", there.display());
            Err(Error::new(ErrorKind::Usage, cause, "choose another name, or add --force"))
        }
        _ => Ok(()),
    }
}

/// 2 for a request that makes no sense, as clap has it; 1 for everything else.
fn exit_code(error: &Error) -> ExitCode {
    ExitCode::from(if error.kind() == ErrorKind::Usage { 2 } else { 1 })
}
