//! A plan with states on one GPU: everything made once, then one submit and one readback a step. The states stay on the
//! device from run to run.
//!
//! A variant that reads its weights in an order of its own finds constants packed by the host. Weights that change are
//! packed on the device, by a gather in the order that packing 1, 2, 3, … shows.

use std::{num::NonZero, sync::Arc, time::Duration};

use super::{
    Faults, Gpu,
    executor::{Dispatch, SPIN, constant, filled},
    profile,
    rows::Rows,
    staging::Staging,
};
use crate::{
    Error, ErrorKind, Result,
    backend::{Trainer, check_inputs, check_state},
    kernels::{
        Kernel, Row, Storage, Variant,
        training::{ChannelSum, Gather},
    },
    plan::{Buffer, BufferId, Plan, Role, Step},
};

/// Rows of numbers without anything between or before them.
const DENSE: Row = Row { head: 0, start: 0, stride: 1, storage: Storage::F32 };

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
    row: Row,
    samples: usize,
    /// Where the host writes; the zeros between the samples stay from its making.
    upload: Staging,
}

/// A buffer that is copied into the staging buffer, and where its rows of `samples` begin there.
struct Output {
    source: Place,
    offset: u64,
    row: Row,
    rows: usize,
    samples: usize,
}

/// Where numbers lie on the device.
#[derive(Clone)]
struct Place {
    buffer: wgpu::Buffer,
    /// In bytes, as the size.
    offset: u64,
    size: u64,
}

impl Place {
    fn whole(buffer: wgpu::Buffer) -> Self {
        let size = buffer.size();
        Self { buffer, offset: 0, size }
    }

    fn binding(&self) -> wgpu::BindingResource<'_> {
        let (buffer, offset, size) = (&self.buffer, self.offset, NonZero::new(self.size));
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size })
    }
}

fn bytes(numbers: usize) -> u64 {
    (numbers * size_of::<f32>()) as u64
}

impl GpuTrainer {
    pub(super) fn new(gpu: &Gpu, plan: &Plan) -> Result<Self> {
        if gpu.info.storage.is_half() {
            let cause = "training with --precision f16: its gradients need f32";
            return Err(Error::new(ErrorKind::Usage, cause, "train with --precision f32"));
        }
        let rows = gpu.rows(plan);
        for id in 0..plan.buffers.len() {
            check_size(gpu, plan, &rows, id)?;
        }
        let memory = Memory::new(gpu, plan, &rows);
        let mut dispatches = Dispatches { gpu, made: Vec::new() };
        for at in 0..plan.steps.len() {
            dispatches.add(plan, &rows, &memory, at)?;
        }
        let dispatches = dispatches.finish(plan)?;
        let mut offset = 0;
        let outputs: Vec<Output> =
            plan.outputs.iter().map(|&id| output(plan, &rows, &memory, id, &mut offset)).collect();
        // A plan of states alone has no output, and nothing cannot be mapped.
        let readback = Staging::readback(&gpu.device, offset.max(bytes(4)));
        let input = |&id: &BufferId| {
            let ([batch, channels, samples], row) = (plan.buffers[id].shape, rows.row(id));
            let upload = Staging::upload(&gpu.device, bytes(batch * channels * row.stride));
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
                let start = (at * row.stride + row.start) * size_of::<f32>();
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
            encoder.copy_buffer_to_buffer(&upload.buffer, 0, buffer, bytes(row.head), upload.buffer.size());
        }
        encoder
    }

    /// The commands of a step.
    fn record(&self) -> wgpu::CommandBuffer {
        let mut encoder = self.encoder();
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        self.dispatches.iter().for_each(|(_, dispatch)| dispatch.record(&mut pass));
        drop(pass);
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
            let first = *offset as usize / size_of::<f32>() + row.head;
            output.clear();
            let rows = values[first..][..rows * row.stride].chunks_exact(row.stride);
            rows.for_each(|floats| output.extend_from_slice(&floats[row.start..][..*samples]));
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
    slots: Vec<Place>,
    states: Vec<Option<Place>>,
}

impl<'a> Memory<'a> {
    fn new(gpu: &Gpu, plan: &'a Plan, rows: &Rows) -> Self {
        let size = |slot| {
            let of_slot = (0..plan.buffers.len()).filter(|&id| plan.buffers[id].slot() == Some(slot));
            of_slot.map(|id| rows.bytes(plan, id)).max().unwrap_or(0)
        };
        let slots = (0..plan.slots).map(|slot| Place::whole(zeros(gpu, "activations", size(slot))));
        let state = |buffer: &Buffer| match &buffer.role {
            Role::State(values) => {
                let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
                Some(Place::whole(filled(gpu, &buffer.name, bytemuck::cast_slice(values), usage)))
            }
            _ => None,
        };
        Self { plan, slots: slots.collect(), states: plan.buffers.iter().map(state).collect() }
    }

