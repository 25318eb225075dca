//! Where every buffer of a plan lies.
//!
//! An activation `[batch, channels, samples]` lies as `rows` says, each record in an area of its own. One of a single
//! sample that no convolution touches is a matrix instead: one area, with a row for each record, so that a linear layer
//! is one matrix product. Constants and states lie as they are.

use super::Memory;
use crate::{
    backend::cpu::{
        conv1d::Conv,
        instructions::Kernels,
        memory::{Area, LINE},
        rows::Rows,
    },
    kernels::{Kernel, training::Training},
    plan::{BufferId, Plan, Role},
};

/// Where an activation lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    slot: usize,
    pub(super) rows: Rows,
    /// Areas.
    pub(super) records: usize,
    /// Whether the rows of the one area are records.
    pub(super) matrix: bool,
}

impl Spread {
    pub(super) fn area<'a>(&self, memory: &'a Memory, record: usize) -> &'a Area {
        &memory.slots[self.slot][record]
    }

    /// Where a record's row begins, for an activation of one sample.
    pub(super) fn record<'a>(&self, memory: &'a Memory, record: usize) -> (&'a Area, usize) {
        if self.matrix {
            (self.area(memory, 0), self.rows.at(record as isize))
        } else {
            (self.area(memory, record), self.rows.at(0))
        }
    }

    /// The whole of one activation in equal chunks: a record each, or of a matrix so many groups of rows.
    pub(super) fn chunks(&self, groups: usize) -> usize {
        if self.matrix { groups } else { self.records }
    }

    /// Area, first row and rows of a chunk.
    pub(super) fn chunk<'a>(&self, memory: &'a Memory, chunks: usize, chunk: usize) -> (&'a Area, usize, usize) {
        if self.matrix {
            let rows = self.rows.samples / chunks;
            (self.area(memory, 0), self.rows.at((chunk * rows) as isize), rows)
        } else {
            (self.area(memory, chunk), self.rows.at(0), self.rows.samples)
        }
    }
}

/// Where numbers lie one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    area: AreaOf,
    start: usize,
    pub(super) len: usize,
}

#[derive(Debug, Clone, Copy)]
enum AreaOf {
    Kept(usize),
    Slot(usize),
}

impl Spot {
    fn area<'a>(&self, memory: &'a Memory) -> &'a Area {
        match self.area {
            AreaOf::Kept(at) => &memory.kept[at],
            AreaOf::Slot(slot) => &memory.slots[slot][0],
        }
    }

    /// # Safety
    /// Nobody writes there as long as the slice lives.
    pub(super) unsafe fn read<'a>(&self, memory: &'a Memory) -> &'a [f32] {
        // SAFETY: as the caller vouches.
        unsafe { self.area(memory).read(self.start..self.start + self.len) }
    }

    /// # Safety
    /// Nobody else reads or writes there as long as the slice lives.
    #[expect(clippy::mut_from_ref, reason = "an area is for this")]
    pub(super) unsafe fn write<'a>(&self, memory: &'a Memory) -> &'a mut [f32] {
        // SAFETY: as the caller vouches.
        unsafe { self.area(memory).write(self.start..self.start + self.len) }
    }

    /// A part of it.
    pub(super) fn part(&self, start: usize, len: usize) -> Self {
        Self { start: self.start + start, len, ..*self }
    }
}

/// The places of all buffers of a plan.
pub(super) struct Places {
    activations: Vec<Option<Spread>>,
    /// Of constants and states their number among these, of a part that of its state and the offset.
    kept: Vec<Option<(usize, usize)>>,
    lengths: Vec<usize>,
    /// The convolution of each step that is one.
    convolutions: Vec<Option<Conv>>,
}

impl Places {
    pub(super) fn new(plan: &Plan, kernels: &Kernels) -> Self {
        let mut kept: Vec<Option<(usize, usize)>> = Vec::new();
        let mut count = 0;
        for buffer in &plan.buffers {
            kept.push(match buffer.role {
                Role::Constant(_) | Role::State(_) => {
                    count += 1;
                    Some((count - 1, 0))
                }
                // A state stands before its parts.
                Role::Part { of, offset } => kept[of].map(|(at, _)| (at, offset)),
                Role::Activation { .. } => None,
            });
        }
        let activations = (0..plan.buffers.len()).map(|id| spread(plan, id, kernels)).collect();
        let lengths = plan.buffers.iter().map(|buffer| buffer.len()).collect();
        let mut places = Self { activations, kept, lengths, convolutions: Vec::new() };
        places.convolutions = plan.steps.iter().map(|_| None).collect();
        places.reach(plan, kernels);
        places
    }

