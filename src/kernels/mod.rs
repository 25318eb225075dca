//! The operations that a plan is made of: one file each, with its sizes, its plain reference loops and its place on a
//! GPU's grid. Its twin is `shaders/<same name>.wgsl`, which reads like the loops. An operation that a GPU can run in
//! several ways has a folder of shaders, one for each, and where they take more than a few lines a folder here too. How
//! the numbers lie that they read and write, in f32 or f16, is [`Storage`]'s.

mod conv1d;
mod global_average_pool;
mod linear;
mod max_pool;
pub(crate) mod pooled_linear;
mod storage;
#[cfg(feature = "train")]
pub mod training;

use std::borrow::Cow;

pub use conv1d::Conv1d;
pub use global_average_pool::GlobalAveragePool;
pub use linear::Linear;
pub use max_pool::MaxPool;
pub use pooled_linear::PooledLinear;
pub use storage::{LARGEST_F16, Storage};

/// Where a GPU keeps the samples of an activation's channels: `head` zeros, then one row of `stride` numbers for each
/// channel of each record. In a row the samples begin at number `start`, and everything else is zero, so that a reader's
/// padding lies there, before and after. Head and stride are multiples of eight where a reader or the writer works in
/// vec4s or wider loads; the start is what brings the reader's windows to whole loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowLayout {
    /// Numbers before the first row.
    pub base_offset: usize,
    /// Numbers of a row before its samples.
    pub offset: usize,
    /// Numbers from one row to the next.
    pub pitch: usize,
    /// How they are stored.
    pub storage: Storage,
}

/// What decides which variants a device can run, and which is fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accelerator {
    /// Whether it computes on the CPU.
    pub software: bool,
    /// Invocations of a subgroup, where shaders may use subgroups and all have the same size.
    pub subgroup_size: Option<usize>,
    /// Whether shaders may use 64-bit integers.
    pub int64: bool,
    /// Rows and columns of the square matrices that a subgroup multiplies in f16 and adds in f32, where shaders may use
    /// cooperative matrices.
    pub matrix_side: Option<usize>,
    /// Rows of [`TEXTURE_WIDTH`] texels that a texture may have; 0 where shaders may not read two.
    pub texture_rows: usize,
    /// Workgroup memory that one workgroup may have.
    pub workgroup_bytes: usize,
    /// How weights are stored, and the activations that need not be in f32.
    pub storage: Storage,
}

impl Accelerator {
    /// Workgroup memory to plan with: at most the 16 KiB that every adapter has, so that several workgroups stay resident.
    fn workgroup_memory(&self) -> usize {
        self.workgroup_bytes.min(16 << 10)
    }
}

/// Texels of a row of a texture that stands for a buffer of f32: texel t, of four numbers, lies in column t % TEXTURE_WIDTH of row
/// t / TEXTURE_WIDTH.
pub const TEXTURE_WIDTH: usize = 1024;

/// A shader and what it is specialised by.
#[derive(Debug, Clone, PartialEq)]
pub struct Shader {
    /// The file's name without its ending.
    pub name: &'static str,
    /// WGSL with one entry point, `main`. Binding 0 is the uniform of parameters; the buffers that are read follow, then
    /// the one that is written.
    pub source: Cow<'static, str>,
    /// Whether one more binding follows, a u32 for each record, where it puts a 1 if a number was too large for what it
    /// writes.
    pub notes_overflow: bool,
    /// Which of the reads come as textures that stand for buffers, see [`TEXTURE_WIDTH`].
    pub textures: &'static [usize],
    /// Values for the shader's `override` declarations.
    pub constants: Vec<(&'static str, f64)>,
}

/// One way to run an operation on a GPU.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Its name among the operation's variants; `plain` runs on every device.
    pub name: &'static str,
    /// What runs.
    pub shader: Shader,
    /// The shader's parameter struct, word by word, in whole vec4s.
    pub parameters: Vec<u32>,
    /// Workgroups along x, y and z.
    pub grid: [usize; 3],
    /// Whether the shader uses subgroups.
    pub subgroups: bool,
}

impl Variant {
    /// The only variant of an operation, from a shader that is not specialised by the text.
    fn plain(shader: Shader, parameters: impl Into<Vec<usize>>, grid: [usize; 3]) -> Self {
        let mut parameters: Vec<u32> = parameters.into().into_iter().map(|size| size as u32).collect();
        parameters.resize(parameters.len().next_multiple_of(4), 0);
        Self { name: "plain", shader, parameters, grid, subgroups: false }
    }
}

/// A shader's text with its unrolled lines, which stand where the template has `//# name`.
fn fill(template: &str, unrolled: &[(&str, Vec<String>)]) -> String {
    let mut text = String::new();
    for line in template.lines() {
        let name = line.trim_start().strip_prefix("//# ");
        let lines = name.and_then(|name| unrolled.iter().find(|(other, _)| *other == name)).map(|(_, lines)| lines);
        let indent = &line[..line.len() - line.trim_start().len()];
        match lines {
            Some(lines) => lines.iter().for_each(|line| text.extend([indent, line, "\n"])),
            None => text.extend([line, "\n"]),
        }
    }
    text
}

/// The rows of x, an operation's first read, and of y, what it writes.
fn input_and_output(rows: &[RowLayout]) -> [RowLayout; 2] {
    match rows {
        [x, .., y] => [*x, *y],
        _ => unreachable!("an operation reads and writes"),
    }
}

