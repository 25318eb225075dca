//! Draws an explanation on ECG paper: each lead above its attributions as coloured bands, and the checks below.

use super::{Attribution, Explanation, LARGEST_CORRELATION, Map, Method};
use crate::{
    Error, ErrorKind, Recording, Result, class_in_words,
    ecg::{Lead, is_synthetic},
    plot::{Anchor, Area, Font, Paper, Pen, Svg, shortened},
};

/// Seconds that are drawn.
const LENGTH: f64 = 10.0;

// The sheet in mm: as wide as A4 is long. With all methods it is an A3 sheet.
const WIDTH: f64 = 297.0;
const LEFT: f64 = 25.0;
const RIGHT: f64 = LEFT + 250.0;
const MARGIN: f64 = 5.0;
const HEADING: f64 = 33.0;
/// Height of the paper of a lead.
const PAPER: f64 = 20.0;
/// Height of a band, and of the bands of all leads.
const BAND: f64 = 2.4;
const WIDE_BAND: f64 = 4.0;
/// Space below a lead.
const GAP: f64 = 1.0;
const CHECKS: f64 = 54.0;

/// The colours from against the class to for it: ColorBrewer's PuOr of nine classes, which people with colour blindness can tell
/// apart (Harley and Brewer, colorbrewer2.org).
const COLOURS: [&str; 9] =
    ["#542788", "#8073ac", "#b2abd2", "#d8daeb", "#f7f7f7", "#fee0b6", "#fdb863", "#e08214", "#b35806"];
const NEUTRAL: usize = COLOURS.len() / 2;

const TRACE: Pen = Pen { width: 0.3, colour: "#111111" };
const BY_MAP: Pen = Pen { width: 0.5, colour: "#b35806" };
const AT_RANDOM: Pen = Pen { width: 0.5, colour: "#8a8a8a" };
const AXIS: Pen = Pen { width: 0.2, colour: "#333333" };

const TITLE: Font = Font { size: 5.0, bold: true, colour: "#111111" };
const WARNING: Font = Font { size: 4.0, bold: true, colour: "#b3261e" };
const LABEL: Font = Font { size: 4.0, bold: true, colour: "#111111" };
const PLAIN: Font = Font { size: 3.0, bold: false, colour: "#333333" };
const SMALL: Font = Font { size: 2.2, bold: false, colour: "#333333" };
const FAILED: Font = Font { size: 3.0, bold: true, colour: "#b3261e" };

/// The duration of a cell of a band that has a number per sample, in seconds: a small square of the paper.
const CELL: f64 = 0.04;

impl Explanation {
    /// Draws ten seconds of the recording from `start` seconds on: below each lead a coloured band per method, then the bands of
    /// all leads, then the checks. A map that fails a check says so in red.
    ///
    /// # Errors
    /// The recording does not have a sample at `start`, or lacks a lead of the explanation.
    pub fn draw(&self, recording: &Recording, start: f64) -> Result<Svg> {
        if !(0.0..recording.duration()).contains(&start) {
            let cause = format!("{start} s is not within the {:.1} s of the recording", recording.duration());
            return Err(Error::new(ErrorKind::Usage, cause, "begin the drawing earlier, from 0 s on"));
        }
        let per_lead = self.attributions.iter().filter(|it| it.map.rows > 1).count() as f64;
        let row = PAPER + per_lead * BAND + GAP;
        let all_leads = self.attributions.len() as f64 * WIDE_BAND + 11.0;
        let height = HEADING + self.leads.len() as f64 * row + all_leads + CHECKS;
        let mut sheet = Sheet { svg: Svg::new(WIDTH, height.ceil()), explanation: self, recording, start };
        sheet.heading();
        let magnification = sheet.magnification()?;
        for (at, &lead) in self.leads.iter().enumerate() {
            sheet.lead(HEADING + at as f64 * row, at, lead, magnification)?;
        }
        let top = HEADING + self.leads.len() as f64 * row + 3.0;
        sheet.all_leads(top);
        sheet.legend(magnification);
        for (at, attribution) in self.attributions.iter().enumerate() {
            sheet.checks([LEFT + 85.0 * at as f64, top + all_leads], attribution);
        }
        Ok(sheet.svg)
    }
}

