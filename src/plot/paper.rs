//! ECG paper: a line each millimetre and a stronger one each fifth, 25 mm a second and 10 mm a millivolt (AHA/ACC/HRS
//! recommendations, Kligfield et al. 2007).

use super::{Area, Pen, Svg};

/// Millimetres a second.
const SPEED: f64 = 25.0;
/// Millimetres a millivolt.
const GAIN: f64 = 10.0;

/// A strip of paper for one lead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paper {
    /// Where it lies.
    pub area: Area,
    /// Where 0 mV is, from the top edge of the drawing.
    pub zero: f64,
    /// How many times larger than usual a millivolt is.
    pub magnification: f64,
}

impl Paper {
    /// Millimetres of so many seconds.
    pub fn width(seconds: f64) -> f64 {
        SPEED * seconds
    }

    /// Millimetres of so many millivolts.
    pub fn height(millivolts: f64) -> f64 {
        GAIN * millivolts
    }

    /// Draws the grid, and below it shades the time from one second to another.
    pub fn draw(&self, svg: &mut Svg, shaded: Option<[f64; 2]>) {
        let Area { left, top, width, height } = self.area;
        svg.rectangle(self.area, "#fffafa");
        if let Some([from, to]) = shaded {
            let shade = Area { left: left + Self::width(from), width: Self::width(to - from), ..self.area };
            svg.rectangle(shade, "#d3e3fb");
        }
        // The strong lines above the weak ones.
        for (every, pen) in [(1, Pen { width: 0.08, colour: "#f6d5d5" }), (5, Pen { width: 0.16, colour: "#eab4b4" })] {
            for at in (0..=width as usize).step_by(every) {
                let x = left + at as f64;
                svg.polyline([[x, top], [x, top + height]], pen);
            }
            for at in (0..=height as usize).step_by(every) {
                let y = top + at as f64;
                svg.polyline([[left, y], [left + width, y]], pen);
            }
        }
    }

    /// Draws a signal in mV from the left edge on.
    pub fn signal(&self, svg: &mut Svg, signal: &[f32], sampling_rate: f64, pen: Pen) {
        let point = |(t, &millivolts): (usize, &f32)| {
            let y = self.zero - Self::height(f64::from(millivolts)) * self.magnification;
            [self.area.left + Self::width(t as f64 / sampling_rate), y]
        };
        svg.clipped(self.area, |svg| svg.polyline(signal.iter().enumerate().map(point), pen));
    }
}
