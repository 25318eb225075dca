//! ECG paper: a thin line every millimetre, a thick one every five, 25 mm/s and 10 mm/mV (AHA/ACC/HRS recommendations,
//! Kligfield et al. 2007).

use super::{Area, Pen, Svg};

/// The paper speed in mm/s.
const SPEED: f64 = 25.0;
/// The gain in mm/mV.
const GAIN: f64 = 10.0;

/// A strip of ECG paper for one lead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paper {
    /// The area of the strip.
    pub area: Area,
    /// The distance of 0 mV from the top edge of the drawing.
    pub zero: f64,
    /// The factor by which the usual gain is multiplied.
    pub magnification: f64,
    /// The time at the left edge, in seconds.
    pub start: f64,
}

impl Paper {
    /// Converts seconds to mm.
    pub fn width(seconds: f64) -> f64 {
        SPEED * seconds
    }

    /// Converts mV to mm.
    pub fn height(millivolts: f64) -> f64 {
        GAIN * millivolts
    }

    /// Draws the grid. Below it, the interval `shaded`, in seconds, is highlighted.
    pub fn draw(&self, svg: &mut Svg, shaded: Option<[f64; 2]>) {
        let Area { left, top, width, height } = self.area;
        svg.rectangle(self.area, "#fffafa");
        if let Some([from, to]) = shaded {
            let shade = Area { left: left + Self::width(from), width: Self::width(to - from), ..self.area };
            svg.rectangle(shade, "#d3e3fb");
        }
        // The thick lines are drawn last, above the thin ones.
        for (every, pen) in [(1, Pen { width: 0.1, colour: "#f6cfcf" }), (5, Pen { width: 0.18, colour: "#e9a9a9" })] {
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

    /// Draws the visible part of a signal in mV, whose first sample is at 0 s.
    pub fn signal(&self, svg: &mut Svg, signal: &[f32], sampling_rate: f64, pen: Pen) {
        let end = self.start + self.area.width / SPEED;
        // From the last sample before the left edge to the first one after the right, so that the line reaches both.
        let [first, last] = [self.start, end].map(|time| (time * sampling_rate) as usize);
        let point = |(t, &millivolts): (usize, &f32)| {
            let y = self.zero - Self::height(f64::from(millivolts)) * self.magnification;
            [self.area.left + Self::width(t as f64 / sampling_rate - self.start), y]
        };
        let samples = signal.iter().enumerate().take(last.saturating_add(2)).skip(first);
        svg.clipped(self.area, |svg| svg.polyline(samples.map(point), pen));
    }
}
