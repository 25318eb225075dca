//! The figures of an evaluation as SVG, for a paper or a report.

use std::path::{Path, PathBuf};

use ecgpu::{
    Result,
    dataset::evaluation::{ClassSummary, Estimate, rankings},
    engine::files,
    evaluate::{Bin, label_confusion, reliability},
    plot::{Anchor, Area, Axis, Chart, Curve, Font, ForestLine, Svg, forest, legend, matrix, shortened},
};

use super::{Evaluation, table::with_interval};

/// The kinds of figures, in the order of [`drawings`].
const KINDS: [&str; 6] = ["roc", "precision-recall", "reliability", "confusion", "subgroups", "robustness"];

/// The fewest records for which the reliability diagram has a point: the interval of fewer says nothing.
const FEWEST: usize = 10;

/// The half width of a 95 % interval in standard deviations of the normal distribution.
const DEVIATIONS: f64 = 1.96;

/// Characters of the names of weights and of classes that are drawn at most.
const LONGEST_NAME: usize = 32;
const LONGEST_CLASS: usize = 12;

const TITLE: Font = Font { size: 3.6, bold: true, colour: "#111111" };
const NOTE: Font = Font { size: 2.8, bold: false, colour: "#444444" };
/// The place of the title of a figure without axes around it.
const HEAD: [f64; 2] = [4.0, 8.0];

/// Returns the paths that [`write()`] may write, to check that they are free. `name` follows the underscore.
pub fn paths(folder: &Path, name: &str) -> Vec<PathBuf> {
    KINDS.iter().map(|kind| folder.join(format!("{kind}_{name}.svg"))).collect()
}

/// What the figures are about.
struct Subject<'a> {
    evaluation: &'a Evaluation,
    /// The names of the classes, short enough for a figure.
    classes: Vec<String>,
    fold: u8,
}

/// Draws the figures of the records with a label. Without subgroups, or without a measurement of robustness, there is no
/// figure of them.
///
/// # Errors
/// A file cannot be written.
pub fn write(folder: &Path, evaluation: &Evaluation, classes: &[String], fold: u8) -> Result<()> {
    let classes = classes.iter().map(|class| shortened(class, LONGEST_CLASS)).collect();
    let drawings = drawings(&Subject { evaluation, classes, fold });
    for (path, drawing) in paths(folder, &evaluation.weights).iter().zip(drawings) {
        if let Some(drawing) = drawing {
            files::write(path, drawing.finish().as_bytes())?;
        }
    }
    Ok(())
}

fn drawings(subject: &Subject) -> [Option<Svg>; KINDS.len()] {
    [
        Some(roc(subject)),
        Some(precision_recall(subject)),
        Some(calibration(subject)),
        Some(confusion(subject)),
        subgroups(subject),
        robustness(subject),
    ]
}

/// Returns a title that names what was measured.
fn title(what: &str, Subject { evaluation, fold, .. }: &Subject) -> String {
    let (name, summary) = (shortened(&evaluation.weights, LONGEST_NAME), &evaluation.measured.summaries[0]);
    format!("{what}: {name}, fold {fold}, {} {}", summary.records, summary.population)
}

/// Draws a square chart of rates with a curve per class, and a legend of the classes and the estimate of each. The texts are
/// the title, the names of the axes, and that of the estimate.
fn square(
    [title, x, y, estimate]: [&str; 4],
    reference: Vec<[f64; 2]>,
    curves: Vec<Vec<[f64; 2]>>,
    names: &[String],
) -> Svg {
    // With a line of the legend per class, whose number has no limit.
    let mut svg = Svg::new(164.0, (28.0 + 5.0 * names.len() as f64).max(108.0));
    let curve = |(colour, points)| Curve { points, joined: true, colour, ..Curve::default() };
    let chart = Chart {
        title: title.into(),
        x: Axis::numbers(x, [0.0, 1.0]),
        y: Axis::numbers(y, [0.0, 1.0]),
        reference,
        curves: curves.into_iter().enumerate().map(curve).collect(),
    };
    chart.draw(&mut svg, Area { left: 14.0, top: 14.0, width: 80.0, height: 80.0 });
    svg.text([99.0, 17.0], Anchor::Start, NOTE, &format!("{estimate} with 95 % interval"));
    legend(&mut svg, [99.0, 19.0], names);
    svg
}

