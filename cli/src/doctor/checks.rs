//! The commands that examine a device, and what each of them found.

use std::time::Duration;

use ecgpu::{Result, engine::kernels::VARIANT_NAMES};
use serde_json::{Value, json};

use super::{
    child::{self, Ending, Finished},
    private::redacted,
};

/// A command that examines a device.
#[derive(Debug, Clone)]
pub struct Check {
    pub title: String,
    pub arguments: Vec<String>,
    /// Whether exit code 2 means that the device lacks what is asked for.
    optional: bool,
}

/// What a command found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Agrees,
    Differs,
    /// An error, a crash, or no answer.
    Fails,
    /// The device lacks what was asked for.
    Absent,
}

/// The outcome of a check.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub title: String,
    /// The command with its arguments, to repeat it.
    pub command: String,
    pub verdict: Verdict,
    /// The verdict in words.
    pub detail: String,
    pub time: Duration,
    /// Whether the device gave no answer within the limit.
    pub timed_out: bool,
    /// What the command printed.
    pub objects: Vec<Value>,
}

impl Check {
    fn new(title: &str, arguments: &[&str]) -> Self {
        Self { title: title.into(), arguments: arguments.iter().map(|it| it.to_string()).collect(), optional: false }
    }

    /// Lists the comparisons of a device with the reference: of a GPU in both precisions, by every variant alone, and in a
    /// training step.
    pub fn comparisons(device: &str, is_gpu: bool) -> Vec<Self> {
        let verify =
            |title: &str, more: &[&str]| Self::new(title, &[&["verify", "--device", device, "--json"], more].concat());
        let mut checks = vec![verify("stages, f32", &[])];
        if is_gpu {
            checks.push(verify("stages, f16", &["--precision", "f16"]));
            for (variant, precision) in VARIANT_NAMES.iter().flat_map(|name| ["f32", "f16"].map(|it| (name, it))) {
                let more = ["--variant", variant, "--precision", precision, "--networks", "3"];
                checks.push(Self { optional: true, ..verify(&format!("{variant}, {precision}"), &more) });
            }
        }
        checks.push(verify("training step", &["--training"]));
        checks
    }

    /// Lists every adapter and processor.
    pub fn devices() -> Self {
        Self::new("devices", &["devices", "--json"])
    }

    /// Times the stages of a forward pass.
    pub fn profile(device: &str, batch: usize) -> Self {
        let batch = batch.to_string();
        Self::new("profile", &["profile", "--device", device, "--batch", &batch, "--runs", "10", "--json"])
    }

    /// Times forward passes of ten seconds of ECG.
    pub fn bench(device: &str, batch: usize, precision: &str) -> Self {
        let title = format!("{batch} × 10 s, {precision}");
        let batch = batch.to_string();
        let of = ["--network", "542k", "--samples", "1000", "--seconds", "1.5", "--json"];
        Self::new(
            &title,
            &[&["bench", "--device", device, "--batch", &batch, "--precision", precision][..], &of].concat(),
        )
    }

    /// Runs the command.
    ///
    /// # Errors
    /// This program cannot be started.
    pub fn run(&self, variables: &[(String, String)], limit: Duration) -> Result<Outcome> {
        let finished = child::run(&self.arguments, variables, limit)?;
        let (verdict, detail) = self.judge(&finished, limit);
        Ok(Outcome {
            title: self.title.clone(),
            command: command_line(&self.arguments),
            verdict,
            detail,
            time: finished.time,
            timed_out: finished.ending == Ending::Timeout,
            objects: finished.objects,
        })
    }

    fn judge(&self, finished: &Finished, limit: Duration) -> (Verdict, String) {
        let failed = finished.objects.iter().find(|object| object["passed"] == false);
        match &finished.ending {
            Ending::Timeout => (Verdict::Fails, format!("no answer within {} s", limit.as_secs())),
            Ending::Crash(how) => (Verdict::Fails, format!("the driver crashed the program ({how})")),
            Ending::Code(2) if self.optional => (Verdict::Absent, "not on this device".into()),
            Ending::Code(0) => (Verdict::Agrees, agreement(&finished.objects)),
            Ending::Code(_) => match failed {
                Some(stage) => (Verdict::Differs, difference(stage)),
                None => (Verdict::Fails, redacted(&finished.error)),
            },
        }
    }
}

