//! The largest sample of each window.
//!
//! Counterparts: shaders/max_pool/plain.wgsl for any window, and shaders/max_pool/halves.wgsl for kernel and stride 2, which
//! reads vec4s. That is a quarter of the loads, on which lavapipe spends its time.

use super::{
    Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Shader, Source, Variant, input_and_output,
    list::sizes,
    span,
    storage::{self, Elements, Written},
};

const WORKGROUP: usize = 64;
/// Samples per invocation.
const SAMPLES: usize = 4;

/// Computes `y[b, c, t]`, the largest of `x[b, c, t·stride + k]` over k < kernel.
///
/// Reads x `[batch, channels, in_samples]`; writes y `[batch, channels, out_samples]`.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPool {
    /// Records.
    pub(crate) batch: usize,
    /// Channels of x and y.
    pub(crate) channels: usize,
    /// Samples per channel of x.
    pub(crate) in_samples: usize,
    /// Samples per channel of y.
    pub(crate) out_samples: usize,
    /// Samples of a window.
    pub(crate) kernel: usize,
    /// Samples from one window to the next.
    pub(crate) stride: usize,
}

impl MaxPool {
    /// Whether each output is the larger of two samples that no other output depends on.
    fn halves(&self) -> bool {
        (self.kernel, self.stride) == (2, 2)
    }

    /// A shader for a layout of x and of y, which reads x in `elements`.
    fn shader(name: &'static str, template: &'static str, elements: Elements, [x, y]: [RowLayout; 2]) -> Shader {
        let source = Source::filled(template, move || {
            [("storage", storage::lines(&[("x", x.storage, elements)], Some((y.storage, Written::Four)), 0))]
        });
        Shader { notes_overflow: y.storage.is_half(), ..Shader::new(name, source) }
    }
}

impl Operation for MaxPool {
    sizes!(batch, channels, in_samples, out_samples, kernel, stride);

    fn extents(&self) -> Option<Extents> {
        let Self { batch, channels, in_samples, out_samples, kernel, stride } = *self;
        let [x, y] = [in_samples, out_samples].map(|samples| Extent::Activation([batch, channels, samples]));
        (span(out_samples, kernel, stride)? <= in_samples).then(|| Extents::new([x], y))
    }

    fn describe(&self) -> String {
        format!("max pool kernel {} stride {}", self.kernel, self.stride)
    }

    fn floating_point_operations(&self) -> u64 {
        self.batch as u64 * self.channels as u64 * self.out_samples as u64 * self.kernel as u64
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

    fn writes_f16(&self) -> bool {
        true
    }

    fn channels(&self) -> [usize; 2] {
        [self.channels; 2]
    }
}

impl GpuOperation for MaxPool {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, y] = input_and_output(layouts);
        // Mirrors of `struct MaxPool` in the shaders.
        let parameters = |x_base_offset| {
            [self.channels, self.out_samples, x_base_offset, x.pitch, y.base_offset, y.pitch, y.offset, 0]
        };
        let grid = [y.pitch.div_ceil(WORKGROUP * SAMPLES), self.channels, self.batch];
        let template = include_str!("../../shaders/max_pool/plain.wgsl");
        let shader = Self::shader("max_pool/plain", template, Elements::One, [x, y]);
        let constants = vec![("KERNEL", self.kernel as f64), ("STRIDE", self.stride as f64)];
        let plain = Variant::plain(Shader { constants, ..shader }, parameters(x.base_offset + x.offset), grid);
        let first = (x.base_offset + x.offset).checked_sub(2 * y.offset).filter(|first| first.is_multiple_of(4));
        match first {
            Some(first) if self.halves() && x.pitch.is_multiple_of(4) => {
                let template = include_str!("../../shaders/max_pool/halves.wgsl");
                let shader = Self::shader("max_pool/halves", template, Elements::Four, [x, y]);
                vec![Variant { name: "halves", ..Variant::plain(shader, parameters(first), grid) }, plain]
            }
            _ => vec![plain],
        }
    }

    /// The first window begins at most twice the largest offset of y, 7, before its row.
    fn base_offset(&self) -> usize {
        if self.halves() { 2 * 7 } else { 0 }
    }

    fn offset(&self, y_offset: usize) -> usize {
        if self.halves() { 2 * y_offset % 4 } else { 0 }
    }

    fn pitch_multiple(&self) -> usize {
        SAMPLES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_last_sample_is_ignored() {
        let pool = MaxPool { batch: 1, channels: 2, in_samples: 5, out_samples: 2, kernel: 2, stride: 2 };
        let mut y = [0.0; 4];
        pool.reference(&[&[1., -2., 3., 4., 9., -1., -2., -3., -4., 9.]], &mut y);
        assert_eq!(y, [1., 4., -1., -3.]);
    }
}
