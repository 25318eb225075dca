//! How large the buffers of an operation must be.

/// How large a buffer is that an operation reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// An activation `[batch, channels, samples]`.
    Activation([usize; 3]),
    /// An activation, by its rows (records times channels) and its samples. All activations of an operation that states
    /// rows have equally many records.
    Rows(usize, usize),
    /// The length of a constant, of a state, of a part of a state, or of an activation of one record and one channel.
    Numbers(usize),
}

/// How large the buffers of an operation are: those that it reads, in order, and the one that it writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extents {
    /// The buffers that it reads.
    pub reads: Vec<Extent>,
    /// The buffer that it writes.
    pub write: Extent,
}

impl Extents {
    /// Collects the extents of an operation.
    pub(crate) fn new<const N: usize>(reads: [Extent; N], write: Extent) -> Self {
        Self { reads: reads.into(), write }
    }
}

/// A number of numbers that is the product of sizes; none where it cannot be counted.
pub(crate) fn numbers<const N: usize>(sizes: [usize; N]) -> Option<Extent> {
    sizes.into_iter().try_fold(1usize, usize::checked_mul).map(Extent::Numbers)
}

/// The samples that `count` windows of `kernel` samples, `stride` samples apart, span; none where a size is zero or the span
/// exceeds the indices of a shader.
pub(crate) fn span(count: usize, kernel: usize, stride: usize) -> Option<usize> {
    let positive = count > 0 && kernel > 0 && stride > 0;
    let span = count.checked_sub(1)?.checked_mul(stride)?.checked_add(kernel)?;
    (positive && span <= u32::MAX as usize).then_some(span)
}
