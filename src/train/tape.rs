//! Layers forward in training mode, and back: each layer leaves on the tape what its gradient needs, and the tape played
//! backwards is the reverse plan.

use super::{input_gradient::input_gradient, layout::Layout};
use crate::{
    Error, ErrorKind, Result,
    kernels::{
        Conv1d, GlobalAveragePool, Kernel, Linear, MaxPool,
        training::{
            BatchNorm, BatchNormGradientSums, BatchNormInputGradient, BatchStatistics, ChannelSum,
            Conv1dWeightGradient, Gather, GlobalAveragePoolGradient, Groups, MaxPoolGradient, Relu, ReluGradient,
            RunningStatistics,
        },
    },
    network::{Layer, NamedLayer},
    plan::{BufferId, Builder},
};

/// Share of the batch in the running statistics; PyTorch's default.
const MOMENTUM: f32 = 0.1;

/// The states that a network's parameters and running statistics lie in.
#[derive(Clone, Copy)]
pub(super) struct Store {
    pub(super) trained: BufferId,
    pub(super) running: BufferId,
}

/// A network in a plan that is being built.
pub(super) struct Tape<'a> {
    builder: &'a mut Builder,
    layout: &'a Layout,
    store: Store,
    /// Views of each record: each is normalised by its own statistics.
    views: usize,
    /// What stands before the names of steps.
    prefix: &'a str,
    entries: Vec<Entry>,
}

/// What a layer's gradient needs. x is the layer's input.
enum Entry {
    Conv1d { name: String, conv: Conv1d, x: BufferId, weight: BufferId, bias: bool },
    BatchNorm { name: String, norm: BatchNorm, x: BufferId, statistics: BufferId, affine: BufferId },
    Relu { name: String, x: BufferId },
    MaxPool { name: String, pool: MaxPool, x: BufferId },
    GlobalAveragePool { name: String, pool: GlobalAveragePool },
    Linear { name: String, linear: Linear, x: BufferId, weight: BufferId },
}

impl<'a> Tape<'a> {
    pub(super) fn new(
        builder: &'a mut Builder,
        layout: &'a Layout,
        store: Store,
        views: usize,
        prefix: &'a str,
    ) -> Self {
        Self { builder, layout, store, views, prefix, entries: Vec::new() }
    }

    pub(super) fn builder(&mut self) -> &mut Builder {
        self.builder
    }

