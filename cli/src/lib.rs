//! The command line of ecgpu: one file per command. It is a library, so that `python -m ecgpu` has the same commands as the
//! program.

mod augment;
mod bench;
mod calibrate;
mod card;
mod classify;
mod convert;
mod dataset;
mod devices;
mod doctor;
mod download;
mod evaluate;
mod explain;
mod export;
mod hint;
mod input;
mod inspect;
mod interrupt;
mod logger;
mod plot;
mod predictions;
mod profile;
mod program;
mod reproduce;
mod run_display;
mod score;
#[cfg(feature = "serve")]
mod serve;
mod synth;
mod terminal;
mod train;
mod tune;
mod verify;
mod weights;

use std::ffi::OsString;

use clap::{Parser, Subcommand};
use ecgpu::{
    Device, Error, ErrorKind, Result, Weights,
    engine::backend::{
        self, Backend, Precision,
        gpu::{Gpu, Tuning},
    },
    engine::network::{WEIGHTS, published},
};
pub use program::Program;

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
    Score(score::Arguments),
    #[cfg(feature = "serve")]
    Serve(Box<serve::Arguments>),
    Devices(devices::Arguments),
    Doctor(doctor::Arguments),
    Verify(verify::Arguments),
    Bench(bench::Arguments),
    Profile(profile::Arguments),
    Tune(tune::Arguments),
    Inspect(inspect::Arguments),
    Synth(synth::Arguments),
    Explain(explain::Arguments),
    Export(export::Arguments),
    Card(card::Arguments),
    Plot(plot::Arguments),
    Convert(convert::Arguments),
    Dataset(dataset::Arguments),
    Download(download::Arguments),
    Pretrain(train::Pretrain),
    Train(train::Train),
    Finetune(train::Finetune),
    Evaluate(Box<evaluate::Arguments>),
    Calibrate(Box<calibrate::Arguments>),
    Reproduce(reproduce::Arguments),
    Augment(Box<augment::Arguments>),
}

/// Options for commands that take weights and a device.
#[derive(clap::Args)]
struct Setup {
    #[command(flatten)]
    device: DeviceOptions,
    #[arg(long, value_name = "FILE", help = weights_help())]
    weights: Option<std::path::PathBuf>,
}

/// Returns the help of an option that takes a weights file.
fn weights_help() -> String {
    format!("{}. {} if absent", weights_to_choose(), WEIGHTS[0])
}

/// Says which weights a user can name.
fn weights_to_choose() -> String {
    format!(
        "A safetensors file of network {}, hf:OWNER/NAME[@REVISION][/FILE] on the Hugging Face Hub, or the name of weights \
         that come with the program: {}",
        published::NAMES.join(" or "),
        WEIGHTS.join(", ")
    )
}

/// Options that choose the device.
#[derive(Clone, clap::Args)]
struct DeviceOptions {
    /// auto (a real GPU where there is one, else the CPU), gpu, gpu:N, a part of a GPU's name, cpu, or reference (float64)
    ///
    /// With auto, classify starts on the CPU and changes to the GPU for every shape that it measures to be faster there. The
    /// last bits of its results may therefore differ from run to run. Any other device gives the same bits each time.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: Device,
    /// Threads that compute on the CPU; one per core if absent
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// How a GPU stores weights and activations: f32 or f16. Sums are in f32 either way
    #[arg(long, default_value = "f32", value_name = "PRECISION")]
    precision: Precision,
    /// The kernels that `ecgpu tune` chose for the GPU
    #[arg(long, value_name = "FILE")]
    tuning: Option<std::path::PathBuf>,
    /// A file that keeps the GPU's compiled pipelines for the next start; created if absent
    #[arg(long, value_name = "FILE")]
    pipeline_cache: Option<std::path::PathBuf>,
}

/// Opens the GPU that an option asks for, in the given precision.
fn open_gpu(device: &Device, precision: Precision, option: &str) -> Result<Gpu> {
    let gpu = backend::gpu::open_gpu(device)?.ok_or_else(|| {
        let cause = format!("--device {device} takes no GPU here, and {option} is for a GPU");
        Error::new(ErrorKind::Usage, cause, format!("give --device gpu, or leave {option} out"))
    })?;
    Ok(gpu.with_precision(precision))
}

impl DeviceOptions {
    /// Opens the device for classifying.
    fn open(&self) -> Result<Box<dyn Backend>> {
        if self.gpu_option().is_some() { self.open_one() } else { backend::open(&self.device, self.threads) }
    }

