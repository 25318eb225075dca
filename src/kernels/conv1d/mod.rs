//! Convolution along the samples, with bias and optionally ReLU and a max pool of two. Each variant has a file.
//!
//! What the fused max pool saves: docs/measurements/fused-plans.md.

mod matrices;
mod plain;
mod subgroups;
mod tile;
mod winograd;

use super::{
    Accelerator, Extent, Extents, FEW_CHANNELS, GpuOperation, Operation, Packing, RowLayout, Shader, Source, Variant,
    component, declarations, input_and_output,
    list::sizes,
    numbers, product, span,
    storage::{self, Elements, Storage, Written},
};

/// Workgroups that saturate a large GPU: two for each of 132 multiprocessors.
const SATURATING_WORKGROUPS: usize = 264;
/// The longest kernel whose taps are unrolled.
const UNROLLED: usize = 16;
/// Numbers of the largest load of any variant.
const ALIGNED: usize = 8;

/// Computes `y[b, o, t] = bias[o] + Σ_c Σ_k weight[o, c, k] · x[b, c, t·stride + k − padding]`, where x is 0 outside its
/// samples.
///
/// With `relu`, max(0, y) follows. With `fused_max_pool`, the larger of each two outputs is written, as by a max pool of
/// kernel and stride 2.
///
/// Reads x `[batch, in_channels, in_samples]`, weight `[out_channels, in_channels, kernel]` and bias `[out_channels]`;
/// writes y `[batch, out_channels, out_samples]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv1d {
    /// Records.
    pub batch: usize,
    /// Channels of x.
    pub in_channels: usize,
    /// Samples per channel of x.
    pub in_samples: usize,
    /// Channels of y.
    pub out_channels: usize,
    /// Samples per channel of y; with `fused_max_pool`, half as many as outputs.
    pub out_samples: usize,
    /// Samples that one output depends on.
    pub kernel: usize,
    /// Samples from one output to the next.
    pub stride: usize,
    /// Zeros before and after the samples.
    pub padding: usize,
    /// Whether max(0, y) follows.
    pub relu: bool,
    /// Whether a max pool of two outputs follows. Only a [`FusedPlan`](crate::plan::FusedPlan) contains such a
    /// convolution.
    pub fused_max_pool: bool,
}

impl Operation for Conv1d {
    sizes!(
        batch, in_channels, in_samples, out_channels, out_samples, kernel, stride;
        zero { padding } flags { relu, fused_max_pool }
    );

    fn extents(&self) -> Option<Extents> {
        let Self { batch, in_channels, in_samples, out_channels, out_samples, kernel, stride, padding, .. } = *self;
        span(out_samples.checked_mul(self.pooled())?, kernel, stride)?.checked_add(padding)?;
        let x = Extent::Activation([batch, in_channels, in_samples]);
        let weight = numbers([out_channels, in_channels, kernel])?;
        let y = Extent::Activation([batch, out_channels, out_samples]);
        Some(Extents::new([x, weight, Extent::Numbers(out_channels)], y))
    }

    fn describe(&self) -> String {
        let relu = if self.relu { " + ReLU" } else { "" };
        let Self { in_channels, out_channels, kernel, stride, .. } = self;
        let pool = if self.fused_max_pool { " + max pool kernel 2 stride 2" } else { "" };
        format!("conv {in_channels}→{out_channels} kernel {kernel} stride {stride}{relu}{pool}")
    }

    fn floating_point_operations(&self) -> u64 {
        product([2, self.batch, self.out_channels, self.pooled(), self.out_samples, self.in_channels, self.kernel])
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        for b in 0..self.batch {
            for o in 0..self.out_channels {
                for t in 0..self.out_samples {
                    let output = |t| self.output(reads, b, o, t);
                    let larger = if self.fused_max_pool { output(2 * t).max(output(2 * t + 1)) } else { output(t) };
                    y[(b * self.out_channels + o) * self.out_samples + t] = larger;
                }
            }
        }
    }

    fn constants(&self) -> Vec<usize> {
        vec![self.out_channels * self.in_channels * self.kernel, self.out_channels]
    }

    fn writes_f16(&self) -> bool {
        true
    }

    fn channels(&self) -> [usize; 2] {
        [self.in_channels, self.out_channels]
    }

    fn with_few_channels(&self) -> Self {
        let [in_channels, out_channels] = FEW_CHANNELS;
        Self { in_channels, out_channels, kernel: self.kernel.min(UNROLLED + 1), ..self.clone() }
    }
}

impl GpuOperation for Conv1d {
    fn variants(&self, layouts: &[RowLayout], accelerator: &Accelerator) -> Vec<Variant> {
        let [x, y] = input_and_output(layouts);
        let y = self.layout_of_outputs(y);
        let plain = plain::variant(self, x, y, accelerator);
        let tiles = tile::variants(self, x, y, accelerator);
        let matrices = matrices::variant(self, x, y, accelerator);
        let subgroups = subgroups::variant(self, x, y, accelerator);
        if accelerator.software {
            // A barrier costs more on the CPU than the loads that it saves.
            let winograd = winograd::variants(self, x, y, accelerator);
            return winograd.into_iter().chain(subgroups).chain([plain]).chain(tiles).chain(matrices).collect();
        }
        let [first, last] = match matrices {
            Some(matrices) if saturates_gpu(&matrices) => [Some(matrices), None],
            matrices => [None, matrices],
        };
        first.into_iter().chain(tiles).chain([plain]).chain(subgroups).chain(last).collect()
    }

