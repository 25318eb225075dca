//! The operations that a plan is made of: one file each, with its sizes, its plain reference loops and its place on a
//! GPU's grid. Its twin is `shaders/<same name>.wgsl`, which reads like the loops.

mod conv1d;
mod global_average_pool;
mod linear;
mod max_pool;

pub use conv1d::Conv1d;
pub use global_average_pool::GlobalAveragePool;
pub use linear::Linear;
pub use max_pool::MaxPool;

/// The shader of an operation and what it is specialised by.
#[derive(Debug, Clone, PartialEq)]
pub struct Shader {
    /// The file's name without its ending.
    pub name: &'static str,
    /// WGSL with one entry point, `main`. Binding 0 is the uniform of parameters; the buffers that are read follow, then
    /// the one that is written.
    pub source: &'static str,
    /// Values for the shader's `override` declarations.
    pub constants: Vec<(&'static str, f64)>,
}

/// What a backend must know of an operation.
pub trait Operation {
    /// The shader that runs it.
    fn shader(&self) -> Shader;

    /// The shader's parameter struct, word by word.
    fn parameters(&self) -> [u32; 4];

    /// Workgroups along x, y and z.
    fn grid(&self) -> [usize; 3];

    /// Multiplications and additions.
    fn floating_point_operations(&self) -> usize;

    /// The sizes in a few words, such as `12→64 kernel 11 stride 2 + ReLU`.
    fn describe(&self) -> String;

    /// The operation in float64, in loops that read like the shader. `reads` are in the order of the plan's step.
    fn reference(&self, reads: &[&[f64]], write: &mut [f64]);

    /// A constant in the order in which the shader reads it; `read` is its place among the step's reads.
    fn packed(&self, read: usize, values: &[f32]) -> Vec<f32> {
        let _ = read;
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
}

impl Kernel {
    /// The operation behind the name.
    pub fn operation(&self) -> &dyn Operation {
        match self {
            Kernel::Conv1d(kernel) => kernel,
            Kernel::MaxPool(kernel) => kernel,
            Kernel::GlobalAveragePool(kernel) => kernel,
            Kernel::Linear(kernel) => kernel,
        }
    }
}
