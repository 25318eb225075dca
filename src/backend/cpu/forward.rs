//! A forward pass of one record, cut into parts whose items can run side by side.

use std::sync::Arc;

use super::{
    conv1d::{Conv, Packing},
    instructions::Kernels,
    memory::{Aligned, Area},
    pool::Reduction,
    rows::Rows,
};
use crate::{
    kernels::{Conv1d, Kernel},
    plan::{Buffer, BufferId, Plan, Step},
};

/// The forward pass of one record.
pub(super) struct Forward {
    kernels: &'static Kernels,
    steps: Vec<Prepared>,
    parts: Vec<Part>,
    /// How each of the plan's buffers lies, none for a constant.
    rows: Vec<Option<Rows>>,
    /// In which slot.
    slots: Vec<Option<usize>>,
    input: BufferId,
    outputs: Vec<BufferId>,
}

/// A step ready to run.
struct Prepared {
    read: BufferId,
    write: BufferId,
    operation: Operation,
}

enum Operation {
    Conv { conv: Conv, weight: Arc<Aligned>, bias: Aligned },
    MaxPool { kernel: usize, stride: usize },
    Mean,
}

/// Items that can run side by side.
#[derive(Clone, Copy)]
pub(super) struct Part {
    task: Task,
    pub(super) items: usize,
}

#[derive(Clone, Copy)]
enum Task {
    /// Takes over the record.
    Enter,
    /// The input of a convolution at the points of minimal filtering.
    Evaluate {
        step: usize,
        batch: usize,
    },
    Multiply {
        step: usize,
        batch: usize,
    },
    Pool {
        step: usize,
    },
    /// Gives a result back.
    Leave {
        output: usize,
    },
}

/// What a forward pass works in.
pub(super) struct Memory {
    slots: Vec<Area>,
    evaluated: Area,
}

impl Forward {
    /// Decides everything; `pack` gives a convolution's packed weights, made or kept.
    pub(super) fn new(
        plan: &Plan,
        kernels: &'static Kernels,
        pack: impl Fn(&Arc<[f32]>, Packing, &dyn Fn(&[f32]) -> Aligned) -> Arc<Aligned>,
    ) -> Self {
        let mut rows: Vec<Option<Rows>> = vec![None; plan.buffers.len()];
        let [_, channels, samples] = plan.buffers[plan.input].shape;
        rows[plan.input] = Some(Rows { channels, width: channels, samples, front: 0, tail: 0 });
        let constant = |step: &Step, read: usize| {
            plan.buffers[step.reads[read]].constant.as_ref().expect("the plan gives weights and biases their values")
        };
        let mut steps = Vec::new();
        for step in &plan.steps {
            let x = rows[step.reads[0]].as_mut().expect("the plan writes a buffer before it is read");
            let operation = match &step.kernel {
                Kernel::MaxPool(pool) => Operation::MaxPool { kernel: pool.kernel, stride: pool.stride },
                Kernel::GlobalAveragePool(_) => Operation::Mean,
                kernel => {
                    let conv = Conv::new(&as_convolution(kernel), x, kernels);
                    let weight = pack(constant(step, 1), conv.packing(), &|weight| conv.packed(weight));
                    let bias = conv.padded_bias(constant(step, 2));
                    Operation::Conv { conv, weight, bias }
                }
            };
            let y = match &operation {
                Operation::Conv { conv, .. } => conv.y(),
                _ => Rows { samples: plan.buffers[step.write].shape[2], front: 0, tail: 0, ..*x },
            };
            rows[step.write] = Some(y);
            steps.push(Prepared { read: step.reads[0], write: step.write, operation });
        }
        let slots = plan.buffers.iter().map(|buffer: &Buffer| buffer.slot).collect();
        let outputs = plan.outputs.clone();
        let mut forward = Self { kernels, steps, parts: Vec::new(), rows, slots, input: plan.input, outputs };
        forward.settle();
        forward.parts = forward.cut();
        forward
    }

    /// Tells every convolution how its rows lie, now that all their readers are known.
    fn settle(&mut self) {
        for step in &mut self.steps {
            if let Operation::Conv { conv, .. } = &mut step.operation
                && let (Some(x), Some(y)) = (self.rows[step.read], self.rows[step.write])
            {
                conv.settle(x, y);
            }
        }
    }

    fn cut(&self) -> Vec<Part> {
        let mut parts = vec![Part { task: Task::Enter, items: 1 }];
        self.leave(self.input, &mut parts);
        for (step, prepared) in self.steps.iter().enumerate() {
            match &prepared.operation {
                Operation::Conv { conv, .. } => {
                    for batch in 0..conv.batches().max(1) {
                        if conv.batches() > 0 {
                            parts
                                .push(Part { task: Task::Evaluate { step, batch }, items: conv.evaluate_items(batch) });
                        }
                        parts.push(Part { task: Task::Multiply { step, batch }, items: conv.multiply_items(batch) });
                    }
                }
                Operation::MaxPool { .. } | Operation::Mean => {
                    parts.push(Part { task: Task::Pool { step }, items: 1 });
                }
            }
            self.leave(prepared.write, &mut parts);
        }
        parts
    }

