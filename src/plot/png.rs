//! Paints drawings as PNG images.

use png::{BitDepth, ColorType, Encoder, PixelDimensions, Unit};
use tiny_skia::{Color, FillRule, LineJoin, Mask, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

use super::{Anchor, Area, Element, Font, Pen, Svg, printable};
use crate::{Error, ErrorKind, Result};

/// DejaVu Sans, reduced to the characters of European languages. An image needs no font of the system.
const FONT: &[u8] = include_bytes!("font/DejaVuSans-subset.ttf");

/// How much bolder a bold text is than a plain one, as a fraction of its size. One font serves both.
const BOLD: f64 = 0.055;

const MILLIMETRES_PER_INCH: f64 = 25.4;

/// Largest image in pixels: A4 at 1200 dots per inch. It takes 0.6 GB of memory.
const LARGEST: f64 = 140e6;

impl Svg {
    /// Returns the drawing as a PNG image of `dpi` dots per inch. The image states them, so that it is printed in its
    /// true size. At 254 a millimetre is ten pixels.
    ///
    /// # Errors
    /// The image would have no pixels or more than 140 million.
    pub fn png(&self, dpi: f64) -> Result<Vec<u8>> {
        let scale = dpi / MILLIMETRES_PER_INCH;
        let [width, height] = [self.width, self.height].map(|side| (side * scale).round());
        let pixmap = (width * height <= LARGEST).then(|| Pixmap::new(width as u32, height as u32)).flatten();
        let pixmap = pixmap.ok_or_else(|| {
            let cause = format!("an image of {width} × {height} pixels");
            Error::new(ErrorKind::Usage, cause, "give another number of dots per inch, such as 254")
        })?;
        let face = Face::parse(FONT, 0).expect("the built-in font is valid");
        let mut painter = Painter { pixmap, transform: Transform::from_scale(scale as f32, scale as f32), face };
        self.elements.iter().for_each(|element| painter.paint(element, None));
        encode(&painter.pixmap, scale).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("the image cannot be encoded: {error}"), "draw it smaller")
        })
    }
}

fn encode(pixmap: &Pixmap, pixels_per_millimetre: f64) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, pixmap.width(), pixmap.height());
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    let per_metre = (pixels_per_millimetre * 1000.0).round() as u32;
    encoder.set_pixel_dims(Some(PixelDimensions { xppu: per_metre, yppu: per_metre, unit: Unit::Meter }));
    // A drawing covers its white ground everywhere, so that no pixel is transparent.
    let colours: Vec<u8> = pixmap.data().chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect();
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&colours)?;
    writer.finish()?;
    Ok(bytes)
}

struct Painter {
    pixmap: Pixmap,
    /// From millimetres to pixels.
    transform: Transform,
    face: Face<'static>,
}

impl Painter {
    fn paint(&mut self, element: &Element, clip: Option<&Mask>) {
        match element {
            Element::Rectangle(area, colour) => {
                if let Some(path) = rectangle(area) {
                    self.pixmap.fill_path(&path, &paint(colour), FillRule::Winding, self.transform, clip);
                }
            }
            Element::Polyline(points, pen) => self.line(points, *pen, clip),
            Element::Text(at, anchor, font, text) => self.text(*at, *anchor, *font, text, clip),
            Element::Clipped(area, elements) => {
                let mask = self.mask(area, clip);
                elements.iter().for_each(|element| self.paint(element, mask.as_ref()));
            }
        }
    }

    fn line(&mut self, points: &[[f64; 2]], pen: Pen, clip: Option<&Mask>) {
        let mut builder = PathBuilder::new();
        for (at, [x, y]) in points.iter().map(|point| point.map(|mm| mm as f32)).enumerate() {
            if at == 0 { builder.move_to(x, y) } else { builder.line_to(x, y) }
        }
        if let Some(path) = builder.finish() {
            self.stroke(&path, pen, clip);
        }
    }

    fn stroke(&mut self, path: &Path, Pen { width, colour }: Pen, clip: Option<&Mask>) {
        let stroke = Stroke { width: width as f32, line_join: LineJoin::Round, ..Stroke::default() };
        self.pixmap.stroke_path(path, &paint(colour), &stroke, self.transform, clip);
    }

    /// Returns the part of the image that is inside the area, and inside `outer`.
    fn mask(&self, area: &Area, outer: Option<&Mask>) -> Option<Mask> {
        let path = rectangle(area)?;
        if let Some(outer) = outer {
            let mut mask = outer.clone();
            mask.intersect_path(&path, FillRule::Winding, true, self.transform);
            return Some(mask);
        }
        let mut mask = Mask::new(self.pixmap.width(), self.pixmap.height())?;
        mask.fill_path(&path, FillRule::Winding, true, self.transform);
        Some(mask)
    }

