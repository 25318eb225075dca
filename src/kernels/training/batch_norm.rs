//! Batch norm by the statistics of the batch (Ioffe and Szegedy 2015), with the ReLU that follows it, its gradients, and the
//! running statistics that inference uses.
//!
//! With x̂ = (x − μ)/√(σ² + ε), the output is γ·x̂ + β. μ and the biased σ² are those of a channel over all samples of the
//! records of a group, m numbers. The chain rule through both gives, with sums over the group, dβ = Σ dy, dγ = Σ dy·x̂ and
//! dx = γ/√(σ² + ε) · (dy − dβ/m − x̂·dγ/m). With a ReLU behind it, dy is 0 where γ·x̂ + β ≤ 0.
//!
//! In a plan, `[groups, 2, channels]` has the shape `[groups, 2 · channels, 1]`, one number per row, and `[2, channels]` has
//! the shape `[1, 1, 2 · channels]`, one row. The shaders depend on that.

use crate::kernels::{Accelerator, Extent, Extents, GpuOperation, Operation, RowLayout, Shader, Variant, numbers};

use super::{NO_CONSTANTS, WORKGROUP, equal_and_aligned, first, shader};

/// Records per invocation, which loads a channel's four to six numbers once for all of them. With one record these would be
/// two thirds of the loads, on which lavapipe spends its time.
const RECORDS: usize = 8;
/// Invocations of a workgroup along a row. Rows have 32 to 128 vec4s in network 542k.
const LANES: usize = 32;

/// The sizes that all operations of batch norm share. The records are divided into groups of equal size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Groups {
    /// Groups, each normalised separately.
    pub groups: usize,
    /// Records per group.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Samples per channel.
    pub samples: usize,
}

impl Groups {
    /// The buffer that is normalised.
    fn activation(&self) -> Option<Extent> {
        Some(Extent::Activation([self.groups.checked_mul(self.batch)?, self.channels, self.samples]))
    }

    /// The buffer of two numbers per group and channel, such as mean and variance.
    fn per_group(&self) -> Option<Extent> {
        Some(Extent::Activation([self.groups, self.channels.checked_mul(2)?, 1]))
    }

    /// The buffer of two numbers per channel, such as γ and β.
    fn two_per_channel(&self) -> Option<Extent> {
        numbers([2, self.channels])
    }

    /// Numbers per mean.
    pub(crate) fn count(&self) -> usize {
        self.batch * self.samples
    }

    /// The grid of an operation that computes every number, [`RECORDS`] records per invocation.
    fn grid(&self, pitch: usize) -> [usize; 3] {
        [(pitch / 4).div_ceil(LANES), self.channels, self.groups * self.batch.div_ceil(RECORDS)]
    }

    fn len(&self) -> usize {
        self.groups * self.batch * self.channels * self.samples
    }

    /// The indices of a channel's numbers in one group, in order.
    fn indices(self, group: usize, channel: usize) -> impl Iterator<Item = usize> {
        let row = move |b: usize| ((group * self.batch + b) * self.channels + channel) * self.samples;
        (0..self.batch).flat_map(move |b| (0..self.samples).map(move |t| row(b) + t))
    }

    /// Every channel of every group with its statistics, γ and β.
    fn each(self, statistics: &[f64], affine: &[f64], epsilon: f64) -> impl Iterator<Item = Channel> {
        (0..self.groups * self.channels).map(move |at| {
            let (group, channel) = (at / self.channels, at % self.channels);
            let [mean, variance] = [0, 1].map(|part| statistics[(group * 2 + part) * self.channels + channel]);
            let [gamma, beta] = [0, 1].map(|part| affine[part * self.channels + channel]);
            Channel { group, channel, mean, scale: 1.0 / (variance + epsilon).sqrt(), gamma, beta }
        })
    }
}

