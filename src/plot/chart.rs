//! Charts: curves and points with intervals between two axes, as in a paper.

use super::{Anchor, Area, Font, Pen, Svg};

/// The colours of curves, in order: those of Okabe and Ito (2008), which people with any colour vision can tell apart.
pub const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333"];

const TITLE: Font = Font { size: 3.4, bold: true, colour: "#111111" };
const NAME: Font = Font { size: 3.0, bold: false, colour: "#111111" };
const TICK: Font = Font { size: 2.6, bold: false, colour: "#444444" };
const FRAME: Pen = Pen { width: 0.25, colour: "#444444" };
const GRID: Pen = Pen { width: 0.12, colour: "#dddddd" };
const REFERENCE: Pen = Pen { width: 0.3, colour: "#aaaaaa" };

/// The distance of two lines of a legend in mm.
const LEGEND_LINE: f64 = 5.0;
/// The width in mm of the names to the left of a forest plot, and how far those below a heading are indented.
const NAMES: f64 = 42.0;
const INDENT: f64 = 3.0;
/// The width of a curve in mm.
const LINE: f64 = 0.5;
/// Half the side of a marker in mm.
const MARKER: f64 = 0.75;

/// One axis of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    name: String,
    range: [f64; 2],
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Makes an axis for numbers in `range`, with three to seven ticks at round numbers.
    pub fn numbers(name: &str, range: [f64; 2]) -> Self {
        let step = tick(range[1] - range[0]);
        let decimals = (-step.log10()).ceil().max(0.0) as usize;
        let inside = |at: &i64| (range[0] - 1e-9..=range[1] + 1e-9).contains(&(*at as f64 * step));
        let all = ((range[0] / step).floor() as i64..=(range[1] / step).ceil() as i64).filter(inside);
        let ticks = all.map(|at| (at as f64 * step, format!("{:.decimals$}", at as f64 * step))).collect();
        Self { name: name.into(), range, ticks }
    }

    /// Makes an axis for items without an order of their own, the n-th at n.
    pub fn items(name: &str, items: &[String]) -> Self {
        let ticks = items.iter().enumerate().map(|(at, item)| (at as f64, item.clone())).collect();
        Self { name: name.into(), range: [-0.5, items.len() as f64 - 0.5], ticks }
    }

    /// Returns which part of the axis is before a value.
    fn part(&self, value: f64) -> f64 {
        (value - self.range[0]) / (self.range[1] - self.range[0])
    }
}

/// One curve of a chart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curve {
    /// The points, in the order in which a line joins them.
    pub points: Vec<[f64; 2]>,
    /// The lower and the upper end of the interval of each point in the direction of y; empty for points without intervals.
    pub intervals: Vec<[f64; 2]>,
    /// Whether a line joins the points.
    pub joined: bool,
    /// Whether each point has a marker.
    pub marked: bool,
    /// The place of the curve's colour in [`COLOURS`], from where on it repeats.
    pub colour: usize,
}

/// A chart with two axes. Curves are cut off where they leave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// The title, above the chart; it may be empty.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis, whose name is above it.
    pub y: Axis,
    /// A grey line to compare with, such as the diagonal.
    pub reference: Vec<[f64; 2]>,
    /// The curves.
    pub curves: Vec<Curve>,
}

impl Chart {
    /// Draws the chart with its axes at the edges of `area`. Titles and ticks need about 10 mm around it.
    pub fn draw(&self, svg: &mut Svg, area: Area) {
        let Area { left, top, width, height } = area;
        let place = |[x, y]: [f64; 2]| [left + width * self.x.part(x), top + height * (1.0 - self.y.part(y))];
        let (bottom, right) = (top + height, left + width);
        for (value, text) in &self.x.ticks {
            let x = left + width * self.x.part(*value);
            svg.polyline([[x, top], [x, bottom]], GRID);
            svg.text([x, bottom + 3.6], Anchor::Middle, TICK, text);
        }
        for (value, text) in &self.y.ticks {
            let y = top + height * (1.0 - self.y.part(*value));
            svg.polyline([[left, y], [right, y]], GRID);
            svg.text([left - 1.2, y + 0.9], Anchor::End, TICK, text);
        }
        // A line on an edge keeps its whole width.
        let around =
            Area { left: left - LINE, top: top - LINE, width: width + 2.0 * LINE, height: height + 2.0 * LINE };
        svg.clipped(around, |svg| {
            svg.polyline(self.reference.iter().map(|&point| place(point)), REFERENCE);
            self.curves.iter().for_each(|curve| curve.draw(svg, place));
        });
        svg.polyline([[left, top], [left, bottom], [right, bottom]], FRAME);
        let above = if self.y.name.is_empty() { top - 2.0 } else { top - 6.0 };
        svg.text([left, above], Anchor::Start, TITLE, &self.title);
        svg.text([left, top - 1.8], Anchor::Start, NAME, &self.y.name);
        svg.text([left + width / 2.0, bottom + 8.0], Anchor::Middle, NAME, &self.x.name);
    }
}

