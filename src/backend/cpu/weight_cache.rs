//! Packs weights for the tiles, and keeps the packed copies of constants for all executors of a backend.

use std::sync::{Arc, Mutex, PoisonError};

use super::{
    aligned_buffer::{AlignedBuffer, CACHE_LINE},
    micro_kernels::{
        MicroKernels,
        packing::{Packing, PanelJob, pack_taps},
    },
    thread_pool::{PhasedWork, ThreadPool},
};
use crate::backend::ConstantCache;

/// Packed copies of constant weights, kept as long as the constants.
#[derive(Default)]
pub(super) struct WeightCache(ConstantCache<Arc<PackedCopies>>);

/// The packed copies of one constant. Plans for different lengths may need different packings.
type PackedCopies = Mutex<Vec<(Packing, PackedWeights)>>;

/// Constant weights and how they are to be packed.
#[derive(Clone, Copy)]
pub(super) struct PackingRequest<'a> {
    pub(super) packing: Packing,
    /// `[out_channels, in_channels, kernel]`.
    pub(super) weight: &'a Arc<[f32]>,
}

/// Packed weights, a part of a buffer that is never written again.
#[derive(Clone)]
pub(super) struct PackedWeights {
    buffer: Arc<AlignedBuffer>,
    start: usize,
    len: usize,
}

impl PackedWeights {
    /// The packed numbers.
    pub(super) fn values(&self) -> &[f32] {
        // SAFETY: `pack` has written all of it, and no code writes it afterwards.
        unsafe { self.buffer.read(self.start..self.start + self.len) }
    }
}

impl WeightCache {
    /// Returns the packed weights of each request, and packs those that no earlier plan has needed.
    pub(super) fn get_or_pack(
        &self,
        requests: &[PackingRequest],
        kernels: &MicroKernels,
        pool: &ThreadPool,
    ) -> Vec<PackedWeights> {
        let copies: Vec<Arc<PackedCopies>> =
            requests.iter().map(|request| self.0.get(request.weight, Arc::default)).collect();
        let known = requests.iter().zip(&copies).map(|(request, copies)| {
            let copies = copies.lock().unwrap_or_else(PoisonError::into_inner);
            copies.iter().find(|(packing, _)| *packing == request.packing).map(|(_, packed)| packed.clone())
        });
        let known: Vec<Option<PackedWeights>> = known.collect();
        let missing: Vec<PackingRequest> =
            requests.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(request, _)| *request).collect();
        let mut made = pack(&missing, kernels, pool).into_iter();
        let all = requests.iter().zip(copies).zip(known).map(|((request, copies), known)| {
            known.unwrap_or_else(|| {
                let packed = made.next().expect("each missing request has been packed, in order");
                copies.lock().unwrap_or_else(PoisonError::into_inner).push((request.packing, packed.clone()));
                packed
            })
        });
        all.collect()
    }
}

/// Packs all requests into one buffer, so that all of it but the end is in huge pages. Each work item packs a panel.
fn pack(requests: &[PackingRequest], kernels: &MicroKernels, pool: &ThreadPool) -> Vec<PackedWeights> {
    let mut end = 0;
    let ranges: Vec<(usize, usize)> = requests
        .iter()
        .map(|PackingRequest { packing, .. }| {
            let (start, len) = (end, packing.panels * packing.panel_len());
            end = (start + len).next_multiple_of(CACHE_LINE);
            (start, len)
        })
        .collect();
    let buffer = Arc::new(AlignedBuffer::uninitialised(end));
    let panels: Vec<(&PackingRequest, usize, usize)> = requests
        .iter()
        .zip(&ranges)
        .flat_map(|(request, (start, _))| {
            (0..request.packing.panels).map(move |panel| (request, panel, start + panel * request.packing.panel_len()))
        })
        .collect();
    let mut work = PhasedWork::new(pool.workers(), &[panels.len()]);
    pool.run(&mut work, &|_, item, _| {
        let (PackingRequest { packing, weight }, panel, start) = panels[item];
        let to = buffer.pointer(start, 1, 0, packing.panel_len());
        // SAFETY: each item has its own panel, whose bounds were just checked, and no code reads before all are packed.
        unsafe { pack_panel(&PanelJob { packing, panel, weight, to }, kernels) };
    });
    ranges.into_iter().map(|(start, len)| PackedWeights { buffer: buffer.clone(), start, len }).collect()
}

/// Packs one panel.
///
/// # Safety
/// The job's target has room for the panel, and no other thread accesses it.
pub(super) unsafe fn pack_panel(job: &PanelJob, kernels: &MicroKernels) {
    // SAFETY: the caller guarantees the target; the processor has the micro-kernels' instructions.
    unsafe {
        if job.packing.is_padded(job.panel) {
            job.to.write_bytes(0, job.packing.panel_len());
        }
        match job.packing.filters {
            Some(_) => (kernels.transform_filters)(job),
            None => pack_taps(job),
        }
    }
}