struct Sheet<'a> {
    svg: Svg,
    explanation: &'a Explanation,
    recording: &'a Recording,
    start: f64,
}

impl Sheet<'_> {
    fn heading(&mut self) {
        let it = self.explanation;
        let (class, percent) = (it.class_name(), 100.0 * it.probability());
        let words = class_in_words(class).map(|words| format!(" ({words})")).unwrap_or_default();
        let title = format!("What speaks for {class}{words}: probability {percent:.1} %");
        self.svg.text([MARGIN, 9.0], Anchor::Start, TITLE, &title);
        if is_synthetic(self.recording) {
            self.svg.text([WIDTH - MARGIN, 9.0], Anchor::End, WARNING, "synthetic, not a patient's ECG");
        }
        let about = format!(
            "{}   {} Hz   {:.1} s   network {}, seed {}",
            shortened(self.recording.name(), 60),
            self.recording.sampling_rate(),
            self.recording.duration(),
            it.network,
            it.seed
        );
        self.svg.text([MARGIN, 14.5], Anchor::Start, PLAIN, &about);
        let limits = "An explanation is of the network, not of the patient. For research only: not a medical device.";
        self.svg.text([WIDTH - MARGIN, 14.5], Anchor::End, PLAIN, limits);
        let failed: Vec<String> =
            it.attributions.iter().filter(|it| !it.passed()).map(|it| it.map.method.to_string()).collect();
        if !failed.is_empty() {
            let text = format!("Do not rely on {}: a check below fails", failed.join(", "));
            self.svg.text([WIDTH - MARGIN, 20.5], Anchor::End, WARNING, &text);
        }
    }

    /// Returns the largest magnification of 1, 1/2 and 1/4 with which every lead fits on its paper.
    fn magnification(&self) -> Result<f64> {
        let mut largest = 0.0f64;
        for &lead in &self.explanation.leads {
            let [low, high, _] = self.range(&self.recording.recorded_or_derived(lead)?);
            largest = largest.max(high - low);
        }
        let fits = |times: &f64| Paper::height(largest) * times <= PAPER;
        Ok([1.0, 0.5].into_iter().find(fits).unwrap_or(0.25))
    }

    /// Returns the least, the largest and the median sample that is drawn, in mV.
    fn range(&self, signal: &[f32]) -> [f64; 3] {
        let [first, end] = [self.start, self.start + LENGTH].map(|at| (at * self.recording.sampling_rate()) as usize);
        let mut drawn = signal[first.min(signal.len() - 1)..end.min(signal.len())].to_vec();
        drawn.sort_unstable_by(f32::total_cmp);
        [drawn[0], drawn[drawn.len() - 1], drawn[drawn.len() / 2]].map(f64::from)
    }

    fn lead(&mut self, top: f64, row: usize, lead: Lead, magnification: f64) -> Result<()> {
        let signal = self.recording.recorded_or_derived(lead)?;
        let [low, high, median] = self.range(&signal);
        // The middle of the lead is in the middle of the paper, and the median on a line.
        let above = (PAPER / 2.0 + Paper::height((high + low) / 2.0 - median) * magnification).round();
        let zero = top + above + Paper::height(median) * magnification;
        let area = Area { left: LEFT, top, width: RIGHT - LEFT, height: PAPER };
        let paper = Paper { area, zero, magnification, start: self.start };
        paper.draw(&mut self.svg, None);
        paper.signal(&mut self.svg, &signal, self.recording.sampling_rate(), TRACE);
        self.svg.text([LEFT - 2.0, top + above + 1.4], Anchor::End, LABEL, lead.name());
        let mut y = top + PAPER;
        for attribution in self.explanation.attributions.iter().filter(|it| it.map.rows > 1) {
            let map = &attribution.map;
            let (cells, seconds) = self.cells(map, map.row(row));
            self.band([y, BAND], &cells, seconds, full_scale(&self.all_cells(map)));
            self.svg.text([LEFT - 1.5, y + 1.9], Anchor::End, SMALL, &map.method.to_string());
            self.svg.text([RIGHT + 1.5, y + 1.9], Anchor::Start, SMALL, &format!("{:+.2}", map.leads[row]));
            y += BAND;
        }
        Ok(())
    }

    /// Returns what is drawn of a row of a map, and the seconds of each cell: sums, with Grad-CAM means.
    fn cells(&self, map: &Map, row: &[f64]) -> (Vec<f64>, f64) {
        let rate = self.explanation.sampling_rate;
        if map.window > 1 {
            return (row.to_vec(), map.window as f64 / rate);
        }
        let columns = (CELL * rate).round().max(1.0) as usize;
        let divisor = |count: usize| if map.method == Method::GradCam { count as f64 } else { 1.0 };
        let cell = |cell: &[f64]| cell.iter().sum::<f64>() / divisor(cell.len());
        (row.chunks(columns).map(cell).collect(), columns as f64 / rate)
    }

    fn all_cells(&self, map: &Map) -> Vec<f64> {
        (0..map.rows).flat_map(|row| self.cells(map, map.row(row)).0).collect()
    }

    /// Draws a band of cells of equal length; `scale` has the full colour. Neighbours of one colour are one rectangle.
    fn band(&mut self, [top, height]: [f64; 2], cells: &[f64], seconds: f64, scale: f64) {
        let x = |cell: usize| (LEFT + Paper::width(cell as f64 * seconds - self.start)).clamp(LEFT, RIGHT);
        let colours: Vec<usize> = cells.iter().map(|&value| colour(value, scale)).collect();
        let mut rectangles = vec![([x(0), x(cells.len())], NEUTRAL)];
        let mut first = 0;
        for group in colours.chunk_by(|a, b| a == b) {
            rectangles.push(([x(first), x(first + group.len())], group[0]));
            first += group.len();
        }
        for ([left, right], colour) in rectangles {
            if right > left {
                let area = Area { left, top, width: right - left, height };
                self.svg.rectangle(area, COLOURS[colour]);
            }
        }
    }

    /// Draws the bands of all leads together, each with a scale of its own, and the axis of time below them.
    fn all_leads(&mut self, top: f64) {
        let it = self.explanation;
        self.svg.text([LEFT, top], Anchor::Start, PLAIN, "all leads together");
        self.svg.text([WIDTH - 1.0, top], Anchor::End, SMALL, "full colour");
        let mut y = top + 1.2;
        for Attribution { map, .. } in &it.attributions {
            let (cells, seconds) = match map.method {
                Method::GradCam => self.cells(map, map.row(0)),
                _ => (map.bands.clone(), it.window as f64 / it.sampling_rate),
            };
            let scale = cells.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
            self.band([y, WIDE_BAND], &cells, seconds, scale);
            self.svg.text([LEFT - 1.5, y + 2.7], Anchor::End, SMALL, &map.method.to_string());
            let sign = if map.method == Method::GradCam { "" } else { "±" };
            self.svg.text([RIGHT + 1.5, y + 2.7], Anchor::Start, SMALL, &format!("{sign}{scale:.2}"));
            y += WIDE_BAND;
        }
        for second in 0..=LENGTH as usize {
            let x = LEFT + Paper::width(second as f64);
            self.svg.polyline([[x, y], [x, y + 1.2]], AXIS);
            self.svg.text([x, y + 4.0], Anchor::Middle, SMALL, &format!("{} s", self.start + second as f64));
        }
    }

    /// Draws the colours, what the full ones stand for, and the scale of the paper.
    fn legend(&mut self, magnification: f64) {
        let (it, y, box_width) = (self.explanation, 25.0, 7.0);
        let class = it.class_name();
        let mut x = MARGIN + 24.0;
        self.svg.text([x - 2.0, y], Anchor::End, PLAIN, &format!("against {class}"));
        for colour in COLOURS {
            self.svg.rectangle(Area { left: x, top: y - 3.0, width: box_width, height: 4.0 }, colour);
            x += box_width;
        }
        self.svg.text([x + 2.0, y], Anchor::Start, PLAIN, &format!("for {class}"));
        let scale = |attribution: &Attribution| {
            let map = &attribution.map;
            let seconds = self.cells(map, map.row(0)).1;
            format!("{} ±{:.3} in {:.0} ms", map.method, full_scale(&self.all_cells(map)), 1e3 * seconds)
        };
        let scales: Vec<String> = it.attributions.iter().filter(|it| it.map.rows > 1).map(scale).collect();
        if !scales.is_empty() {
            let text = format!("full colour, in logits: {}", scales.join(", "));
            self.svg.text([x + 28.0, y], Anchor::Start, PLAIN, &text);
            self.svg.text([WIDTH - 1.0, HEADING - 1.0], Anchor::End, SMALL, "lead, in logits");
        }
        let gain = format!("25 mm/s   {} mm/mV   unfiltered, DC offset (median) removed", 10.0 * magnification);
        self.svg.text([MARGIN, HEADING - 2.5], Anchor::Start, PLAIN, &gain);
    }

    /// Draws the deletion curve of a map, and the results of its checks.
    fn checks(&mut self, [left, top]: [f64; 2], Attribution { map, randomisation, deletion }: &Attribution) {
        self.svg.text([left, top], Anchor::Start, LABEL, &map.method.to_string());
        let area = Area { left: left + 7.0, top: top + 3.0, width: 62.0, height: 26.0 };
        let largest = deletion.by_map.iter().chain(&deletion.at_random).fold(0.0f64, |largest, &p| largest.max(p));
        let ceiling = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5].into_iter().find(|&p| p >= largest).unwrap_or(1.0);
        let [bottom, right] = [area.top + area.height, area.left + area.width];
        self.svg.polyline([[area.left, area.top], [area.left, bottom], [right, bottom]], AXIS);
        for (pen, curve) in [(AT_RANDOM, &deletion.at_random), (BY_MAP, &deletion.by_map)] {
            let steps = (curve.len() - 1) as f64;
            let point = |(at, &p): (usize, &f64)| {
                [area.left + area.width * at as f64 / steps, bottom - area.height * p / ceiling]
            };
            self.svg.polyline(curve.iter().enumerate().map(point), pen);
        }
        for (at, text) in [(area.top + 1.0, format!("{} %", 100.0 * ceiling)), (bottom, "0 %".into())] {
            self.svg.text([area.left - 1.0, at], Anchor::End, SMALL, &text);
        }
        self.svg.text([right, bottom + 2.8], Anchor::End, SMALL, "share of the record replaced, 0 to 100 %");
        self.svg.text([right, area.top + 1.5], Anchor::End, Font { colour: BY_MAP.colour, ..SMALL }, "by the map");
        self.svg.text([right, area.top + 4.5], Anchor::End, Font { colour: AT_RANDOM.colour, ..SMALL }, "at random");
        let correlations = randomisation.stages.iter().map(|stage| format!("{:.2}", stage.correlation()));
        let layers: Vec<String> = randomisation.stages.iter().map(|stage| stage.layers.to_string()).collect();
        let lines = [
            (deletion.passed, format!("deletion: area {:+.3} before random", deletion.area)),
            (deletion.passed, format!("beats {} of {} random orders", deletion.beaten, deletion.orders)),
            (randomisation.passed, format!("random weights in the last {} layers:", layers.join(", "))),
            (randomisation.passed, {
                let correlations = correlations.collect::<Vec<_>>().join(", ");
                format!("rank correlation {correlations}; at most {LARGEST_CORRELATION}")
            }),
        ];
        let mut y = bottom + 7.0;
        for (at, (passed, text)) in lines.into_iter().enumerate() {
            let verdict = if passed { ": passed" } else { ": FAILED" };
            let text = text + if at % 2 == 1 { verdict } else { "" };
            self.svg.text([left, y], Anchor::Start, if passed { PLAIN } else { FAILED }, &text);
            y += 4.2;
        }
    }
}

/// Returns the index of the colour of a value; beyond `scale` it stays the full one.
fn colour(value: f64, scale: f64) -> usize {
    if scale <= 0.0 {
        return NEUTRAL;
    }
    (NEUTRAL as f64 * (1.0 + (value / scale).clamp(-1.0, 1.0))).round() as usize
}

/// Returns the magnitude that has the full colour: the 99th percentile, so that a single sample does not make all others pale.
fn full_scale(cells: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = cells.iter().map(|value| value.abs()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() * 99 / 100).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_from_against_to_for_and_stop_at_full() {
        let indices = [-9.0, -1.0, -0.1, 0.0, 0.1, 0.5, 1.0, 9.0].map(|value| colour(value, 1.0));
        assert_eq!(indices, [0, 0, 4, 4, 4, 6, 8, 8]);
        assert_eq!(colour(1.0, 0.0), NEUTRAL, "an empty map has no colour");
    }
}
