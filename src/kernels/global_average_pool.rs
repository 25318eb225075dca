//! The mean over the samples of every channel. Twins: shaders/global_average_pool/plain.wgsl, where a workgroup takes a channel,
//! and shaders/global_average_pool/rows.wgsl, where an invocation does.
//!
//! On lavapipe each barrier is a coroutine switch: the workgroup's six took 1.1 ms of the 7.2 ms that network 542k took
//! on one thread, and the loop over a row without any too little to be seen.

use super::{
    Accelerator, Operation, RowLayout, Shader, Variant, fill, input_and_output,
    storage::{self, Elements},
};

/// Invocations of a workgroup of the variant `rows`.
const WORKGROUP: usize = 32;

/// `y[b, c]` is the mean over t of `x[b, c, t]`.
///
/// Reads x `[batch, channels, samples]`; writes y `[batch, channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct GlobalAveragePool {
    /// Records.
    pub batch: usize,
    /// Channels of x and y.
    pub channels: usize,
    /// Samples of each channel.
    pub samples: usize,
}

impl Operation for GlobalAveragePool {
    fn variants(&self, rows: &[RowLayout], accelerator: &Accelerator) -> Vec<Variant> {
        let [x, y] = input_and_output(rows);
        // Mirrors of `struct GlobalAveragePool` in the shaders.
        let parameters =
            |x_base_offset| [self.channels, self.samples, x_base_offset, x.pitch, y.base_offset, y.pitch, y.offset, 0];
        let shader = |name, template, elements| {
            let storage = storage::lines(&[("x", x.storage, elements)], None, 0);
            let source = fill(template, &[("storage", storage)]).into();
            Shader { name, source, notes_overflow: false, textures: &[], constants: Vec::new() }
        };
        let template = include_str!("../../shaders/global_average_pool/plain.wgsl");
        let shader_plain = shader("global_average_pool/plain", template, Elements::One);
        let plain = Variant::plain(shader_plain, parameters(x.base_offset + x.offset), [self.channels, self.batch, 1]);
        // Rows that no reader or writer wants in whole vec4s are left to the plain variant.
        if !x.pitch.is_multiple_of(4) {
            return vec![plain];
        }
        let template = include_str!("../../shaders/global_average_pool/rows.wgsl");
        let shader = shader("global_average_pool/rows", template, Elements::Four);
        let grid = [self.channels.div_ceil(WORKGROUP), self.batch, 1];
        let rows = Variant { name: "rows", ..Variant::plain(shader, parameters(x.base_offset), grid) };
        if accelerator.software { vec![rows, plain] } else { vec![plain, rows] }
    }

    fn floating_point_operations(&self) -> usize {
        self.batch * self.channels * self.samples
    }

    fn describe(&self) -> String {
        "global average pool".into()
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        let [x] = reads else { unreachable!("the plan gives a pool one read") };
        for row in 0..self.batch * self.channels {
            let mut sum = 0.0;
            for t in 0..self.samples {
                sum += x[row * self.samples + t];
            }
            y[row] = sum / self.samples as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_gives_its_mean() {
        let mut y = [0.0; 2];
        GlobalAveragePool { batch: 1, channels: 2, samples: 3 }.reference(&[&[1., 2., 6., -1., 0., 1.]], &mut y);
        assert_eq!(y, [3., 0.]);
    }
}