/// The values of the shaders' `override` declarations.
fn constants(epsilon: f64, relu: bool) -> [(&'static str, f64); 3] {
    [("EPSILON", epsilon), ("RELU", f64::from(u8::from(relu))), ("RECORDS", RECORDS as f64)]
}

/// The variants of a sum over each channel by one workgroup: with 64 invocations, which suits lavapipe, and with 256, which
/// every adapter has and which is estimated to be faster on a real GPU: docs/measurements/training-operations.md.
fn reductions<const N: usize>(shader: Shader, parameters: [usize; N], sizes: Groups, software: bool) -> Vec<Variant> {
    let variant = |name, workgroup, lanes| {
        let mut shader = shader.clone();
        shader.constants.extend([("WORKGROUP", f64::from(workgroup)), ("LANES", f64::from(lanes))]);
        Variant { name, ..Variant::plain(shader, parameters, [sizes.channels, sizes.groups, 1]) }
    };
    let [plain, many] = [variant("plain", 64, 8), variant("many", 256, 32)];
    if software { vec![plain, many] } else { vec![many, plain] }
}

/// One channel of one group.
struct Channel {
    group: usize,
    channel: usize,
    mean: f64,
    /// The value 1/√(σ² + ε).
    scale: f64,
    gamma: f64,
    beta: f64,
}

impl Channel {
    /// Computes x̂.
    fn normalised(&self, x: f64) -> f64 {
        (x - self.mean) * self.scale
    }

    /// Passes dy through the ReLU, if there is one.
    fn passed(&self, relu: bool, x: f64, dy: f64) -> f64 {
        if relu && self.gamma * self.normalised(x) + self.beta <= 0.0 { 0.0 } else { dy }
    }
}

/// Computes the mean and the biased variance of each channel.
///
/// Reads x `[groups · batch, channels, samples]`; writes the means and the variances `[groups, 2, channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchStatistics(pub Groups);

impl Operation for BatchStatistics {
    fn extents(&self) -> Option<Extents> {
        Some(Extents::new([self.0.activation()?], self.0.per_group()?))
    }

    fn describe(&self) -> String {
        "batch statistics".into()
    }

    fn floating_point_operations(&self) -> u64 {
        4 * self.0.len() as u64
    }

    fn reference(&self, reads: &[&[f64]], statistics: &mut [f64]) {
        let ([x], sizes) = (reads, self.0) else { unreachable!("the plan gives statistics one read") };
        for at in 0..sizes.groups * sizes.channels {
            let (group, channel) = (at / sizes.channels, at % sizes.channels);
            let count = sizes.count() as f64;
            let mean = sizes.indices(group, channel).map(|i| x[i]).sum::<f64>() / count;
            let squares = sizes.indices(group, channel).map(|i| (x[i] - mean).powi(2)).sum::<f64>();
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

/// Computes γ·x̂ + β; with `relu`, max(0, y) follows.
///
/// Reads x `[groups · batch, channels, samples]`, statistics `[groups, 2, channels]`, and γ and β `[2, channels]`; writes y with
/// the shape of x.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// The sizes.
    pub sizes: Groups,
    /// Whether max(0, y) follows.
    pub relu: bool,
    /// The ε that is added to the variance.
    pub epsilon: f64,
}

impl Operation for BatchNorm {
    fn extents(&self) -> Option<Extents> {
        let x = self.sizes.activation()?;
        Some(Extents::new([x, self.sizes.per_group()?, self.sizes.two_per_channel()?], x))
    }

    fn describe(&self) -> String {
        format!("batch norm{}", if self.relu { " + ReLU" } else { "" })
    }

    fn floating_point_operations(&self) -> u64 {
        3 * self.sizes.len() as u64
    }

    fn reference(&self, reads: &[&[f64]], y: &mut [f64]) {
        let [x, statistics, affine] = reads else { unreachable!("the plan gives a batch norm three reads") };
        for it in self.sizes.each(statistics, affine, self.epsilon) {
            for i in self.sizes.indices(it.group, it.channel) {
                let value = it.gamma * it.normalised(x[i]) + it.beta;
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
        vec![Variant::plain(
            shader!("batch_norm", constants(self.epsilon, self.relu)),
            parameters,
            self.sizes.grid(x.pitch),
        )]
    }

    fn needs_aligned_rows(&self) -> bool {
        true
    }
}

/// Computes Σ dy·x̂ and Σ dy of each group. Their sums over the groups are the gradients with respect to γ and β.
///
/// Reads x, statistics `[groups, 2, channels]`, γ and β `[2, channels]`, and dy with the shape of x; writes
/// `[groups, 2, channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNormGradientSums {
    /// The sizes.
    pub sizes: Groups,
    /// Whether max(0, y) follows in the forward pass.
    pub relu: bool,
    /// The ε that is added to the variance.
    pub epsilon: f64,
}

impl Operation for BatchNormGradientSums {
    fn extents(&self) -> Option<Extents> {
        let (x, statistics) = (self.sizes.activation()?, self.sizes.per_group()?);
        Some(Extents::new([x, statistics, self.sizes.two_per_channel()?, x], statistics))
    }

    fn describe(&self) -> String {
        "batch norm gradient sums".into()
    }

    fn floating_point_operations(&self) -> u64 {
        6 * self.sizes.len() as u64
    }

    fn reference(&self, reads: &[&[f64]], sums: &mut [f64]) {
        let [x, statistics, affine, dy] = reads else { unreachable!("the plan gives the sums four reads") };
        for it in self.sizes.each(statistics, affine, self.epsilon) {
            let (mut gamma, mut beta) = (0.0, 0.0);
            for i in self.sizes.indices(it.group, it.channel) {
                let dy = it.passed(self.relu, x[i], dy[i]);
                gamma += dy * it.normalised(x[i]);
                beta += dy;
            }
            sums[it.group * 2 * self.sizes.channels + it.channel] = gamma;
            sums[(it.group * 2 + 1) * self.sizes.channels + it.channel] = beta;
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
        let [epsilon, relu, _] = constants(self.epsilon, self.relu);
        reductions(shader!("batch_norm_gradient_sums", [epsilon, relu]), parameters, self.sizes, accelerator.software)
    }

    fn needs_aligned_rows(&self) -> bool {
        true
    }
}

/// Computes the gradient with respect to x.
///
/// Reads x, statistics `[groups, 2, channels]`, γ and β `[2, channels]`, the sums of [`BatchNormGradientSums`], and dy with the
/// shape of x; writes dx.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNormInputGradient {
    /// The sizes.
    pub sizes: Groups,
    /// Whether max(0, y) follows in the forward pass.
    pub relu: bool,
    /// The ε that is added to the variance.
    pub epsilon: f64,
}

impl Operation for BatchNormInputGradient {
    fn extents(&self) -> Option<Extents> {
        let (x, statistics) = (self.sizes.activation()?, self.sizes.per_group()?);
        Some(Extents::new([x, statistics, self.sizes.two_per_channel()?, statistics, x], x))
    }

    fn describe(&self) -> String {
        "batch norm gradient".into()
    }

    fn floating_point_operations(&self) -> u64 {
        9 * self.sizes.len() as u64
    }

    fn reference(&self, reads: &[&[f64]], dx: &mut [f64]) {
        let [x, statistics, affine, sums, dy] = reads else { unreachable!("the plan gives the gradient five reads") };
        let count = self.sizes.count() as f64;
        for it in self.sizes.each(statistics, affine, self.epsilon) {
            let [gamma, beta] =
                [0, 1].map(|part| sums[(it.group * 2 + part) * self.sizes.channels + it.channel] / count);
            for i in self.sizes.indices(it.group, it.channel) {
                let dy = it.passed(self.relu, x[i], dy[i]);
                dx[i] = it.gamma * it.scale * (dy - beta - it.normalised(x[i]) * gamma);
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
        let shader = shader!("batch_norm_input_gradient", constants(self.epsilon, self.relu));
        vec![Variant::plain(shader, parameters, self.sizes.grid(x.pitch))]
    }

    fn needs_aligned_rows(&self) -> bool {
        true
    }
}

/// Computes running ← (1 − momentum)·running + momentum·batch for one group after another, with the unbiased variance
/// m/(m − 1)·σ².
///
/// Reads statistics `[groups, 2, channels]`; changes the running mean and variance `[2, channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningStatistics {
    /// The sizes of the batch.
    pub sizes: Groups,
    /// The share of the new statistics. PyTorch's default is 0.1.
    pub momentum: f32,
}

impl Operation for RunningStatistics {
    fn extents(&self) -> Option<Extents> {
        Some(Extents::new([self.sizes.per_group()?], self.sizes.two_per_channel()?))
    }

    fn describe(&self) -> String {
        "running statistics".into()
    }

    fn floating_point_operations(&self) -> u64 {
        6 * self.sizes.groups as u64 * self.sizes.channels as u64
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