    /// A tape for another network in the same plan.
    pub(super) fn other<'b>(&'b mut self, layout: &'b Layout, store: Store, prefix: &'b str) -> Tape<'b> {
        Tape::new(self.builder, layout, store, self.views, prefix)
    }

    fn part(&mut self, of: BufferId, tensor: &str, length: usize) -> Result<BufferId> {
        self.builder.part(&format!("{}{tensor}", self.prefix), of, self.layout.offset(tensor), [1, 1, length])
    }

    /// The layers' output for x `[batch, channels, samples]`.
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

    fn layer(&mut self, named: &NamedLayer, x: BufferId, relu: bool) -> Result<BufferId> {
        let [batch, channels, in_samples] = self.builder.shape(x);
        let [out_channels, out_samples] = named.layer.output([channels, in_samples])?;
        let (name, shape) = (named.name.clone(), [batch, out_channels, out_samples]);
        let step = format!("{}{name}", self.prefix);
        match named.layer {
            Layer::Conv1d { in_channels, kernel, stride, padding, bias, .. } => {
                let relu = false;
                let conv = Conv1d {
                    batch,
                    in_channels,
                    in_samples,
                    out_channels,
                    out_samples,
                    kernel,
                    stride,
                    padding,
                    relu,
                    fused_max_pool: false,
                };
                let trained = self.store.trained;
                let weight = self.part(trained, &format!("{name}.weight"), out_channels * in_channels * kernel)?;
                let shift = match bias {
                    true => self.part(trained, &format!("{name}.bias"), out_channels)?,
                    false => self.builder.constant(&format!("{step}.zeros"), &vec![0.0; out_channels].into())?,
                };
                let y = self.builder.step(&step, Kernel::Conv1d(conv.clone()), &[x, weight, shift], shape)?;
                self.entries.push(Entry::Conv1d { name, conv, x, weight, bias });
                Ok(y)
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
                let trained = self.store.trained;
                let weight = self.part(trained, &format!("{name}.weight"), in_features * out_features)?;
                let bias = self.part(trained, &format!("{name}.bias"), out_features)?;
                let y = self.builder.step(&step, Kernel::Linear(linear.clone()), &[x, weight, bias], shape)?;
                self.entries.push(Entry::Linear { name, linear, x, weight });
                Ok(y)
            }
        }
    }

    fn batch_norm(&mut self, name: String, x: BufferId, relu: bool) -> Result<BufferId> {
        let shape @ [batch, channels, samples] = self.builder.shape(x);
        let sizes = Groups { groups: self.views, batch: batch / self.views, channels, samples };
        if sizes.count() < 2 {
            let cause = "batch norm of one number a channel: it has no variance";
            return Err(Error::new(ErrorKind::Shape, cause, "train with two or more records in a batch"));
        }
        let step = format!("{}{name}", self.prefix);
        let moments = [self.views, 2 * channels, 1];
        let statistics = self.builder.step(&format!("{step}.statistics"), BatchStatistics(sizes), &[x], moments)?;
        let running = self.part(self.store.running, &format!("{name}.running_mean"), 2 * channels)?;
        let update = RunningStatistics { sizes, momentum: MOMENTUM };
        self.builder.step_into(&format!("{step}.running"), update, &[statistics], running);
        let affine = self.part(self.store.trained, &format!("{name}.weight"), 2 * channels)?;
        let norm = BatchNorm { sizes, relu };
        let y = self.builder.step(&step, norm.clone(), &[x, statistics, affine], shape)?;
        self.entries.push(Entry::BatchNorm { name, norm, x, statistics, affine });
        Ok(y)
    }

    /// Plays the tape backwards from the gradient by the output, and puts the gradients by the parameters into the state
    /// `gradient`, laid out like them. The gradient by the first layer's input is not made.
    pub(super) fn backward(mut self, mut dy: BufferId, gradient: BufferId) -> Result<()> {
        let entries = std::mem::take(&mut self.entries);
        for (at, entry) in entries.into_iter().enumerate().rev() {
            let wanted = at > 0;
            match self.reverse(entry, dy, gradient, wanted)? {
                Some(dx) => dy = dx,
                None => break,
            }
        }
        Ok(())
    }

    fn reverse(&mut self, entry: Entry, dy: BufferId, gradient: BufferId, wanted: bool) -> Result<Option<BufferId>> {
        match entry {
            Entry::Conv1d { name, conv, x, weight, bias } => {
                self.weight_gradient(&name, &conv, x, dy, gradient)?;
                if bias {
                    self.bias_gradient(&name, dy, gradient)?;
                }
                let turned = || input_gradient(self.builder, &format!("{}{name}", self.prefix), &conv, weight, dy);
                wanted.then(turned).transpose()
            }
            Entry::Linear { name, linear, x, weight } => {
                let Linear { batch, in_features, out_features } = linear;
                let conv = Conv1d {
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
                };
                self.weight_gradient(&name, &conv, x, dy, gradient)?;
                self.bias_gradient(&name, dy, gradient)?;
                wanted.then(|| self.linear_gradient(&name, &linear, weight, dy)).transpose()
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

    /// A linear layer of the transposed weights.
    fn linear_gradient(&mut self, name: &str, linear: &Linear, weight: BufferId, dy: BufferId) -> Result<BufferId> {
        let Linear { batch, in_features, out_features } = *linear;
        let length = in_features * out_features;
        let order = (0..length).map(|at| ((at % out_features) * in_features + at / out_features + 1) as f32).collect();
        let name = format!("{}{name}", self.prefix);
        let order = self.builder.constant(&format!("{name}.order"), &order)?;
        let turn = Gather { from: length, length };
        let weight = self.builder.step(&format!("{name}.turn"), turn, &[weight, order], [1, 1, length])?;
        let zeros = self.builder.constant(&format!("{name}.zeros"), &vec![0.0; in_features].into())?;
        let turned = Linear { batch, in_features: out_features, out_features: in_features };
        let shape = [batch, in_features, 1];
        self.builder.step(&format!("{name}.input_gradient"), Kernel::Linear(turned), &[dy, weight, zeros], shape)
    }

    fn batch_norm_gradient(
        &mut self,
        name: &str,
        BatchNorm { sizes, relu }: BatchNorm,
        [x, statistics, affine, dy]: [BufferId; 4],
        gradient: BufferId,
    ) -> Result<BufferId> {
        let (shape, channels) = (self.builder.shape(x), sizes.channels);
        let step = format!("{}{name}", self.prefix);
        let sums = BatchNormGradientSums { sizes, relu };
        let reads = [x, statistics, affine, dy];
        let sums = self.builder.step(&format!("{step}.sums"), sums, &reads, [sizes.groups, 2 * channels, 1])?;
        let into = self.part(gradient, &format!("{name}.weight"), 2 * channels)?;
        let over_groups = ChannelSum { batch: sizes.groups, channels: 2 * channels, samples: 1 };
        self.builder.step_into(&format!("{step}.gradient"), over_groups, &[sums], into);
        let kernel = BatchNormInputGradient { sizes, relu };
        let reads = [x, statistics, affine, sums, dy];
        self.builder.step(&format!("{step}.input_gradient"), kernel, &reads, shape)
    }
}
