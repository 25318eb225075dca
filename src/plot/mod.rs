//! Drawings measured in millimetres: lines, curves, text, charts, ECG paper and whole ECGs. They are written as SVG and, with the
//! feature `png`, as PNG.

mod chart;
mod ecg;
mod paper;
#[cfg(feature = "png")]
mod png;

use std::fmt::Write;

#[cfg(feature = "train")]
pub(crate) use chart::tick;
pub use chart::{Axis, COLOURS, Chart, Curve, ForestLine, forest, legend, matrix};
pub use ecg::ecg;
pub use paper::Paper;

/// A drawing. Later elements cover earlier ones.
#[derive(Debug, Clone)]
pub struct Svg {
    width: f64,
    height: f64,
    elements: Vec<Element>,
}

/// A part of a drawing.
#[derive(Debug, Clone)]
enum Element {
    /// A filled rectangle and its colour.
    Rectangle(Area, &'static str),
    /// Straight lines between points.
    Polyline(Vec<[f64; 2]>, Pen),
    /// One line of text with its baseline at the given point.
    Text([f64; 2], Anchor, Font, String),
    /// Elements of which only the part inside the area is visible.
    Clipped(Area, Vec<Element>),
}

/// A rectangle in mm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// The distance from the left edge of the drawing.
    pub left: f64,
    /// The distance from the top edge of the drawing.
    pub top: f64,
    /// The width.
    pub width: f64,
    /// The height.
    pub height: f64,
}

/// Which part of a text is at its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// The beginning.
    Start,
    /// The middle.
    Middle,
    /// The end.
    End,
}

/// The appearance of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Font {
    /// The font size in mm.
    pub size: f64,
    /// Whether the text is bold.
    pub bold: bool,
    /// The colour, such as `#1f4e9c`.
    pub colour: &'static str,
}

/// The appearance of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pen {
    /// The width of the line in mm.
    pub width: f64,
    /// The colour, such as `#1f4e9c`.
    pub colour: &'static str,
}

impl Svg {
    /// Makes a white drawing of this width and height.
    pub fn new(width: f64, height: f64) -> Self {
        let paper = Area { left: 0.0, top: 0.0, width, height };
        Self { width, height, elements: vec![Element::Rectangle(paper, "#ffffff")] }
    }

    /// Draws a filled rectangle.
    pub(crate) fn rectangle(&mut self, area: Area, colour: &'static str) {
        self.elements.push(Element::Rectangle(area, colour));
    }

    /// Draws straight lines between points, which are given by their distances from the left and the top edge.
    pub fn polyline(&mut self, points: impl IntoIterator<Item = [f64; 2]>, pen: Pen) {
        self.elements.push(Element::Polyline(points.into_iter().collect(), pen));
    }

    /// Draws one line of text with its baseline at `y`.
    pub fn text(&mut self, [x, y]: [f64; 2], anchor: Anchor, font: Font, text: &str) {
        self.elements.push(Element::Text([x, y], anchor, font, text.into()));
    }

    /// Draws what `draw` draws, clipped to the area.
    pub(crate) fn clipped(&mut self, area: Area, draw: impl FnOnce(&mut Self)) {
        let before = std::mem::take(&mut self.elements);
        draw(self);
        let inside = std::mem::replace(&mut self.elements, before);
        self.elements.push(Element::Clipped(area, inside));
    }

    /// Returns the drawing as SVG text.
    pub fn finish(self) -> String {
        let Self { width, height, elements } = self;
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}mm\" height=\"{height}mm\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"'DejaVu Sans', Verdana, Arial, sans-serif\">\n"
        );
        elements.iter().for_each(|element| element.write(&mut text));
        text + "</svg>\n"
    }
}

impl Element {
    /// Appends the element as SVG.
    fn write(&self, svg: &mut String) {
        // Writing into a String cannot fail.
        let _ = match self {
            Element::Rectangle(Area { left, top, width, height }, colour) => writeln!(
                svg,
                "<rect x=\"{left:.2}\" y=\"{top:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{colour}\"/>"
            ),
            Element::Polyline(points, Pen { width, colour }) => {
                let points: Vec<String> = points.iter().map(|[x, y]| format!("{x:.2},{y:.2}")).collect();
                writeln!(
                    svg,
                    "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-linejoin=\"round\" \
                     points=\"{}\"/>",
                    points.join(" ")
                )
            }
            Element::Text([x, y], anchor, Font { size, bold, colour }, text) => {
                let anchor = match anchor {
                    Anchor::Start => "start",
                    Anchor::Middle => "middle",
                    Anchor::End => "end",
                };
                let weight = if *bold { "bold" } else { "normal" };
                writeln!(
                    svg,
                    "<text x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"{size}\" font-weight=\"{weight}\" \
                     text-anchor=\"{anchor}\" fill=\"{colour}\">{}</text>",
                    escape(text)
                )
            }
            Element::Clipped(Area { left, top, width, height }, elements) => {
                // A nested <svg> clips at its edges and, unlike a clip path, needs no id.
                let _ = writeln!(
                    svg,
                    "<svg x=\"{left:.2}\" y=\"{top:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" \
                     viewBox=\"{left:.2} {top:.2} {width:.2} {height:.2}\">"
                );
                elements.iter().for_each(|element| element.write(svg));
                writeln!(svg, "</svg>")
            }
        };
    }
}

/// Cuts a name to `longest` characters, so that it does not reach into what is drawn beside it.
pub fn shortened(name: &str, longest: usize) -> String {
    let cut: String = name.chars().take(longest).collect();
    if cut.len() < name.len() { cut + "…" } else { cut }
}

/// Replaces a control character, which neither XML nor a font can represent, by �.
fn printable(character: char) -> char {
    if character.is_control() { '\u{fffd}' } else { character }
}

/// Escapes text for XML.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars().map(printable) {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        let mut svg = Svg::new(10.0, 10.0);
        let font = Font { size: 3.0, bold: false, colour: "#000000" };
        svg.text([0.0, 5.0], Anchor::Start, font, "a</text><script>&\"\u{1b}");
        let text = svg.finish();
        assert!(text.contains(">a&lt;/text&gt;&lt;script&gt;&amp;&quot;\u{fffd}</text>"), "{text}");
    }

    #[test]
    fn a_polyline_is_one_element_and_every_element_is_closed() {
        let mut svg = Svg::new(10.0, 10.0);
        let area = Area { left: 1.0, top: 1.0, width: 5.0, height: 5.0 };
        svg.clipped(area, |svg| svg.polyline([[0.0, 1.0], [2.0, 3.456]], Pen { width: 0.3, colour: "#000000" }));
        let text = svg.finish();
        assert!(text.contains("points=\"0.00,1.00 2.00,3.46\"/>"), "{text}");
        assert_eq!(text.matches("<svg ").count(), text.matches("</svg>").count());
    }

    #[test]
    fn a_long_name_is_cut() {
        assert_eq!(shortened("añb", 3), "añb");
        assert_eq!(shortened("añbc", 3), "añb…");
    }
}
