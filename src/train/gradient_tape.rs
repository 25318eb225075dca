//! A gradient tape: adds the forward pass of layers in training mode to a plan and records what each layer's gradient
//! needs. The backward pass reads the tape in reverse order.

use super::ParameterLayout;
use crate::{
    Error, ErrorKind, Result,
    kernels::{
        Conv1d, GlobalAveragePool, Kernel, Linear, MaxPool,
        training::{
            BatchNorm, BatchNormGradientSums, BatchNormInputGradient, BatchStatistics, ChannelSum,
            Conv1dWeightGradient, GlobalAveragePoolGradient, Groups, MaxPoolGradient, Relu, ReluGradient,
            RunningStatistics,
        },
    },
    network::{BATCH_NORM_EPSILON, Layer, NamedLayer},
    plan::{BufferId, Builder, conv1d_input_gradient, linear_input_gradient},
};

/// The weight of a batch in the running statistics of batch norm; PyTorch's default.
const MOMENTUM: f32 = 0.1;

/// The states that hold the parameters and the running statistics of a network.
#[derive(Clone, Copy)]
pub(super) struct NetworkStates {
    pub(super) trained: BufferId,
    pub(super) running: BufferId,
}

/// A gradient tape of one network in a plan that is being built.
pub(super) struct GradientTape<'a> {
    builder: &'a mut Builder,
    layout: &'a ParameterLayout,
    states: NetworkStates,
    /// The number of views of each record. Batch norm normalises each view by its own statistics.
    views: usize,
    /// The prefix of the names of all steps.
    prefix: &'a str,
    entries: Vec<Entry>,
}

/// What the gradient of a layer needs. x is the layer's input.
enum Entry {
    Conv1d { name: String, conv: Conv1d, x: BufferId, weight: BufferId, bias: bool },
    BatchNorm { name: String, norm: BatchNorm, x: BufferId, statistics: BufferId, affine: BufferId },
    Relu { name: String, x: BufferId },
    MaxPool { name: String, pool: MaxPool, x: BufferId },
    GlobalAveragePool { name: String, pool: GlobalAveragePool },
    Linear { name: String, linear: Linear, x: BufferId, weight: BufferId },
}

impl<'a> GradientTape<'a> {
    pub(super) fn new(
        builder: &'a mut Builder,
        layout: &'a ParameterLayout,
        states: NetworkStates,
        views: usize,
        prefix: &'a str,
    ) -> Self {
        Self { builder, layout, states, views, prefix, entries: Vec::new() }
    }

    pub(super) fn builder(&mut self) -> &mut Builder {
        self.builder
    }

