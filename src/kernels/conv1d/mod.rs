//! Convolution along the samples, with bias and, where they follow, ReLU and a max pool of two. Each way to run it on a GPU
//! has a file.
//!
//! The pool as part of it, network 55k at 12 × 1000 on lavapipe: predicted a sixth less, as the two pools took 16 % of the
//! time; 1.09 instead of 1.38 ms, medians of twelve rounds of `ecgpu bench` in turns. On a real GPU it spares two dispatches of eight, and of
//! what activations write and are read 512 of 1072 KB a record (reckoned, not measured).

mod matrices;
mod plain;
mod subgroups;
mod tile;
mod winograd;

use super::{
    Accelerator, Operation, RowLayout, Shader, Variant, input_and_output,
    storage::{self, Elements, Written},
};

/// Workgroups that fill a large GPU, of which one has 132 multiprocessors, twice.
const SATURATING_WORKGROUPS: usize = 264;
/// The longest kernel whose taps are written out one by one.
pub(super) const UNROLLED: usize = 16;
/// Floats of the largest load of any variant.
const ALIGNED: usize = 8;

/// `y[b, o, t] = bias[o] + Σ_c Σ_k weight[o, c, k] · x[b, c, t·stride + k − padding]`, where x is 0 outside its samples;
/// then max(0, y) with `relu`; with `fused_max_pool` the larger of each two outputs is written, as a max pool of kernel and stride 2
/// would of the outputs.
///
/// Reads x `[batch, in_channels, in_samples]`, weight `[out_channels, in_channels, kernel]`, bias `[out_channels]`;
/// writes y `[batch, out_channels, out_samples]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv1d {
    /// Records.
    pub batch: usize,
    /// Channels of x.
    pub in_channels: usize,
    /// Samples of each channel of x.
    pub in_samples: usize,
    /// Channels of y.
    pub out_channels: usize,
    /// Samples of each channel of y, with `fused_max_pool` half as many as outputs.
    pub out_samples: usize,
    /// Samples that one output sees.
    pub kernel: usize,
    /// Samples from one output to the next.
    pub stride: usize,
    /// Zeros before and after the samples.
    pub padding: usize,
    /// Whether max(0, y) follows.
    pub relu: bool,
    /// Whether a max pool of two outputs is part of it. No plan has it from the start: a GPU puts it in the place of the two,
    /// see [`crate::plan::FusedPlan`].
    pub fused_max_pool: bool,
}

impl Operation for Conv1d {
    fn variants(&self, rows: &[RowLayout], accelerator: &Accelerator) -> Vec<Variant> {
        let [x, y] = input_and_output(rows);
        let y = self.outputs(y);
        let plain = plain::variant(self, x, y, accelerator);
        let tiles = tile::variants(self, x, y, accelerator);
        let matrices = matrices::variant(self, x, y, accelerator);
        if accelerator.software {
            // A barrier costs more there than the loads that it saves.
            let winograd = winograd::variants(self, x, y, accelerator);
            let subgroups = subgroups::variant(self, x, y, accelerator);
            return winograd.into_iter().chain(subgroups).chain([plain]).chain(tiles).chain(matrices).collect();
        }
        let subgroups = subgroups::variant(self, x, y, accelerator);
        let [first, last] = match matrices {
            Some(matrices) if saturates_gpu(&matrices) => [Some(matrices), None],
            matrices => [None, matrices],
        };
        first.into_iter().chain(tiles).chain([plain]).chain(subgroups).chain(last).collect()
    }

    fn constants(&self) -> Vec<usize> {
        vec![self.out_channels * self.in_channels * self.kernel, self.out_channels]
    }

    fn packed(&self, variant: &str, read: usize, values: &[f32]) -> Vec<f32> {
        match variant {
            subgroups::NAME => subgroups::packed(self, read, values),
            winograd::BUFFER | winograd::TEXTURE => winograd::packed(self, read, values),
            plain::NAME => plain::packed(self, read, values),
            other => match matrices::side(other) {
                Some(side) => matrices::packed(self, side, read, values),
                None => tile::packed(self, other, read, values),
            },
        }
    }

    fn padding(&self) -> usize {
        self.padding
    }