impl Outcome {
    pub fn object(&self) -> Value {
        let failed: Vec<&Value> = self.objects.iter().filter(|object| object["passed"] == false).collect();
        json!({
            "check": self.title,
            "command": self.command,
            "verdict": self.verdict.word(),
            "detail": self.detail,
            "seconds": (self.time.as_secs_f64() * 10.0).round() / 10.0,
            "failed_stages": failed,
        })
    }

    /// Returns the verdict in one word. A measurement has none where it succeeds.
    pub fn word(&self) -> &'static str {
        if self.measurement().is_some() { "" } else { self.verdict.word() }
    }

    /// Returns what was found in a few words.
    pub fn in_words(&self) -> String {
        let measured = self.measurement().map(|[time, rate]| format!("{time:.2} ms, {rate:.0} records/s"));
        measured.unwrap_or_else(|| self.detail.clone())
    }

    /// Returns the median time in milliseconds and the records per second of a bench.
    fn measurement(&self) -> Option<[f64; 2]> {
        let bench = self.objects.first()?;
        Some([bench["median_ms"].as_f64()?, bench["records_per_s"].as_f64()?])
    }

    pub fn is_bad(&self) -> bool {
        matches!(self.verdict, Verdict::Differs | Verdict::Fails)
    }
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Differs => "DIFFERS",
            Self::Fails => "FAILS",
            Self::Absent => "absent",
        }
    }
}

/// Says how many stages agree, and how closely.
fn agreement(stages: &[Value]) -> String {
    let largest = stages.iter().filter_map(|stage| stage["nmse"].as_f64()).fold(0.0, f64::max);
    format!("{} stages, NMSE at most {largest:.0e}", stages.len())
}

/// Says which stage differs.
fn difference(stage: &Value) -> String {
    let text = |name: &str| stage[name].as_str().unwrap_or("?").to_string();
    // JSON has no NaN.
    let nmse = stage["nmse"].as_f64().map_or("not a number".into(), |nmse| format!("{nmse:.0e}"));
    format!("{} ({}) of {}: NMSE {nmse}", text("stage"), text("operation"), text("network"))
}

/// Joins the arguments of this program to a command that a shell understands.
fn command_line(arguments: &[String]) -> String {
    let quoted = arguments.iter().map(|it| if it.contains(' ') { format!("\"{it}\"") } else { it.clone() });
    ["ecgpu".to_string()].into_iter().chain(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(ending: Ending, objects: &[Value], error: &str, check: &Check) -> (Verdict, String) {
        let finished = Finished { ending, objects: objects.to_vec(), error: error.into(), time: Duration::ZERO };
        check.judge(&finished, Duration::from_secs(60))
    }

    #[test]
    fn a_verdict_says_what_happened() {
        let [whole, .., variant, _] = &Check::comparisons("gpu:0", true)[..] else { unreachable!("there are more") };
        let good = json!({ "passed": true, "nmse": 3e-13 });
        let bad = json!({ "passed": false, "nmse": null, "stage": "head", "operation": "linear", "network": "55k" });
        for (ending, objects, error, check, expected) in [
            (Ending::Code(0), vec![good.clone()], "", whole, (Verdict::Agrees, "1 stages, NMSE at most 3e-13")),
            (
                Ending::Code(1),
                vec![good, bad],
                "",
                whole,
                (Verdict::Differs, "head (linear) of 55k: NMSE not a number"),
            ),
            (Ending::Code(1), vec![], "no memory", whole, (Verdict::Fails, "no memory")),
            (Ending::Code(2), vec![], "no variant", variant, (Verdict::Absent, "not on this device")),
            (Ending::Code(2), vec![], "no such device", whole, (Verdict::Fails, "no such device")),
            (Ending::Timeout, vec![], "", whole, (Verdict::Fails, "no answer within 60 s")),
            (
                Ending::Crash("signal 6".into()),
                vec![],
                "",
                whole,
                (Verdict::Fails, "the driver crashed the program (signal 6)"),
            ),
        ] {
            assert_eq!(judged(ending, &objects, error, check), (expected.0, expected.1.to_string()));
        }
    }

    #[test]
    fn a_command_can_be_repeated_in_a_shell() {
        let checks = Check::comparisons("gpu:0", true);
        let of_tile = checks.iter().find(|check| check.title == "tile 8, f16").unwrap();
        let command = "ecgpu verify --device gpu:0 --json --variant \"tile 8\" --precision f16 --networks 3";
        assert_eq!(command_line(&of_tile.arguments), command);
    }
}
