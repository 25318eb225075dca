//! Draws ten seconds of an ECG the way devices print it: three rows of four leads, 2.5 s each, above ten seconds of lead
//! II, on paper of 25 mm/s and 10 mm/mV, each row behind a calibration pulse of 1 mV and 0.2 s (AHA/ACC/HRS
//! recommendations, Kligfield et al. 2007).

use super::{Anchor, Area, Font, Paper, Pen, Svg, shortened};
use crate::{
    Error, ErrorKind, Recording, Result,
    ecg::{Filled, Lead, is_synthetic},
};

/// Seconds that are drawn: the length of the paper.
const LENGTH: f64 = 10.0;
/// Seconds of one column.
const COLUMN: f64 = 2.5;
/// The leads row by row. The columns follow each other in time, as the rhythm strip below them does.
const ROWS: [[Lead; 4]; 3] = {
    use Lead::*;
    [[I, AVR, V1, V4], [II, AVL, V2, V5], [III, AVF, V3, V6]]
};

// The sheet in mm: A4, so that it can be printed in its true size. The baselines are on thick lines of the grid.
const SHEET: [f64; 2] = [297.0, 210.0];
const GRID: Area = Area { left: 16.0, top: 19.0, width: 265.0, height: 165.0 };
/// Width of the calibration pulse with the baseline on both sides.
const PULSE: f64 = 15.0;
/// Distance of two baselines.
const ROW: f64 = 35.0;
/// How far a trace may go from its baseline, so that an artefact does not cover the whole sheet. Real complexes stay
/// within 3 mV but for some of a very hypertrophic heart.
const REACH: f64 = 30.0;
/// Distance of the text from the edges of the sheet.
const MARGIN: f64 = GRID.left;
/// Characters of a name that are drawn at most.
const LONGEST_NAME: usize = 60;

const TRACE: Pen = Pen { width: 0.3, colour: "#111111" };
const SEPARATOR: Pen = Pen { width: 0.25, colour: "#111111" };

const TITLE: Font = Font { size: 5.0, bold: true, colour: "#111111" };
const SYNTHETIC: Font = Font { size: 5.0, bold: true, colour: "#b3261e" };
const LABEL: Font = Font { size: 4.0, bold: true, colour: "#111111" };
const ABSENT: Font = Font { size: 3.2, bold: false, colour: "#666666" };
const SCALE: Font = Font { size: 3.6, bold: false, colour: "#111111" };
const NOTE: Font = Font { size: 3.0, bold: false, colour: "#333333" };

/// Draws ten seconds of a recording, from `start` seconds on, on a sheet of A4 with ECG paper of 25 mm/s and 10 mm/mV.
///
/// III, aVR, aVL and aVF are derived where they were not recorded. Leads with derived or interpolated samples are marked,
/// and so is a synthetic ECG. A lead that was neither recorded nor can be derived stays empty. The samples are drawn
/// unfiltered, with the median of the drawn ten seconds of each lead on its baseline, which removes a DC offset. What is
/// more than 3 mV from the baseline is cut off, and its lead named below, as are leads whose column begins after the end
/// of a short recording. Where lead II is missing, the first lead is the rhythm strip.
///
/// # Errors
/// The recording does not have a sample at `start`.
pub fn ecg(recording: &Recording, start: f64) -> Result<Svg> {
    if !(0.0..recording.duration()).contains(&start) {
        let cause = format!("{start} s is not within the {:.1} s of the recording", recording.duration());
        return Err(Error::new(ErrorKind::Usage, cause, "begin the drawing earlier, from 0 s on"));
    }
    let mut svg = Svg::new(SHEET[0], SHEET[1]);
    heading(&mut svg, recording);
    Paper { area: GRID, zero: GRID.top, magnification: 1.0, start: 0.0 }.draw(&mut svg, None);
    let mut sheet = Sheet { svg, recording, start, cut_off: Vec::new(), ended: Vec::new() };
    for (row, leads) in ROWS.iter().enumerate() {
        sheet.pulse(row);
        for (column, lead) in leads.iter().enumerate() {
            sheet.segment(row, [column as f64 * COLUMN, COLUMN], *lead);
        }
    }
    sheet.pulse(ROWS.len());
    sheet.segment(ROWS.len(), [0.0, LENGTH], rhythm_lead(recording));
    sheet.footer();
    Ok(sheet.svg)
}

