//! Weights and bias of a convolution or a linear layer, packed for the tiles.

#[cfg(feature = "gradients")]
use super::super::{
    aligned_buffer::AlignedBuffer,
    micro_kernels::packing::{Packing, PanelJob},
    plan_layouts::BufferSlice,
    weight_cache::pack_panel,
};
#[cfg(feature = "gradients")]
use super::Context;
use super::{
    super::{tiled_convolution::TileWeights, weight_cache::PackedWeights},
    Preparation, packing,
};

/// The weights of a step.
pub(super) enum Weights {
    /// Constants, packed once for all runs.
    Constant {
        weight: PackedWeights,
        /// The bias, with zeros up to whole panels.
        bias: Vec<f32>,
    },
    /// Numbers that change from run to run, packed by each run.
    #[cfg(feature = "gradients")]
    Changing(Box<ChangingWeights>),
}

/// Weights that change from run to run, and the memory into which each run packs them. For 64 records packing takes a
/// hundredth of a training step.
#[cfg(feature = "gradients")]
pub(super) struct ChangingWeights {
    weight: BufferSlice,
    bias: BufferSlice,
    packing: Packing,
    packed: AlignedBuffer,
    /// The bias, with zeros up to whole panels.
    padded_bias: AlignedBuffer,
}

impl Weights {
    /// The weights of a step, which reads them after x, and then the bias.
    pub(super) fn new(preparation: &Preparation, step: usize) -> Self {
        let Preparation { plan, layouts, packed, kernels, .. } = *preparation;
        let [weight, bias] = [1, 2].map(|read| plan.steps[step].reads[read]);
        let packing = packing(plan, layouts, step, kernels).unwrap_or_else(|| unreachable!("step {step} has weights"));
        if let (Some(weight), Some(bias)) = (&packed[step], plan.buffers[bias].constant()) {
            let mut bias = bias.to_vec();
            bias.resize(packing.panels * packing.panel, 0.0);
            return Self::Constant { weight: weight.clone(), bias };
        }
        #[cfg(feature = "gradients")]
        return Self::Changing(Box::new(ChangingWeights {
            weight: layouts.slice(weight),
            bias: layouts.slice(bias),
            packed: AlignedBuffer::new(packing.panels * packing.panel_len()),
            padded_bias: AlignedBuffer::new(packing.panels * packing.panel),
            packing,
        }));
        #[cfg(not(feature = "gradients"))]
        unreachable!("weights {weight} of a plan without states are constants");
    }

    /// The items of the phase that packs the weights; none for constants.
    pub(super) fn packing_items(&self) -> Option<usize> {
        match self {
            Self::Constant { .. } => None,
            #[cfg(feature = "gradients")]
            Self::Changing(changing) => Some(changing.packing.panels),
        }
    }

    /// Packs one panel. The first item also copies the bias.
    ///
    /// # Safety
    /// No other thread packs the panel or reads the packed weights.
    #[cfg(feature = "gradients")]
    pub(super) unsafe fn pack(&self, panel: usize, context: &Context) {
        let Self::Changing(changing) = self else { return };
        let ChangingWeights { weight, bias, packing, packed, padded_bias } = &**changing;
        let len = packing.panel_len();
        // SAFETY: the caller guarantees exclusive access to the panel; the bias belongs to the first item.
        unsafe {
            if panel == 0 {
                padded_bias.write(0..bias.len).copy_from_slice(bias.read(context.workspace));
            }
            let (weight, to) = (weight.read(context.workspace), packed.pointer(panel * len, 1, 0, len));
            pack_panel(&PanelJob { packing, panel, weight, to }, context.kernels);
        }
    }

    /// The packed weights.
    ///
    /// # Safety
    /// All panels are packed, and no thread packs any.
    pub(super) unsafe fn get(&self) -> TileWeights<'_> {
        match self {
            Self::Constant { weight, bias } => TileWeights { weight: weight.values(), bias },
            #[cfg(feature = "gradients")]
            Self::Changing(changing) => {
                let ChangingWeights { packed, padded_bias, .. } = &**changing;
                // SAFETY: the caller guarantees that there are no writers.
                unsafe {
                    TileWeights { weight: packed.read(0..packed.len()), bias: padded_bias.read(0..padded_bias.len()) }
                }
            }
        }
    }
}
