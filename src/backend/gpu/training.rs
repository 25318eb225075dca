//! A plan with states on one GPU: everything made once, then one submit and one readback a step. The states stay on the
//! device from run to run.
//!
//! A variant that reads its weights in an order of its own finds constants packed by the host. Weights that change are
//! packed on the device, by a gather in the order that packing 1, 2, 3, … shows.

use std::{sync::Arc, time::Duration};

use super::{
    Faults, Gpu,
    dispatch::{Bound, Dispatch, Place, Planned, filled},
    executor::{SPIN, constant},
    profile,
    rows::Rows,
    staging::Staging,
    texture,
};
use crate::{
    Error, ErrorKind, Hint, Result,
    backend::{Trainer, check_inputs, check_state},
    kernels::{
        Kernel, Packing, RowLayout, Storage, Variant,
        training::{ChannelSum, Gather},
    },
    plan::{Buffer, BufferId, Plan, Role},
};

/// Rows of numbers without anything between or before them.
const DENSE: RowLayout = RowLayout { base_offset: 0, offset: 0, pitch: 1, storage: Storage::F32 };

/// Numbers that a gather can tell apart, whose places are whole numbers in f32.
const LARGEST_GATHER: usize = 1 << 24;

pub(super) struct GpuTrainer {
    device: wgpu::Device,
    queue: wgpu::Queue,
    faults: Arc<Faults>,
    plan: Plan,
    /// With the step that each is for.
    dispatches: Vec<(usize, Dispatch)>,
    states: Vec<Option<wgpu::Buffer>>,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    readback: Staging,
    /// The commands of the next step, recorded while the device computes one.
    recorded: Option<wgpu::CommandBuffer>,
    spin: Duration,
}

/// A buffer that one of the inputs is written to: rows of `samples`.
struct Input {
    buffer: wgpu::Buffer,
    row: RowLayout,
    samples: usize,
    /// Where the host writes; the zeros between the samples stay from its making.
    upload: Staging,
}

/// A buffer that is copied into the staging buffer, and where its rows of `samples` begin there.
struct Output {
    source: Place,
    offset: u64,
    row: RowLayout,
    rows: usize,
    samples: usize,
}

fn bytes(numbers: usize) -> u64 {
    (numbers * size_of::<f32>()) as u64
}

impl GpuTrainer {
    pub(super) fn new(gpu: &Gpu, plan: &Plan) -> Result<Self> {
        if gpu.info.storage.is_half() {
            let cause = "training in f16: gradients need f32";
            return Err(Error::new(ErrorKind::Usage, cause, "train in f32").with_hint(Hint::UseF32));
        }
        let rows = gpu.rows(plan);
        for id in 0..plan.buffers.len() {
            check_size(gpu, plan, &rows, id)?;
        }
        let memory = Memory::new(gpu, plan, &rows);
        let mut dispatches = Dispatches { gpu, plan, made: Vec::new() };
        for at in 0..plan.steps.len() {
            dispatches.add(&rows, &memory, at)?;
        }
        let dispatches = dispatches.finish()?;
        let mut offset = 0;
        let outputs: Vec<Output> =
            plan.outputs.iter().map(|&id| output(plan, &rows, &memory, id, &mut offset)).collect();
        // A plan of states alone has no output, and nothing cannot be mapped.
        let readback = Staging::readback(&gpu.device, offset.max(bytes(4)));
        let input = |&id: &BufferId| {
            let ([batch, channels, samples], row) = (plan.buffers[id].shape, rows.row(id));
            let upload = Staging::upload(&gpu.device, bytes(batch * channels * row.pitch));
            Input { buffer: memory.of(id).buffer, row, samples, upload }
        };
        let states = memory.states.iter().map(|state| state.as_ref().map(|place| place.buffer.clone()));
        Ok(Self {
            device: gpu.device.clone(),
            queue: gpu.queue.clone(),
            faults: gpu.faults.clone(),
            plan: plan.clone(),
            inputs: plan.inputs.iter().map(input).collect(),
            states: states.collect(),
            dispatches,
            outputs,
            readback,
            recorded: None,
            spin: if gpu.accelerator.software { Duration::ZERO } else { SPIN },
        })
    }