    fn padding(&self) -> usize {
        self.padding
    }

    fn base_offset(&self) -> usize {
        // The largest number of samples that a window begins before its row, see `WINDOW_OFFSET`.
        self.padding + (ALIGNED - 1) * self.pooled() * self.stride + 3
    }

    /// Aligns each window with a load, so that no window needs a shift. In two of three layers of network 542k that is one
    /// vec4 less per window.
    fn offset(&self, y_offset: usize) -> usize {
        (self.padding + y_offset * self.pooled() * self.stride) % ALIGNED
    }

    fn pitch_multiple(&self) -> usize {
        ALIGNED
    }
}

impl Conv1d {
    /// Computes one output in float64, before the fused max pool.
    fn output(&self, reads: &[&[f64]], b: usize, o: usize, t: usize) -> f64 {
        let [x, weight, bias] = reads else { unreachable!("the plan gives a convolution three reads") };
        let mut sum = bias[o];
        for c in 0..self.in_channels {
            let row = (b * self.in_channels + c) * self.in_samples;
            for k in 0..self.kernel {
                let position = t * self.stride + k;
                if position >= self.padding && position - self.padding < self.in_samples {
                    let w = weight[(o * self.in_channels + c) * self.kernel + k];
                    sum += w * x[row + position - self.padding];
                }
            }
        }
        if self.relu { sum.max(0.0) } else { sum }
    }

    /// Outputs that become one number of y.
    fn pooled(&self) -> usize {
        if self.fused_max_pool { 2 } else { 1 }
    }

    /// The type that an invocation stores for four outputs.
    fn written(&self) -> Written {
        if self.fused_max_pool { Written::Two } else { Written::Four }
    }

    /// The layout that the outputs of `y` would have without the fused max pool. Variants iterate over it.
    fn layout_of_outputs(&self, y: RowLayout) -> RowLayout {
        RowLayout { offset: y.offset * self.pooled(), pitch: y.pitch * self.pooled(), ..y }
    }

    /// Fills `struct Conv1d` of the shaders.
    fn parameters(&self, x_base_offset: usize, x: RowLayout, y: RowLayout) -> Vec<u32> {
        let Self { in_channels, out_channels, out_samples, .. } = *self;
        let (y_pitch, y_offset) = (y.pitch / self.pooled(), y.offset / self.pooled());
        [in_channels, out_channels, out_samples, x_base_offset, x.pitch, y.base_offset, y_pitch, y_offset]
            .map(|size| size as u32)
            .to_vec()
    }