/// Returns the lead of the rhythm strip: II, or else the first.
fn rhythm_lead(recording: &Recording) -> Lead {
    let first = recording.leads().next().map_or(Lead::II, |(lead, _)| lead);
    if recording.lead(Lead::II).is_some() { Lead::II } else { first }
}

fn heading(svg: &mut Svg, recording: &Recording) {
    let y = GRID.top - 5.0;
    svg.text([MARGIN, y], Anchor::Start, TITLE, &shortened(recording.name(), LONGEST_NAME));
    if is_synthetic(recording) {
        svg.text([SHEET[0] - MARGIN, y], Anchor::End, SYNTHETIC, "synthetic, not a patient's ECG");
    }
}

/// A sheet on which leads are being drawn.
struct Sheet<'r> {
    svg: Svg,
    recording: &'r Recording,
    start: f64,
    /// Leads of which a part is cut off.
    cut_off: Vec<Lead>,
    /// Leads whose column begins after the end of the recording.
    ended: Vec<Lead>,
}

impl Sheet<'_> {
    /// Draws the calibration pulse of a row.
    fn pulse(&mut self, row: usize) {
        let (zero, top) = (baseline(row), baseline(row) - Paper::height(1.0));
        let x = |mm: f64| GRID.left + mm;
        let [up, down] = [x(5.0), x(5.0) + Paper::width(0.2)];
        let outline = [[x(2.5), zero], [up, zero], [up, top], [down, top], [down, zero], [x(12.5), zero]];
        self.svg.polyline(outline, TRACE);
    }

    /// Draws a lead in a row: `length` seconds of it, `offset` seconds from the beginning of the drawing.
    fn segment(&mut self, row: usize, [offset, length]: [f64; 2], lead: Lead) {
        let zero = baseline(row);
        let left = GRID.left + PULSE + Paper::width(offset);
        if offset > 0.0 {
            // Above and below the trace, since through it they would look like a part of it.
            for y in [zero - 12.0, zero + 7.0] {
                self.svg.polyline([[left, y], [left, y + 5.0]], SEPARATOR);
            }
        }
        let label = [left + 1.5, zero - 12.0];
        let Ok(signal) = self.recording.recorded_or_derived(lead) else {
            return self.svg.text(label, Anchor::Start, ABSENT, &format!("{lead} not recorded"));
        };
        let rate = self.recording.sampling_rate();
        let level = median(within(&signal, rate, [self.start, LENGTH]));
        let start = self.start + offset;
        let area = Area { left, top: zero - REACH, width: Paper::width(length), height: 2.0 * REACH };
        let paper = Paper { area, zero: zero + Paper::height(f64::from(level)), magnification: 1.0, start };
        let visible = within(&signal, rate, [start, length]);
        if !visible.is_empty() {
            paper.signal(&mut self.svg, &signal, rate, TRACE);
        } else {
            self.ended.push(lead);
        }
        if visible.iter().any(|x| Paper::height(f64::from(x - level).abs()) > REACH) && !self.cut_off.contains(&lead) {
            self.cut_off.push(lead);
        }
        let mark = if self.filling(lead).is_some() { "*" } else { "" };
        self.svg.text(label, Anchor::Start, LABEL, &format!("{lead}{mark}"));
    }

    /// Returns what of a lead was not recorded, and how it was filled.
    fn filling(&self, lead: Lead) -> Option<Filled> {
        let filled = self.recording.filled().iter().find(|(filled, _)| *filled == lead).map(|(_, filled)| *filled);
        let derived = || self.recording.lead(lead).is_none() && self.recording.recorded_or_derived(lead).is_ok();
        filled.or_else(|| derived().then(|| Filled::Derived { samples: self.recording.samples() }))
    }

    /// Writes scale, name, sampling rate and duration, and what was noticed, below the grid.
    fn footer(&mut self) {
        let mut y = GRID.top + GRID.height + 5.5;
        let scale = "25 mm/s   10 mm/mV   unfiltered, DC offset (median) removed";
        self.svg.text([MARGIN, y], Anchor::Start, SCALE, scale);
        self.svg.text([SHEET[0] - MARGIN, y], Anchor::End, SCALE, &self.about());
        for note in self.notes() {
            y += 4.2;
            self.svg.text([MARGIN, y], Anchor::Start, NOTE, &note);
        }
    }

    /// Returns name, sampling rate and duration, and which part is drawn if it is not all.
    fn about(&self) -> String {
        let (recording, start) = (self.recording, self.start);
        let name = shortened(recording.name(), LONGEST_NAME / 2);
        let about = format!("{name}   {} Hz   {:.1} s", recording.sampling_rate(), recording.duration());
        let end = recording.duration().min(start + LENGTH);
        let part = start > 0.0 || end < recording.duration();
        if part { format!("{about}, of which {start:.1} s to {end:.1} s") } else { about }
    }

    /// Returns the legend of the marks, and which leads are not drawn as a whole.
    fn notes(&self) -> Vec<String> {
        let samples_of = |lead: Lead, samples: usize| match samples < self.recording.samples() {
            true => format!("{lead} ({samples} samples)"),
            false => lead.to_string(),
        };
        let (mut derived, mut interpolated) = (Vec::new(), Vec::new());
        for lead in Lead::STANDARD {
            match self.filling(lead) {
                Some(Filled::Derived { samples }) => derived.push(samples_of(lead, samples)),
                Some(Filled::Interpolated { samples }) => interpolated.push(samples_of(lead, samples)),
                None => {}
            }
        }
        let names = |leads: &[Lead]| leads.iter().map(Lead::to_string).collect::<Vec<_>>();
        let notes = [
            ("* derived from I and II: ", derived),
            ("* interpolated: ", interpolated),
            ("cut off at 3 mV from the baseline: ", names(&self.cut_off)),
            ("not drawn, as the recording ends before their column: ", names(&self.ended)),
        ];
        let notes = notes.into_iter().filter(|(_, leads)| !leads.is_empty());
        notes.map(|(what, leads)| what.to_string() + &leads.join(", ")).collect()
    }
}