    /// Writes the inputs into the memory that is kept for them.
    fn upload(&self, inputs: &[&[f32]]) -> Result<()> {
        for (Input { row, samples, upload, .. }, input) in self.inputs.iter().zip(inputs) {
            let mut memory = upload.view_mut()?;
            for (at, values) in input.chunks_exact(*samples).enumerate() {
                let values: &[u8] = bytemuck::cast_slice(values);
                let start = (at * row.pitch + row.offset) * size_of::<f32>();
                memory.slice(start..start + values.len()).copy_from_slice(values);
            }
            drop(memory);
            upload.unmap();
        }
        Ok(())
    }

    /// Commands that begin with the copies of the inputs to the device.
    fn encoder(&self) -> wgpu::CommandEncoder {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for Input { buffer, row, upload, .. } in &self.inputs {
            encoder.copy_buffer_to_buffer(&upload.buffer, 0, buffer, bytes(row.base_offset), upload.buffer.size());
        }
        encoder
    }

    /// The commands of a step.
    fn record(&self) -> wgpu::CommandBuffer {
        let mut encoder = self.encoder();
        Dispatch::record(&mut encoder, self.dispatches.iter().map(|(_, dispatch)| dispatch));
        for Output { source: Place { buffer, offset: from, size }, offset, .. } in &self.outputs {
            encoder.copy_buffer_to_buffer(buffer, *from, &self.readback.buffer, *offset, *size);
        }
        encoder.finish()
    }

    /// Submits one step and records the next.
    fn submit(
        &self,
        inputs: &[&[f32]],
        recorded: Option<wgpu::CommandBuffer>,
    ) -> Result<(wgpu::SubmissionIndex, wgpu::CommandBuffer)> {
        let recorded = recorded.unwrap_or_else(|| self.record());
        self.upload(inputs)?;
        let submission = self.queue.submit([recorded]);
        self.inputs.iter().for_each(|input| input.upload.map());
        self.readback.map();
        Ok((submission, self.record()))
    }

    /// Waits for the submission and copies its outputs out.
    fn read(&self, submission: wgpu::SubmissionIndex, outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        self.readback.wait(&self.device, submission, self.spin)?;
        let view = self.readback.view()?;
        let values: &[f32] = bytemuck::cast_slice(&view);
        outputs.resize(self.outputs.len(), Vec::new());
        for (output, Output { offset, row, rows, samples, .. }) in outputs.iter_mut().zip(&self.outputs) {
            let first = *offset as usize / size_of::<f32>() + row.base_offset;
            output.clear();
            let rows = values[first..][..rows * row.pitch].chunks_exact(row.pitch);
            rows.for_each(|floats| output.extend_from_slice(&floats[row.offset..][..*samples]));
        }
        drop(view);
        self.readback.unmap();
        Ok(())
    }

    fn state_buffer(&self, state: BufferId) -> Result<&wgpu::Buffer> {
        self.states.get(state).and_then(Option::as_ref).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("buffer {state} is no state"), "name one of the plan's states")
        })
    }

    fn read_state(&self, buffer: &wgpu::Buffer) -> Result<Vec<f32>> {
        let readback = Staging::readback(&self.device, buffer.size());
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &readback.buffer, 0, buffer.size());
        let submission = self.queue.submit([encoder.finish()]);
        readback.map();
        readback.wait(&self.device, submission, self.spin)?;
        let values = bytemuck::cast_slice(&readback.view()?).to_vec();
        Ok(values)
    }
}

impl Trainer for GpuTrainer {
    fn run(&mut self, inputs: &[&[f32]], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        check_inputs(&self.plan, inputs)?;
        let recorded = self.recorded.take();
        self.recorded = Some(self.faults.guard(&self.device, || {
            let (submission, next) = self.submit(inputs, recorded)?;
            self.read(submission, outputs).map(|()| next)
        })?);
        Ok(())
    }

    fn state(&mut self, state: BufferId) -> Result<Vec<f32>> {
        let buffer = self.state_buffer(state)?;
        self.faults.guard(&self.device, || self.read_state(buffer))
    }

    fn set_state(&mut self, state: BufferId, values: &[f32]) -> Result<()> {
        let buffer = self.state_buffer(state)?;
        check_state(&self.plan, state, values)?;
        self.faults.guard(&self.device, || {
            self.queue.write_buffer(buffer, 0, bytemuck::cast_slice(values));
            Ok(())
        })
    }

