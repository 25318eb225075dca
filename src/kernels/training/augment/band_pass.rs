//! Band-pass filtering, as another recorder does it: a high-pass and a low-pass filter with random edges.
//!
//! Both are Butterworth filters of order 2, run forward and then backward, so that no wave is delayed and ST segments
//! keep their shape. The loss at each edge is 6 dB, 3 in each direction. The sections are Simper's trapezoidal state variable
//! filter ("Linear Trapezoidal Integrated State Variable Filter", Cytomic 2013), the bilinear transform in another form: with
//! a lower edge of 0.5 Hz at 500 Hz the poles of the usual direct form are so near to 1 that f32 is not precise enough.
//!
//! The shader filters 63 stretches of a lead at once, because sample by sample each step would wait for the previous one.
//! Estimate: docs/measurements/training-operations.md.

use super::{Draws, draws};
use crate::kernels::{
    Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Variant,
    training::{by_rows, first, line, shader, with_sine_cosine},
};

/// Filters each lead to the pass band of its row.
///
/// Reads x `[rows, leads, samples]`, draws `[rows, 1, Draws::LEN]`; writes y with the shape of x.
#[derive(Debug, Clone, PartialEq)]
pub struct BandPass {
    /// Rows: views × records.
    pub rows: usize,
    /// Leads.
    pub leads: usize,
    /// Samples per lead.
    pub samples: usize,
    /// The sampling rate in Hz.
    pub sampling_rate: f32,
}

/// A section of order 2.
struct Section {
    a: [f64; 3],
    /// The contents of the two integrators.
    state: [f64; 2],
}

/// The damping of a Butterworth filter of order 2, √2.
const DAMPING: f64 = std::f64::consts::SQRT_2;

impl Section {
    /// Creates a section in the state after a constant signal `value`.
    fn new(edge: f64, sampling_rate: f64, value: f64) -> Self {
        let g = (std::f64::consts::PI * edge / sampling_rate).tan();
        let first = 1.0 / (1.0 + g * (g + DAMPING));
        Self { a: [first, g * first, g * g * first], state: [0.0, value] }
    }

    /// Computes the low-pass and the high-pass output of the next sample.
    fn next(&mut self, x: f64) -> [f64; 2] {
        let ([a1, a2, a3], [s1, s2]) = (self.a, self.state);
        let rest = x - s2;
        let band = a1 * s1 + a2 * rest;
        let low = s2 + a2 * s1 + a3 * rest;
        self.state = [2.0 * band - s1, 2.0 * low - s2];
        [low, x - DAMPING * band - low]
    }
}

impl BandPass {
    /// Seconds of the mirrored signal that the filters run through before the first sample: four time constants of the lowest
    /// edge, 0.5 Hz.
    const RUN_UP: f32 = 2.0;

    /// Samples of the run-up, at most all but one.
    pub(crate) fn run_up(&self) -> usize {
        ((Self::RUN_UP * self.sampling_rate) as usize).min(self.samples - 1)
    }

    /// Filters in place, from the first sample to the last or backward.
    fn pass(&self, y: &mut [f64], [low, high]: [f64; 2], backward: bool) {
        let (run_up, rate) = (self.run_up(), f64::from(self.sampling_rate));
        let place = |at: usize| if backward { self.samples - 1 - at } else { at };
        let mut lower = Section::new(low, rate, y[place(run_up)]);
        let mut upper = Section::new(high, rate, 0.0);
        for i in 0..run_up + self.samples {
            let at = place(i.abs_diff(run_up));
            let [_, above] = lower.next(y[at]);
            let [within, _] = upper.next(above);
            if i >= run_up {
                y[at] = within;
            }
        }
    }
}

impl Operation for BandPass {
    fn extents(&self) -> Option<Extents> {
        let x = Extent::Activation([self.rows, self.leads, self.samples]);
        Some(Extents::new([x, draws(self.rows)], x))
    }

    fn describe(&self) -> String {
        format!("band-pass at {} Hz", self.sampling_rate)
    }

    fn floating_point_operations(&self) -> u64 {
        2 * 2 * 14 * self.rows as u64 * self.leads as u64 * (self.samples as u64 + self.run_up() as u64)
    }

    fn independent_rows(&self) -> usize {
        self.rows
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        by_rows(self, reads, y);
    }

    fn reference_row(&self, reads: &[&[f64]], row: usize, y: &mut [f64]) {
        let [x, draws] = reads else { unreachable!("the plan gives a band-pass two reads") };
        y.copy_from_slice(&x[row * y.len()..][..y.len()]);
        let band = Draws::of(draws, row).band;
        if band[0] > 0.0 {
            for y in y.chunks_mut(self.samples) {
                self.pass(y, band, false);
                self.pass(y, band, true);
            }
        }
    }
}

impl GpuOperation for BandPass {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, draws, y] = layouts else { unreachable!("the plan gives a band-pass two reads") };
        let read = [first(*x), x.pitch, first(*draws), draws.pitch];
        // Mirror of `struct BandPass` in the shader.
        let sizes = [self.rows, self.leads, self.samples, self.run_up()];
        let parameters = [sizes.as_slice(), &read, &[y.base_offset, y.pitch, y.offset]].concat();
        let constants = [("SAMPLING_RATE", f64::from(self.sampling_rate))];
        let shader = with_sine_cosine(shader!("augment/band_pass", constants));
        vec![Variant::plain(shader, parameters, line(self.rows * self.leads))]
    }
}