    fn base_offset(&self) -> usize {
        // The furthest that a window begins before its row, see `WINDOW_OFFSET`.
        self.padding + (ALIGNED - 1) * self.pooled() * self.stride + 3
    }

    /// Where no window needs a shift: one vec4 fewer to load a window in two of three layers of network 542k.
    fn offset(&self, y_offset: usize) -> usize {
        (self.padding + y_offset * self.pooled() * self.stride) % ALIGNED
    }

    fn pitch_multiple(&self) -> usize {
        ALIGNED
    }

    fn floating_point_operations(&self) -> usize {
        2 * self.batch * self.out_channels * self.pooled() * self.out_samples * self.in_channels * self.kernel
    }

    fn describe(&self) -> String {
        let relu = if self.relu { " + ReLU" } else { "" };
        let Self { in_channels, out_channels, kernel, stride, .. } = self;
        let pool = if self.fused_max_pool { " + max pool kernel 2 stride 2" } else { "" };
        format!("conv {in_channels}→{out_channels} kernel {kernel} stride {stride}{relu}{pool}")
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
}

impl Conv1d {
    /// One output in float64.
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

    /// Outputs that make one number of y.
    fn pooled(&self) -> usize {
        if self.fused_max_pool { 2 } else { 1 }
    }

    /// What an invocation writes at once of four outputs.
    fn written(&self) -> Written {
        if self.fused_max_pool { Written::Two } else { Written::Four }
    }

    /// Where the outputs would lie that make a row of y, which is what a variant goes through.
    fn outputs(&self, y: RowLayout) -> RowLayout {
        RowLayout { offset: y.offset * self.pooled(), pitch: y.pitch * self.pooled(), ..y }
    }

    /// Mirror of `struct Conv1d` in the shaders.
    fn parameters(&self, x_base_offset: usize, x: RowLayout, y: RowLayout) -> Vec<u32> {
        let Self { in_channels, out_channels, out_samples, .. } = *self;
        let (y_pitch, y_offset) = (y.pitch / self.pooled(), y.offset / self.pooled());
        [in_channels, out_channels, out_samples, x_base_offset, x.pitch, y.base_offset, y_pitch, y_offset]
            .map(|size| size as u32)
            .to_vec()
    }

