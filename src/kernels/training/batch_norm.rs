//! Batch norm by the statistics of the batch (Ioffe and Szegedy 2015), with the ReLU that follows it, its gradients, and
//! the running statistics that inference uses.
//!
//! With x̂ = (x − μ)/√(σ² + ε) it gives γ·x̂ + β, where μ and the biased σ² are those of a channel over the records of a
//! group and all samples, m numbers. By the chain rule through both, with the sums over the group,
//! dβ = Σ dy, dγ = Σ dy·x̂, dx = γ/√(σ² + ε) · (dy − dβ/m − x̂·dγ/m). A ReLU behind it makes dy 0 where γ·x̂ + β ≤ 0.
//!
//! In a plan `[groups, 2, channels]` is shaped `[groups, 2 · channels, 1]`, one number a row, and `[2, channels]` is shaped
//! `[1, 1, 2 · channels]`, one row: the shaders count on it.

use crate::{
    kernels::{Accelerator, GpuOperation, Operation, RowLayout, Shader, Variant},
    network::BATCH_NORM_EPSILON,
};

use super::{NO_CONSTANTS, WORKGROUP, equal_and_aligned, first, shader};

/// Records that an invocation takes in turn, so that it loads a channel's four to six numbers once for all of them: with
/// one record these would be two thirds of the loads, which are what lavapipe spends its time on.
const RECORDS: usize = 8;
/// Invocations of a workgroup beside one another in a row: rows have 32 to 128 vec4s in network 542k.
const LANES: usize = 32;

/// The sizes that all of batch norm's kernels share. Records are in `groups` groups of equal size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Groups {
    /// Groups, each normalised by itself.
    pub groups: usize,
    /// Records of one group.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Samples of each channel.
    pub samples: usize,
}

impl Groups {
    /// Numbers that one mean is taken over.
    pub fn count(&self) -> usize {
        self.batch * self.samples
    }

    /// Workgroups of an operation that changes every number, [`RECORDS`] records at a time.
    fn grid(&self, stride: usize) -> [usize; 3] {
        [(stride / 4).div_ceil(LANES), self.channels, self.groups * self.batch.div_ceil(RECORDS)]
    }

    fn len(&self) -> usize {
        self.groups * self.batch * self.channels * self.samples
    }

    /// Where a channel's numbers of one group stand, in order.
    fn places(self, group: usize, channel: usize) -> impl Iterator<Item = usize> {
        let row = move |b: usize| ((group * self.batch + b) * self.channels + channel) * self.samples;
        (0..self.batch).flat_map(move |b| (0..self.samples).map(move |t| row(b) + t))
    }

    /// Every group and channel, with what batch norm does to it.
    fn each(self, statistics: &[f64], affine: Option<&[f64]>) -> impl Iterator<Item = Channel> {
        (0..self.groups * self.channels).map(move |at| {
            let (group, channel) = (at / self.channels, at % self.channels);
            let [mean, variance] = [0, 1].map(|part| statistics[(group * 2 + part) * self.channels + channel]);
            let [gamma, beta] = [0, 1].map(|part| affine.map_or(0.0, |affine| affine[part * self.channels + channel]));
            Channel { group, channel, mean, scale: 1.0 / (variance + BATCH_NORM_EPSILON).sqrt(), gamma, beta }
        })
    }
}

