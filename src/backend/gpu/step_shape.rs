//! What the choice among a step's variants hangs on, as one line of text that a person can read:
//! `conv1d batch=1 in_channels=12 … y_base_offset=8 y_offset=0 y_pitch=504 x=f32 y=f16 weights=f16`.

use std::fmt;

use super::rows::Rows;
use crate::{
    kernels::{Conv1d, GlobalAveragePool, Kernel, Linear, MaxPool, PooledLinear, RowLayout, Storage},
    plan::Step,
};

/// An operation with every size, and how the numbers lie that it reads and writes.
#[derive(Debug, Clone, PartialEq)]
pub struct StepShape {
    /// The operation.
    pub kernel: Kernel,
    /// The rows of its first read.
    pub x: RowLayout,
    /// The rows that it writes.
    pub y: RowLayout,
    /// How the device stores weights.
    pub storage: Storage,
}

impl StepShape {
    pub(super) fn of(step: &Step, rows: &Rows, storage: Storage) -> Self {
        let [x, y] = [step.reads[0], step.write].map(|id| rows.row(id));
        Self { kernel: step.kernel.clone(), x, y, storage }
    }

    /// The operation's name in a tuning file.
    pub fn operation(&self) -> &'static str {
        match self.kernel {
            Kernel::Conv1d(_) => "conv1d",
            Kernel::MaxPool(_) => "max_pool",
            Kernel::GlobalAveragePool(_) => "global_average_pool",
            Kernel::Linear(_) => "linear",
            Kernel::PooledLinear(_) => "pooled_linear",
            #[cfg(feature = "train")]
            Kernel::Training(_) => "training",
        }
    }

    /// Every size by its name. The patterns name each field, so that none that is added can be left out.
    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let mut sizes = match self.kernel {
            Kernel::Conv1d(Conv1d {
                batch,
                in_channels,
                in_samples,
                out_channels,
                out_samples,
                kernel,
                stride,
                padding,
                relu,
                fused_max_pool,
            }) => vec![
                ("batch", batch),
                ("in_channels", in_channels),
                ("in_samples", in_samples),
                ("out_channels", out_channels),
                ("out_samples", out_samples),
                ("kernel", kernel),
                ("stride", stride),
                ("padding", padding),
                ("relu", usize::from(relu)),
                ("fused_max_pool", usize::from(fused_max_pool)),
            ],
            Kernel::MaxPool(MaxPool { batch, channels, in_samples, out_samples, kernel, stride }) => vec![
                ("batch", batch),
                ("channels", channels),
                ("in_samples", in_samples),
                ("out_samples", out_samples),
                ("kernel", kernel),
                ("stride", stride),
            ],
            Kernel::GlobalAveragePool(GlobalAveragePool { batch, channels, samples }) => {
                vec![("batch", batch), ("channels", channels), ("samples", samples)]
            }
            Kernel::Linear(Linear { batch, in_features, out_features }) => {
                vec![("batch", batch), ("in_features", in_features), ("out_features", out_features)]
            }
            Kernel::PooledLinear(PooledLinear { batch, channels, samples, out_features }) => {
                vec![("batch", batch), ("channels", channels), ("samples", samples), ("out_features", out_features)]
            }
            #[cfg(feature = "train")]
            Kernel::Training(_) => Vec::new(),
        };
        let [
            RowLayout { base_offset: x_base_offset, offset: x_offset, pitch: x_pitch, storage: _ },
            RowLayout { base_offset: y_base_offset, offset: y_offset, pitch: y_pitch, storage: _ },
        ] = [self.x, self.y];
        sizes.extend([("x_base_offset", x_base_offset), ("x_offset", x_offset), ("x_pitch", x_pitch)]);
        sizes.extend([("y_base_offset", y_base_offset), ("y_offset", y_offset), ("y_pitch", y_pitch)]);
        sizes
    }

    /// Reads what [`fmt::Display`] writes, and nothing else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let operation = words.next()?;
        let mut size = |name: &str| {
            let value: u32 = words.next()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok()?;
            (value > 0
                || ["padding", "relu", "fused_max_pool", "x_base_offset", "x_offset", "y_base_offset", "y_offset"]
                    .contains(&name))
            .then_some(value as usize)
        };
        let kernel = match operation {
            "conv1d" => Kernel::Conv1d(Conv1d {
                batch: size("batch")?,
                in_channels: size("in_channels")?,
                in_samples: size("in_samples")?,
                out_channels: size("out_channels")?,
                out_samples: size("out_samples")?,
                kernel: size("kernel")?,
                stride: size("stride")?,
                padding: size("padding")?,
                relu: size("relu")? == 1,
                fused_max_pool: size("fused_max_pool")? == 1,
            }),
            "max_pool" => Kernel::MaxPool(MaxPool {
                batch: size("batch")?,
                channels: size("channels")?,
                in_samples: size("in_samples")?,
                out_samples: size("out_samples")?,
                kernel: size("kernel")?,
                stride: size("stride")?,
            }),
            "global_average_pool" => Kernel::GlobalAveragePool(GlobalAveragePool {
                batch: size("batch")?,
                channels: size("channels")?,
                samples: size("samples")?,
            }),
            "linear" => Kernel::Linear(Linear {
                batch: size("batch")?,
                in_features: size("in_features")?,
                out_features: size("out_features")?,
            }),
            "pooled_linear" => Kernel::PooledLinear(PooledLinear {
                batch: size("batch")?,
                channels: size("channels")?,
                samples: size("samples")?,
                out_features: size("out_features")?,
            }),
            _ => return None,
        };
        let mut row = |head, start, stride| {
            Some(RowLayout {
                base_offset: size(head)?,
                offset: size(start)?,
                pitch: size(stride)?,
                storage: Storage::F32,
            })
        };
        let (x, y) = (row("x_base_offset", "x_offset", "x_pitch")?, row("y_base_offset", "y_offset", "y_pitch")?);
        let mut storage = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
        let (x, y) = (RowLayout { storage: storage("x")?, ..x }, RowLayout { storage: storage("y")?, ..y });
        let shape = Self { kernel, x, y, storage: storage("weights")? };
        (shape.fits_a_plan() && shape.to_string() == text).then_some(shape)
    }

    /// Whether shaders could index it, with 32 bits.
    fn fits_a_plan(&self) -> bool {
        let [batch, x_channels, y_channels] = match self.kernel {
            Kernel::Conv1d(Conv1d { batch, in_channels, out_channels, .. }) => [batch, in_channels, out_channels],
            Kernel::MaxPool(MaxPool { batch, channels, .. })
            | Kernel::GlobalAveragePool(GlobalAveragePool { batch, channels, .. }) => [batch, channels, channels],
            Kernel::Linear(Linear { batch, in_features, out_features }) => [batch, in_features, out_features],
            Kernel::PooledLinear(PooledLinear { batch, channels, out_features, .. }) => {
                [batch, channels, channels.saturating_add(out_features)]
            }
            #[cfg(feature = "train")]
            Kernel::Training(_) => return false,
        };
        [(x_channels, self.x), (y_channels, self.y)].into_iter().all(|(channels, row)| {
            let rows = batch.checked_mul(channels).and_then(|rows| rows.checked_mul(row.pitch));
            rows.and_then(|floats| floats.checked_add(row.base_offset))
                .is_some_and(|floats| floats <= u32::MAX as usize)
        })
    }
}

impl fmt::Display for StepShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.operation())?;
        self.sizes().iter().try_for_each(|(name, size)| write!(f, " {name}={size}"))?;
        write!(f, " x={} y={} weights={}", self.x.storage, self.y.storage, self.storage)
    }
}
