//! Where each buffer of a plan is stored.
//!
//! An activation `[batch, channels, samples]` is stored channels last, each record in a buffer of its own. An activation of
//! one sample that no convolution touches is a matrix instead: one buffer with a row per record, so that a linear layer is
//! one matrix product. Constants and states are stored as they are.

use std::sync::Arc;

use super::{
    aligned_buffer::{AlignedBuffer, CACHE_LINE},
    layout::ChannelsLastLayout,
    micro_kernels::MicroKernels,
    tiled_convolution::TiledConvolution,
};
#[cfg(feature = "gradients")]
use crate::kernels::training::Training;
use crate::{
    kernels::Kernel,
    plan::{Buffer, BufferId, Plan, Role, Step},
};

/// The memory in which a plan runs: its activations, constants and states.
pub(super) struct Workspace {
    /// For each slot, one buffer per record.
    slots: Vec<Vec<AlignedBuffer>>,
    /// The constants and states, in the order of the plan's buffers.
    stored: Arc<[Stored]>,
}

/// A buffer whose numbers outlive a run.
pub(super) enum Stored {
    /// The numbers of a constant, shared with the plan.
    Constant(Arc<[f32]>),
    /// The numbers of a state.
    State(AlignedBuffer),
}

/// How an activation of all records is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchLayout {
    slot: usize,
    /// The layout of each buffer: of a record, or of the whole matrix.
    pub(super) rows: ChannelsLastLayout,
    /// The buffers: one per record, or 1 for a matrix.
    pub(super) buffers: usize,
    /// Whether the rows of the only buffer are records.
    pub(super) matrix: bool,
}

impl BatchLayout {
    /// The buffer of a record, or buffer 0 for a matrix.
    pub(super) fn buffer<'a>(&self, workspace: &'a Workspace, record: usize) -> &'a AlignedBuffer {
        &workspace.slots[self.slot][record]
    }

    /// The buffer and the offset of a record's row. The activation has one sample.
    pub(super) fn record_row<'a>(&self, workspace: &'a Workspace, record: usize) -> (&'a AlignedBuffer, usize) {
        if self.matrix {
            (self.buffer(workspace, 0), self.rows.offset(record as isize))
        } else {
            (self.buffer(workspace, record), self.rows.offset(0))
        }
    }
}

/// Contiguous numbers of a constant, a state, or an activation of one channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct BufferSlice {
    source: Source,
    start: usize,
    pub(super) len: usize,
}

/// Which buffer a slice is a part of.
#[derive(Debug, Clone, Copy)]
enum Source {
    Stored(usize),
    Slot(usize),
}

impl BufferSlice {
    /// Borrows the numbers.
    ///
    /// # Safety
    /// No thread writes them as long as the slice is in use.
    pub(super) unsafe fn read<'a>(&self, workspace: &'a Workspace) -> &'a [f32] {
        let range = self.start..self.start + self.len;
        let buffer = match self.source {
            Source::Stored(at) => match &workspace.stored[at] {
                Stored::Constant(values) => return &values[range],
                Stored::State(buffer) => buffer,
            },
            Source::Slot(slot) => &workspace.slots[slot][0],
        };
        // SAFETY: the caller guarantees that there are no writers.
        unsafe { buffer.read(range) }
    }

    /// Borrows the numbers mutably.
    ///
    /// # Safety
    /// No other code reads or writes them as long as the slice is in use.
    #[expect(clippy::mut_from_ref, reason = "threads write disjoint ranges of one workspace")]
    pub(super) unsafe fn write<'a>(&self, workspace: &'a Workspace) -> &'a mut [f32] {
        let buffer = match self.source {
            Source::Stored(at) => match &workspace.stored[at] {
                Stored::Constant(_) => unreachable!("no step of a plan writes a constant"),
                Stored::State(buffer) => buffer,
            },
            Source::Slot(slot) => &workspace.slots[slot][0],
        };
        // SAFETY: the caller guarantees exclusive access.
        unsafe { buffer.write(self.start..self.start + self.len) }
    }

    /// The `len` numbers from number `start` on.
    #[cfg(feature = "gradients")]
    pub(super) fn part(&self, start: usize, len: usize) -> Self {
        Self { start: self.start + start, len, ..*self }
    }
}

/// Where every buffer of a plan is stored, and how its convolutions run.
pub(super) struct PlanLayouts {
    activations: Vec<Option<BatchLayout>>,
    /// The index among the stored buffers, and the offset in it, of each constant, state and part of a state.
    stored: Vec<Option<(usize, usize)>>,
    lengths: Vec<usize>,
    /// The convolution of each step that is one.
    convolutions: Vec<Option<TiledConvolution>>,
}

impl PlanLayouts {
    /// Decides where each buffer of a plan is stored.
    pub(super) fn new(plan: &Plan, kernels: &MicroKernels) -> Self {
        let mut stored: Vec<Option<(usize, usize)>> = Vec::new();
        let mut count = 0;
        for buffer in &plan.buffers {
            stored.push(match buffer.role {
                Role::Constant(_) | Role::State(_) => {
                    count += 1;
                    Some((count - 1, 0))
                }
                // A plan has a state before its parts.
                Role::Part { of, offset } => stored[of].map(|(at, _)| (at, offset)),
                Role::Activation { .. } => None,
            });
        }
        let activations = (0..plan.buffers.len()).map(|id| batch_layout(plan, id, kernels)).collect();
        let lengths = plan.buffers.iter().map(Buffer::len).collect();
        let convolutions = plan.steps.iter().map(|_| None).collect();
        let mut layouts = Self { activations, stored, lengths, convolutions };
        layouts.plan_convolutions(plan, kernels);
        layouts
    }