impl Curve {
    fn draw(&self, svg: &mut Svg, place: impl Fn([f64; 2]) -> [f64; 2]) {
        let colour = COLOURS[self.colour % COLOURS.len()];
        for (&[x, _], &[low, high]) in self.points.iter().zip(&self.intervals) {
            svg.polyline([place([x, low]), place([x, high])], Pen { width: 0.35, colour });
        }
        if self.joined {
            svg.polyline(self.points.iter().map(|&point| place(point)), Pen { width: LINE, colour });
        }
        if self.marked {
            self.points.iter().for_each(|&point| marker(svg, place(point), colour));
        }
    }
}

fn marker(svg: &mut Svg, [x, y]: [f64; 2], colour: &'static str) {
    let square = Area { left: x - MARKER, top: y - MARKER, width: 2.0 * MARKER, height: 2.0 * MARKER };
    svg.rectangle(square, colour);
}

/// Draws a legend below `at`: the n-th name with the n-th colour.
pub fn legend(svg: &mut Svg, [left, top]: [f64; 2], names: &[String]) {
    for (line, name) in names.iter().enumerate() {
        let y = top + LEGEND_LINE * (line as f64 + 0.5);
        let pen = Pen { width: 0.9, colour: COLOURS[line % COLOURS.len()] };
        svg.polyline([[left, y], [left + 6.0, y]], pen);
        svg.text([left + 8.0, y + 1.0], Anchor::Start, NAME, name);
    }
}

/// Draws a table of shares with rows and columns, each cell the darker the larger its share, with its text.
///
/// # Panics
/// If a row of cells is not as long as the columns.
pub fn matrix(svg: &mut Svg, area: Area, [rows, columns]: [&[String]; 2], cells: &[Vec<(f64, String)>]) {
    let Area { left, top, width, height } = area;
    let [cell_width, cell_height] = [width / columns.len().max(1) as f64, height / rows.len().max(1) as f64];
    for (column, name) in columns.iter().enumerate() {
        svg.text([left + (column as f64 + 0.5) * cell_width, top - 2.0], Anchor::Middle, NAME, name);
    }
    for (row, (name, cells)) in rows.iter().zip(cells).enumerate() {
        assert_eq!(cells.len(), columns.len(), "a cell per column");
        let above = top + row as f64 * cell_height;
        svg.text([left - 2.0, above + cell_height / 2.0 + 1.0], Anchor::End, NAME, name);
        for (column, (share, text)) in cells.iter().enumerate() {
            let cell =
                Area { left: left + column as f64 * cell_width, top: above, width: cell_width, height: cell_height };
            let shade = (share.clamp(0.0, 1.0) * (SHADES.len() - 1) as f64).round() as usize;
            svg.rectangle(cell, SHADES[shade]);
            let colour = if shade * 2 > SHADES.len() { "#ffffff" } else { "#111111" };
            let middle = [cell.left + cell_width / 2.0, above + cell_height / 2.0 + 1.0];
            svg.text(middle, Anchor::Middle, Font { colour, ..NAME }, text);
        }
    }
    let (right, bottom) = (left + width, top + height);
    svg.polyline([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], FRAME);
}

/// White to blue in equal steps.
const SHADES: [&str; 11] = [
    "#ffffff", "#ebf2f8", "#d7e5f1", "#c3d8ea", "#afcbe3", "#94bbda", "#75a8cf", "#5392c2", "#2f7bb3", "#1565a0",
    "#084f87",
];

/// One line of a forest plot; a heading if it has no interval.
#[derive(Debug, Clone, PartialEq)]
pub struct ForestLine {
    /// The name of the line.
    pub name: String,
    /// The value with the lower and the upper end of its interval.
    pub value: Option<[f64; 3]>,
    /// What is written to the right.
    pub text: String,
}