    fn text(&mut self, [x, y]: [f64; 2], anchor: Anchor, font: Font, text: &str, clip: Option<&Mask>) {
        let glyphs: Vec<GlyphId> =
            text.chars().map(|letter| self.face.glyph_index(printable(letter)).unwrap_or_default()).collect();
        let scale = font.size as f32 / f32::from(self.face.units_per_em());
        let advance = |glyph: GlyphId| scale * f32::from(self.face.glyph_hor_advance(glyph).unwrap_or_default());
        let width: f32 = glyphs.iter().map(|glyph| advance(*glyph)).sum();
        let share = match anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => 0.5,
            Anchor::End => 1.0,
        };
        let mut outline = Outline { builder: PathBuilder::new(), x: x as f32 - share * width, y: y as f32, scale };
        for glyph in glyphs {
            self.face.outline_glyph(glyph, &mut outline);
            outline.x += advance(glyph);
        }
        let Some(path) = outline.builder.finish() else { return };
        self.pixmap.fill_path(&path, &paint(font.colour), FillRule::Winding, self.transform, clip);
        if font.bold {
            self.stroke(&path, Pen { width: BOLD * font.size, colour: font.colour }, clip);
        }
    }
}

/// The outline of a text under construction. A font's y axis points up.
struct Outline {
    builder: PathBuilder,
    x: f32,
    y: f32,
    /// Millimetres per unit of the font.
    scale: f32,
}

impl Outline {
    fn point(&self, x: f32, y: f32) -> [f32; 2] {
        [self.x + x * self.scale, self.y - y * self.scale]
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        let [x, y] = self.point(x, y);
        self.builder.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let [x, y] = self.point(x, y);
        self.builder.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ([x1, y1], [x, y]) = (self.point(x1, y1), self.point(x, y));
        self.builder.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ([x1, y1], [x2, y2], [x, y]) = (self.point(x1, y1), self.point(x2, y2), self.point(x, y));
        self.builder.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.builder.close();
    }
}

fn rectangle(Area { left, top, width, height }: &Area) -> Option<Path> {
    let [left, top, width, height] = [left, top, width, height].map(|mm| *mm as f32);
    Rect::from_xywh(left, top, width, height).map(PathBuilder::from_rect)
}

/// Returns the paint of a colour such as `#1f4e9c`; black for any other text.
fn paint(colour: &str) -> Paint<'static> {
    let number = colour.strip_prefix('#').filter(|digits| digits.len() == 6);
    let number = number.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0);
    let [_, red, green, blue] = number.to_be_bytes();
    let mut paint = Paint::default();
    paint.set_color(Color::from_rgba8(red, green, blue, 255));
    paint
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the width and the pixels of an image, and its dots per metre.
    fn decoded(bytes: &[u8]) -> (usize, Vec<[u8; 3]>, u32) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let per_metre = reader.info().pixel_dims.unwrap().xppu;
        (info.width as usize, pixels.chunks(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(), per_metre)
    }

    #[test]
    fn an_image_has_its_true_size_and_colours() {
        let mut svg = Svg::new(10.0, 5.0);
        svg.rectangle(Area { left: 2.0, top: 1.0, width: 3.0, height: 3.0 }, "#1f4e9c");
        let (width, pixels, per_metre) = decoded(&svg.png(254.0).unwrap());
        assert_eq!((width, pixels.len(), per_metre), (100, 100 * 50, 10_000));
        let at = |x: f64, y: f64| pixels[(y * 10.0) as usize * width + (x * 10.0) as usize];
        assert_eq!([at(1.0, 2.0), at(3.0, 2.0), at(6.0, 2.0)], [[255; 3], [0x1f, 0x4e, 0x9c], [255; 3]]);
    }

    #[test]
    fn a_line_is_painted_only_inside_its_area() {
        let mut svg = Svg::new(10.0, 10.0);
        let area = Area { left: 2.0, top: 2.0, width: 6.0, height: 4.0 };
        svg.clipped(area, |svg| svg.polyline([[5.0, -50.0], [5.0, 50.0]], Pen { width: 1.0, colour: "#000000" }));
        let (width, pixels, _) = decoded(&svg.png(254.0).unwrap());
        let black: Vec<usize> = (0..100).filter(|y| pixels[y * width + 50] == [0; 3]).collect();
        assert_eq!(black, (20..60).collect::<Vec<_>>());
    }

    #[test]
    fn text_is_painted_where_its_anchor_says() {
        let painted = |anchor, text: &str| {
            let mut svg = Svg::new(40.0, 10.0);
            svg.text([20.0, 7.0], anchor, Font { size: 5.0, bold: true, colour: "#000000" }, text);
            let (width, pixels, _) = decoded(&svg.png(254.0).unwrap());
            let columns: Vec<usize> =
                (0..width).filter(|x| (0..100).any(|y| pixels[y * width + x] == [0; 3])).collect();
            (columns[0], columns[columns.len() - 1])
        };
        let (start, middle, end) =
            (painted(Anchor::Start, "aVR"), painted(Anchor::Middle, "aVR"), painted(Anchor::End, "aVR"));
        assert!(start.0 >= 199 && end.1 <= 201 && middle.0 < 190 && middle.1 > 210, "{start:?} {middle:?} {end:?}");
        // A character that the font does not have is a box, as in other programs.
        assert!(painted(Anchor::Start, "心\u{7}").1 > 210);
    }

    #[test]
    fn an_image_without_pixels_or_with_too_many_is_refused() {
        for dpi in [0.0, -254.0, f64::NAN, 1e6, f64::INFINITY] {
            let error = Svg::new(297.0, 210.0).png(dpi).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{dpi}");
        }
    }
}
