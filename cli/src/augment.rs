//! `ecgpu augment`: draws a record before and after each augmentation.

use std::path::{Path, PathBuf};

use ecgpu::{
    Device, Error, ErrorKind, Recording, Result,
    ecg::{
        Condition, Lead,
        format::{self, ReadOptions},
        synthesize,
    },
    engine::backend,
    engine::files,
    engine::kernels::training::{
        Schedule,
        augment::{Draws, Segment},
    },
    engine::plan::{Builder, Plan},
    plot::{Anchor, Area, Font, Paper, Pen, Svg, shortened},
    train::{
        AugmentationPipeline, Augmentations,
        augment::{Augmented, Signal},
    },
};

use crate::{
    SUCCESS, check_free,
    input::{self, Stated},
    terminal::{note, print},
};

/// Draw a record before and after each augmentation of training
///
/// On paper of 25 mm/s and 10 mm/mV, as SVG: the original record is grey, what training sees is black, and the
/// difference is drawn below, magnified. Mixup and CutMix use the second file, or a synthetic ECG.
#[derive(clap::Args)]
#[command(after_help = "\
Augmentations: warp, mixup, band-pass, cutmix, motion, noise, dropout (all), gain, lead-dropout; none, or with - before
what to leave out

Examples:
  ecgpu augment record.hea --out augmentations.svg
  ecgpu augment record.hea other.hea --augment mixup,cutmix --seed 3 --out mixed.svg")]
pub struct Arguments {
    #[arg(value_name = "FILE", help = format!("The record, a file of {}", format::names()))]
    file: PathBuf,
    /// The record that mixup and CutMix use; a synthetic ECG if absent
    #[arg(value_name = "PARTNER")]
    partner: Option<PathBuf>,
    /// Which augmentations
    #[arg(long, default_value = "all", value_name = "LIST", allow_hyphen_values = true)]
    augment: Augmentations,
    /// Seed of the random amounts
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The drawing
    #[arg(long, value_name = "FILE.svg")]
    out: PathBuf,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    stated: Stated,
}

/// Seconds that are drawn at most: the length of a usual strip.
const LONGEST: f64 = 10.0;
/// Characters of a name that are drawn at most.
const LONGEST_NAME: usize = 30;
/// The leads that are drawn. The difference is drawn for the first of them.
const SHOWN: [Lead; 2] = [Lead::II, Lead::V2];

pub fn run(arguments: &Arguments) -> Result<u8> {
    let Arguments { file, out, seed, augment, .. } = arguments;
    if *augment == Augmentations::NONE {
        return Err(Error::new(
            ErrorKind::Usage,
            "no augmentation to draw",
            "name one with --augment, or leave it out",
        ));
    }
    check_free(&[out], arguments.force)?;
    let options = arguments.stated.options()?;
    let record = read(file, &options)?;
    let partner = match &arguments.partner {
        Some(path) => read(path, &options)?.resampled(record.sampling_rate())?,
        None => synthesize(Condition::CdLbbb, *seed, record.sampling_rate(), record.duration().min(LONGEST))?,
    };
    let pair = Pair::new(&record, &partner).map_err(|error| error.at(file.display()))?;
    augment.notes(pair.sampling_rate).iter().for_each(|text| note(text));
    let rows = augment.always().each().map(|(name, one)| pair.augmented(name, &one, *seed));
    let rows = rows.collect::<Result<Vec<Panel>>>()?;
    files::write(out, draw(&pair, &rows, *seed).as_bytes())?;
    let count = rows.len();
    let augmentations = if count == 1 { "augmentation" } else { "augmentations" };
    print(&format!("{}: {count} {augmentations} of {}\n", out.display(), crate::terminal::clean(record.name())));
    Ok(SUCCESS)
}

/// Reads the first record of a file.
fn read(path: &Path, options: &ReadOptions) -> Result<Recording> {
    input::one(input::read(path, options)?, path, None, "")
}