/// What the shaders of batch norm are specialised by.
fn constants(relu: bool) -> [(&'static str, f64); 3] {
    [("EPSILON", BATCH_NORM_EPSILON), ("RELU", f64::from(u8::from(relu))), ("RECORDS", RECORDS as f64)]
}

/// The ways to add up each channel in a workgroup: with the invocations that suit lavapipe, which took two and a half
/// times as long with more, or with all that every adapter has. On a real GPU the 64 channels of network 542k's first
/// layers give 64 workgroups, so that it is the loads that each invocation makes one after another which take the time:
/// with 64 invocations 128 vec4s at 64 records of 500 samples, 20 to 80 µs a pass, with 256 a fourth. Reckoned, not yet
/// measured.
fn reductions<const N: usize>(shader: Shader, parameters: [usize; N], sizes: Groups, software: bool) -> Vec<Variant> {
    let variant = |name, workgroup, lanes| {
        let mut shader = shader.clone();
        shader.constants.extend([("WORKGROUP", f64::from(workgroup)), ("LANES", f64::from(lanes))]);
        Variant { name, ..Variant::plain(shader, parameters, [sizes.channels, sizes.groups, 1]) }
    };
    let [few, many] = [variant("plain", 64, 8), variant("many", 256, 32)];
    if software { vec![few, many] } else { vec![many, few] }
}

struct Channel {
    group: usize,
    channel: usize,
    mean: f64,
    /// 1/√(σ² + ε).
    scale: f64,
    gamma: f64,
    beta: f64,
}

impl Channel {
    fn normalised(&self, x: f64) -> f64 {
        (x - self.mean) * self.scale
    }

    /// dy behind the ReLU, where there is one.
    fn passed(&self, relu: bool, x: f64, dy: f64) -> f64 {
        if relu && self.gamma * self.normalised(x) + self.beta <= 0.0 { 0.0 } else { dy }
    }
}

/// Mean and biased variance of each channel.
///
/// Reads x `[groups · batch, channels, samples]`; writes `[groups, 2, channels]`: means, then variances.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchStatistics(pub Groups);

impl Operation for BatchStatistics {
    fn describe(&self) -> String {
        "batch statistics".into()
    }

    fn floating_point_operations(&self) -> usize {
        4 * self.0.len()
    }

    fn reference(&self, reads: &[&[f64]], statistics: &mut [f64]) {
        let ([x], sizes) = (reads, self.0) else { unreachable!("the plan gives statistics one read") };
        for at in 0..sizes.groups * sizes.channels {
            let (group, channel) = (at / sizes.channels, at % sizes.channels);
            let count = sizes.count() as f64;
            let mean = sizes.places(group, channel).map(|i| x[i]).sum::<f64>() / count;
            let squares = sizes.places(group, channel).map(|i| (x[i] - mean).powi(2)).sum::<f64>();
            statistics[group * 2 * sizes.channels + channel] = mean;
            statistics[(group * 2 + 1) * sizes.channels + channel] = squares / count;
        }
    }
}

impl GpuOperation for BatchStatistics {
    fn variants(&self, layouts: &[RowLayout], accelerator: &Accelerator) -> Vec<Variant> {
        let ([x, y], Groups { batch, channels, samples, .. }) = (layouts, self.0) else {
            unreachable!("the plan gives statistics one read")
        };
        if !equal_and_aligned(&[*x]) {
            return Vec::new();
        }
        // Mirror of `struct BatchStatistics` in the shader.
        let parameters = [batch, channels, samples, x.base_offset, x.pitch, x.offset, y.base_offset, y.pitch, y.offset];
        reductions(shader!("batch_statistics", NO_CONSTANTS), parameters, self.0, accelerator.software)
    }

    fn needs_aligned_rows(&self) -> bool {
        true
    }
}

/// γ·x̂ + β, then max(0, y) with `relu`.
///
/// Reads x `[groups · batch, channels, samples]`, statistics `[groups, 2, channels]`, γ and β `[2, channels]`; writes y,
/// shaped like x.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// Sizes.
    pub sizes: Groups,
    /// Whether max(0, y) follows.
    pub relu: bool,
}

impl Operation for BatchNorm {
    fn describe(&self) -> String {
        format!("batch norm{}", if self.relu { " + ReLU" } else { "" })
    }

    fn floating_point_operations(&self) -> usize {
        3 * self.sizes.len()
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        let [x, statistics, affine] = reads else { unreachable!("the plan gives a batch norm three reads") };
        for of in self.sizes.each(statistics, Some(affine)) {
            for i in self.sizes.places(of.group, of.channel) {
                let value = of.gamma * of.normalised(x[i]) + of.beta;
                y[i] = if self.relu { value.max(0.0) } else { value };
            }
        }
    }
}

impl GpuOperation for BatchNorm {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, statistics, affine, y] = layouts else { unreachable!("the plan gives a batch norm three reads") };
        if !equal_and_aligned(&[*x, *y]) {
            return Vec::new();
        }
        let Groups { batch, channels, samples, .. } = self.sizes;
        let moments = first(*statistics);
        // Mirror of `struct BatchNorm` in the shader.
        let parameters =
            [batch, channels, samples, x.base_offset, x.pitch, x.offset, moments, statistics.pitch, first(*affine)];
        vec![Variant::plain(shader!("batch_norm", constants(self.relu)), parameters, self.sizes.grid(x.pitch))]
    }

    fn needs_aligned_rows(&self) -> bool {
        true
    }
}

/// Σ dy·x̂ and Σ dy of each group, which added up are the gradients by γ and β.
///
/// Reads x, statistics `[groups, 2, channels]`, γ and β `[2, channels]`, dy shaped like x; writes
/// `[groups, 2, channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNormGradientSums {
    /// Sizes.
    pub sizes: Groups,
    /// Whether max(0, y) followed.
    pub relu: bool,
}

impl Operation for BatchNormGradientSums {
    fn describe(&self) -> String {
        "batch norm gradient sums".into()
    }

    fn floating_point_operations(&self) -> usize {
        6 * self.sizes.len()
    }

    fn reference(&self, reads: &[&[f64]], sums: &mut [f64]) {
        let [x, statistics, affine, dy] = reads else { unreachable!("the plan gives the sums four reads") };
        for of in self.sizes.each(statistics, Some(affine)) {
            let (mut gamma, mut beta) = (0.0, 0.0);
            for i in self.sizes.places(of.group, of.channel) {
                let dy = of.passed(self.relu, x[i], dy[i]);
                gamma += dy * of.normalised(x[i]);
                beta += dy;
            }
            sums[of.group * 2 * self.sizes.channels + of.channel] = gamma;
            sums[(of.group * 2 + 1) * self.sizes.channels + of.channel] = beta;
        }
    }
}

