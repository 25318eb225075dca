//! Drawings in SVG, measured in millimetres: lines, curves, text and ECG paper.

mod paper;

use std::fmt::Write;

pub use paper::Paper;

/// A drawing. Later elements cover earlier ones.
#[derive(Debug, Clone)]
pub struct Svg {
    text: String,
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
    /// An SVG colour.
    pub colour: &'static str,
}

/// The appearance of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pen {
    /// The width of the line in mm.
    pub width: f64,
    /// An SVG colour.
    pub colour: &'static str,
}

impl Svg {
    /// Makes a white drawing of this width and height.
    pub fn new(width: f64, height: f64) -> Self {
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}mm\" height=\"{height}mm\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"'DejaVu Sans', Verdana, Arial, sans-serif\">\n"
        );
        let mut svg = Self { text };
        svg.rectangle(Area { left: 0.0, top: 0.0, width, height }, "#ffffff");
        svg
    }

    /// Draws a filled rectangle.
    pub(crate) fn rectangle(&mut self, area: Area, colour: &str) {
        let Area { left, top, width, height } = area;
        self.push(format_args!(
            "<rect x=\"{left:.2}\" y=\"{top:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{colour}\"/>\n"
        ));
    }

    /// Draws straight lines between points, which are given by their distances from the left and the top edge.
    pub fn polyline(&mut self, points: impl IntoIterator<Item = [f64; 2]>, pen: Pen) {
        let Pen { width, colour } = pen;
        self.push(format_args!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-linejoin=\"round\" points=\""
        ));
        for (at, [x, y]) in points.into_iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            self.push(format_args!("{space}{x:.2},{y:.2}"));
        }
        self.push(format_args!("\"/>\n"));
    }

    /// Draws one line of text with its baseline at `y`.
    pub fn text(&mut self, [x, y]: [f64; 2], anchor: Anchor, font: Font, text: &str) {
        let Font { size, bold, colour } = font;
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if bold { "bold" } else { "normal" };
        self.push(format_args!(
            "<text x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"{size}\" font-weight=\"{weight}\" text-anchor=\"{anchor}\" \
             fill=\"{colour}\">{}</text>\n",
            escape(text)
        ));
    }

    /// Draws what `draw` draws, clipped to the area.
    pub(crate) fn clipped(&mut self, area: Area, draw: impl FnOnce(&mut Self)) {
        let Area { left, top, width, height } = area;
        // A nested <svg> clips at its edges and, unlike a clip path, needs no id.
        self.push(format_args!(
            "<svg x=\"{left:.2}\" y=\"{top:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" \
             viewBox=\"{left:.2} {top:.2} {width:.2} {height:.2}\">\n"
        ));
        draw(self);
        self.push(format_args!("</svg>\n"));
    }

    /// Returns the drawing as SVG text.
    pub fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = self.text.write_fmt(text);
    }
}

/// Escapes text for XML. Control characters, which XML cannot represent, become �.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ if character.is_control() => escaped.push('\u{fffd}'),
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
        let font = Font { size: 3.0, bold: false, colour: "#000" };
        svg.text([0.0, 5.0], Anchor::Start, font, "a</text><script>&\"\u{1b}");
        let text = svg.finish();
        assert!(text.contains(">a&lt;/text&gt;&lt;script&gt;&amp;&quot;\u{fffd}</text>"), "{text}");
    }

    #[test]
    fn a_polyline_is_one_element_and_every_element_is_closed() {
        let mut svg = Svg::new(10.0, 10.0);
        let area = Area { left: 1.0, top: 1.0, width: 5.0, height: 5.0 };
        svg.clipped(area, |svg| svg.polyline([[0.0, 1.0], [2.0, 3.456]], Pen { width: 0.3, colour: "#000" }));
        let text = svg.finish();
        assert!(text.contains("points=\"0.00,1.00 2.00,3.46\"/>"), "{text}");
        assert_eq!(text.matches("<svg ").count(), text.matches("</svg>").count());
    }
}
