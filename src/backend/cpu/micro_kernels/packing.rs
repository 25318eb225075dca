//! How weights are packed for the tiles: `[panels, depth, channels of a panel]`, and with the Winograd algorithm `[panels,
//! points, depth, channels of a panel]`.
//!
//! At the last point, ∞, only the filters' last taps count. The filters that have no last tap come last, so a panel ends
//! before them.

use super::winograd::POINTS;

/// The filters of a Winograd convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filters {
    /// How many filters the kernel is divided into. Each counts as more input channels.
    pub(crate) count: usize,
    /// The taps of each filter: 3 to 6.
    pub(crate) taps: usize,
}

/// Everything that the packed weights of a layer depend on, apart from the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packing {
    /// The weights' shape `[out_channels, in_channels, kernel]`.
    pub(crate) shape: [usize; 3],
    /// The convolution's stride.
    pub(crate) stride: usize,
    /// The numbers of an input row: one per channel, then zeros.
    pub(crate) pitch: usize,
    /// The channels of a panel.
    pub(crate) panel: usize,
    /// The panels of the layer.
    pub(crate) panels: usize,
    /// The filters, if the layer is computed by the Winograd algorithm.
    pub(crate) filters: Option<Filters>,
}

impl Packing {
    /// The products of one output, at each finite point if the layer is a Winograd convolution.
    pub(crate) fn depth(&self) -> usize {
        self.filters.map_or(self.shape[2] * self.pitch, |filters| filters.count * self.stride * self.pitch)
    }

    /// The products of one output at the point ∞. There a filter's value is its last tap, which the filters that the kernel
    /// does not fill lack: every second filter of a kernel of odd length and stride 2. They are the last filters.
    pub(crate) fn depth_at_infinity(&self) -> usize {
        let Some(Filters { count, taps }) = self.filters else { return 0 };
        let last_tap = |filter: usize| (filter / self.stride * taps + taps - 1) * self.stride + filter % self.stride;
        (0..count * self.stride).take_while(|&filter| last_tap(filter) < self.shape[2]).count() * self.pitch
    }

    /// The numbers of a packed panel.
    pub(crate) fn panel_len(&self) -> usize {
        let finite_points = if self.filters.is_some() { POINTS - 1 } else { 1 };
        (finite_points * self.depth() + self.depth_at_infinity()) * self.panel
    }

    /// Whether a panel contains numbers that no weight is written to.
    pub(crate) fn is_padded(&self, panel: usize) -> bool {
        let [out_channels, in_channels, _] = self.shape;
        self.pitch > in_channels || (panel + 1) * self.panel > out_channels
    }
}

/// One panel to be packed.
pub(crate) struct PanelJob<'a> {
    /// How the layer is packed.
    pub(crate) packing: &'a Packing,
    /// Which of the layer's panels is packed.
    pub(crate) panel: usize,
    /// The layer's weights `[out_channels, in_channels, kernel]`.
    pub(crate) weight: &'a [f32],
    /// Where the panel is written.
    pub(crate) to: *mut f32,
}

/// Packs a panel of a direct convolution or a linear layer.
///
/// # Safety
/// `to` has room for the panel, and no other thread accesses it.
pub(crate) unsafe fn pack_taps(job: &PanelJob) {
    let Packing { shape: [_, in_channels, kernel], pitch, panel, .. } = *job.packing;
    let channels = job.weight.chunks(in_channels * kernel).skip(job.panel * panel).take(panel);
    for (o, weight) in channels.enumerate() {
        for (c, taps) in weight.chunks(kernel).enumerate() {
            for (k, &tap) in taps.iter().enumerate() {
                // SAFETY: taps, channels and outputs are within the panel's size.
                unsafe { job.to.add((k * pitch + c) * panel + o).write(tap) };
            }
        }
    }
}