impl GpuOperation for BatchNormGradientSums {
    fn variants(&self, layouts: &[RowLayout], accelerator: &Accelerator) -> Vec<Variant> {
        let [x, statistics, affine, dy, y] = layouts else { unreachable!("the plan gives the sums four reads") };
        if !equal_and_aligned(&[*x, *dy]) {
            return Vec::new();
        }
        let Groups { batch, channels, .. } = self.sizes;
        let (moments, affine) = (first(*statistics), first(*affine));
        // Mirror of `struct BatchNormGradientSums` in the shader.
        let parameters = [
            batch,
            channels,
            x.base_offset,
            x.pitch,
            moments,
            statistics.pitch,
            affine,
            y.base_offset,
            y.pitch,
            y.offset,
        ];
        let [epsilon, relu, _] = constants(self.relu);
        reductions(shader!("batch_norm_gradient_sums", [epsilon, relu]), parameters, self.sizes, accelerator.software)
    }

    fn needs_aligned_rows(&self) -> bool {
        true
    }
}

/// The gradient by x.
///
/// Reads x, statistics `[groups, 2, channels]`, γ and β `[2, channels]`, the sums of [`BatchNormGradientSums`], dy shaped
/// like x; writes dx.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNormInputGradient {
    /// Sizes.
    pub sizes: Groups,
    /// Whether max(0, y) followed.
    pub relu: bool,
}

impl Operation for BatchNormInputGradient {
    fn describe(&self) -> String {
        "batch norm gradient".into()
    }

    fn floating_point_operations(&self) -> usize {
        9 * self.sizes.len()
    }

    fn reference(&self, reads: &[&[f64]], dx: &mut [f64]) {
        let [x, statistics, affine, sums, dy] = reads else { unreachable!("the plan gives the gradient five reads") };
        let count = self.sizes.count() as f64;
        for of in self.sizes.each(statistics, Some(affine)) {
            let [gamma, beta] =
                [0, 1].map(|part| sums[(of.group * 2 + part) * self.sizes.channels + of.channel] / count);
            for i in self.sizes.places(of.group, of.channel) {
                let dy = of.passed(self.relu, x[i], dy[i]);
                dx[i] = of.gamma * of.scale * (dy - beta - of.normalised(x[i]) * gamma);
            }
        }
    }
}

impl GpuOperation for BatchNormInputGradient {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [x, statistics, affine, sums, dy, dx] = layouts else {
            unreachable!("the plan gives the gradient five reads")
        };
        if !equal_and_aligned(&[*x, *dy, *dx]) {
            return Vec::new();
        }
        let Groups { batch, channels, samples, .. } = self.sizes;
        // Mirror of `struct BatchNormInputGradient` in the shader.
        let parameters = [
            batch,
            channels,
            samples,
            x.base_offset,
            x.pitch,
            x.offset,
            first(*statistics),
            statistics.pitch,
            first(*affine),
            first(*sums),
            sums.pitch,
        ];
        let shader = shader!("batch_norm_input_gradient", constants(self.relu));
        vec![Variant::plain(shader, parameters, self.sizes.grid(x.pitch))]
    }

    fn needs_aligned_rows(&self) -> bool {
        true
    }
}

/// running = (1 − momentum)·running + momentum·batch, group after group, with the unbiased variance m/(m − 1)·σ².
///
/// Reads statistics `[groups, 2, channels]`; changes the running mean and variance `[2, channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningStatistics {
    /// Sizes of the batch.
    pub sizes: Groups,
    /// Share of the new statistics; PyTorch's default is 0.1.
    pub momentum: f32,
}

impl Operation for RunningStatistics {
    fn describe(&self) -> String {
        "running statistics".into()
    }

    fn floating_point_operations(&self) -> usize {
        6 * self.sizes.groups * self.sizes.channels
    }

    fn reference(&self, reads: &[&[f64]], running: &mut [f64]) {
        let [statistics] = reads else { unreachable!("the plan gives running statistics one read") };
        let count = self.sizes.count() as f64;
        let momentum = f64::from(self.momentum);
        for group in 0..self.sizes.groups {
            for i in 0..2 * self.sizes.channels {
                let unbiased = if i < self.sizes.channels { 1.0 } else { count / (count - 1.0) };
                let new = statistics[group * 2 * self.sizes.channels + i] * unbiased;
                running[i] = (1.0 - momentum) * running[i] + momentum * new;
            }
        }
    }
}

impl GpuOperation for RunningStatistics {
    fn variants(&self, layouts: &[RowLayout], _: &Accelerator) -> Vec<Variant> {
        let [statistics, running] = layouts else { unreachable!("the plan gives running statistics one read") };
        let Groups { groups, channels, .. } = self.sizes;
        let count = self.sizes.count() as f64;
        let constants = [("MOMENTUM", f64::from(self.momentum)), ("UNBIASED", count / (count - 1.0))];
        // Mirror of `struct RunningStatistics` in the shader.
        let parameters = [groups, channels, first(*statistics), statistics.pitch, first(*running)];
        let grid = [(2 * channels).div_ceil(WORKGROUP), 1, 1];
        vec![Variant::plain(shader!("running_statistics", constants), parameters, grid)]
    }
}
