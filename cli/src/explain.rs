//! `ecgpu explain`: shows which parts of a recording a class depends on.

use std::{path::PathBuf, time::Instant};

use ecgpu::{
    Classifier, Error, ErrorKind, Result,
    ecg::{format, quality},
    engine::files,
    explain::{self, Attribution, Explanation, LARGEST_CORRELATION, Method, Options},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    SUCCESS, Setup, check_free,
    input::{self, Stated},
    plot::Image,
    terminal::{self, clean, note, print, warn},
};

/// Show which parts of a recording a class depends on, with checks of each map
///
/// Three methods attribute the class's logit to leads and times: gradient × input, occlusion and Grad-CAM. Each map is
/// checked twice: it must change when the network's weights become random, and the class's probability must fall faster
/// when what the map calls important is replaced than when random parts are. The explanation is of the network, not of the
/// patient.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu explain record.hea --out why.svg
  ecgpu explain record.hea --class MI --method occlusion --out why.png
  ecgpu explain record.hea --json")]
pub struct Arguments {
    #[arg(value_name = "FILE", help = format!("The recording, a file of {}", format::names()))]
    file: PathBuf,
    /// The class to explain; the most probable one if absent
    #[arg(long)]
    class: Option<String>,
    /// gradient, occlusion, grad-cam, or all; several with commas
    #[arg(long, default_value = "all", value_name = "METHOD", value_parser = methods)]
    method: Methods,
    /// The drawing; optional with --json
    #[arg(long, value_name = "FILE.svg|FILE.png", required_unless_present = "json")]
    out: Option<PathBuf>,
    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
    /// Where the ten seconds of the drawing begin, in seconds. The explanation is of the whole recording
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS", allow_negative_numbers = true)]
    start: f64,
    /// Which recording of a file of several, counted from 0
    #[arg(long, value_name = "N")]
    record: Option<usize>,
    /// Seed of the random weights and orders of the checks
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Dots per inch of a PNG image
    #[arg(long, value_name = "DPI", requires = "out", value_parser = clap::value_parser!(u32).range(25..=1200))]
    dpi: Option<u32>,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    setup: Setup,
    #[command(flatten)]
    stated: Stated,
}

/// The methods that an option names. A type of its own, since clap takes a `Vec` for an option that is given several times.
#[derive(Clone)]
struct Methods(Vec<Method>);

fn methods(text: &str) -> Result<Methods> {
    if text == "all" {
        return Ok(Methods(Method::ALL.to_vec()));
    }
    let named = text.split(',').map(|name| name.trim().parse()).collect::<Result<Vec<Method>>>();
    let named =
        named.map_err(|error| Error::new(error.kind(), error.cause(), "use gradient, occlusion, grad-cam or all"))?;
    Ok(Methods(Method::ALL.into_iter().filter(|method| named.contains(method)).collect()))
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let Arguments { file, out, .. } = arguments;
    let image = out.as_ref().map(|out| Image::of(out, arguments.dpi)).transpose()?;
    check_free(&out.iter().map(PathBuf::as_path).collect::<Vec<_>>(), arguments.force)?;
    let recordings = input::read(file, &arguments.stated.options()?)?;
    let recording = input::one(recordings, file, arguments.record, "; --record chooses another")?;
    if !(0.0..recording.duration()).contains(&arguments.start) {
        let cause = format!("{} s is not within the {:.1} s of the recording", arguments.start, recording.duration());
        return Err(Error::new(ErrorKind::Usage, cause, "begin the drawing earlier, from 0 s on").at(file.display()));
    }
    recording.warnings().iter().chain(&quality::warnings(&recording)).for_each(|text| warn(text));
    let weights = arguments.setup.weights(arguments.json)?;
    weights.notes.iter().for_each(|text| note(text));
    let classifier = Classifier::on(weights, arguments.setup.device.open_one()?)?;
    let Methods(methods) = arguments.method.clone();
    let options = Options { class: arguments.class.clone(), methods, seed: arguments.seed };
    let start = Instant::now();
    let bar = progress_bar();
    let progress = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let explanation = explain::explain(&classifier, &recording, &options, &progress);
    bar.finish_and_clear();
    let explanation = explanation.map_err(|error| error.at(file.display()))?;
    let took = start.elapsed();
    if let (Some(out), Some(image)) = (out, image) {
        files::write(out, &image.bytes(explanation.draw(&recording, arguments.start)?)?)?;
    }
    if arguments.json {
        print(&(explanation.to_json(&file.display().to_string(), recording.name()) + "\n"));
    } else {
        print(&text(recording.name(), &explanation));
        let faint = terminal::FAINT;
        let (device, network) = (&explanation.prediction.device, &explanation.network);
        print(&format!(
            "{faint}{} on {device}, network {network}, seed {}. An explanation is of the network, not of the patient; not a \
             medical device.{faint:#}\n",
            terminal::duration(took),
            explanation.seed
        ));
    }
    if let Some(out) = out.as_ref().filter(|_| !arguments.json) {
        print(&format!("{}\n", out.display()));
    }
    Ok(SUCCESS)
}

