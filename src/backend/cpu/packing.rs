//! Weights in the order in which the tiles read them: `[panels, depth, channels of a panel]`, with `points` before
//! `depth` for minimal filtering. At the last point, ∞, only the filters' last taps count, so a panel ends there before
//! the filters that have none.
//!
//! It is most of what a first forward pass costs, so panels are packed side by side, with the instruction set's vectors:
//! for the 542k network, 6 million instructions with AVX2 where a plain loop took 22.

use std::sync::Arc;

use super::{
    filtering::{BLOCK, POINTS, filters_at_points},
    instructions::Kernels,
    memory::{Area, LINE},
    parallel::{Progress, Team},
    rows::transposed,
};

/// What the packed weights depend on besides the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packing {
    /// Of the weights `[out_channels, in_channels, kernel]`.
    pub(super) shape: [usize; 3],
    pub(super) stride: usize,
    /// Numbers of an input row: one for each channel, and zeros.
    pub(super) width: usize,
    /// Channels of a panel.
    pub(super) panel: usize,
    pub(super) panels: usize,
    /// For minimal filtering the filters that the kernel is cut into, and the taps of each.
    pub(super) filter: Option<(usize, usize)>,
}

impl Packing {
    /// Multiplications for one output.
    pub(super) fn depth(&self) -> usize {
        self.filter.map_or(self.shape[2] * self.width, |(parts, _)| parts * self.stride * self.width)
    }

    /// Multiplications for one output at the point ∞. There a filter's value is its last tap, which the filters that the
    /// kernel does not fill lack: every second one of a kernel of odd length and stride 2. They are the last of all.
    pub(super) fn depth_at_infinity(&self) -> usize {
        let Some((parts, taps)) = self.filter else { return 0 };
        let last_tap = |filter: usize| (filter / self.stride * taps + taps - 1) * self.stride + filter % self.stride;
        (0..parts * self.stride).take_while(|&filter| last_tap(filter) < self.shape[2]).count() * self.width
    }

    /// Numbers of a packed panel.
    pub(super) fn panel_len(&self) -> usize {
        let finite_points = if self.filter.is_some() { POINTS - 1 } else { 1 };
        (finite_points * self.depth() + self.depth_at_infinity()) * self.panel
    }

    /// Whether the panel has numbers that stand for no weight.
    fn is_padded(&self, panel: usize) -> bool {
        let [out_channels, in_channels, _] = self.shape;
        self.width > in_channels || (panel + 1) * self.panel > out_channels
    }

    /// Packs a panel for running directly.
    ///
    /// # Safety
    /// `packed` has room for a panel that nobody else reads or writes.
    unsafe fn taps(&self, panel: usize, weight: &[f32], packed: *mut f32) {
        let [_, in_channels, kernel] = self.shape;
        let channels = weight.chunks(in_channels * kernel).skip(panel * self.panel).take(self.panel);
        for (o, weight) in channels.enumerate() {
            for (c, taps) in weight.chunks(kernel).enumerate() {
                for (k, &tap) in taps.iter().enumerate() {
                    // SAFETY: taps, channels and outputs lie within the panel's size.
                    unsafe { packed.add((k * self.width + c) * self.panel + o).write(tap) };
                }
            }
        }
    }
}

/// A panel to be packed for minimal filtering.
pub(super) struct Filters<'a> {
    packing: &'a Packing,
    panel: usize,
    weight: &'a [f32],
    packed: *mut f32,
}

/// Weights, and how they are to be packed.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) packing: Packing,
    pub(super) weight: &'a Arc<[f32]>,
}

/// Packed weights.
#[derive(Clone)]
pub(super) struct Packed {
    area: Arc<Area>,
    start: usize,
    len: usize,
}

impl Packed {
    pub(super) fn values(&self) -> &[f32] {
        // SAFETY: nobody writes packed weights once `pack` has handed them out.
        unsafe { self.area.read(self.start..self.start + self.len) }
    }
}