    fn profile(&mut self, inputs: &[&[f32]]) -> Result<Vec<Duration>> {
        check_inputs(&self.plan, inputs)?;
        profile::check(&self.device)?;
        self.faults.guard(&self.device, || {
            self.upload(inputs)?;
            let dispatches: Vec<&Dispatch> = self.dispatches.iter().map(|(_, dispatch)| dispatch).collect();
            let uploads: Vec<&Staging> = self.inputs.iter().map(|input| &input.upload).collect();
            let times = profile::profile(&self.device, &self.queue, &dispatches, self.encoder(), &uploads)?;
            let mut of_steps = vec![Duration::ZERO; self.plan.steps.len()];
            self.dispatches.iter().zip(times).for_each(|((step, _), time)| of_steps[*step] += time);
            Ok(of_steps)
        })
    }
}

/// Checks that one binding can hold a buffer.
fn check_size(gpu: &Gpu, plan: &Plan, rows: &Rows, id: BufferId) -> Result<()> {
    let (bytes, largest) = (rows.bytes(plan, id), gpu.largest_binding());
    if bytes <= largest {
        return Ok(());
    }
    let (name, gpu) = (&plan.buffers[id].name, &gpu.info.name);
    let cause = format!(
        "buffer {name} of a step with {} records would take {bytes} bytes, and {gpu} allows {largest}",
        plan.batch
    );
    Err(Error::new(ErrorKind::Shape, cause, "train with fewer records at once"))
}

/// Where the plan's buffers lie on the device; constants lie where the steps that read them want them.
struct Memory<'a> {
    plan: &'a Plan,
    rows: &'a Rows,
    slots: Vec<wgpu::Buffer>,
    states: Vec<Option<Place>>,
}

impl<'a> Memory<'a> {
    fn new(gpu: &Gpu, plan: &'a Plan, rows: &'a Rows) -> Self {
        let size = |slot| {
            let of_slot = (0..plan.buffers.len()).filter(|&id| plan.buffers[id].slot() == Some(slot));
            of_slot.map(|id| rows.bytes(plan, id)).max().unwrap_or(0)
        };
        let slots = (0..plan.slots).map(|slot| zeros(gpu, "activations", texture::whole_rows(size(slot))));
        let state = |buffer: &Buffer| match &buffer.role {
            Role::State(values) => {
                let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
                Some(Place::whole(filled(gpu, &buffer.name, bytemuck::cast_slice(values), usage)))
            }
            _ => None,
        };
        Self { plan, rows, slots: slots.collect(), states: plan.buffers.iter().map(state).collect() }
    }

    fn of(&self, id: BufferId) -> Place {
        let buffer = &self.plan.buffers[id];
        let state = |id: BufferId| {
            self.states[id].clone().unwrap_or_else(|| unreachable!("states lie on the device, and parts are of states"))
        };
        match buffer.role {
            Role::Activation { slot } => {
                let (buffer, size) = (self.slots[slot].clone(), texture::whole_rows(self.rows.bytes(self.plan, id)));
                Place { buffer, offset: 0, size }
            }
            Role::Part { of, offset } => Place { offset: bytes(offset), size: bytes(buffer.len()), ..state(of) },
            Role::State(_) | Role::Constant(_) => state(id),
        }
    }
}