    /// What a shader is specialised by, ReLU among it.
    fn constants<const N: usize>(&self, sizes: [(&'static str, usize); N]) -> Vec<(&'static str, f64)> {
        let sizes = sizes.map(|(name, size)| (name, size as f64));
        [("RELU", f64::from(u8::from(self.relu)))].into_iter().chain(sizes).collect()
    }

    /// How far before a row of x the window of the row of y begins, both from their first floats; negative where it begins
    /// later, as it may where another reader of x has decided where its rows start.
    fn window_offset(&self, x: RowLayout, y: RowLayout) -> isize {
        (self.padding + y.offset * self.stride) as isize - x.offset as isize
    }

    /// `WINDOW_OFFSET`, how far back from the head a shader goes that reads whole vec4s or more, where the first window begins `window_offset`
    /// before its row; and the head to go back from.
    fn window_and_base_offset(&self, window_offset: isize, x: RowLayout) -> (Vec<(&'static str, f64)>, usize) {
        (
            self.constants([("WINDOW_OFFSET", window_offset.max(0) as usize)]),
            x.base_offset + (-window_offset).max(0) as usize,
        )
    }

    /// [`Self::window_and_base_offset`] of a shader that works in vec4s.
    fn vector_window_and_base_offset(&self, x: RowLayout, y: RowLayout) -> (Vec<(&'static str, f64)>, usize) {
        self.window_and_base_offset(self.window_offset(x, y) + self.shift(x, y) as isize, x)
    }

    /// How many samples before its first tap a window of whole vec4s begins.
    fn shift(&self, x: RowLayout, y: RowLayout) -> usize {
        (x.offset + 3 * (self.padding + y.offset * self.stride)) % 4
    }
}

/// What stands at `//# storage`, for a shader that reads x in such elements and weights in vec4s.
fn storage_lines(
    conv: &Conv1d,
    x: RowLayout,
    y: RowLayout,
    accelerator: &Accelerator,
    elements: Elements,
) -> Vec<String> {
    let reads = [("x", x.storage, elements), ("weight", accelerator.storage, Elements::Four)];
    storage::lines(&reads, Some((y.storage, conv.written())), 2)
}

/// What stands at `//# write`: the function that writes four outputs of an invocation to y.
fn write_lines(conv: &Conv1d) -> Vec<String> {
    let store = match conv.fused_max_pool {
        true => include_str!("../../../shaders/conv1d/store/fused_max_pool.wgsl"),
        false => include_str!("../../../shaders/conv1d/store/whole.wgsl"),
    };
    store.lines().map(String::from).collect()
}

/// Whether a variant has enough workgroups to fill a large GPU.
fn saturates_gpu(variant: &Variant) -> bool {
    variant.grid.iter().product::<usize>() >= SATURATING_WORKGROUPS
}

/// A shader that writes y.
fn shader(name: &'static str, source: String, y: RowLayout, constants: Vec<(&'static str, f64)>) -> Shader {
    Shader { name, source: source.into(), notes_overflow: y.storage.is_half(), textures: &[], constants }
}

/// Weights `[out_channels, taps]` in blocks of `block` output channels, each `length` long, the last filled up with zeros:
/// the value of output o of a block and of a tap goes to `place(which block, o, tap)`.
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
    fn a_convolution_by_hand() {
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
        // t=0 sees (0, 1, 2) and (0, 10, 20); t=1 sees (2, 3, 0) and (20, 30, 0).
        assert_eq!(y, [0.5 + 10. + 200. + 20., 0.5 + 2. + 30.]);
        Conv1d { relu: true, ..conv.clone() }.reference(&[&x, &weight, &[-100.]], &mut y);
        assert_eq!(y, [130., 0.]);
        Conv1d { fused_max_pool: true, out_samples: 1, ..conv }.reference(&[&x, &weight, &[0.5]], &mut y);
        assert_eq!(y[0], 230.5, "the larger of the first two");
    }

    #[test]
    fn packing_brings_four_outputs_together() {
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
        assert_eq!(conv.packed("plain", 1, &[1., 2., 3., 4., 5., 6.]), [1., 3., 5., 0., 2., 4., 6., 0.]);
        assert_eq!(conv.packed("plain", 2, &[7., 8., 9.]), [7., 8., 9., 0.]);
        // Blocks of 32 and of 16 channels by tile, loads of 32 weights with each channel's taps side by side.
        let large = conv.packed("tile 8", 1, &[1., 2., 3., 4., 5., 6.]);
        assert_eq!((large.len(), &large[..4], &large[32..36]), (64, &[1., 3., 5., 0.][..], &[2., 4., 6., 0.][..]));
        assert_eq!(conv.packed("tile 4", 2, &[7., 8., 9.]).len(), 16);
        let subgroups = conv.packed("subgroups", 1, &[1., 2., 3., 4., 5., 6.]);
        assert_eq!((subgroups.len(), &subgroups[..7]), (64, &[1., 2., 3., 4., 5., 6., 0.][..]));
        assert_eq!(conv.packed("subgroups", 2, &[7., 8., 9.]).len(), 32);
        // Four floats a lane, lane l for input channel l: there is one.
        let winograd = conv.packed("winograd", 1, &[1., 2., 3., 4., 5., 6.]);
        assert_eq!((winograd.len(), &winograd[..5]), (8 * 32, &[1., 2., 3., 4., 0.][..]));
        assert_eq!(winograd[32..36], [5., 6., 0., 0.]);
        assert_eq!(conv.packed("winograd", 2, &[7., 8., 9.])[..4], [7., 8., 9., 0.]);
        // A matrix for each tap with a row for each output, of which a workgroup has 32; there is one input channel.
        let matrices = conv.packed("matrices 8", 1, &[1., 2., 3., 4., 5., 6.]);
        assert_eq!((matrices.len(), matrices[0], matrices[8], matrices[16]), (4 * 2 * 64, 1., 3., 5.));
        assert_eq!((matrices[64], matrices[72], matrices[80]), (2., 4., 6.));
        assert_eq!(conv.packed("matrices 16", 2, &[7., 8., 9.]).len(), 64);
    }
}
