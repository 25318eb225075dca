//! The largest sample of each window. Twins: shaders/max_pool/plain.wgsl for any window, and shaders/max_pool/halves.wgsl for
//! the larger of each two samples, in vec4s: a quarter of the loads, which are what lavapipe spends its time on.

use super::{
    Accelerator, Operation, RowLayout, Shader, Variant, fill, input_and_output,
    storage::{self, Elements, Written},
};

const WORKGROUP: usize = 64;
/// Samples that an invocation computes.
const SAMPLES: usize = 4;

/// `y[b, c, t]` is the largest of `x[b, c, t·stride + k]` over k < kernel.
///
/// Reads x `[batch, channels, in_samples]`; writes y `[batch, channels, out_samples]`.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPool {
    /// Records.
    pub batch: usize,
    /// Channels of x and y.
    pub channels: usize,
    /// Samples of each channel of x.
    pub in_samples: usize,
    /// Samples of each channel of y.
    pub out_samples: usize,
    /// Samples that one output sees.
    pub kernel: usize,
    /// Samples from one output to the next.
    pub stride: usize,
}

impl MaxPool {
    /// Whether each output is the larger of two samples that no other sees.
    fn halves(&self) -> bool {
        (self.kernel, self.stride) == (2, 2)
    }
}

impl Operation for MaxPool {
    fn variants(&self, rows: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, y] = input_and_output(rows);
        // Mirrors of `struct MaxPool` in the shaders.
        let parameters = |x_base_offset| {
            [self.channels, self.out_samples, x_base_offset, x.pitch, y.base_offset, y.pitch, y.offset, 0]
        };
        let grid = [y.pitch.div_ceil(WORKGROUP * SAMPLES), self.channels, self.batch];
        let shader = |name, template, elements, constants| {
            let storage = storage::lines(&[("x", x.storage, elements)], Some((y.storage, Written::Four)), 0);
            let source = fill(template, &[("storage", storage)]).into();
            Shader { name, source, notes_overflow: y.storage.is_half(), textures: &[], constants }
        };
        let constants = vec![("KERNEL", self.kernel as f64), ("STRIDE", self.stride as f64)];
        let template = include_str!("../../shaders/max_pool/plain.wgsl");
        let plain = shader("max_pool/plain", template, Elements::One, constants);
        let plain = Variant::plain(plain, parameters(x.base_offset + x.offset), grid);
        let first = (x.base_offset + x.offset).checked_sub(2 * y.offset).filter(|first| first.is_multiple_of(4));
        match first {
            Some(first) if self.halves() && x.pitch.is_multiple_of(4) => {
                let template = include_str!("../../shaders/max_pool/halves.wgsl");
                let shader = shader("max_pool/halves", template, Elements::Four, Vec::new());
                vec![Variant { name: "halves", ..Variant::plain(shader, parameters(first), grid) }, plain]
            }
            _ => vec![plain],
        }
    }

    /// As far as the start of y may push the first window before its row.
    fn base_offset(&self) -> usize {
        if self.halves() { 2 * 7 } else { 0 }
    }

    fn offset(&self, y_offset: usize) -> usize {
        if self.halves() { 2 * y_offset % 4 } else { 0 }
    }

    fn pitch_multiple(&self) -> usize {
        SAMPLES
    }

    fn floating_point_operations(&self) -> usize {
        self.batch * self.channels * self.out_samples * self.kernel
    }

    fn describe(&self) -> String {
        format!("max pool kernel {} stride {}", self.kernel, self.stride)
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        let [x] = reads else { unreachable!("the plan gives a max pool one read") };
        for row in 0..self.batch * self.channels {
            for t in 0..self.out_samples {
                let mut largest = x[row * self.in_samples + t * self.stride];
                for k in 1..self.kernel {
                    largest = largest.max(x[row * self.in_samples + t * self.stride + k]);
                }
                y[row * self.out_samples + t] = largest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_sample_at_the_end_is_left_out() {
        let pool = MaxPool { batch: 1, channels: 2, in_samples: 5, out_samples: 2, kernel: 2, stride: 2 };
        let mut y = [0.0; 4];
        pool.reference(&[&[1., -2., 3., 4., 9., -1., -2., -3., -4., 9.]], &mut y);
        assert_eq!(y, [1., 4., -1., -3.]);
    }
}