/// A buffer that the device fills.
fn zeros(gpu: &Gpu, label: &str, size: u64) -> wgpu::Buffer {
    gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

fn output(plan: &Plan, rows: &Rows, memory: &Memory, id: BufferId, offset: &mut u64) -> Output {
    let (source, row, [batch, channels, samples]) = (memory.of(id), rows.row(id), plan.buffers[id].shape);
    let source = Place { size: rows.bytes(plan, id).min(source.size), ..source };
    let output = Output { source, offset: *offset, row, rows: batch * channels, samples };
    *offset += output.source.size;
    output
}

/// The dispatches of a plan's steps, in order.
struct Dispatches<'a> {
    gpu: &'a Gpu,
    plan: &'a Plan,
    /// With the step that each is for.
    made: Vec<(usize, Planned<'a>)>,
}

impl<'a> Dispatches<'a> {
    /// A step: the packing of its weights where they change, the kernel, the sum of its parts.
    fn add(&mut self, rows: &Rows, memory: &Memory, at: usize) -> Result<()> {
        let step = &self.plan.steps[at];
        let variant = self.gpu.variant(step, rows)?;
        let mut bound = Vec::with_capacity(step.reads.len() + 1);
        for (read, &id) in step.reads.iter().enumerate() {
            bound.push(match self.plan.buffers[id].constant() {
                Some(values) => constant(self.gpu, step, &variant, read, (values, Storage::F32))?,
                None if read > 0 && !step.kernel.operation().constants().is_empty() => {
                    let numbers = self.plan.buffers[id].len();
                    Bound::Buffer(self.packed(at, variant.packing, read, (memory.of(id), rows.row(id), numbers))?)
                }
                None => Bound::Buffer(memory.of(id)),
            });
        }
        let parts = variant.parts;
        if parts == 1 {
            bound.push(Bound::Buffer(memory.of(step.write)));
            self.push(at, variant, bound);
            return Ok(());
        }
        let channels = self.plan.buffers[step.write].len();
        let scratch = Bound::whole(zeros(self.gpu, &step.name, bytes(parts * channels)));
        bound.push(scratch.clone());
        self.push(at, variant, bound);
        let sum = ChannelSum { batch: parts, channels, samples: 1 };
        let write = Bound::Buffer(memory.of(step.write));
        self.push_kernel(at, &sum.into(), &[DENSE, rows.row(step.write)], vec![scratch, write]);
        Ok(())
    }

    /// Weights in the order in which a variant reads them.
    fn packed(
        &mut self,
        at: usize,
        packing: Packing,
        read: usize,
        (weights, row, from): (Place, RowLayout, usize),
    ) -> Result<Place> {
        let step = &self.plan.steps[at];
        if from > LARGEST_GATHER {
            let cause = format!("step {} has {from} weights, more than {LARGEST_GATHER}", step.name);
            return Err(
                Error::new(ErrorKind::Shape, cause, "train a smaller network, or use the CPU").with_hint(Hint::UseCpu)
            );
        }
        let ramp: Vec<f32> = (1..=from).map(|place| place as f32).collect();
        let order = packing.pack(&step.kernel, read, &ramp);
        if order == ramp && row.base_offset + row.offset == 0 {
            return Ok(weights);
        }
        let length = order.len();
        let packed = Place::whole(zeros(self.gpu, &step.name, texture::whole_rows(bytes(length))));
        let order = filled(self.gpu, &step.name, bytemuck::cast_slice(&order), wgpu::BufferUsages::STORAGE);
        let dense = RowLayout { pitch: length, ..DENSE };
        let bound = [weights, Place::whole(order), packed.clone()].map(Bound::Buffer);
        self.push_kernel(at, &Gather { from, length }.into(), &[row, dense, dense], bound.into());
        Ok(packed)
    }

    /// A dispatch that the plan does not have.
    fn push_kernel(&mut self, step: usize, kernel: &Kernel, rows: &[RowLayout], bound: Vec<Bound>) {
        // Gathers and sums take any rows.
        let variant = kernel.on_gpu().variants(rows, &self.gpu.accelerator).swap_remove(0);
        self.push(step, variant, bound);
    }

    fn push(&mut self, step: usize, variant: Variant, bound: Vec<Bound>) {
        self.made.push((step, Planned { name: &self.plan.steps[step].name, variant, bound }));
    }

    /// Compiles and binds everything.
    fn finish(self) -> Result<Vec<(usize, Dispatch)>> {
        let groups = self.gpu.device.limits().max_compute_workgroups_per_dimension as usize;
        let (steps, planned): (Vec<usize>, Vec<Planned>) = self.made.into_iter().unzip();
        for Planned { name, variant, .. } in &planned {
            if variant.grid.iter().any(|&n| n > groups) {
                let (grid, gpu) = (variant.grid, &self.gpu.info.name);
                let cause = format!("step {name} needs {grid:?} workgroups, and {gpu} allows {groups}");
                return Err(Error::new(ErrorKind::Shape, cause, "train with fewer records at once"));
            }
        }
        Ok(steps.into_iter().zip(Dispatch::all(self.gpu, &planned)?).collect())
    }
}
