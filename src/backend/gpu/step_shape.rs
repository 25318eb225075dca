//! The sizes and layouts that decide which variant of a step is the fastest, as one readable line of text:
//! `conv1d batch=1 in_channels=12 … y_base_offset=8 y_offset=0 y_pitch=504 x=f32 y=f16 weights=f16`.

use std::fmt;

use super::layouts::Layouts;
use crate::{
    kernels::{Kernel, RowLayout, Storage},
    plan::Step,
};

/// An operation with every size, and the layouts of its first read and of its output.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StepShape {
    /// The operation.
    pub kernel: Kernel,
    /// The layout of the first read.
    pub(crate) x: RowLayout,
    /// The layout of the output.
    pub(crate) y: RowLayout,
    /// The storage of weights.
    pub(crate) storage: Storage,
}

impl StepShape {
    /// Describes a step of a plan.
    pub(super) fn new(step: &Step, layouts: &Layouts, storage: Storage) -> Self {
        let [x, y] = [step.reads[0], step.write].map(|id| layouts.of(id));
        Self { kernel: step.kernel.clone(), x, y, storage }
    }

    /// Names the operation in a tuning file.
    pub fn operation(&self) -> &'static str {
        self.kernel.name()
    }

    /// Every size by its name. The patterns name each field of a layout, so that a new field cannot be left out.
    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let mut sizes = self.kernel.operation().sizes();
        let [
            RowLayout { base_offset: x_base_offset, offset: x_offset, pitch: x_pitch, storage: _ },
            RowLayout { base_offset: y_base_offset, offset: y_offset, pitch: y_pitch, storage: _ },
        ] = [self.x, self.y];
        sizes.extend([("x_base_offset", x_base_offset), ("x_offset", x_offset), ("x_pitch", x_pitch)]);
        sizes.extend([("y_base_offset", y_base_offset), ("y_offset", y_offset), ("y_pitch", y_pitch)]);
        sizes
    }

    /// Parses the text that [`fmt::Display`] writes. Returns none for any other text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let operation = words.next()?;
        let mut size = |name: &str| {
            let value: u32 = words.next()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok()?;
            Some(value as usize)
        };
        let kernel = Kernel::from_sizes(operation, &mut size)?;
        let mut layout = |base_offset, offset, pitch| {
            let (base_offset, offset) = (size(base_offset)?, size(offset)?);
            let pitch = size(pitch).filter(|&pitch| pitch > 0)?;
            Some(RowLayout { base_offset, offset, pitch, storage: Storage::F32 })
        };
        let (x, y) = (layout("x_base_offset", "x_offset", "x_pitch")?, layout("y_base_offset", "y_offset", "y_pitch")?);
        let mut storage = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
        let (x, y) = (RowLayout { storage: storage("x")?, ..x }, RowLayout { storage: storage("y")?, ..y });
        let shape = Self { kernel, x, y, storage: storage("weights")? };
        (shape.fits_a_plan() && shape.to_string() == text).then_some(shape)
    }

    /// Whether the indices into its buffers fit into 32 bits, as shaders need.
    fn fits_a_plan(&self) -> bool {
        let operation = self.kernel.operation();
        let batch = operation.sizes().first().map_or(usize::MAX, |(_, batch)| *batch);
        let [x_channels, y_channels] = operation.channels();
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