    /// Returns the first given option that only a GPU supports.
    fn gpu_option(&self) -> Option<&'static str> {
        let options = [
            (self.tuning.is_some(), "--tuning"),
            (self.precision == Precision::F16, "--precision f16"),
            (self.pipeline_cache.is_some(), "--pipeline-cache"),
        ];
        options.into_iter().find_map(|(given, option)| given.then_some(option))
    }

    /// Opens one device for a measurement or a comparison: with auto a real GPU if one opens, else the CPU.
    fn open_one(&self) -> Result<Box<dyn Backend>> {
        Ok(match self.open_one_gpu()? {
            Some(gpu) => Box::new(gpu),
            None if matches!(self.device, Device::Reference) => backend::open(&self.device, self.threads)?,
            None => backend::open(&Device::Cpu, self.threads)?,
        })
    }

    /// Opens the GPU that [`DeviceOptions::open_one`] opens; none if it opens another device.
    fn open_one_gpu(&self) -> Result<Option<Gpu>> {
        if let Some(option) = self.gpu_option() {
            return self.open_gpu(option).map(Some);
        }
        match backend::gpu::open_gpu(&self.device) {
            Err(error) if matches!(self.device, Device::Auto) => {
                terminal::note(&format!("the GPU is not used: {error}"));
                Ok(None)
            }
            opened => opened,
        }
    }

    /// Opens the GPU that an option needs.
    fn open_gpu(&self, option: &str) -> Result<Gpu> {
        let mut gpu = open_gpu(&self.device, self.precision, option)?;
        if let Some(path) = &self.tuning {
            gpu = gpu.with_tuning(Tuning::from_path(path)?).map_err(|error| error.at(path.display()))?;
        }
        if let Some(path) = &self.pipeline_cache {
            gpu = gpu.with_pipeline_cache(path);
        }
        Ok(gpu)
    }
}

impl Setup {
    /// Reads the weights. A download is shown, unless it is `hidden`.
    fn weights(&self, hidden: bool) -> Result<Weights> {
        self.weights.as_ref().map_or_else(Weights::built_in, |name| weights::open(name, hidden))
    }
}

/// Turns off Mesa's device selection layer where there is no desktop session. The layer asks Wayland for the display's
/// device, and libwayland then prints an error, as in a container or over ssh. Devices are chosen by type here.
fn silence_device_selection() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: the first call of `run`, which demands that no other thread is there to read the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

/// Cores up to which lavapipe gets two threads each.
const FEW_CORES: usize = 4;

/// Gives lavapipe two threads per core on small machines. Lavapipe cuts each dispatch into one piece per thread, and Linux
/// often wakes two threads on one core, where one waits for the other; with two threads per core an idle one takes over.
/// Measurements: docs/measurements/lavapipe-threads.md.
fn divide_software_dispatches() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if (2..=FEW_CORES).contains(&cores) && std::env::var_os("LP_NUM_THREADS").is_none() {
        // SAFETY: called at the start of `run`, which demands that no other thread is there to read the environment.
        unsafe { std::env::set_var("LP_NUM_THREADS", (2 * cores).to_string()) };
    }
}

/// The exit code of a program that did what was asked.
const SUCCESS: u8 = 0;

/// Runs a command and returns the exit code of the program. `arguments` are those behind the name of the program. A request for
/// help, and arguments that are wrong, end the process.
///
/// It changes environment variables of the process: it must run before other threads are started.
pub fn run(program: Program, arguments: impl IntoIterator<Item = OsString>) -> u8 {
    silence_device_selection();
    divide_software_dispatches();
    logger::install();
    program::set(program);
    let arguments = Arguments::parse_from([OsString::from("ecgpu")].into_iter().chain(arguments));
    let outcome = match arguments.command {
        Command::Classify(arguments) => classify::run(&arguments),
        Command::Score(arguments) => score::run(&arguments),
        #[cfg(feature = "serve")]
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Devices(arguments) => devices::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Profile(arguments) => profile::run(&arguments),
        Command::Tune(arguments) => tune::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Synth(arguments) => synth::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Card(arguments) => card::run(&arguments),
        Command::Plot(arguments) => plot::run(&arguments),
        Command::Convert(arguments) => convert::run(&arguments),
        Command::Dataset(arguments) => dataset::run(&arguments),
        Command::Download(arguments) => download::run(&arguments),
        Command::Pretrain(arguments) => train::pretrain(&arguments),
        Command::Train(arguments) => train::train(&arguments),
        Command::Finetune(arguments) => train::finetune(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Calibrate(arguments) => calibrate::run(&arguments),
        Command::Reproduce(arguments) => reproduce::run(&arguments),
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

/// Refuses to overwrite an existing file, unless `force` is given.
fn check_free(paths: &[&std::path::Path], force: bool) -> Result<()> {
    match paths.iter().find(|path| path.exists() || path.is_symlink()) {
        Some(there) if !force => {
            let cause = format!("{} is there already", there.display());
            Err(Error::new(ErrorKind::Usage, cause, "choose another name, or add --force"))
        }
        _ => Ok(()),
    }
}

/// Returns the exit code of an error: 2 for a request that makes no sense, like clap, and 1 for everything else.
fn exit_code(error: &Error) -> u8 {
    if error.kind() == ErrorKind::Usage { 2 } else { 1 }
}