/// Returns the distance of a row's baseline from the top edge of the sheet.
fn baseline(row: usize) -> f64 {
    GRID.top + REACH + ROW * row as f64
}

/// Returns the samples of `length` seconds from `start` on; fewer where the recording ends.
fn within(signal: &[f32], sampling_rate: f64, [start, length]: [f64; 2]) -> &[f32] {
    let [first, end] = [start, start + length].map(|time| (time * sampling_rate) as usize);
    signal.get(first..end.min(signal.len())).unwrap_or_default()
}

/// Returns the median of a signal: near the isoelectric line, which an ECG keeps to most of the time. 0 for no samples.
fn median(signal: &[f32]) -> f32 {
    let mut sorted = signal.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecg::{Condition, synthesize};

    fn drawn(recording: &Recording) -> String {
        ecg(recording, 0.0).unwrap().finish()
    }

    /// Returns a sound recording of ten seconds at 500 Hz after `change`, without the mark of a synthetic one.
    fn changed(change: impl FnOnce(&mut Vec<(Lead, Vec<f32>)>)) -> Recording {
        let sound = synthesize(Condition::Norm, 1, 500.0, 10.0).unwrap();
        let mut leads = sound.leads().map(|(lead, signal)| (lead, signal.to_vec())).collect();
        change(&mut leads);
        Recording::new("record 7", 500.0, leads).unwrap()
    }

    /// Lists the points of each trace.
    fn traces(svg: &str) -> Vec<Vec<[f64; 2]>> {
        let of = |line: &str| -> Vec<[f64; 2]> {
            let points = line.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
            let point = |text: &str| {
                let (x, y) = text.split_once(',').unwrap();
                [x, y].map(|number| number.parse().unwrap())
            };
            points.split(' ').map(point).collect()
        };
        svg.lines().filter(|line| line.starts_with("<polyline") && line.contains("\"0.3\"")).map(of).collect()
    }

    #[test]
    fn twelve_leads_and_a_rhythm_strip_stand_behind_a_pulse_each_row() {
        let svg = drawn(&changed(|_| {}));
        for lead in Lead::STANDARD {
            assert_eq!(svg.matches(&format!(">{lead}</text>")).count(), if lead == Lead::II { 2 } else { 1 }, "{lead}");
        }
        let lengths: Vec<usize> = traces(&svg).iter().map(Vec::len).collect();
        let row = [6, 1252, 1252, 1252, 1250];
        assert_eq!(lengths, [&row[..], &row, &row, &[6, 5000]].concat(), "every sample is drawn");
        for part in [">25 mm/s   10 mm/mV ", ">record 7</text>", ">record 7   500 Hz   10.0 s</text>"] {
            assert!(svg.contains(part), "{part}");
        }
        assert!(!svg.contains("synthetic") && !svg.contains('*') && !svg.contains("cut off"));
    }

    #[test]
    fn a_millivolt_is_ten_millimetres_and_a_second_twenty_five() {
        let signal: Vec<f32> = (0..5000).map(|n| if (1000..1500).contains(&n) { 3.5 } else { 2.5 }).collect();
        let svg = drawn(&Recording::new("r", 500.0, vec![(Lead::II, signal)]).unwrap());
        let strip = &traces(&svg)[5];
        let high: Vec<&[f64; 2]> = strip.iter().filter(|[_, y]| (y - baseline(3) + 10.0).abs() < 1e-9).collect();
        assert_eq!(high.len(), 500);
        assert!((high[0][0] - (GRID.left + PULSE + 50.0)).abs() < 1e-9, "{:?}", high[0]);
        assert_eq!(strip.iter().filter(|[_, y]| (y - baseline(3)).abs() < 1e-9).count(), 4500, "without the offset");
        let pulse = &traces(&svg)[4];
        assert!((pulse[3][0] - pulse[2][0] - 5.0).abs() < 1e-9 && (pulse[1][1] - pulse[2][1] - 10.0).abs() < 1e-9);
    }

    #[test]
    fn what_was_not_recorded_is_marked() {
        let mut eight = changed(|leads| leads.retain(|(lead, _)| !(Lead::III..=Lead::AVF).contains(lead)));
        eight.note_filled(Lead::V2, Filled::Interpolated { samples: 7 });
        let svg = drawn(&eight);
        for part in [">III*<", ">aVF*<", ">V2*<", ">V3<", ">* derived from I and II: III, aVR, aVL, aVF<"] {
            assert!(svg.contains(part), "{part}");
        }
        assert!(svg.contains(">* interpolated: V2 (7 samples)<"));
        let svg = drawn(&changed(|leads| leads.truncate(2)));
        assert!(svg.contains(">V6 not recorded<") && svg.contains(">aVL*<"));
    }

    #[test]
    fn an_artefact_is_clipped_and_named() {
        let artefact = changed(|leads| leads[7].1[2600..2700].fill(10.0));
        let svg = drawn(&artefact);
        assert!(svg.contains(">cut off at 3 mV from the baseline: V2<"), "{svg}");
        let clip = format!("y=\"{:.2}\" width=\"62.50\" height=\"60.00\"", baseline(1) - REACH);
        assert_eq!(svg.matches(&clip).count(), 4);
    }

    #[test]
    fn a_part_of_a_long_recording_is_drawn_and_a_synthetic_one_marked() {
        let long = synthesize(Condition::Norm, 1, 100.0, 60.0).unwrap();
        let svg = ecg(&long, 42.5).unwrap().finish();
        assert!(svg.contains(">synthetic, not a patient's ECG<"));
        assert!(svg.contains("   100 Hz   60.0 s, of which 42.5 s to 52.5 s<"), "{svg}");
        let [first, last] = [0, 1001].map(|at| traces(&svg).last().unwrap()[at][0]);
        assert!((first - GRID.left - PULSE).abs() < 0.26 && (last - 281.0).abs() < 0.26, "{first} {last}");
        for start in [-1.0, 60.0, f64::NAN] {
            let error = ecg(&long, start).unwrap_err();
            assert!(error.cause().ends_with("is not within the 60.0 s of the recording"), "{error}");
        }
    }

    #[test]
    fn a_short_recording_leaves_the_paper_empty_at_the_right() {
        let short = changed(|leads| leads.iter_mut().for_each(|(_, signal)| signal.truncate(3000)));
        let svg = drawn(&short);
        assert!(svg.contains(">not drawn, as the recording ends before their column: V4, V5, V6<"), "{svg}");
        let furthest = traces(&svg).concat().iter().fold(0f64, |furthest, [x, _]| furthest.max(*x));
        assert!((furthest - (GRID.left + PULSE + 150.0)).abs() < 0.1, "{furthest}");
    }

    #[test]
    fn any_recording_can_be_drawn() {
        for (rate, samples) in [(1e-300, 1), (1e300, 3), (0.3, 2), (360.5, 700), (40_000.0, 500_000)] {
            let recording = Recording::new("r", rate, vec![(Lead::V3, vec![0.5; samples])]).unwrap();
            assert!(drawn(&recording).ends_with("</svg>\n"), "{rate} Hz");
        }
    }
}