/// Returns the names of the classes, each with an estimate.
fn with_estimates(classes: &[String], of: impl Fn(usize) -> Estimate) -> Vec<String> {
    classes.iter().enumerate().map(|(at, name)| format!("{name}: {}", with_interval(of(at), 3))).collect()
}

fn roc(subject: &Subject) -> Svg {
    let Subject { evaluation, classes, .. } = subject;
    let curves = rankings(&evaluation.measured.labelled)
        .into_iter()
        .map(|ranking| corners(ranking.roc_curve().unwrap_or_default()));
    let names = with_estimates(classes, |class| evaluation.measured.summaries[0].classes[class].auroc);
    let diagonal = vec![[0.0, 0.0], [1.0, 1.0]];
    let texts = [&title("ROC", subject), "1 − specificity", "sensitivity", "AUROC"];
    square(texts, diagonal, curves.collect(), &names)
}

/// Leaves out points on a straight line between their neighbours, which are most of those of a ROC curve.
fn corners(points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    let mut kept: Vec<[f64; 2]> = Vec::new();
    for point in points {
        let is_straight =
            |axis: usize| kept.iter().rev().take(2).filter(|before| before[axis] == point[axis]).count() == 2;
        if is_straight(0) || is_straight(1) {
            kept.pop();
        }
        kept.push(point);
    }
    kept
}

fn precision_recall(subject: &Subject) -> Svg {
    let Subject { evaluation, classes, .. } = subject;
    let curves = rankings(&evaluation.measured.labelled);
    let curves = curves.iter().map(|ranking| ranking.precision_recall_curve().unwrap_or_default());
    let names = with_estimates(classes, |class| evaluation.measured.summaries[0].classes[class].average_precision);
    let title = title("Precision and recall", subject);
    square([&title, "recall", "precision", "average precision"], Vec::new(), curves.collect(), &names)
}

/// Draws one reliability diagram per class, three in a row.
fn calibration(subject: &Subject) -> Svg {
    let Subject { evaluation, classes, .. } = subject;
    let panel = |class: usize| {
        let (probabilities, labels) = evaluation.measured.labelled.class(class);
        let bins = reliability(&probabilities, &labels);
        let shown: Vec<&Bin> = bins.iter().filter(|bin| bin.records >= FEWEST).collect();
        let curve = Curve {
            points: shown.iter().map(|bin| [bin.probability, bin.frequency]).collect(),
            intervals: shown.iter().map(|bin| wilson(bin)).collect(),
            joined: true,
            marked: true,
            colour: class,
        };
        let metrics = &evaluation.measured.summaries[0].classes[class].metrics;
        let error = metrics.get("expected_calibration_error").and_then(|metric| metric.value).unwrap_or_default();
        Chart {
            title: format!("{}, ECE {error:.3}", classes[class]),
            x: Axis::numbers("mean probability", [0.0, 1.0]),
            y: Axis::numbers("share with the class", [0.0, 1.0]),
            reference: vec![[0.0, 0.0], [1.0, 1.0]],
            curves: vec![curve],
        }
    };
    let note =
        format!("Ten bins of equal width, those of at least {FEWEST} records, with 95 % intervals (Wilson 1927).");
    let panels: Vec<Chart> = (0..classes.len()).map(panel).collect();
    grid(&title("Reliability", subject), &note, &panels, 42.0)
}

/// Returns the 95 % interval of the frequency of a bin (Wilson 1927).
fn wilson(bin: &Bin) -> [f64; 2] {
    let (records, square) = (bin.records as f64, DEVIATIONS * DEVIATIONS);
    let centre = bin.frequency + square / (2.0 * records);
    let variance = bin.frequency * (1.0 - bin.frequency) / records + square / (4.0 * records * records);
    [-1.0, 1.0].map(|side| (centre + side * DEVIATIONS * variance.sqrt()) / (1.0 + square / records))
}

