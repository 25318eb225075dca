//! Work on disjoint parts of a buffer: on all cores with feature `threads`, else one after the other.

/// Calls `work` with each chunk of `size` elements of `data` and the chunk's number.
#[cfg(feature = "threads")]
pub(super) fn for_each_chunk(data: &mut [f32], size: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    use rayon::prelude::*;
    data.par_chunks_mut(size).enumerate().for_each(|(index, chunk)| work(index, chunk));
}

/// Calls `work` with each chunk of `size` elements of `data` and the chunk's number.
#[cfg(not(feature = "threads"))]
pub(super) fn for_each_chunk(data: &mut [f32], size: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    data.chunks_mut(size).enumerate().for_each(|(index, chunk)| work(index, chunk));
}