    fn leave(&self, buffer: BufferId, parts: &mut Vec<Part>) {
        let outputs = self.outputs.iter().enumerate().filter(|(_, output)| **output == buffer);
        parts.extend(outputs.map(|(output, _)| Part { task: Task::Leave { output }, items: 1 }));
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Memory for one record.
    pub(super) fn memory(&self) -> Memory {
        let mut lens = vec![0; self.slots.iter().flatten().max().map_or(0, |slot| slot + 1)];
        for (slot, rows) in self.slots.iter().zip(&self.rows) {
            if let (Some(slot), Some(rows)) = (slot, rows) {
                lens[*slot] = rows.len().max(lens[*slot]);
            }
        }
        let evaluated = self.steps.iter().map(|step| match &step.operation {
            Operation::Conv { conv, .. } => conv.evaluated(),
            Operation::MaxPool { .. } | Operation::Mean => 0,
        });
        Memory { slots: lens.into_iter().map(Area::new).collect(), evaluated: Area::new(evaluated.max().unwrap_or(0)) }
    }

    fn place<'a>(&self, buffer: BufferId, memory: &'a Memory) -> (Rows, &'a Area) {
        match (self.rows[buffer], self.slots[buffer]) {
            (Some(rows), Some(slot)) => (rows, &memory.slots[slot]),
            _ => unreachable!("the plan gives every activation a slot"),
        }
    }

    /// Does one item. `input` is the whole batch's, and `outputs` have room for it.
    ///
    /// # Safety
    /// All items of the parts before have been done in the same memory, and nobody does this one or another part's.
    pub(super) unsafe fn run(
        &self,
        part: Part,
        item: usize,
        record: usize,
        input: &[f32],
        memory: &Memory,
        outputs: &[Area],
    ) {
        match part.task {
            Task::Enter => {
                let (rows, area) = self.place(self.input, memory);
                let size = rows.channels * rows.samples;
                // SAFETY: the part has one item, so the area is its own.
                unsafe { rows.enter(&input[record * size..][..size], area) };
            }
            Task::Evaluate { step, batch } => {
                let step = &self.steps[step];
                let Operation::Conv { conv, .. } = &step.operation else { unreachable!("only convolutions evaluate") };
                let (_, x) = self.place(step.read, memory);
                // SAFETY: this part writes only what is evaluated, each item its own groups.
                unsafe { conv.evaluate(self.kernels, batch, item, x, &memory.evaluated) };
            }
            Task::Multiply { step, batch } => {
                let step = &self.steps[step];
                let Operation::Conv { conv, weight, bias } = &step.operation else {
                    unreachable!("only convolutions multiply")
                };
                let ((_, x), (_, y)) = (self.place(step.read, memory), self.place(step.write, memory));
                let (weight, bias) = (weight.as_slice(), bias.as_slice());
                // SAFETY: this part writes only the step's output, each item its own tile.
                unsafe { conv.multiply(self.kernels, batch, item, x, &memory.evaluated, weight, bias, y) };
            }
            // SAFETY: the part has one item, so its output is its own.
            Task::Pool { step } => unsafe { self.pool(&self.steps[step], memory) },
            Task::Leave { output } => {
                let (rows, area) = self.place(self.outputs[output], memory);
                let size = rows.channels * rows.samples;
                // SAFETY: each record has its own place in the output, and no item of this part writes the memory.
                unsafe { rows.leave(area, outputs[output].write(record * size..(record + 1) * size)) };
            }
        }
    }

    /// # Safety
    /// Nobody writes the step's input, and nobody else uses its output.
    unsafe fn pool(&self, step: &Prepared, memory: &Memory) {
        let ((x, from), (y, to)) = (self.place(step.read, memory), self.place(step.write, memory));
        let (reduce, rows, stride) = match step.operation {
            Operation::MaxPool { kernel, stride } => (self.kernels.largest, kernel, stride),
            _ => (self.kernels.mean, x.samples, 1),
        };
        // SAFETY: as the caller vouches; the processor has the kernels' instructions.
        unsafe {
            y.clear_edges(to);
            for sample in 0..y.samples {
                let x = from.read(x.at((sample * stride) as isize)..from.len());
                let y = to.write(y.at(sample as isize)..y.at(sample as isize + 1));
                reduce(&mut Reduction { row: y.len(), x, rows, y });
            }
        }
    }
}

/// A linear layer is a convolution of one sample.
fn as_convolution(kernel: &Kernel) -> Conv1d {
    match kernel {
        Kernel::Conv1d(conv) => conv.clone(),
        Kernel::Linear(layer) => Conv1d {
            batch: layer.batch,
            in_channels: layer.in_features,
            in_samples: 1,
            out_channels: layer.out_features,
            out_samples: 1,
            kernel: 1,
            stride: 1,
            padding: 0,
            relu: false,
        },
        kernel => unreachable!("{} has no weights", kernel.operation().describe()),
    }
}