/// Draws charts of one height, three in a row, below a title and a note.
fn grid(title: &str, note: &str, panels: &[Chart], height: f64) -> Svg {
    const COLUMNS: usize = 3;
    const WIDTH: f64 = 44.0;
    // With the ticks and names of the axes.
    let pitch = [WIDTH + 17.0, height + 24.0];
    let rows = panels.len().div_ceil(COLUMNS);
    let mut svg = Svg::new(pitch[0] * COLUMNS as f64 + 6.0, 16.0 + pitch[1] * rows as f64);
    svg.text(HEAD, Anchor::Start, TITLE, title);
    svg.text([HEAD[0], HEAD[1] + 5.0], Anchor::Start, NOTE, note);
    for (at, panel) in panels.iter().enumerate() {
        let [column, row] = [at % COLUMNS, at / COLUMNS].map(|place| place as f64);
        let (left, top) = (13.0 + column * pitch[0], 27.0 + row * pitch[1]);
        panel.draw(&mut svg, Area { left, top, width: WIDTH, height });
    }
    svg
}

fn confusion(subject: &Subject) -> Svg {
    let Subject { evaluation, classes, .. } = subject;
    const CELL: [f64; 2] = [18.0, 11.0];
    let summary = &evaluation.measured.summaries[0];
    let thresholds: Vec<f64> = summary.classes.iter().map(|class| class.threshold).collect();
    let cell = |count: usize, support: usize| {
        let share = count as f64 / support.max(1) as f64;
        (share, format!("{:.0} %", share * 100.0))
    };
    let row = |(counts, class): (&Vec<usize>, usize)| counts.iter().map(|&count| cell(count, class)).collect();
    let supports = summary.classes.iter().map(|class| class.support);
    let cells: Vec<Vec<(f64, String)>> =
        label_confusion(&evaluation.measured.labelled, &thresholds).iter().zip(supports).map(row).collect();
    let row_name = |(name, of): (&String, &ClassSummary)| format!("{name} ({})", of.support);
    let rows: Vec<String> = classes.iter().zip(&summary.classes).map(row_name).collect();
    let columns: Vec<String> = classes.iter().cloned().chain(["none".into()]).collect();
    let area =
        Area { left: 32.0, top: 26.0, width: CELL[0] * columns.len() as f64, height: CELL[1] * rows.len() as f64 };
    let mut svg = Svg::new((area.left + area.width + 6.0).max(146.0), area.top + area.height + 12.0);
    svg.text(HEAD, Anchor::Start, TITLE, &title("Label confusion", subject));
    svg.text([area.left, area.top - 8.0], Anchor::Start, NOTE, "label at its threshold");
    svg.text([HEAD[0], area.top - 2.0], Anchor::Start, NOTE, "records that have");
    matrix(&mut svg, area, [&rows, &columns], &cells);
    let note = "Records have several classes and labels: rows overlap, and may add up to more than 100 %.";
    svg.text([HEAD[0], area.top + area.height + 7.0], Anchor::Start, NOTE, note);
    svg
}

fn subgroups(subject: &Subject) -> Option<Svg> {
    let evaluation = subject.evaluation;
    let summary = &evaluation.measured.summaries[0];
    let line = |name: &str, records: usize, estimate: Estimate| {
        let value = estimate.value.zip(estimate.interval).map(|(value, [low, high])| [value, low, high]);
        let text = format!("{}, {records} records", with_interval(estimate, 3));
        value.map(|value| ForestLine { name: name.into(), value: Some(value), text })
    };
    let mut lines = vec![line("all", summary.records, summary.macro_auroc)?];
    let mut groups = "";
    for subgroup in &evaluation.measured.subgroups {
        let Some(line) = line(&subgroup.name, subgroup.records, subgroup.macro_auroc) else { continue };
        if subgroup.group != groups {
            groups = subgroup.group;
            lines.push(ForestLine { name: groups.into(), value: None, text: String::new() });
        }
        lines.push(line);
    }
    if lines.len() == 1 {
        return None;
    }
    let ends = lines.iter().filter_map(|line| line.value).flat_map(|[_, low, high]| [low, high]);
    let axis = Axis::numbers("macro AUROC with 95 % interval", around(ends));
    let mut svg = Svg::new(192.0, 28.0 + 5.0 * lines.len() as f64);
    svg.text(HEAD, Anchor::Start, TITLE, &title("Subgroups", subject));
    let area = Area { left: 46.0, top: 12.0, width: 80.0, height: 0.0 };
    forest(&mut svg, area, &axis, summary.macro_auroc.value, &lines);
    Some(svg)
}