/// What a backend must know of an operation.
pub trait Operation {
    /// The ways to run it on a device, the one that is believed to be the fastest first. `rows` are those of its reads and,
    /// last, of what it writes; of reads that are weights they say nothing. Empty only for rows that it cannot take.
    fn variants(&self, rows: &[RowLayout], accelerator: &Accelerator) -> Vec<Variant>;

    /// How many partial results a variant writes: one after another, each as long as y and without rows, for the backend
    /// to add up.
    fn parts(&self, variant: &str) -> usize {
        let _ = variant;
        1
    }

    /// Whether everything that it reads or writes and that is shaped like x must lie in equal rows of whole vec4s.
    fn needs_aligned_rows(&self) -> bool {
        false
    }

    /// Zeros that it must find before and after the samples of a row of x.
    fn padding(&self) -> usize {
        0
    }

    /// Zeros that it may read before the first row of x.
    fn base_offset(&self) -> usize {
        self.padding()
    }

    /// Where the samples of a row of x best start, if those of y start at `y`.
    fn offset(&self, y_offset: usize) -> usize {
        let _ = y_offset;
        0
    }

    /// What the stride of a row of x and y must be a multiple of.
    fn pitch_multiple(&self) -> usize {
        1
    }

    /// Multiplications and additions.
    fn floating_point_operations(&self) -> usize;

    /// The sizes in a few words, such as `12→64 kernel 11 stride 2 + ReLU`.
    fn describe(&self) -> String;

    /// The operation in float64, in loops that read like the shader. `reads` are in the order of the plan's step; `write`
    /// holds what a state held.
    fn reference(&self, reads: &[&[f64]], write: &mut [f64]);

    /// How many equal rows of what it writes can each be computed by [`Operation::reference_row`]; 1 where the whole must
    /// be computed at once.
    fn rows_apart(&self) -> usize {
        1
    }

    /// What [`Operation::reference`] writes into row `row` of [`Operation::rows_apart`].
    fn reference_row(&self, reads: &[&[f64]], row: usize, write: &mut [f64]) {
        debug_assert_eq!(row, 0, "the operation writes one row");
        self.reference(reads, write);
    }

    /// How many numbers each constant has that it reads after x.
    fn constants(&self) -> Vec<usize> {
        Vec::new()
    }

    /// What it reads after x, a constant or weights that are trained, in the order in which a variant's shader reads it;
    /// `read` is its place among the step's reads. Numbers are moved, and zeros put between them, nothing else.
    fn packed(&self, variant: &str, read: usize, values: &[f32]) -> Vec<f32> {
        let _ = (variant, read);
        values.to_vec()
    }
}

/// Any operation. Shapes and meaning stand with each.
#[derive(Debug, Clone, PartialEq)]
pub enum Kernel {
    /// Convolution, bias, ReLU.
    Conv1d(Conv1d),
    /// Largest sample of each window.
    MaxPool(MaxPool),
    /// Mean of each channel.
    GlobalAveragePool(GlobalAveragePool),
    /// Linear layer with bias.
    Linear(Linear),
    /// Mean of each channel and a linear layer of the means: what a GPU makes of those two.
    PooledLinear(PooledLinear),
    /// What only training needs.
    #[cfg(feature = "train")]
    Training(training::Training),
}

impl Kernel {
    /// The same operation on so few channels that its constants are small, though more than a variant takes at once: what
    /// [`Operation::packed`] does with them shows its order.
    pub fn with_few_channels(&self) -> Self {
        let few = [3, 67];
        match self {
            Kernel::Conv1d(conv) => {
                let kernel = conv.kernel.min(conv1d::UNROLLED + 1);
                Kernel::Conv1d(Conv1d { in_channels: few[0], out_channels: few[1], kernel, ..conv.clone() })
            }
            Kernel::Linear(linear) => {
                Kernel::Linear(Linear { in_features: few[0], out_features: few[1], ..linear.clone() })
            }
            Kernel::PooledLinear(pooled) => {
                Kernel::PooledLinear(PooledLinear { channels: few[0], out_features: few[1], ..pooled.clone() })
            }
            _ => self.clone(),
        }
    }

    /// The same operation on another number of records; none for one of training, whose records may hang together.
    pub fn with_batch(&self, batch: usize) -> Option<Self> {
        match self {
            Kernel::Conv1d(conv) => Some(Kernel::Conv1d(Conv1d { batch, ..conv.clone() })),
            Kernel::MaxPool(pool) => Some(Kernel::MaxPool(MaxPool { batch, ..pool.clone() })),
            Kernel::GlobalAveragePool(pool) => {
                Some(Kernel::GlobalAveragePool(GlobalAveragePool { batch, ..pool.clone() }))
            }
            Kernel::Linear(linear) => Some(Kernel::Linear(Linear { batch, ..linear.clone() })),
            Kernel::PooledLinear(pooled) => Some(Kernel::PooledLinear(PooledLinear { batch, ..pooled.clone() })),
            #[cfg(feature = "train")]
            Kernel::Training(_) => None,
        }
    }

    /// Whether only training needs it.
    pub(crate) fn is_of_training(&self) -> bool {
        match self {
            #[cfg(feature = "train")]
            Kernel::Training(_) => true,
            _ => false,
        }
    }

    /// The operation behind the name.
    pub fn operation(&self) -> &dyn Operation {
        match self {
            Kernel::Conv1d(kernel) => kernel,
            Kernel::MaxPool(kernel) => kernel,
            Kernel::GlobalAveragePool(kernel) => kernel,
            Kernel::Linear(kernel) => kernel,
            Kernel::PooledLinear(kernel) => kernel,
            #[cfg(feature = "train")]
            Kernel::Training(kernel) => kernel.operation(),
        }
    }
}