/// Packs everything, the team's threads a panel each at a time: into one area, so that all of it but the end lies in huge
/// pages, whatever the size of each.
pub(super) fn pack(orders: &[Order], kernels: &Kernels, team: &Team) -> Vec<Packed> {
    let mut end = 0;
    let places: Vec<(usize, usize)> = orders
        .iter()
        .map(|Order { packing, .. }| {
            let (start, len) = (end, packing.panels * packing.panel_len());
            end = (start + len).next_multiple_of(LINE);
            (start, len)
        })
        .collect();
    let area = Arc::new(Area::unwritten(end));
    let panels: Vec<(&Order, usize, usize)> = orders
        .iter()
        .zip(&places)
        .flat_map(|(order, (start, _))| {
            (0..order.packing.panels).map(move |panel| (order, panel, start + panel * order.packing.panel_len()))
        })
        .collect();
    let mut progress = Progress::new(team.workers(), &[panels.len()]);
    team.run(&mut progress, &|_, item, _| {
        let (Order { packing, weight }, panel, start) = panels[item];
        let packed = area.place(start, 1, 0, packing.panel_len());
        // SAFETY: each item has a panel of its own, in bounds as just checked, and nobody reads before all are done.
        unsafe { pack_panel(packing, panel, weight, packed, kernels) };
    });
    places.into_iter().map(|(start, len)| Packed { area: area.clone(), start, len }).collect()
}

/// Packs one panel.
///
/// # Safety
/// `packed` has room for a panel that nobody else reads or writes.
pub(super) unsafe fn pack_panel(packing: &Packing, panel: usize, weight: &[f32], packed: *mut f32, kernels: &Kernels) {
    // SAFETY: as the caller vouches; the processor has the kernels' instructions.
    unsafe {
        if packing.is_padded(panel) {
            packed.write_bytes(0, packing.panel_len());
        }
        match packing.filter {
            Some(_) => (kernels.filters)(&Filters { packing, panel, weight, packed }),
            None => packing.taps(panel, weight, packed),
        }
    }
}

/// The values of a panel's filters at the points. Inlined into a function that enables an instruction set, for the sums
/// of a block are arrays that the compiler takes for vectors.
///
/// # Safety
/// `packed` has room for a panel that nobody else reads or writes.
#[inline(always)]
pub(super) unsafe fn filters(job: &Filters) {
    // SAFETY: as the caller vouches.
    unsafe {
        match job.packing.filter {
            Some((parts, 3)) => filters_of::<3>(job, parts),
            Some((parts, 4)) => filters_of::<4>(job, parts),
            Some((parts, 5)) => filters_of::<5>(job, parts),
            Some((parts, 6)) => filters_of::<6>(job, parts),
            other => unreachable!("filters of {other:?} taps"),
        }
    }
}

#[inline(always)]
unsafe fn filters_of<const TAPS: usize>(job: &Filters, parts: usize) {
    let &Filters { packing, panel, weight, packed } = job;
    let Packing { shape: [out_channels, in_channels, kernel], stride, width, .. } = *packing;
    let (panel, first, depth) = (packing.panel, panel * packing.panel, packing.depth());
    let (len, depth_at_infinity) = (in_channels * kernel, packing.depth_at_infinity());
    // One row for each tap of each channel, and one of zeros for taps beyond the kernel.
    let mut rows = vec![[0.0f32; BLOCK]; len + 1];
    for block in (0..panel.min(out_channels - first)).step_by(BLOCK) {
        let channels = BLOCK.min(out_channels - first - block);
        if channels < BLOCK {
            rows.fill([0.0; BLOCK]);
        }
        transposed(&weight[(first + block) * len..][..channels * len], len, 0..len, rows.as_flattened_mut(), BLOCK);
        for (part, phase) in (0..parts).flat_map(|part| (0..stride).map(move |phase| (part, phase))) {
            for c in 0..in_channels {
                let taps: [[f64; BLOCK]; TAPS] = std::array::from_fn(|tap| {
                    let k = (part * TAPS + tap) * stride + phase;
                    rows[if k < kernel { c * kernel + k } else { len }].map(f64::from)
                });
                let row = (part * stride + phase) * width + c;
                for (point, values) in filters_at_points(&taps).iter().enumerate() {
                    if point == POINTS - 1 && row >= depth_at_infinity {
                        continue;
                    }
                    // SAFETY: the point's row lies within the panel's size, and blocks divide its channels.
                    unsafe {
                        let to = packed.add((point * depth + row) * panel + block);
                        to.cast::<[f32; BLOCK]>().write_unaligned(values.map(|value| value as f32));
                    }
                }
            }
        }
    }
}