    /// Decides how the convolutions run, and extends the zeros around each activation as far as its readers need.
    fn plan_convolutions(&mut self, plan: &Plan, kernels: &MicroKernels) {
        for (at, step) in plan.steps.iter().enumerate() {
            let Some(x) = &mut self.activations[step.reads[0]] else { continue };
            match &step.kernel {
                Kernel::Conv1d(conv) => {
                    self.convolutions[at] = Some(TiledConvolution::new(conv, &mut x.rows, kernels));
                }
                #[cfg(feature = "gradients")]
                Kernel::Training(Training::Conv1dWeightGradient(it)) if !x.matrix => {
                    x.rows.extend(it.padding, (it.out_samples - 1) * it.stride + it.kernel);
                }
                _ => {}
            }
        }
        for (convolution, step) in self.convolutions.iter_mut().zip(&plan.steps) {
            let rows = |id: BufferId| self.activations[id].map(|layout| layout.rows);
            if let (Some(convolution), Some(x), Some(y)) = (convolution, rows(step.reads[0]), rows(step.write)) {
                convolution.set_layouts(x, y);
            }
        }
    }

    /// The convolution of a step.
    pub(super) fn convolution(&self, step: usize) -> &TiledConvolution {
        self.convolutions[step].as_ref().unwrap_or_else(|| unreachable!("step {step} is a convolution"))
    }

    /// The layout of an activation.
    pub(super) fn activation(&self, id: BufferId) -> BatchLayout {
        self.activations[id].unwrap_or_else(|| unreachable!("buffer {id} is an activation"))
    }

    /// Whether a buffer is an activation.
    pub(super) fn is_activation(&self, id: BufferId) -> bool {
        self.activations[id].is_some()
    }

    /// The contiguous numbers of a constant, a state, or an activation of one channel.
    pub(super) fn slice(&self, id: BufferId) -> BufferSlice {
        let len = self.lengths[id];
        match (self.stored[id], self.activations[id]) {
            (Some((at, start)), _) => BufferSlice { source: Source::Stored(at), start, len },
            (_, Some(layout)) if layout.rows.pitch == 1 && layout.buffers == 1 => {
                BufferSlice { source: Source::Slot(layout.slot), start: layout.rows.offset(0), len }
            }
            _ => unreachable!("buffer {id} is not contiguous"),
        }
    }

    /// Allocates the memory of a run. Activations are zeros at first.
    pub(super) fn workspace(&self, stored: Arc<[Stored]>) -> Workspace {
        let activations = || self.activations.iter().flatten();
        let count = activations().map(|layout| layout.slot + 1).max().unwrap_or(0);
        let slot = |slot| {
            let mut lens: Vec<usize> = Vec::new();
            for layout in activations().filter(|layout| layout.slot == slot) {
                lens.resize(lens.len().max(layout.buffers), 0);
                lens[..layout.buffers].iter_mut().for_each(|len| *len = layout.rows.len().max(*len));
            }
            lens.into_iter().map(AlignedBuffer::new).collect()
        };
        Workspace { slots: (0..count).map(slot).collect(), stored }
    }
}

impl Stored {
    /// The constants and states of a plan, with the numbers that they hold before the first run.
    pub(super) fn of_plan(plan: &Plan) -> Arc<[Self]> {
        let stored = plan.buffers.iter().filter_map(|buffer| match &buffer.role {
            Role::Constant(values) => Some(Self::Constant(values.clone())),
            Role::State(values) => {
                let state = AlignedBuffer::new(values.len() + CACHE_LINE);
                // SAFETY: no other reference to the buffer exists yet.
                unsafe { state.write(0..values.len()) }.copy_from_slice(values);
                Some(Self::State(state))
            }
            Role::Activation { .. } | Role::Part { .. } => None,
        });
        stored.collect()
    }
}

/// Whether a step reads windows of several samples, or may do so.
fn is_convolution(step: &Step) -> bool {
    match &step.kernel {
        Kernel::Conv1d(_) => true,
        #[cfg(feature = "gradients")]
        Kernel::Training(Training::Conv1dWeightGradient(it)) => (it.in_samples, it.kernel) != (1, 1),
        _ => false,
    }
}

/// The layout of an activation before its readers have extended its zeros; none for other buffers.
fn batch_layout(plan: &Plan, id: BufferId, kernels: &MicroKernels) -> Option<BatchLayout> {
    let [batch, channels, samples] = plan.buffers[id].shape;
    let slot = plan.buffers[id].slot()?;
    let mut convolutions = plan.steps.iter().filter(|step| is_convolution(step));
    let convolved = convolutions.any(|step| step.write == id || step.reads.contains(&id));
    let matrix = samples == 1 && !convolved;
    // Tiles write whole vectors, so their rows are padded, and with them the rows of every buffer beside them. Leads that
    // only a convolution reads are not padded, because zeros among its taps would cost time.
    let writes_tiles = |step: &Step| matches!(step.kernel, Kernel::Conv1d(_) | Kernel::Linear(_));
    let written_by_tiles = plan.steps.iter().any(|step| step.write == id && writes_tiles(step));
    let dense = !written_by_tiles && (channels == 1 || (convolved && plan.inputs.contains(&id)));
    let pitch = if dense { channels } else { channels.next_multiple_of(kernels.panel) };
    let (samples, buffers) = if matrix { (batch, 1) } else { (samples, batch) };
    let rows = ChannelsLastLayout { channels, pitch, samples, zeros_before: 0, zeros_after: 0 };
    Some(BatchLayout { slot, rows, buffers, matrix })
}