    /// The values of a shader's `override` declarations: the given sizes and `RELU`.
    fn overrides<const N: usize>(&self, sizes: [(&'static str, usize); N]) -> Vec<(&'static str, f64)> {
        let sizes = sizes.map(|(name, size)| (name, size as f64));
        [("RELU", f64::from(u8::from(self.relu)))].into_iter().chain(sizes).collect()
    }

    /// How many numbers before the start of a row of x the window of the row's first output begins. Negative if it begins
    /// after the start, which happens where another reader of x decided the offset.
    fn window_offset(&self, x: RowLayout, y: RowLayout) -> isize {
        (self.padding + y.offset * self.stride) as isize - x.offset as isize
    }

    /// For a shader that reads whole vec4s: its overrides with `WINDOW_OFFSET`, the numbers to go back from the base offset
    /// to the first window, and that base offset.
    fn window_and_base_offset(&self, x: RowLayout, y: RowLayout) -> (Vec<(&'static str, f64)>, usize) {
        let window_offset = self.window_offset(x, y) + self.shift(x, y) as isize;
        (
            self.overrides([("WINDOW_OFFSET", window_offset.max(0) as usize)]),
            x.base_offset + (-window_offset).max(0) as usize,
        )
    }

    /// How many numbers before its first tap a window of whole vec4s begins.
    fn shift(&self, x: RowLayout, y: RowLayout) -> usize {
        (x.offset + 3 * (self.padding + y.offset * self.stride)) % 4
    }
}

/// Generates the lines `//# storage` of a shader that reads x in `elements` and weights in vec4s.
fn storage_lines(conv: &Conv1d, [x, y]: [Storage; 2], weights: Storage, elements: Elements) -> Vec<String> {
    storage::lines(&[("x", x, elements), ("weight", weights, Elements::Four)], Some((y, conv.written())), 2)
}

/// Generates the lines `//# write`: the function that stores four outputs of an invocation to y.
fn write_lines(conv: &Conv1d) -> Vec<String> {
    let store = match conv.fused_max_pool {
        true => include_str!("../../../shaders/conv1d/store/fused_max_pool.wgsl"),
        false => include_str!("../../../shaders/conv1d/store/whole.wgsl"),
    };
    store.lines().map(String::from).collect()
}

/// Whether a variant has enough workgroups to saturate a large GPU.
fn saturates_gpu(variant: &Variant) -> bool {
    variant.grid.iter().product::<usize>() >= SATURATING_WORKGROUPS
}

/// A shader that stores y as its layout says.
fn shader(name: &'static str, source: Source, y: RowLayout, constants: Vec<(&'static str, f64)>) -> Shader {
    Shader { notes_overflow: y.storage.is_half(), constants, ..Shader::new(name, source) }
}

/// Packs weights `[out_channels, taps]` in blocks of `block` output channels. Each block has `length` numbers, the last
/// padded with zeros. The value of an output and a tap is stored at `place(block, output in the block, tap)`.
fn blocks(
    values: &[f32],
    out_channels: usize,
    block: usize,
    taps: usize,
    place: impl Fn(usize, usize, usize) -> usize,
    length: usize,
) -> Vec<f32> {
    let mut packed = vec![0.0; out_channels.div_ceil(block) * length];
    for (at, &value) in values.iter().enumerate() {
        let (o, tap) = (at / taps, at % taps);
        packed[place(o / block, o % block, tap)] = value;
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convolution_equals_a_result_by_hand() {
        let conv = Conv1d {
            batch: 1,
            in_channels: 2,
            in_samples: 3,
            out_channels: 1,
            out_samples: 2,
            kernel: 3,
            stride: 2,
            padding: 1,
            relu: false,
            fused_max_pool: false,
        };
        let (x, weight) = ([1., 2., 3., 10., 20., 30.], [1., 10., 100., 0., 0., 1.]);
        let mut y = [0.0; 2];
        conv.reference(&[&x, &weight, &[0.5]], &mut y);
        // The window of t = 0 is (0, 1, 2) and (0, 10, 20), that of t = 1 (2, 3, 0) and (20, 30, 0).
        assert_eq!(y, [0.5 + 10. + 200. + 20., 0.5 + 2. + 30.]);
        Conv1d { relu: true, ..conv.clone() }.reference(&[&x, &weight, &[-100.]], &mut y);
        assert_eq!(y, [130., 0.]);
        Conv1d { fused_max_pool: true, out_samples: 1, ..conv }.reference(&[&x, &weight, &[0.5]], &mut y);
        assert_eq!(y[0], 230.5, "the larger of the first two");
    }

    #[test]
    fn each_variant_packs_weights_in_the_order_of_its_shader() {
        let conv = Conv1d {
            batch: 1,
            in_channels: 1,
            in_samples: 9,
            out_channels: 3,
            out_samples: 8,
            kernel: 2,
            stride: 1,
            padding: 0,
            relu: false,
            fused_max_pool: false,
        };
        assert_eq!(plain::packed(&conv, 1, &[1., 2., 3., 4., 5., 6.]), [1., 3., 5., 0., 2., 4., 6., 0.]);
        assert_eq!(plain::packed(&conv, 2, &[7., 8., 9.]), [7., 8., 9., 0.]);
        // `tile` has blocks of 32 or 16 channels; `subgroups` has loads of 32 weights, each channel's taps side by side.
        let large = tile::packed(&conv, 2, 1, &[1., 2., 3., 4., 5., 6.]);
        assert_eq!((large.len(), &large[..4], &large[32..36]), (64, &[1., 3., 5., 0.][..], &[2., 4., 6., 0.][..]));
        assert_eq!(tile::packed(&conv, 1, 2, &[7., 8., 9.]).len(), 16);
        let subgroups = subgroups::packed(&conv, 1, &[1., 2., 3., 4., 5., 6.]);
        assert_eq!((subgroups.len(), &subgroups[..7]), (64, &[1., 2., 3., 4., 5., 6., 0.][..]));
        assert_eq!(subgroups::packed(&conv, 2, &[7., 8., 9.]).len(), 32);
        // A lane loads four weights at a time, lane l those of input channel l. There is one input channel.
        let winograd = winograd::packed(&conv, 1, &[1., 2., 3., 4., 5., 6.]);
        assert_eq!((winograd.len(), &winograd[..5]), (8 * 32, &[1., 2., 3., 4., 0.][..]));
        assert_eq!(winograd[32..36], [5., 6., 0., 0.]);
        assert_eq!(winograd::packed(&conv, 2, &[7., 8., 9.])[..4], [7., 8., 9., 0.]);
        // Each tap has a matrix with a row per output. A workgroup has 32 outputs. There is one input channel.
        let matrices = matrices::packed(&conv, 8, 1, &[1., 2., 3., 4., 5., 6.]);
        assert_eq!((matrices.len(), matrices[0], matrices[8], matrices[16]), (4 * 2 * 64, 1., 3., 5.));
        assert_eq!((matrices[64], matrices[72], matrices[80]), (2., 4., 6.));
        assert_eq!(matrices::packed(&conv, 16, 2, &[7., 8., 9.]).len(), 64);
    }
}