/// The record and the record that it is mixed with, both cut to the length that is drawn.
struct Pair {
    names: [String; 2],
    sampling_rate: f64,
    samples: usize,
    /// `[2, 12, samples]` in mV.
    x: Vec<f32>,
}

/// The result of one augmentation.
struct Panel {
    title: &'static str,
    /// The random amounts, in words, one line each.
    about: Vec<String>,
    /// `[12, samples]` in mV.
    x: Vec<f32>,
    /// The samples that are shaded.
    segment: Segment,
}

impl Pair {
    fn new(record: &Recording, partner: &Recording) -> Result<Self> {
        let sampling_rate = record.sampling_rate();
        let samples = record.samples().min(partner.samples()).min((LONGEST * sampling_rate) as usize);
        if record.samples() > samples {
            note(&format!("the first {:.1} s of {:.1} s are drawn", samples as f64 / sampling_rate, record.duration()));
        }
        let mut x = Vec::new();
        for recording in [record, partner] {
            for lead in recording.in_order(&Lead::STANDARD)? {
                x.extend_from_slice(&lead[..samples]);
            }
        }
        Ok(Self {
            names: [record, partner].map(|recording| shortened(recording.name(), LONGEST_NAME)),
            sampling_rate,
            samples,
            x,
        })
    }

    fn plan(&self, augmentations: &Augmentations, seed: u64) -> Result<Plan> {
        let mut builder = Builder::default();
        let records = builder.input("records", [2, Lead::STANDARD.len(), self.samples])?;
        let schedule = builder.input("schedule", [1, 1, Schedule::LEN])?;
        let signal = Signal { leads: Lead::STANDARD.to_vec(), sampling_rate: self.sampling_rate, millivolts: 1.0 };
        let Augmented { records, draws, .. } = AugmentationPipeline { augmentations: *augmentations, signal, seed }
            .add(&mut builder, 1, [records, schedule], None)?;
        Ok(builder.finish([Some(records), draws].into_iter().flatten().collect()))
    }

    /// Runs one augmentation the way training does.
    fn augmented(&self, name: &str, augmentation: &Augmentations, seed: u64) -> Result<Panel> {
        let plan = self.plan(augmentation, seed)?;
        let mut trainer = backend::open(&Device::Reference, None)?.prepare_training(&plan)?;
        let mut outputs = Vec::new();
        trainer.run(&[&self.x, &[0.0; Schedule::LEN]], &mut outputs)?;
        let numbers: Vec<f64> = outputs[1].iter().map(|&number| f64::from(number)).collect();
        let draws = Draws::of(&numbers, 0);
        let mut x = std::mem::take(&mut outputs[0]);
        x.truncate(x.len() / 2);
        let (title, about, segment) = self.in_words(name, &draws, &x);
        Ok(Panel { title, about, x, segment })
    }