    /// Gives every activation the zeros around its samples that its readers ask for.
    fn reach(&mut self, plan: &Plan, kernels: &Kernels) {
        for (at, step) in plan.steps.iter().enumerate() {
            let Some(x) = &mut self.activations[step.reads[0]] else { continue };
            match &step.kernel {
                Kernel::Conv1d(conv) => self.convolutions[at] = Some(Conv::new(conv, &mut x.rows, kernels)),
                Kernel::Training(Training::Conv1dWeightGradient(it)) if !x.matrix => {
                    x.rows.reach(it.padding, (it.out_samples - 1) * it.stride + it.kernel);
                }
                _ => {}
            }
        }
        for (conv, step) in self.convolutions.iter_mut().zip(&plan.steps) {
            let of = |id: BufferId| self.activations[id].map(|spread| spread.rows);
            if let (Some(conv), Some(x), Some(y)) = (conv, of(step.reads[0]), of(step.write)) {
                conv.settle(x, y);
            }
        }
    }

    /// A step's convolution.
    pub(super) fn convolution(&self, step: usize) -> &Conv {
        self.convolutions[step].as_ref().unwrap_or_else(|| unreachable!("step {step} is a convolution"))
    }

    /// Where an activation lies.
    pub(super) fn rows(&self, id: BufferId) -> Spread {
        self.activations[id].unwrap_or_else(|| unreachable!("buffer {id} is an activation"))
    }

    /// Whether a buffer is an activation.
    pub(super) fn is_activation(&self, id: BufferId) -> bool {
        self.activations[id].is_some()
    }

    /// Where a buffer's numbers lie one after the other: of a constant, a state, or an activation of one channel.
    pub(super) fn spot(&self, id: BufferId) -> Spot {
        let len = self.lengths[id];
        match (self.kept[id], self.activations[id]) {
            (Some((at, start)), _) => Spot { area: AreaOf::Kept(at), start, len },
            (_, Some(spread)) if spread.rows.width == 1 && spread.records == 1 => {
                Spot { area: AreaOf::Slot(spread.slot), start: spread.rows.at(0), len }
            }
            _ => unreachable!("buffer {id} does not lie in one piece"),
        }
    }

    /// Areas for all slots, zeros to begin with.
    pub(super) fn slots(&self) -> Vec<Vec<Area>> {
        let activations = || self.activations.iter().flatten();
        let count = activations().map(|spread| spread.slot + 1).max().unwrap_or(0);
        let slot = |slot| {
            let mut lens: Vec<usize> = Vec::new();
            for spread in activations().filter(|spread| spread.slot == slot) {
                lens.resize(lens.len().max(spread.records), 0);
                lens[..spread.records].iter_mut().for_each(|len| *len = spread.rows.len().max(*len));
            }
            lens.into_iter().map(Area::new).collect()
        };
        (0..count).map(slot).collect()
    }

    /// Areas for constants and states, with what they hold to begin with.
    pub(super) fn kept(&self, plan: &Plan) -> Vec<Area> {
        let contents = plan.buffers.iter().filter_map(|buffer| match &buffer.role {
            Role::Constant(values) | Role::State(values) => Some(values),
            _ => None,
        });
        let area = |values: &std::sync::Arc<[f32]>| {
            let area = Area::new(values.len() + LINE);
            // SAFETY: nobody else has the area yet.
            unsafe { area.write(0..values.len()) }.copy_from_slice(values);
            area
        };
        contents.map(area).collect()
    }
}

/// Where an activation lies before its readers are asked for the zeros that they need.
fn spread(plan: &Plan, id: BufferId, kernels: &Kernels) -> Option<Spread> {
    let [batch, channels, samples] = plan.buffers[id].shape;
    let slot = plan.buffers[id].slot()?;
    let convolves = |kernel: &Kernel| match kernel {
        Kernel::Conv1d(_) => true,
        Kernel::Training(Training::Conv1dWeightGradient(it)) => (it.in_samples, it.kernel) != (1, 1),
        _ => false,
    };
    let convolved = || {
        let mut steps = plan.steps.iter().filter(|step| convolves(&step.kernel));
        steps.any(|step| step.write == id || step.reads.contains(&id))
    };
    let touched = convolved();
    let matrix = samples == 1 && !touched;
    // What tiles write, and what lies beside it, has whole vectors; leads that only a convolution reads have not, for
    // zeros among its taps would cost time.
    let dense = channels == 1 || (touched && plan.inputs.contains(&id));
    let width = if dense { channels } else { channels.next_multiple_of(kernels.panel) };
    let (samples, records) = if matrix { (batch, 1) } else { (samples, batch) };
    let rows = Rows { channels, width, samples, front: 0, tail: 0 };
    Some(Spread { slot, rows, records, matrix })
}