/// A bar on standard error while a person waits.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} forward passes, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style)
}

/// Formats an explanation for a person.
fn text(record: &str, explanation: &Explanation) -> String {
    let (strong, faint) = (terminal::STRONG, terminal::FAINT);
    let class = clean(explanation.class_name());
    let percent = 100.0 * explanation.probability();
    let mut text = format!("{strong}{}{strong:#}  {class} {percent:.1} %\n", clean(record));
    for attribution in &explanation.attributions {
        let passed = attribution.passed();
        let (style, verdict) = if passed { (terminal::GOOD, "passed") } else { (terminal::BAD, "FAILED a check") };
        text += &format!("  {strong}{:17}{strong:#}{style}{verdict}{style:#}\n", attribution.map.method);
        for line in [most(explanation, attribution), deletion(attribution), randomisation(attribution)] {
            text += &format!("    {faint}{line}{faint:#}\n");
        }
    }
    text
}

/// Returns the leads that speak most for and against the class; with Grad-CAM the times.
fn most(explanation: &Explanation, Attribution { map, .. }: &Attribution) -> String {
    let seconds = |window: usize| (window * explanation.window) as f64 / explanation.sampling_rate;
    let lead = |(at, value): (usize, f64)| format!("{} {value:+.2}", explanation.leads[at]);
    let time = |(at, _): (usize, f64)| format!("{:.1} s to {:.1} s", seconds(at), seconds(at + 1));
    let sorted = |values: &[f64]| {
        let mut sorted: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
        sorted.truncate(3);
        sorted
    };
    match map.leads.is_empty() {
        true => format!("times: {}", sorted(&map.bands).into_iter().map(time).collect::<Vec<_>>().join(", ")),
        false => {
            format!("leads, in logits: {}", sorted(&map.leads).into_iter().map(lead).collect::<Vec<_>>().join(", "))
        }
    }
}

fn verdict(passed: bool) -> &'static str {
    if passed { "passed" } else { "FAILED" }
}

fn deletion(Attribution { deletion, .. }: &Attribution) -> String {
    let (area, beaten, orders) = (deletion.area, deletion.beaten, deletion.orders);
    format!("deletion: area {area:+.3}, beats {beaten} of {orders} random orders: {}", verdict(deletion.passed))
}

fn randomisation(Attribution { randomisation, .. }: &Attribution) -> String {
    let list = |text: &dyn Fn(&explain::RandomisationStage) -> String| {
        randomisation.stages.iter().map(text).collect::<Vec<_>>().join(", ")
    };
    let (correlations, layers) = (list(&|it| format!("{:.2}", it.correlation())), list(&|it| it.layers.to_string()));
    let verdict = verdict(randomisation.passed);
    format!(
        "random weights in the last {layers} layers: rank correlation {correlations}, at most {LARGEST_CORRELATION}: {verdict}"
    )
}