    fn in_words(&self, name: &str, draws: &Draws, x: &[f32]) -> (&'static str, Vec<String>, Segment) {
        let none = Segment::default();
        let seconds = |samples: usize| samples as f64 / self.sampling_rate;
        let stretch = |of: Segment| {
            let (share, start, end) =
                (100.0 * of.len as f64 / self.samples as f64, seconds(of.start), seconds(of.start + of.len));
            format!("{share:.0} % of the record, {start:.2} s to {end:.2} s")
        };
        let partner = format!("from {}", self.names[1]);
        let change = self.change(x).into_iter().map(f64::from);
        match name {
            "warp" => {
                let percent = 100.0 * (draws.factor - 1.0);
                let sign = if percent < 0.0 { '−' } else { '+' };
                let anchor = draws.anchor / self.sampling_rate;
                let about = format!("heart rate {sign}{:.1} %, still at {anchor:.2} s", percent.abs());
                ("Frequency warping", vec![about], none)
            }
            "mixup" => ("Mixup", vec![format!("{:.1} %", 100.0 * draws.share), partner], none),
            "band-pass" => {
                let [low, high] = draws.band;
                ("Band-pass variation", vec![format!("{low:.2} Hz to {high:.1} Hz")], none)
            }
            "cutmix" => ("Segment CutMix", vec![stretch(draws.cut), partner], draws.cut),
            "motion" => {
                let largest = change.fold(0.0, |largest: f64, x| largest.max(x.abs()));
                let about = format!("wander at {:.2} Hz, in {} {largest:.3} mV", draws.wander, SHOWN[0]);
                ("Motion artefacts", vec![about], none)
            }
            "noise" => {
                let deviation = (change.map(|x| x * x).sum::<f64>() / self.samples as f64).sqrt();
                let about = [
                    format!("{:.2} % of each lead's deviation,", 100.0 * draws.noise),
                    format!("in {} {:.1} µV", SHOWN[0], 1e3 * deviation),
                ];
                ("Per-lead noise", about.to_vec(), none)
            }
            "gain" => ("Gain", vec![format!("{:+.1} %", 100.0 * (draws.gain - 1.0))], none),
            "lead-dropout" => {
                let is_dropped = |lead: &Lead| self.lead(x, *lead).iter().all(|x| *x == 0.0);
                let dropped: Vec<&str> =
                    Lead::STANDARD.iter().filter(|lead| is_dropped(lead)).map(|lead| lead.name()).collect();
                let dropped = if dropped.is_empty() { "none".into() } else { dropped.join(" ") };
                let about = [format!("each with {:.0} %:", 100.0 * draws.dropped_leads), dropped];
                ("Lead dropout", about.to_vec(), none)
            }
            _ => ("Temporal dropout", vec![stretch(draws.gap)], draws.gap),
        }
    }

    /// Returns the samples of one of the twelve leads.
    fn lead<'a>(&self, x: &'a [f32], lead: Lead) -> &'a [f32] {
        &x[lead as usize * self.samples..][..self.samples]
    }

    /// Returns the change of the first drawn lead: after the augmentation less before.
    fn change(&self, x: &[f32]) -> Vec<f32> {
        let [after, before] = [x, &self.x].map(|x| self.lead(x, SHOWN[0]));
        after.iter().zip(before).map(|(after, before)| after - before).collect()
    }
}

// The sheet, in mm.
const MARGIN: f64 = 8.0;
const HEADING: f64 = 22.0;
/// Width of the column of names.
const NAMES: f64 = 78.0;
/// Height of the paper for the difference.
const CHANGE: f64 = 20.0;
/// Space between two augmentations.
const GAP: f64 = 7.0;
/// The largest deflection that is drawn, in mV.
const LARGEST: f64 = 3.0;

const BEFORE: Pen = Pen { width: 0.35, colour: "#9a9a9a" };
const AFTER: Pen = Pen { width: 0.3, colour: "#111111" };
const DIFFERENCE: Pen = Pen { width: 0.3, colour: "#1f4e9c" };

const TITLE: Font = Font { size: 5.5, bold: true, colour: "#111111" };
const NAME: Font = Font { size: 4.6, bold: true, colour: "#111111" };
const PLAIN: Font = Font { size: 3.6, bold: false, colour: "#333333" };
const LABEL: Font = Font { size: 3.6, bold: true, colour: "#111111" };

/// Returns the heights of paper above and below 0 mV for one lead, in whole fields of 5 mm.
fn strip(pair: &Pair, rows: &[Panel], lead: Lead) -> [f64; 2] {
    let drawn = rows.iter().map(|row| row.x.as_slice()).chain([&pair.x[..]]);
    let values = || drawn.clone().flat_map(|x| pair.lead(x, lead)).map(|&x| f64::from(x).clamp(-LARGEST, LARGEST));
    let field = |millivolts: f64| (Paper::height(millivolts) / 5.0 + 0.2).ceil() * 5.0;
    [field(values().fold(0.0, f64::max)), field(-values().fold(0.0, f64::min))]
}