    fn of(&self, id: BufferId) -> Place {
        let buffer = &self.plan.buffers[id];
        let state = |id: BufferId| {
            self.states[id].clone().unwrap_or_else(|| unreachable!("states lie on the device, and parts are of states"))
        };
        match buffer.role {
            Role::Activation { slot } => self.slots[slot].clone(),
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

/// One dispatch to be.
struct Planned {
    step: usize,
    variant: Variant,
    /// What it reads, then what it writes.
    places: Vec<Place>,
}

/// The dispatches of a plan's steps, in order.
struct Dispatches<'a> {
    gpu: &'a Gpu,
    made: Vec<Planned>,
}

impl Dispatches<'_> {
    /// A step: the packing of its weights where they change, the kernel, the sum of its parts.
    fn add(&mut self, plan: &Plan, rows: &Rows, memory: &Memory, at: usize) -> Result<()> {
        let step = &plan.steps[at];
        let variant = self.gpu.variant(step, rows)?;
        let mut places = Vec::with_capacity(step.reads.len() + 1);
        for (read, &id) in step.reads.iter().enumerate() {
            places.push(match plan.buffers[id].constant() {
                Some(values) => Place::whole(constant(self.gpu, step, variant.name, read, (values, Storage::F32))?),
                None if read > 0 && has_weights(&step.kernel) => {
                    let numbers = plan.buffers[id].len();
                    self.packed(at, step, variant.name, read, (memory.of(id), rows.row(id), numbers))?
                }
                None => memory.of(id),
            });
        }
        let parts = step.kernel.operation().parts(variant.name);
        if parts == 1 {
            places.push(memory.of(step.write));
            self.made.push(Planned { step: at, variant, places });
            return Ok(());
        }
        let channels = plan.buffers[step.write].len();
        let scratch = Place::whole(zeros(self.gpu, &step.name, bytes(parts * channels)));
        places.push(scratch.clone());
        self.made.push(Planned { step: at, variant, places });
        let sum = ChannelSum { batch: parts, channels, samples: 1 };
        self.push(at, &sum.into(), &[DENSE, rows.row(step.write)], vec![scratch, memory.of(step.write)]);
        Ok(())
    }

    /// Weights in the order in which a variant reads them.
    fn packed(
        &mut self,
        at: usize,
        step: &Step,
        variant: &str,
        read: usize,
        (weights, row, from): (Place, Row, usize),
    ) -> Result<Place> {
        if from > LARGEST_GATHER {
            let cause = format!("step {} has {from} weights, more than {LARGEST_GATHER}", step.name);
            return Err(Error::new(ErrorKind::Shape, cause, "train a smaller network, or use --device cpu"));
        }
        let ramp: Vec<f32> = (1..=from).map(|place| place as f32).collect();
        let order = step.kernel.operation().packed(variant, read, &ramp);
        if order == ramp && row.head + row.start == 0 {
            return Ok(weights);
        }
        let length = order.len();
        let packed = Place::whole(zeros(self.gpu, &step.name, bytes(length.next_multiple_of(4))));
        let order = filled(self.gpu, &step.name, bytemuck::cast_slice(&order), wgpu::BufferUsages::STORAGE);
        let dense = Row { stride: length, ..DENSE };
        let places = vec![weights, Place::whole(order), packed.clone()];
        self.push(at, &Gather { from, length }.into(), &[row, dense, dense], places);
        Ok(packed)
    }

    /// A dispatch that the plan does not have.
    fn push(&mut self, step: usize, kernel: &Kernel, rows: &[Row], places: Vec<Place>) {
        // Gathers and sums take any rows.
        let variant = kernel.operation().variants(rows, &self.gpu.accelerator).swap_remove(0);
        self.made.push(Planned { step, variant, places });
    }

    /// Compiles and binds everything.
    fn finish(self, plan: &Plan) -> Result<Vec<(usize, Dispatch)>> {
        let groups = self.gpu.device.limits().max_compute_workgroups_per_dimension as usize;
        for Planned { step, variant, .. } in &self.made {
            if variant.grid.iter().any(|&n| n > groups) {
                let (step, grid, gpu) = (&plan.steps[*step].name, variant.grid, &self.gpu.info.name);
                let cause = format!("step {step} needs {grid:?} workgroups, and {gpu} allows {groups}");
                return Err(Error::new(ErrorKind::Shape, cause, "train with fewer records at once"));
            }
        }
        let variants = self.made.iter().map(|planned| (planned.variant.clone(), planned.places.len() - 1));
        self.gpu.pipelines.make(&variants.collect::<Vec<_>>())?;
        let dispatch = |Planned { step, variant, places }: &Planned| {
            let bindings: Vec<wgpu::BindingResource> = places.iter().map(Place::binding).collect();
            (*step, Dispatch::new(self.gpu, &plan.steps[*step].name, variant, &bindings))
        };
        Ok(self.made.iter().map(dispatch).collect())
    }
}

/// Whether what an operation reads after x are weights, which its variants read in an order of their own.
fn has_weights(kernel: &Kernel) -> bool {
    matches!(kernel, Kernel::Conv1d(_) | Kernel::Linear(_))
}