/// Returns the range of an axis of AUROCs, in whole hundredths, which contains all values.
fn around(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let (low, high) = values.fold((f64::INFINITY, 0.0f64), |(low, high), value| (low.min(value), high.max(value)));
    let range = [(low * 100.0).floor() / 100.0, (high * 100.0).ceil() / 100.0];
    if range[0] < range[1] { range } else { [0.0, 1.0] }
}

/// Draws the macro AUROC under each disturbance, three charts in a row. The strengths of a disturbance differ by factors, so
/// they stand at equal distances.
fn robustness(subject: &Subject) -> Option<Svg> {
    let evaluation = subject.evaluation;
    let curves = &evaluation.robustness;
    let known = curves.iter().flat_map(|curve| curve.points.iter().filter_map(|(_, auroc)| *auroc));
    let [low, high] = around(known);
    let panel = |curve: &super::Curve| {
        let strengths: Vec<String> = curve.points.iter().map(|(strength, _)| strength.to_string()).collect();
        let last = strengths.len() as f64 - 0.5;
        let points = curve.points.iter().enumerate();
        let points = points.filter_map(|(at, (_, auroc))| auroc.map(|auroc| [at as f64, auroc])).collect();
        let undisturbed = evaluation.measured.summaries[0].macro_auroc.value;
        Chart {
            title: curve.disturbance.into(),
            x: Axis::items(curve.unit, &strengths),
            y: Axis::numbers("macro AUROC", [low, high + 0.01]),
            reference: undisturbed.map_or(Vec::new(), |auroc| vec![[-0.5, auroc], [last, auroc]]),
            curves: vec![Curve { points, joined: true, marked: true, ..Curve::default() }],
        }
    };
    let panels: Vec<Chart> = curves.iter().map(panel).collect();
    let note = "The grey line is the macro AUROC of the records as they are.";
    (!panels.is_empty()).then(|| grid(&title("Robustness", subject), note, &panels, 32.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_between_corners_are_left_out() {
        let points = vec![[0.0, 0.0], [0.0, 0.1], [0.0, 0.4], [0.2, 0.4], [0.3, 0.4], [0.5, 1.0], [1.0, 1.0]];
        assert_eq!(corners(points), [[0.0, 0.0], [0.0, 0.4], [0.3, 0.4], [0.5, 1.0], [1.0, 1.0]]);
    }

    #[test]
    fn the_interval_of_a_frequency_stays_between_0_and_1() {
        // statsmodels' proportion_confint(5, 20, method="wilson"): 0.11186, 0.46870.
        let mut bin = Bin { records: 20, probability: 0.3, frequency: 0.25 };
        let [low, high] = wilson(&bin);
        assert!((low - 0.11186).abs() < 1e-4 && (high - 0.46870).abs() < 1e-4, "{low} {high}");
        for frequency in [0.0, 1.0] {
            bin.frequency = frequency;
            assert!(wilson(&bin).iter().all(|end| (-1e-12..=1.0 + 1e-12).contains(end)), "{:?}", wilson(&bin));
        }
    }

    #[test]
    fn an_axis_contains_every_value() {
        assert_eq!(around([0.934, 0.918, 0.951].into_iter()), [0.91, 0.96]);
        assert_eq!((around([].into_iter()), around([1.0].into_iter())), ([0.0, 1.0], [0.0, 1.0]));
    }
}