fn draw(pair: &Pair, rows: &[Panel], seed: u64) -> String {
    let strips = SHOWN.map(|lead| strip(pair, rows, lead));
    let height = strips.iter().flatten().sum::<f64>() + CHANGE;
    let paper = Paper::width(LONGEST);
    let mut svg =
        Svg::new(2.0 * MARGIN + NAMES + paper, 2.0 * MARGIN + HEADING + rows.len() as f64 * (height + GAP) - GAP);
    let about = format!(
        "{}: each augmentation by itself, seed {seed}, {:.1} s at {} Hz",
        pair.names[0],
        pair.samples as f64 / pair.sampling_rate,
        pair.sampling_rate
    );
    svg.text([MARGIN, MARGIN + 6.0], Anchor::Start, TITLE, &about);
    legend(&mut svg, MARGIN + 14.0);
    for (at, row) in rows.iter().enumerate() {
        let top = MARGIN + HEADING + at as f64 * (height + GAP);
        svg.text([MARGIN, top + 5.0], Anchor::Start, NAME, row.title);
        for (line, about) in row.about.iter().enumerate() {
            svg.text([MARGIN, top + 11.0 + 5.0 * line as f64], Anchor::Start, PLAIN, about);
        }
        draw_row(&mut svg, pair, row, strips, Area { left: MARGIN + NAMES, top, width: paper, height });
    }
    svg.finish()
}

fn legend(svg: &mut Svg, y: f64) {
    let mut x = MARGIN;
    for (pen, text, width) in
        [(BEFORE, "before", 26.0), (AFTER, "after", 24.0), (DIFFERENCE, "after less before, magnified as stated", 82.0)]
    {
        svg.polyline([[x, y - 1.2], [x + 7.0, y - 1.2]], Pen { width: 0.7, ..pen });
        svg.text([x + 9.0, y], Anchor::Start, PLAIN, text);
        x += width;
    }
    svg.text([x, y], Anchor::Start, PLAIN, "25 mm/s, 10 mm/mV; what was replaced is shaded");
}

/// Draws the leads below each other, and the difference below them.
fn draw_row(svg: &mut Svg, pair: &Pair, row: &Panel, strips: [[f64; 2]; 2], area: Area) {
    let shaded = [row.segment.start, row.segment.start + row.segment.len].map(|t| t as f64 / pair.sampling_rate);
    let mut top = area.top;
    let mut strip = |svg: &mut Svg, [above, below]: [f64; 2], magnification, label: &str| {
        let area = Area { top, height: above + below, ..area };
        let paper = Paper { area, zero: top + above, magnification, start: 0.0 };
        paper.draw(svg, (row.segment.len > 0).then_some(shaded));
        svg.text([area.left - 2.0, top + above + 1.3], Anchor::End, LABEL, label);
        top += above + below;
        paper
    };
    for (lead, heights) in SHOWN.into_iter().zip(strips) {
        let paper = strip(svg, heights, 1.0, lead.name());
        paper.signal(svg, pair.lead(&pair.x, lead), pair.sampling_rate, BEFORE);
        paper.signal(svg, pair.lead(&row.x, lead), pair.sampling_rate, AFTER);
    }
    let change = pair.change(&row.x);
    let largest = change.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let fits = |times: &f64| Paper::height(f64::from(largest)) * times <= CHANGE / 2.0;
    let times = [100.0, 50.0, 20.0, 10.0, 5.0, 2.0, 1.0].into_iter().find(fits).unwrap_or(0.5);
    let paper = strip(svg, [CHANGE / 2.0; 2], times, &format!("change in {} × {times}", SHOWN[0]));
    paper.signal(svg, &change, pair.sampling_rate, DIFFERENCE);
}