/// Draws a forest plot: a value with its interval per line of 5 mm. The names stand in the 42 mm to the left of `area`,
/// indented below the first heading, and the texts to the right. `reference` is a vertical line to compare with. Returns the
/// height in mm, with the axis.
pub fn forest(svg: &mut Svg, area: Area, axis: &Axis, reference: Option<f64>, lines: &[ForestLine]) -> f64 {
    let Area { left, top, width, .. } = area;
    let (bottom, right) = (top + forest_height(lines.len()), left + width);
    let x = |value: f64| left + width * axis.part(value);
    for (value, text) in &axis.ticks {
        svg.polyline([[x(*value), top], [x(*value), bottom]], GRID);
        svg.text([x(*value), bottom + 3.6], Anchor::Middle, TICK, text);
    }
    if let Some(reference) = reference {
        svg.polyline([[x(reference), top], [x(reference), bottom]], REFERENCE);
    }
    let first_heading = lines.iter().position(|line| line.value.is_none()).unwrap_or(lines.len());
    for (line, ForestLine { name, value, text }) in lines.iter().enumerate() {
        let y = top + LEGEND_LINE * (line as f64 + 0.5);
        let font = if value.is_some() { NAME } else { Font { bold: true, ..NAME } };
        let indent = if line > first_heading && value.is_some() { INDENT } else { 0.0 };
        svg.text([left - NAMES + indent, y + 1.0], Anchor::Start, font, name);
        svg.text([right + 3.0, y + 1.0], Anchor::Start, font, text);
        if let Some([value, low, high]) = *value {
            let plot = Area { left, top, width, height: bottom - top };
            svg.clipped(plot, |svg| {
                svg.polyline([[x(low), y], [x(high), y]], Pen { width: 0.4, colour: COLOURS[0] });
                marker(svg, [x(value), y], COLOURS[0]);
            });
        }
    }
    svg.polyline([[left, bottom], [right, bottom]], FRAME);
    svg.text([left + width / 2.0, bottom + 8.0], Anchor::Middle, NAME, &axis.name);
    bottom + 10.0 - top
}

/// Returns the height in mm of the lines of a forest plot.
fn forest_height(lines: usize) -> f64 {
    LEGEND_LINE * lines as f64
}

/// Returns the distance between ticks for a range of values: 1, 2 or 5 times a power of ten, for three to seven ticks.
pub(crate) fn tick(span: f64) -> f64 {
    if span.is_nan() || span <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf((span / 5.0).log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|times| times * power >= span / 6.0);
    times.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_few_and_at_round_numbers() {
        for (span, expected) in [(1.6, 0.5), (0.108, 0.02), (0.023, 0.005), (6.0, 1.0), (700.0, 200.0), (0.0, 1.0)] {
            assert!((tick(span) - expected).abs() < 1e-9 * expected, "{span}: {}", tick(span));
        }
        let texts = |range| Axis::numbers("", range).ticks.into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts([0.0, 1.0]), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts([0.87, 1.0]), ["0.90", "0.95", "1.00"]);
    }

    #[test]
    fn a_curve_runs_from_edge_to_edge_and_its_ticks_are_named() {
        let mut svg = Svg::new(60.0, 50.0);
        let curve = Curve { points: vec![[0.0, 0.0], [1.0, 1.0]], joined: true, colour: 1, ..Curve::default() };
        let axis = |name: &str| Axis::numbers(name, [0.0, 1.0]);
        let chart = Chart {
            title: "a chart".into(),
            x: axis("from left"),
            y: axis("up"),
            reference: Vec::new(),
            curves: vec![curve],
        };
        chart.draw(&mut svg, Area { left: 10.0, top: 10.0, width: 40.0, height: 30.0 });
        let text = svg.finish();
        assert!(text.contains("points=\"10.00,40.00 50.00,10.00\"") && text.contains(COLOURS[1]), "{text}");
        for part in [">a chart<", ">from left<", ">up<", ">0.2<", ">1.0<"] {
            assert!(text.contains(part), "{part}");
        }
    }

    #[test]
    fn a_dark_cell_has_light_text() {
        let mut svg = Svg::new(40.0, 30.0);
        let names = ["a", "b"].map(String::from);
        let cells = [vec![(0.0, "none".to_string()), (1.0, "all".to_string())]];
        let area = Area { left: 10.0, top: 10.0, width: 20.0, height: 10.0 };
        matrix(&mut svg, area, [&names[..1], &names], &cells);
        let text = svg.finish();
        assert!(text.contains("fill=\"#ffffff\">all<") && text.contains("fill=\"#111111\">none<"), "{text}");
    }

    #[test]
    fn a_line_of_a_forest_plot_has_its_interval_and_a_heading_has_none() {
        let mut svg = Svg::new(120.0, 40.0);
        let line = |name: &str, value| ForestLine { name: name.into(), value, text: String::new() };
        let lines = [line("sex", None), line("female", Some([0.5, 0.25, 0.75]))];
        let area = Area { left: 50.0, top: 5.0, width: 40.0, height: 0.0 };
        let height = forest(&mut svg, area, &Axis::numbers("", [0.0, 1.0]), Some(0.5), &lines);
        let text = svg.finish();
        assert!(text.contains("points=\"60.00,12.50 80.00,12.50\"") && height == 20.0, "{text}");
        assert!(text.contains("font-weight=\"bold\" text-anchor=\"start\" fill=\"#111111\">sex<"), "{text}");
    }
}
