//! A forward pass of one record, cut into parts whose items can run side by side.

use super::{
    choice::{Cut, piece},
    conv1d::Conv,
    instructions::Kernels,
    memory::Area,
    packing::{Order, Packed},
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
    /// Of the convolutions, in order.
    weights: Vec<Packed>,
    /// The parts for one worker, and those for all of them.
    apart: Vec<Part>,
    together: Vec<Part>,
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

/// A convolution with its constants.
struct Convolution {
    conv: Conv,
    /// Its place among the weights.
    weight: usize,
    bias: Vec<f32>,
}

enum Operation {
    Conv(Box<Convolution>),
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
    Conv {
        step: usize,
        cut: Cut,
    },
    MaxPool {
        step: usize,
    },
    Mean {
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
}

/// Where an item finds and puts everything but constants.
pub(super) struct Places<'a> {
    pub(super) memory: &'a Memory,
    pub(super) scratch: &'a Area,
    pub(super) outputs: &'a [Area],
}

/// Rows of an item that computes little for each, and columns of an item that takes a mean: about a microsecond's work.
const ROWS_AT_A_TIME: usize = 256;
const COLUMNS_AT_A_TIME: usize = 64;

impl Forward {
    /// Decides everything; `pack` packs the convolutions' weights, all of them at once.
    pub(super) fn new(
        plan: &Plan,
        kernels: &'static Kernels,
        workers: usize,
        pack: impl FnOnce(&[Order]) -> Vec<Packed>,
    ) -> Self {
        let mut rows: Vec<Option<Rows>> = vec![None; plan.buffers.len()];
        let [_, channels, samples] = plan.buffers[plan.input()].shape;
        rows[plan.input()] = Some(Rows { channels, width: channels, samples, front: 0, tail: 0 });
        let constant = |step: &Step, read: usize| {
            plan.buffers[step.reads[read]].constant().expect("the plan gives weights and biases their values")
        };
        let (mut steps, mut orders) = (Vec::new(), Vec::new());
        for step in &plan.steps {
            let x = rows[step.reads[0]].as_mut().expect("the plan writes a buffer before it is read");
            let operation = match &step.kernel {
                Kernel::MaxPool(pool) => Operation::MaxPool { kernel: pool.kernel, stride: pool.stride },
                Kernel::GlobalAveragePool(_) => Operation::Mean,
                kernel => {
                    let conv = Conv::new(&as_convolution(kernel), x, kernels);
                    let weight = orders.len();
                    orders.push(Order { packing: conv.packing(), weight: constant(step, 1) });
                    let bias = conv.padded_bias(constant(step, 2));
                    Operation::Conv(Box::new(Convolution { conv, weight, bias }))
                }
            };
            let y = match &operation {
                Operation::Conv(convolution) => convolution.conv.y(),
                _ => Rows { samples: plan.buffers[step.write].shape[2], front: 0, tail: 0, ..*x },
            };
            rows[step.write] = Some(y);
            steps.push(Prepared { read: step.reads[0], write: step.write, operation });
        }
        let slots = plan.buffers.iter().map(|buffer: &Buffer| buffer.slot()).collect();
        let outputs = plan.outputs.clone();
        let (apart, together, weights) = (Vec::new(), Vec::new(), pack(&orders));
        let mut forward = Self { kernels, steps, weights, apart, together, rows, slots, input: plan.input(), outputs };
        forward.settle();
        (forward.apart, forward.together) = (forward.cut(1), forward.cut(workers));
        forward
    }

    /// Tells every convolution how its rows lie, now that all their readers are known.
    fn settle(&mut self) {
        for step in &mut self.steps {
            if let Operation::Conv(convolution) = &mut step.operation
                && let (Some(x), Some(y)) = (self.rows[step.read], self.rows[step.write])
            {
                convolution.conv.settle(x, y);
            }
        }
    }

    fn cut(&self, workers: usize) -> Vec<Part> {
        let items = self.rows[self.input].map_or(1, |rows| rows.samples.div_ceil(ROWS_AT_A_TIME));
        let mut parts = vec![Part { task: Task::Enter, items }];
        self.leave(self.input, &mut parts);
        for (step, prepared) in self.steps.iter().enumerate() {
            let y = self.rows[prepared.write].expect("every step's output has rows");
            parts.push(match &prepared.operation {
                Operation::Conv(convolution) => {
                    let cut = convolution.conv.cut(workers);
                    Part { task: Task::Conv { step, cut }, items: cut.items() }
                }
                Operation::MaxPool { .. } => {
                    Part { task: Task::MaxPool { step }, items: y.samples.div_ceil(ROWS_AT_A_TIME) }
                }
                Operation::Mean => Part { task: Task::Mean { step }, items: y.width.div_ceil(COLUMNS_AT_A_TIME) },
            });
            self.leave(prepared.write, &mut parts);
        }
        parts
    }

    fn leave(&self, buffer: BufferId, parts: &mut Vec<Part>) {
        let outputs = self.outputs.iter().enumerate().filter(|(_, output)| **output == buffer);
        parts.extend(outputs.map(|(output, _)| Part { task: Task::Leave { output }, items: 1 }));
    }

    /// The parts for one worker.
    pub(super) fn apart(&self) -> &[Part] {
        &self.apart
    }

    /// The parts for all workers.
    pub(super) fn together(&self) -> &[Part] {
        &self.together
    }

    /// The step that a part belongs to; none for taking over the input and giving back results.
    pub(super) fn step_of(&self, part: Part) -> Option<usize> {
        match part.task {
            Task::Conv { step, .. } | Task::MaxPool { step } | Task::Mean { step } => Some(step),
            Task::Enter | Task::Leave { .. } => None,
        }
    }

    /// Memory for one record.
    pub(super) fn memory(&self) -> Memory {
        let mut lens = vec![0; self.slots.iter().flatten().max().map_or(0, |slot| slot + 1)];
        for (slot, rows) in self.slots.iter().zip(&self.rows) {
            if let (Some(slot), Some(rows)) = (slot, rows) {
                lens[*slot] = rows.len().max(lens[*slot]);
            }
        }
        Memory { slots: lens.into_iter().map(Area::new).collect() }
    }

    /// Memory that a worker needs besides.
    pub(super) fn scratch(&self) -> Area {
        let evaluated = self.apart.iter().chain(&self.together).map(|part| match part.task {
            Task::Conv { step, cut } => self.convolution(step).0.evaluated(cut),
            _ => 0,
        });
        Area::new(evaluated.max().unwrap_or(0))
    }

    fn convolution(&self, step: usize) -> (&Conv, [&[f32]; 2]) {
        match &self.steps[step].operation {
            Operation::Conv(it) => (&it.conv, [self.weights[it.weight].values(), &it.bias]),
            Operation::MaxPool { .. } | Operation::Mean => unreachable!("step {step} is no convolution"),
        }
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
    /// All items of the parts before have been done in the same memory, nobody does this one or another part's, and
    /// nobody else uses `scratch`.
    pub(super) unsafe fn run(&self, part: Part, item: usize, record: usize, input: &[f32], places: &Places) {
        let Places { memory, scratch, outputs } = places;
        match part.task {
            Task::Enter => {
                let (rows, area) = self.place(self.input, memory);
                let size = rows.channels * rows.samples;
                let (first, count) = piece(rows.samples, part.items, item);
                // SAFETY: each item has its own rows, and the first one the edges.
                unsafe {
                    if item == 0 {
                        rows.clear_edges(area);
                    }
                    rows.enter(&input[record * size..][..size], first, count, area);
                }
            }
            Task::Conv { step, cut } => {
                let (conv, constants) = self.convolution(step);
                let ((_, x), (_, y)) =
                    (self.place(self.steps[step].read, memory), self.place(self.steps[step].write, memory));
                // SAFETY: this part writes only the step's output, each item its own tiles.
                unsafe { conv.run(self.kernels, cut, item, constants, [x, scratch, y]) };
            }
            // SAFETY: this part writes only the step's output, each item its own rows.
            Task::MaxPool { step } => unsafe { self.max_pool(&self.steps[step], part.items, item, memory) },
            // SAFETY: this part writes only the step's output, each item its own columns.
            Task::Mean { step } => unsafe { self.mean(&self.steps[step], part.items, item, memory) },
            Task::Leave { output } => {
                let (rows, area) = self.place(self.outputs[output], memory);
                let size = rows.channels * rows.samples;
                // SAFETY: each record has its own place in the output, and no item of this part writes the memory.
                unsafe { rows.leave(area, outputs[output].write(record * size..(record + 1) * size)) };
            }
        }
    }

    /// # Safety
    /// Nobody writes the step's input, and nobody else uses the item's rows of its output.
    unsafe fn max_pool(&self, step: &Prepared, items: usize, item: usize, memory: &Memory) {
        let ((x, from), (y, to)) = (self.place(step.read, memory), self.place(step.write, memory));
        let Operation::MaxPool { kernel, stride } = step.operation else { unreachable!("the step is a max pool") };
        let (first, count) = piece(y.samples, items, item);
        // SAFETY: as the caller vouches; the processor has the kernels' instructions; the edges are the first item's.
        unsafe {
            if item == 0 {
                y.clear_edges(to);
            }
            for sample in first..first + count {
                let x = from.read(x.at((sample * stride) as isize)..from.len());
                let y = to.write(y.at(sample as isize)..y.at(sample as isize + 1));
                (self.kernels.largest)(&mut Reduction { row: y.len(), x, rows: kernel, y });
            }
        }
    }

    /// # Safety
    /// Nobody writes the step's input, and nobody else uses the item's columns of its output.
    unsafe fn mean(&self, step: &Prepared, items: usize, item: usize, memory: &Memory) {
        let ((x, from), (y, to)) = (self.place(step.read, memory), self.place(step.write, memory));
        let (first, count) = piece(y.width, items, item);
        // SAFETY: as the caller vouches; the processor has the kernels' instructions; the edges are the first item's.
        unsafe {
            if item == 0 {
                y.clear_edges(to);
            }
            let rows = x.samples;
            let (row, x) = (x.width, from.read(x.at(0) + first..from.len()));
            let y = to.write(y.at(0) + first..y.at(0) + first + count);
            (self.kernels.mean)(&mut Reduction { x, rows, row, y });
        }
    }
}

/// A linear layer is a convolution of one sample.
fn as_convolution(kernel: &Kernel) -> Conv1d {
    match kernel {
        Kernel::Conv1d(conv) if !conv.fused_max_pool => conv.clone(),
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
            fused_max_pool: false,
        },
        kernel => unreachable!("{} has no weights, or was refused", kernel.operation().describe()),
    }
}
