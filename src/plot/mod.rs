//! Drawings as SVG text, in millimetres: lines, curves, text, and ECG paper.

mod paper;

use std::fmt::Write;

pub use paper::Paper;

/// A drawing to be. What is drawn later lies above.
#[derive(Debug, Clone)]
pub struct Svg {
    text: String,
}

/// A rectangle in mm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// From the left edge of the drawing.
    pub left: f64,
    /// From the top edge of the drawing.
    pub top: f64,
    /// To the right.
    pub width: f64,
    /// Down.
    pub height: f64,
}

/// Where a text stands beside its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Font {
    /// Height of a capital and what is below the line, in mm.
    pub size: f64,
    /// Whether it is bold.
    pub bold: bool,
    /// An SVG colour.
    pub colour: &'static str,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pen {
    /// In mm.
    pub width: f64,
    /// An SVG colour.
    pub colour: &'static str,
}

impl Svg {
    /// A white sheet.
    pub fn new(width: f64, height: f64) -> Self {
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}mm\" height=\"{height}mm\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"'DejaVu Sans', Verdana, Arial, sans-serif\">\n"
        );
        let mut svg = Self { text };
        svg.rectangle(Area { left: 0.0, top: 0.0, width, height }, "#ffffff");
        svg
    }

    /// A filled rectangle.
    pub fn rectangle(&mut self, area: Area, colour: &str) {
        let Area { left, top, width, height } = area;
        self.push(format_args!(
            "<rect x=\"{left:.2}\" y=\"{top:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{colour}\"/>\n"
        ));
    }

    /// Straight lines from point to point, each so far from the left and the top edge.
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

    /// One line of text whose base line is at `y`.
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

    /// Draws what `draw` draws, but only where it lies in the area.
    pub fn clipped(&mut self, area: Area, draw: impl FnOnce(&mut Self)) {
        let Area { left, top, width, height } = area;
        // An inner drawing ends at its edges, and needs no name as a clip path does.
        self.push(format_args!(
            "<svg x=\"{left:.2}\" y=\"{top:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" \
             viewBox=\"{left:.2} {top:.2} {width:.2} {height:.2}\">\n"
        ));
        draw(self);
        self.push(format_args!("</svg>\n"));
    }

    /// The whole drawing.
    pub fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = self.text.write_fmt(text);
    }
}

/// Text as XML has it; control characters, which XML has not, become �.
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
    fn text_from_a_file_cannot_leave_its_element() {
        let mut svg = Svg::new(10.0, 10.0);
        let font = Font { size: 3.0, bold: false, colour: "#000" };
        svg.text([0.0, 5.0], Anchor::Start, font, "a</text><script>&\"\u{1b}");
        let text = svg.finish();
        assert!(text.contains(">a&lt;/text&gt;&lt;script&gt;&amp;&quot;\u{fffd}</text>"), "{text}");
    }

    #[test]
    fn a_curve_is_one_element_and_every_element_is_closed() {
        let mut svg = Svg::new(10.0, 10.0);
        let area = Area { left: 1.0, top: 1.0, width: 5.0, height: 5.0 };
        svg.clipped(area, |svg| svg.polyline([[0.0, 1.0], [2.0, 3.456]], Pen { width: 0.3, colour: "#000" }));
        let text = svg.finish();
        assert!(text.contains("points=\"0.00,1.00 2.00,3.46\"/>"), "{text}");
        assert_eq!(text.matches("<svg ").count(), text.matches("</svg>").count());
    }
}
