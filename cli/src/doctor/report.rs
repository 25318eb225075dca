//! The report of an examination: one Markdown file to attach to an issue.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{
    DeviceReport, Examination,
    checks::{Outcome, Verdict},
};

impl Examination {
    /// Returns everything that was found as one JSON object.
    pub fn object(&self) -> Value {
        let device = |device: &DeviceReport| {
            let objects = |outcomes: &[Outcome]| outcomes.iter().map(Outcome::object).collect::<Vec<_>>();
            let printed = |outcomes: &[Outcome]| outcomes.iter().flat_map(|it| it.objects.clone()).collect::<Vec<_>>();
            json!({
                "device": device.device,
                "checks": objects(&device.comparisons),
                "left_out": device.left_out,
                "bench": printed(&device.benches),
                "profile": printed(&device.profiles),
                "failed_measurements": objects(&device.failed_measurements()),
            })
        };
        json!({
            "ecgpu": env!("CARGO_PKG_VERSION"),
            "system": system(),
            "passed": !self.is_bad(),
            "drivers": self.drivers.iter().map(Outcome::object).collect::<Vec<_>>(),
            "devices": self.devices.iter().map(device).collect::<Vec<_>>(),
        })
    }

    /// Returns the report: tables for a person, then the JSON object for a program.
    pub fn markdown(&self) -> String {
        let mut text = format!("# ecgpu doctor\n\necgpu {} on {}\n", env!("CARGO_PKG_VERSION"), system());
        if !self.drivers.is_empty() {
            text += "\nListing the devices failed. Each Vulkan driver alone:\n\n";
            text += &table(
                &["driver", "", ""],
                self.drivers.iter().map(|it| row([&it.title, it.verdict.word(), &it.detail])),
            );
        }
        self.devices.iter().for_each(|device| text += &device.markdown());
        text += "\n## A row for the table of devices\n\n";
        text += &table(&ROW, self.devices.iter().map(DeviceReport::row));
        let object = serde_json::to_string_pretty(&self.object()).unwrap_or_default();
        text + &format!("\n<details><summary>Everything as JSON</summary>\n\n```json\n{object}\n```\n\n</details>\n")
    }
}

/// The columns of the table of devices in `docs/devices.md`.
const ROW: [&str; 7] = ["device", "driver", "system", "checks", "1 record", "32 records", "1024 records"];

impl DeviceReport {
    fn markdown(&self) -> String {
        let name = [&self.device["device"], &self.device["name"]].map(|it| it.as_str().unwrap_or("?"));
        let mut text = format!("\n## {}: {}\n\n", name[0], name[1]);
        for (field, value) in self.device.as_object().into_iter().flatten() {
            if !["device", "name", "limits"].contains(&field.as_str()) && !value.is_null() {
                let _ = writeln!(text, "- {field}: {}", plain(value));
            }
        }
        let comparisons = self.comparisons.iter().filter(|it| it.verdict != Verdict::Absent).map(|it| {
            let time = format!("{:.1} s", it.time.as_secs_f64());
            row([&it.title, it.verdict.word(), &it.detail, &time])
        });
        let _ = write!(text, "\n{}", table(&["check", "verdict", "", "time"], comparisons));
        if let Some(left_out) = self.left_out {
            let _ = writeln!(text, "\n{left_out}");
        }
        let benches = self.benches.iter().map(|it| {
            let number = |name: &str| it.objects.first().and_then(|one| one[name].as_f64());
            let cell = |name: &str| number(name).map_or("-".into(), |it| format!("{it:.4}"));
            row([&it.title, &cell("median_ms"), &cell("records_per_s"), if it.is_bad() { &it.detail } else { "" }])
        });
        let _ = write!(text, "\n{}", table(&["forward pass", "median, ms", "records/s", ""], benches));
        for profile in &self.profiles {
            let stages = profile.objects.iter().map(|stage| {
                let share =
                    stage["share_of_device"].as_f64().map_or("-".into(), |share| format!("{:.0} %", share * 100.0));
                let time = stage["ms"].as_f64().map_or("-".into(), |time| format!("{:.4}", time));
                let shape = plain(&stage["shape"]).replace(", ", "×");
                row([&plain(&stage["stage"]), &shape, &plain(&stage["variant"]), &time, &share])
            });
            let detail = if profile.is_bad() { &profile.detail } else { "" };
            let _ = write!(
                text,
                "\n`{}` {detail}\n\n{}",
                profile.command,
                table(&["stage", "output", "variant", "ms", "of the device"], stages)
            );
        }
        text
    }

    /// Returns the row of the table of devices.
    fn row(&self) -> String {
        let field = |name: &str| self.device[name].as_str().unwrap_or_default().to_string();
        let bad = self.comparisons.iter().filter(|it| it.is_bad()).count();
        let present = self.comparisons.iter().filter(|it| it.verdict != Verdict::Absent).count();
        let checks = if bad == 0 { format!("{present} agree") } else { format!("**{bad} of {present} fail**") };
        let time = |records: usize| {
            let of = |precision: &str| {
                let bench = self.benches.iter().find(|it| it.title == format!("{records} × 10 s, {precision}"))?;
                bench.objects.first()?["median_ms"].as_f64()
            };
            let f16 = of("f16").map(|time| format!(" (f16 {})", milliseconds(time))).unwrap_or_default();
            of("f32").map_or("-".into(), |time| format!("{}{f16}", milliseconds(time)))
        };
        let driver = format!("{} {} {}", field("backend"), field("driver"), field("driver_info"));
        row([&field("name"), driver.trim(), &system(), &checks, &time(1), &time(32), &time(1024)])
    }
}

fn milliseconds(time: f64) -> String {
    if time < 10.0 { format!("{time:.2} ms") } else { format!("{time:.0} ms") }
}

/// Names the operating system and the processor's architecture.
fn system() -> String {
    format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)
}

/// Formats a JSON value without quotation marks, a list with commas.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Formats a row of a Markdown table.
fn row<const N: usize>(cells: [&str; N]) -> String {
    let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
    format!("| {} |\n", cells.join(" | "))
}

fn table(heading: &[&str], rows: impl Iterator<Item = String>) -> String {
    let heading = format!("| {} |\n|{}\n", heading.join(" | "), "---|".repeat(heading.len()));
    heading + &rows.collect::<String>()
}
