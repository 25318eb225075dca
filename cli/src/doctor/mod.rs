//! `ecgpu doctor`: examines the GPUs of a machine and writes a report.

mod checks;
mod child;
mod drivers;
mod private;
mod report;

use std::{path::PathBuf, time::Duration};

use ecgpu::{Error, ErrorKind, Result, engine::files};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use self::checks::{Check, Outcome, Verdict};
use crate::{
    check_free,
    terminal::{BAD, FAINT, GOOD, STRONG, clean, duration, note, print},
};

/// Records of the forward passes that are timed.
const BATCHES: [usize; 3] = [1, 32, 1024];
/// A batch is left out if one pass is expected to take longer.
const LONGEST_PASS: f64 = 2.0;
/// How often a device may give no answer before the rest of its checks is left out.
const MOST_TIMEOUTS: usize = 2;

/// Examine every GPU of this machine: is each right, and how fast is it?
///
/// Compares both networks with the float64 reference in f32 and in f16, every variant of every kernel, and a training step;
/// then times forward passes and their stages. A GPU takes about a minute, a software adapter a few. Each part runs in a
/// process of its own with a time limit, so a driver that crashes or hangs is a line of the report.
///
/// The report is one file to attach to an issue. It has no path and no name of a person or of the machine; read it before.
/// Nothing is sent anywhere.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu doctor                                every GPU, and the CPU beside them
  ecgpu doctor --report ecgpu-doctor.md       and write the file for an issue
  ecgpu doctor --device gpu:0 --json | jq .passed

Exit code: 0 if everything agrees, 1 if anything differs, fails or gives no answer.")]
pub struct Arguments {
    /// Only this device: gpu:N or cpu, as `ecgpu devices` lists them
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// The Markdown file to write
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
    /// Seconds after which a part is given up
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    limit: u64,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// What was found on a machine.
#[derive(Default)]
struct Examination {
    /// Each Vulkan driver alone, if listing the devices with all of them failed.
    drivers: Vec<Outcome>,
    devices: Vec<DeviceReport>,
}

/// What was found on a device.
struct DeviceReport {
    /// The device, as `ecgpu devices --json` describes it.
    device: Value,
    comparisons: Vec<Outcome>,
    benches: Vec<Outcome>,
    profiles: Vec<Outcome>,
    /// Why checks were left out.
    left_out: Option<&'static str>,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    if let Some(path) = &arguments.report {
        check_free(&[path], arguments.force)?;
        // A file that cannot be written is an error now, and not after minutes.
        files::write(path, b"The examination has not ended.\n")?;
    }
    let mut doctor =
        Doctor { limit: Duration::from_secs(arguments.limit), quiet: arguments.json, variables: Vec::new() };
    let examination = doctor.examine(arguments.device.as_deref())?;
    if arguments.json {
        print(&format!("{}\n", examination.object()));
    } else {
        print(&examination.summary());
    }
    if let Some(path) = &arguments.report {
        files::write(path, examination.markdown().as_bytes())?;
        note(&format!("{}: read it, and attach it to an issue", path.display()));
    }
    Ok(u8::from(examination.is_bad()))
}

/// Runs checks and says how far it is.
struct Doctor {
    limit: Duration,
    /// Whether nothing but the result is printed.
    quiet: bool,
    /// The variables of the children, which leave out the drivers that fail.
    variables: Vec<(String, String)>,
}

impl Doctor {
    fn examine(&mut self, only: Option<&str>) -> Result<Examination> {
        let mut examination = Examination::default();
        let mut listed = self.run(&Check::devices())?;
        if listed.is_bad() {
            note(&format!("listing the devices: {}", listed.detail));
            let alone = drivers::one_by_one(self.limit)?;
            (examination.drivers, self.variables) = (alone.outcomes, alone.variables);
            examination.drivers.iter().for_each(|outcome| self.show(outcome));
            listed = self.run(&Check::devices())?;
        }
        let examined =
            |device: &&Value| device["device"] != "reference" && only.is_none_or(|only| device["device"] == only);
        let devices: Vec<&Value> = listed.objects.iter().filter(examined).collect();
        if let (Some(only), true) = (only, devices.is_empty()) {
            let cause = format!("there is no device '{only}'");
            return Err(Error::new(ErrorKind::Usage, cause, "see the devices with ecgpu devices, such as gpu:0"));
        }
        for device in devices {
            examination.devices.push(self.device(device)?);
        }
        Ok(examination)
    }