    /// Starts a tape for another network in the same plan.
    pub(super) fn for_network<'b>(
        &'b mut self,
        layout: &'b ParameterLayout,
        states: NetworkStates,
        prefix: &'b str,
    ) -> GradientTape<'b> {
        GradientTape::new(self.builder, layout, states, self.views, prefix)
    }

    /// Returns the part of a flat buffer that holds a tensor.
    fn part(&mut self, of: BufferId, tensor: &str, length: usize) -> Result<BufferId> {
        self.builder.part(&format!("{}{tensor}", self.prefix), of, self.layout.offset(tensor), [1, 1, length])
    }

    /// Adds the forward pass of layers for the input x `[batch, channels, samples]` and returns their output.
    pub(super) fn forward(&mut self, layers: &[NamedLayer], mut x: BufferId) -> Result<BufferId> {
        let mut at = 0;
        while at < layers.len() {
            let named = &layers[at];
            let relu = layers.get(at + 1).is_some_and(|next| next.layer == Layer::Relu);
            let fused = relu && matches!(named.layer, Layer::BatchNorm { .. });
            x = self.layer(named, x, fused).map_err(|error| error.at(&named.name))?;
            at += 1 + usize::from(fused);
        }
        Ok(x)
    }

    /// Adds the forward pass of one layer and records what its gradient needs.
    fn layer(&mut self, named: &NamedLayer, x: BufferId, relu: bool) -> Result<BufferId> {
        let [batch, channels, in_samples] = self.builder.shape(x);
        let [out_channels, out_samples] = named.layer.output([channels, in_samples])?;
        let (name, shape) = (named.name.clone(), [batch, out_channels, out_samples]);
        let step = format!("{}{name}", self.prefix);
        match named.layer {
            Layer::Conv1d { in_channels, kernel, stride, padding, bias, .. } => {
                let (relu, fused_max_pool) = (false, false);
                #[rustfmt::skip]
                let conv = Conv1d {
                    batch, in_channels, in_samples, out_channels, out_samples,
                    kernel, stride, padding, relu, fused_max_pool,
                };
                self.conv1d(name, conv, x, bias)
            }
            Layer::BatchNorm { .. } => self.batch_norm(name, x, relu),
            Layer::Relu => {
                let y = self.builder.step(&step, Relu { rows: batch * channels, samples: in_samples }, &[x], shape)?;
                self.entries.push(Entry::Relu { name, x });
                Ok(y)
            }
            Layer::MaxPool { kernel, stride } => {
                let pool = MaxPool { batch, channels, in_samples, out_samples, kernel, stride };
                let y = self.builder.step(&step, Kernel::MaxPool(pool.clone()), &[x], shape)?;
                self.entries.push(Entry::MaxPool { name, pool, x });
                Ok(y)
            }
            Layer::GlobalAveragePool => {
                let pool = GlobalAveragePool { batch, channels, samples: in_samples };
                let y = self.builder.step(&step, Kernel::GlobalAveragePool(pool.clone()), &[x], shape)?;
                self.entries.push(Entry::GlobalAveragePool { name, pool });
                Ok(y)
            }
            Layer::Linear { in_features, out_features } => {
                let linear = Linear { batch, in_features, out_features };
                let trained = self.states.trained;
                let weight = self.part(trained, &format!("{name}.weight"), in_features * out_features)?;
                let bias = self.part(trained, &format!("{name}.bias"), out_features)?;
                let y = self.builder.step(&step, Kernel::Linear(linear.clone()), &[x, weight, bias], shape)?;
                self.entries.push(Entry::Linear { name, linear, x, weight });
                Ok(y)
            }
        }
    }

    fn conv1d(&mut self, name: String, conv: Conv1d, x: BufferId, bias: bool) -> Result<BufferId> {
        let (step, trained, channels) = (format!("{}{name}", self.prefix), self.states.trained, conv.out_channels);
        let weight = self.part(trained, &format!("{name}.weight"), channels * conv.in_channels * conv.kernel)?;
        let shift = match bias {
            true => self.part(trained, &format!("{name}.bias"), channels)?,
            false => self.builder.constant(&format!("{step}.zeros"), &vec![0.0; channels].into())?,
        };
        let shape = [conv.batch, channels, conv.out_samples];
        let y = self.builder.step(&step, Kernel::Conv1d(conv.clone()), &[x, weight, shift], shape)?;
        self.entries.push(Entry::Conv1d { name, conv, x, weight, bias });
        Ok(y)
    }

    fn batch_norm(&mut self, name: String, x: BufferId, relu: bool) -> Result<BufferId> {
        let shape @ [batch, channels, samples] = self.builder.shape(x);
        let sizes = Groups { groups: self.views, batch: batch / self.views, channels, samples };
        if sizes.count() < 2 {
            let cause = "batch norm of one number per channel: it has no variance";
            return Err(Error::new(ErrorKind::Shape, cause, "train with two or more records in a batch"));
        }
        let step = format!("{}{name}", self.prefix);
        let moments = [self.views, 2 * channels, 1];
        let statistics = self.builder.step(&format!("{step}.statistics"), BatchStatistics(sizes), &[x], moments)?;
        let running = self.part(self.states.running, &format!("{name}.running_mean"), 2 * channels)?;
        let update = RunningStatistics { sizes, momentum: MOMENTUM };
        self.builder.step_into(&format!("{step}.running"), update, &[statistics], running);
        let affine = self.part(self.states.trained, &format!("{name}.weight"), 2 * channels)?;
        let norm = BatchNorm { sizes, relu, epsilon: BATCH_NORM_EPSILON };
        let y = self.builder.step(&step, norm.clone(), &[x, statistics, affine], shape)?;
        self.entries.push(Entry::BatchNorm { name, norm, x, statistics, affine });
        Ok(y)
    }

    /// Adds the backward pass, from dy, the gradient with respect to the output. Writes the gradients with respect to the
    /// parameters into the state `gradient`, which has their layout. The gradient with respect to the first layer's input
    /// is not computed.
    pub(super) fn backward(mut self, mut dy: BufferId, gradient: BufferId) -> Result<()> {
        let entries = std::mem::take(&mut self.entries);
        for (at, entry) in entries.into_iter().enumerate().rev() {
            let wanted = at > 0;
            match self.layer_gradient(entry, dy, gradient, wanted)? {
                Some(dx) => dy = dx,
                None => break,
            }
        }
        Ok(())
    }

    /// Adds the gradients of one layer with respect to its parameters and, if `wanted`, to its input.
    fn layer_gradient(
        &mut self,
        entry: Entry,
        dy: BufferId,
        gradient: BufferId,
        wanted: bool,
    ) -> Result<Option<BufferId>> {
        match entry {
            Entry::Conv1d { name, conv, x, weight, bias } => {
                self.weight_gradient(&name, &conv, x, dy, gradient)?;
                if bias {
                    self.bias_gradient(&name, dy, gradient)?;
                }
                let step = format!("{}{name}", self.prefix);
                let dx = || conv1d_input_gradient(self.builder, &step, &conv, weight, dy);
                wanted.then(dx).transpose()
            }
            Entry::Linear { name, linear, x, weight } => {
                self.weight_gradient(&name, &as_conv1d(&linear), x, dy, gradient)?;
                self.bias_gradient(&name, dy, gradient)?;
                let step = format!("{}{name}", self.prefix);
                wanted.then(|| linear_input_gradient(self.builder, &step, &linear, weight, dy)).transpose()
            }
            Entry::BatchNorm { name, norm, x, statistics, affine } => {
                self.batch_norm_gradient(&name, norm, [x, statistics, affine, dy], gradient).map(Some)
            }
            Entry::Relu { name, x } => {
                let shape @ [batch, channels, samples] = self.builder.shape(x);
                let kernel = ReluGradient { rows: batch * channels, samples };
                self.builder.step(&format!("{}{name}.gradient", self.prefix), kernel, &[x, dy], shape).map(Some)
            }
            Entry::MaxPool { name, pool, x } => {
                let MaxPool { batch, channels, in_samples, out_samples, kernel, stride } = pool;
                let kernel = MaxPoolGradient { batch, channels, in_samples, out_samples, kernel, stride };
                let shape = [batch, channels, in_samples];
                self.builder.step(&format!("{}{name}.gradient", self.prefix), kernel, &[x, dy], shape).map(Some)
            }
            Entry::GlobalAveragePool { name, pool: GlobalAveragePool { batch, channels, samples } } => {
                let kernel = GlobalAveragePoolGradient { rows: batch * channels, samples };
                let shape = [batch, channels, samples];
                self.builder.step(&format!("{}{name}.gradient", self.prefix), kernel, &[dy], shape).map(Some)
            }
        }
    }

    fn weight_gradient(
        &mut self,
        name: &str,
        conv: &Conv1d,
        x: BufferId,
        dy: BufferId,
        gradient: BufferId,
    ) -> Result<()> {
        let Conv1d { batch, in_channels, in_samples, out_channels, out_samples, kernel, stride, padding, .. } = *conv;
        let tensor = format!("{name}.weight");
        let into = self.part(gradient, &tensor, out_channels * in_channels * kernel)?;
        let kernel =
            Conv1dWeightGradient { batch, in_channels, in_samples, out_channels, out_samples, kernel, stride, padding };
        self.builder.step_into(&format!("{}{tensor}.gradient", self.prefix), kernel, &[x, dy], into);
        Ok(())
    }

    fn bias_gradient(&mut self, name: &str, dy: BufferId, gradient: BufferId) -> Result<()> {
        let [batch, channels, samples] = self.builder.shape(dy);
        let tensor = format!("{name}.bias");
        let into = self.part(gradient, &tensor, channels)?;
        let kernel = ChannelSum { batch, channels, samples };
        self.builder.step_into(&format!("{}{tensor}.gradient", self.prefix), kernel, &[dy], into);
        Ok(())
    }

    fn batch_norm_gradient(
        &mut self,
        name: &str,
        BatchNorm { sizes, relu, epsilon }: BatchNorm,
        [x, statistics, affine, dy]: [BufferId; 4],
        gradient: BufferId,
    ) -> Result<BufferId> {
        let (shape, channels) = (self.builder.shape(x), sizes.channels);
        let step = format!("{}{name}", self.prefix);
        let sums = BatchNormGradientSums { sizes, relu, epsilon };
        let reads = [x, statistics, affine, dy];
        let sums = self.builder.step(&format!("{step}.sums"), sums, &reads, [sizes.groups, 2 * channels, 1])?;
        let into = self.part(gradient, &format!("{name}.weight"), 2 * channels)?;
        let over_groups = ChannelSum { batch: sizes.groups, channels: 2 * channels, samples: 1 };
        self.builder.step_into(&format!("{step}.gradient"), over_groups, &[sums], into);
        let kernel = BatchNormInputGradient { sizes, relu, epsilon };
        let reads = [x, statistics, affine, sums, dy];
        self.builder.step(&format!("{step}.input_gradient"), kernel, &reads, shape)
    }
}

/// Returns the convolution of one sample that computes the same as a linear layer.
fn as_conv1d(&Linear { batch, in_features, out_features }: &Linear) -> Conv1d {
    Conv1d {
        batch,
        in_channels: in_features,
        in_samples: 1,
        out_channels: out_features,
        out_samples: 1,
        kernel: 1,
        stride: 1,
        padding: 0,
        relu: false,
        fused_max_pool: false,
    }
}
