//! The operations that a plan is made of, one file each: the sizes, the float64 reference and how a GPU runs it.
//!
//! The counterpart of a file is the shader of the same name in `shaders/`, whose loops read like the reference. An
//! operation with several variants has a folder of shaders, and a folder here if the variants take more than a few lines.
//! [`Operation`] is what every backend knows of an operation, [`GpuOperation`] how a GPU runs it, and [`Storage`] how a GPU
//! stores numbers. `docs/adding-an-operation.md` describes how an operation is added.

mod conv1d;
mod extent;
mod global_average_pool;
mod gpu;
mod linear;
mod list;
mod max_pool;
pub(crate) mod pooled_linear;
mod storage;
#[cfg(feature = "gradients")]
pub mod training;

pub use extent::{Extent, Extents};
use extent::{numbers, span};
pub use gpu::{Accelerator, GpuOperation, Packing, RowLayout, Shader, Source, TEXTURE_WIDTH, VARIANT_NAMES, Variant};
use gpu::{component, declarations, input_and_output};
pub(crate) use storage::LARGEST_F16;
pub use storage::Storage;

/// What every backend knows of an operation.
pub trait Operation {
    /// Describes the operation and its sizes in a few words, such as `conv 12→64 kernel 11 stride 2 + ReLU`.
    fn describe(&self) -> String;

    /// Returns how large the buffers must be that the operation reads and writes. None if a size is impossible. A plan whose
    /// buffers differ is refused before a backend sees it.
    fn extents(&self) -> Option<Extents>;

    /// Counts multiplications and additions.
    fn floating_point_operations(&self) -> u64;

    /// Computes the operation in float64, in loops that read like the shader.
    ///
    /// `reads` are in the order of the plan's step. `write` is the output; for a state it holds what the state held.
    fn reference(&self, reads: &[&[f64]], write: &mut [f64]);

    /// How many equal rows of the output [`Operation::reference_row`] can compute independently; 1 if only the whole.
    fn independent_rows(&self) -> usize {
        1
    }

    /// Computes one of the [`Operation::independent_rows`] of what [`Operation::reference`] computes.
    fn reference_row(&self, reads: &[&[f64]], row: usize, write: &mut [f64]) {
        debug_assert_eq!(row, 0, "the operation writes one row");
        self.reference(reads, write);
    }

    /// Returns the lengths of the weights and biases, in the order in which the operation reads them after x.
    fn constants(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Whether the output may be stored in f16.
    fn writes_f16(&self) -> bool {
        false
    }

    /// The channels of x, the first read, and of the output, of an operation with sizes by name.
    fn channels(&self) -> [usize; 2] {
        [usize::MAX; 2]
    }

    /// Every size by its name, as in a tuning file, `batch` first. Empty for an operation that is never tuned.
    /// The macro `sizes!` defines this function and the next two.
    fn sizes(&self) -> Vec<(&'static str, usize)> {
        Vec::new()
    }

    /// Reads the sizes in the order of [`Operation::sizes`]. None if one is missing or impossible.
    fn from_sizes(size: &mut dyn FnMut(&str) -> Option<usize>) -> Option<Self>
    where
        Self: Sized,
    {
        let _ = size;
        None
    }

    /// Changes the number of records. None if the sizes have no names or the records depend on one another.
    fn with_batch(&self, batch: usize) -> Option<Self>
    where
        Self: Sized,
    {
        let _ = batch;
        None
    }

    /// Reduces the channels, so that the weights are small and yet more than a variant takes at once.
    fn with_few_channels(&self) -> Self
    where
        Self: Sized + Clone,
    {
        self.clone()
    }
}

list::operations! {
    /// Any operation.
    pub enum Kernel as std::convert::identity {
        conv1d::Conv1d,
        global_average_pool::GlobalAveragePool,
        linear::Linear,
        max_pool::MaxPool,
        pooled_linear::PooledLinear,
    }
    nested #[cfg(feature = "gradients")] Training(training::Training);
}

/// Multiplies sizes. WebAssembly counts memory in 32 bits, which a product of sizes may exceed.
pub(crate) fn product<const N: usize>(sizes: [usize; N]) -> u64 {
    sizes.iter().map(|&size| size as u64).product()
}

/// Channels of x and of the output in [`Operation::with_few_channels`].
const FEW_CHANNELS: [usize; 2] = [3, 67];

impl Kernel {
    /// Whether only training uses the operation.
    pub(crate) fn is_of_training(&self) -> bool {
        match self {
            #[cfg(feature = "gradients")]
            Kernel::Training(_) => true,
            _ => false,
        }
    }

    /// The operation as its type. A variant's packing is called with the operation that the variant is of.
    fn of_type<'k, T>(&'k self) -> &'k T
    where
        &'k T: TryFrom<&'k Self>,
    {
        self.try_into().unwrap_or_else(|_| unreachable!("a variant packs the weights of its own operation"))
    }
}