    fn device(&self, device: &Value) -> Result<DeviceReport> {
        let name = device["device"].as_str().unwrap_or_default();
        let is_gpu = name.starts_with("gpu");
        if !self.quiet {
            print(&format!("\n{STRONG}{name}  {}{STRONG:#}\n", clean(device["name"].as_str().unwrap_or_default())));
        }
        let mut report = DeviceReport {
            device: device.clone(),
            comparisons: Vec::new(),
            benches: Vec::new(),
            profiles: Vec::new(),
            left_out: None,
        };
        for check in Check::comparisons(name, is_gpu) {
            if report.comparisons.iter().filter(|it| it.timed_out).count() >= MOST_TIMEOUTS {
                report.left_out = Some("The rest was left out: the device gave no answer twice.");
                return Ok(report);
            }
            report.comparisons.push(self.shown(&check)?);
        }
        for (batch, precision) in BATCHES.iter().flat_map(|batch| ["f32", "f16"].map(|it| (*batch, it))) {
            if (precision == "f16" && !is_gpu) || report.takes_too_long(batch) {
                continue;
            }
            report.benches.push(self.shown(&Check::bench(name, batch, precision))?);
        }
        for batch in BATCHES.into_iter().take(2).filter(|_| is_gpu) {
            if report.takes_too_long(batch) {
                break;
            }
            report.profiles.push(self.run(&Check::profile(name, batch))?);
        }
        Ok(report)
    }

    /// Runs a check and prints a line about it.
    fn shown(&self, check: &Check) -> Result<Outcome> {
        let outcome = self.run(check)?;
        self.show(&outcome);
        Ok(outcome)
    }

    fn run(&self, check: &Check) -> Result<Outcome> {
        let style = ProgressStyle::with_template("  {spinner} {msg} {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let progress = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
        progress.set_message(check.title.clone());
        progress.enable_steady_tick(Duration::from_millis(100));
        let outcome = check.run(&self.variables, self.limit);
        progress.finish_and_clear();
        outcome
    }

    fn show(&self, outcome: &Outcome) {
        let style = match outcome.verdict {
            Verdict::Agrees => GOOD,
            Verdict::Absent => return,
            Verdict::Differs | Verdict::Fails => BAD,
        };
        if !self.quiet {
            let (word, detail) = (outcome.word(), outcome.in_words());
            let time = duration(outcome.time);
            print(&format!(
                "  {:22} {style}{word:8}{style:#} {FAINT}{time:>7}{FAINT:#}  {}\n",
                outcome.title,
                clean(&detail)
            ));
        }
    }
}

impl DeviceReport {
    /// Whether a forward pass of some records, but not of one, is expected to take too long.
    fn takes_too_long(&self, batch: usize) -> bool {
        batch > 1 && self.seconds_per_record().is_none_or(|time| time * batch as f64 > LONGEST_PASS)
    }

    /// Returns the time of a forward pass per record, of the largest batch so far.
    fn seconds_per_record(&self) -> Option<f64> {
        let of = |outcome: &Outcome| {
            let bench = outcome.objects.first()?;
            Some(bench["median_ms"].as_f64()? / 1e3 / bench["batch"].as_f64()?)
        };
        self.benches.iter().rev().find_map(of)
    }

    fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.comparisons.iter().chain(&self.benches).chain(&self.profiles)
    }

    fn failed_measurements(&self) -> Vec<Outcome> {
        self.benches.iter().chain(&self.profiles).filter(|it| it.is_bad()).cloned().collect()
    }
}

impl Examination {
    fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.drivers.iter().chain(self.devices.iter().flat_map(DeviceReport::outcomes))
    }

    fn is_bad(&self) -> bool {
        self.devices.is_empty() || self.outcomes().any(Outcome::is_bad)
    }

    /// Says in a few lines what to do.
    fn summary(&self) -> String {
        let bad: Vec<&Outcome> = self.outcomes().filter(|outcome| outcome.is_bad()).collect();
        let has_gpu =
            self.devices.iter().any(|device| device.device["device"].as_str().is_some_and(|it| it.starts_with("gpu")));
        let mut text = String::from("\n");
        if !has_gpu {
            text += "No GPU was examined. Without one ecgpu computes on the CPU.\n";
        }
        if bad.is_empty() {
            return text + &format!("{GOOD}Everything agrees with the float64 reference.{GOOD:#}\n");
        }
        text += &format!("{BAD}{} of {} checks fail.{BAD:#} Repeat them with:\n", bad.len(), self.outcomes().count());
        bad.iter().for_each(|outcome| text += &format!("  {}\n", outcome.command));
        text += "Update the driver. Until then use --device cpu, which is right everywhere: with another device ecgpu replaces\n\
                 variants that are wrong, but a driver that crashes or hangs takes the program with it.\n";
        text
    }
}
