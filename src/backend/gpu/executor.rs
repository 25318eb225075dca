//! One plan on one GPU: buffers, bind groups and pipelines made once, then run any number of times.

use std::{
    borrow::Cow,
    ops::Range,
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{
    Executor, Faults, Gpu,
    dispatch::{Bound, Dispatch, Place, Planned, filled},
    faults,
    overflow::Overflow,
    profile,
    rows::Rows,
    staging::Staging,
    texture,
};
use crate::{
    Error, ErrorKind, Hint, Result,
    backend::{DeviceInfo, check_input},
    kernels::{LARGEST_F16, RowLayout, Storage, Variant},
    plan::{Buffer, BufferId, FusedPlan, Plan, Step},
};

/// How long a forward is polled for before the thread sleeps: about what a large GPU takes for one record, as waking up
/// may cost as much again. A software device gets none, because it computes on the core that would be polling. To yield
/// between polls keeps that core from halting, which costs lavapipe 34 µs a dispatch: network 542k at 12 × 1000 took 2.09 ms
/// instead of 2.24 in the best twentieth of its forwards, but 2.40 instead of 2.37 in the middle, and 55k a third longer with
/// four of the driver's threads, as Linux then wakes two of them on one core.
pub(super) const SPIN: Duration = Duration::from_micros(200);

/// Forwards in flight at once in a stream: one that the device computes, and one that the host fills or reads.
const SLOTS: usize = 2;

pub(super) struct GpuExecutor {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    faults: Arc<Faults>,
    info: DeviceInfo,
    plan: Plan,
    pub(super) dispatches: Vec<Dispatch>,
    /// How many steps of the plan as it was given each dispatch stands for.
    source_steps: Vec<usize>,
    input: Input,
    pub(super) outputs: Vec<Output>,
    overflow: Option<Overflow>,
    /// One, and [`SLOTS`] from the first stream on.
    slots: Vec<Slot>,
    spin: Duration,
}

/// The host's part of one forward. What lies on the device is shared by all slots, since it runs one after the other.
struct Slot {
    upload: Staging,
    readback: Staging,
    /// The commands of the next forward, recorded while the device computes one: with wgpu's checks that takes 35 of the 80
    /// µs that a host with Zen 4 cores spends on a forward of the 542k network.
    recorded: Option<wgpu::CommandBuffer>,
}

/// A forward that was submitted, by its slot.
struct InFlight(usize, wgpu::SubmissionIndex);

/// The buffer that the samples are copied to: rows of `samples`, each in zeros up to the stride.
struct Input {
    buffer: wgpu::Buffer,
    row: RowLayout,
    samples: usize,
    /// Of all rows.
    bytes: u64,
}

/// A buffer that is copied into the staging buffer at `offset`; both in bytes. Its rows, `length` numbers in all, have
/// `samples` each, and `channels` of a record's `width` are what the host asks for.
pub(super) struct Output {
    pub(super) buffer: wgpu::Buffer,
    offset: u64,
    bytes: u64,
    /// Whether an output before has the same buffer, and so its copy.
    shares: bool,
    pub(super) row: RowLayout,
    pub(super) length: usize,
    pub(super) samples: usize,
    width: usize,
    channels: Range<usize>,
}

impl GpuExecutor {
    pub(super) fn new(gpu: &Gpu, plan: &Plan) -> Result<Self> {
        let fused = gpu.fused(plan);
        let rows = gpu.rows(&fused.plan);
        let variants =
            fused.plan.steps.iter().map(|step| gpu.variant(step, &rows)).collect::<Result<Vec<Variant>>>()?;
        Self::with_variants(gpu, fused, &rows, variants)
    }

    /// With given rows and a variant for each step.
    pub(super) fn with_variants(gpu: &Gpu, fused: FusedPlan, rows: &Rows, variants: Vec<Variant>) -> Result<Self> {
        let plan = &fused.plan;
        for id in 0..plan.buffers.len() {
            gpu.check_buffer(plan, rows, id)?;
        }
        let activations = Activations::new(gpu, plan, rows);
        let overflow = gpu.info.storage.is_half().then(|| Overflow::new(gpu, plan.batch));
        let planned = plan.steps.iter().zip(variants).map(|(step, variant)| {
            let bound = bound(gpu, plan, rows, step, &variant, &activations, overflow.as_ref())?;
            Ok(Planned { name: &step.name, variant, bound })
        });
        let dispatches = Dispatch::all(gpu, &planned.collect::<Result<Vec<_>>>()?)?;
        let mut offset = 0;
        let mut outputs: Vec<Output> = Vec::with_capacity(plan.outputs.len());
        for (at, (&id, channels)) in plan.outputs.iter().zip(&fused.channels).enumerate() {
            let (row, [_, width, samples], channels) = (rows.row(id), plan.buffers[id].shape, channels.clone());
            let length = rows.len(plan, id) - row.base_offset;
            let (buffer, bytes) = (activations.of(id).clone(), rows.bytes(plan, id));
            let before = plan.outputs[..at].iter().position(|other| *other == id);
            let (shares, from) = (before.is_some(), before.map_or(offset, |before| outputs[before].offset));
            offset = offset.max(from + bytes);
            outputs.push(Output { buffer, offset: from, bytes, shares, row, length, samples, width, channels });
        }
        let (row, [batch, channels, samples]) = (rows.row(plan.input()), plan.buffers[plan.input()].shape);
        let bytes = (batch * channels * row.pitch * row.storage.bytes()) as u64;
        let input = Input { buffer: activations.of(plan.input()).clone(), row, samples, bytes };
        let mut executor = Self {
            device: gpu.device.clone(),
            queue: gpu.queue.clone(),
            faults: gpu.faults.clone(),
            info: gpu.info.clone(),
            plan: fused.plan,
            dispatches,
            source_steps: fused.source_steps,
            input,
            outputs,
            overflow,
            slots: Vec::with_capacity(SLOTS),
            spin: if gpu.accelerator.software { Duration::ZERO } else { SPIN },
        };
        executor.add_slot();
        Ok(executor)
    }

    fn add_slot(&mut self) {
        let upload = Staging::upload(&self.device, self.input.bytes);
        let outputs = self.outputs.iter().map(|output| output.offset + output.bytes).max().unwrap_or(0);
        let flags = self.overflow.as_ref().map_or(0, Overflow::bytes);
        let readback = Staging::readback(&self.device, outputs + flags);
        self.slots.push(Slot { upload, readback, recorded: None });
    }

    /// Writes the samples into a slot's memory. The zeros between them stay from the memory's making.
    fn upload(&self, slot: usize, samples: &[f32]) -> Result<()> {
        let (Input { row, samples: length, .. }, upload) = (&self.input, &self.slots[slot].upload);
        let mut memory = upload.view_mut()?;
        for (at, samples) in samples.chunks_exact(*length).enumerate() {
            let samples = row.storage.encode(samples);
            let start = (at * row.pitch + row.offset) * row.storage.bytes();
            memory.slice(start..start + samples.len()).copy_from_slice(&samples);
        }
        drop(memory);
        upload.unmap();
        Ok(())
    }

    /// Commands that begin with the copy of a slot's samples to the device.
    fn encoder(&self, slot: usize) -> wgpu::CommandEncoder {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let (Input { buffer, row, bytes, .. }, upload) = (&self.input, &self.slots[slot].upload);
        encoder.copy_buffer_to_buffer(
            &upload.buffer,
            0,
            buffer,
            (row.base_offset * row.storage.bytes()) as u64,
            *bytes,
        );
        encoder
    }

    /// The commands of a forward, from a slot's memory and to it.
    fn record(&self, slot: usize) -> wgpu::CommandBuffer {
        let mut encoder = self.encoder(slot);
        Dispatch::record(&mut encoder, &self.dispatches);
        let readback = &self.slots[slot].readback.buffer;
        for output in self.outputs.iter().filter(|output| !output.shares) {
            encoder.copy_buffer_to_buffer(&output.buffer, 0, readback, output.offset, output.bytes);
        }
        if let Some(overflow) = &self.overflow {
            overflow.copy(&mut encoder, readback);
        }
        encoder.finish()
    }

    /// Submits one forward, whose results are in the slot's memory once it is done, and records the slot's next.
    fn submit(
        &self,
        slot: usize,
        samples: &[f32],
        recorded: Option<wgpu::CommandBuffer>,
    ) -> Result<(InFlight, wgpu::CommandBuffer)> {
        let recorded = recorded.unwrap_or_else(|| self.record(slot));
        self.upload(slot, samples)?;
        let submission = self.queue.submit([recorded]);
        self.slots[slot].upload.map();
        self.slots[slot].readback.map();
        Ok((InFlight(slot, submission), self.record(slot)))
    }

    /// Waits for a forward and copies its results out.
    fn collect(&self, InFlight(slot, submission): InFlight, outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        let readback = &self.slots[slot].readback;
        readback.wait(&self.device, submission, self.spin)?;
        let view = readback.view()?;
        outputs.resize(self.outputs.len(), Vec::new());
        for (output, Output { offset, row, samples, length, width, channels, .. }) in
            outputs.iter_mut().zip(&self.outputs)
        {
            let start = *offset as usize + row.base_offset * row.storage.bytes();
            let values = row.storage.decode(&view[start..][..length * row.storage.bytes()]);
            output.clear();
            let records = values.chunks_exact(width * row.pitch);
            let taken =
                records.flat_map(|record| record.chunks_exact(row.pitch).take(channels.end).skip(channels.start));
            taken.for_each(|row_of| output.extend_from_slice(&row_of[row.offset..][..*samples]));
        }
        if let Some(overflow) = &self.overflow {
            overflow.mark(&self.queue, &view, outputs);
        }
        drop(view);
        readback.unmap();
        Ok(())
    }

    /// Checks and submits an input of a stream.
    fn start(&mut self, slot: usize, input: &[f32]) -> Result<InFlight> {
        check_input(&self.plan, input)?;
        if slot == self.slots.len() {
            // Without memory for a second slot the device is as sound as before.
            faults::scoped(&self.device.clone(), || {
                self.add_slot();
                Ok(())
            })?;
        }
        let recorded = self.slots[slot].recorded.take();
        let (in_flight, next) = self.faults.guard(&self.device, || self.submit(slot, input, recorded))?;
        self.slots[slot].recorded = Some(next);
        Ok(in_flight)
    }

    fn finish(&self, in_flight: InFlight, outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        self.faults.guard(&self.device, || self.collect(in_flight, outputs))
    }
}

impl Executor for GpuExecutor {
    fn run(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        let in_flight = self.start(0, input)?;
        self.finish(in_flight, outputs)
    }

    fn stream<'a>(
        &mut self,
        inputs: &mut dyn Iterator<Item = Cow<'a, [f32]>>,
        each: &mut dyn FnMut(&[Vec<f32>], &DeviceInfo),
    ) -> Result<()> {
        let (mut outputs, mut before) = (Vec::new(), None);
        for (slot, input) in (0..SLOTS).cycle().zip(inputs) {
            let submitted = self.start(slot, &input);
            // The one before is over with, whatever has become of this one.
            if let Some(before) = before.take() {
                self.finish(before, &mut outputs)?;
                each(&outputs, &self.info);
            }
            before = Some(submitted?);
        }
        if let Some(last) = before {
            self.finish(last, &mut outputs)?;
            each(&outputs, &self.info);
        }
        Ok(())
    }

    fn device(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn profile(&mut self, input: &[f32]) -> Result<Vec<Duration>> {
        check_input(&self.plan, input)?;
        profile::check(&self.device)?;
        self.faults.guard(&self.device, || {
            self.upload(0, input)?;
            let (encoder, dispatches) = (self.encoder(0), self.dispatches.iter().collect::<Vec<_>>());
            let times = profile::profile(&self.device, &self.queue, &dispatches, encoder, &[&self.slots[0].upload])?;
            let of_steps = times.into_iter().zip(&self.source_steps);
            Ok(of_steps
                .flat_map(|(time, &steps)| std::iter::once(time).chain(std::iter::repeat_n(Duration::ZERO, steps - 1)))
                .collect())
        })
    }
}

/// Where each of the plan's activations lies on the device.
struct Activations {
    buffers: Vec<Option<wgpu::Buffer>>,
}

impl Activations {
    fn new(gpu: &Gpu, plan: &Plan, rows: &Rows) -> Self {
        let bytes = |slot| {
            let of_slot = (0..plan.buffers.len()).filter(|&id| plan.buffers[id].slot() == Some(slot));
            of_slot.map(|id| rows.bytes(plan, id)).max().unwrap_or(0)
        };
        let slots: Vec<wgpu::Buffer> = (0..plan.slots)
            .map(|slot| {
                gpu.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("activations"),
                    size: texture::whole_rows(bytes(slot)),
                    usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                })
            })
            .collect();
        // A constant has no slot, and is uploaded for the step that reads it.
        let place = |buffer: &Buffer| buffer.slot().map(|slot| slots[slot].clone());
        Self { buffers: plan.buffers.iter().map(place).collect() }
    }

    fn of(&self, id: BufferId) -> &wgpu::Buffer {
        self.buffers[id].as_ref().unwrap_or_else(|| unreachable!("the plan gives every activation a slot"))
    }
}

/// A constant in the order in which a variant reads it and as `storage` says, uploaded once.
///
/// # Errors
/// A number that is too large for f16.
pub(super) fn constant(
    gpu: &Gpu,
    step: &Step,
    variant: &Variant,
    read: usize,
    (values, storage): (&Arc<[f32]>, Storage),
) -> Result<Bound> {
    let uploads = gpu.constants.get(values, Arc::default);
    let mut uploads = uploads.lock().unwrap_or_else(PoisonError::into_inner);
    let key = format!("{} {}", step.kernel.name(), variant.name);
    if let Some(uploaded) = uploads.get(&key) {
        return Ok(uploaded.clone());
    }
    let beyond = |value: &&f32| storage.is_half() && (value.is_nan() || value.abs() > LARGEST_F16);
    if let Some(value) = values.iter().find(beyond) {
        let cause = format!("step {} has a weight of {value:e}, and f16 ends at {LARGEST_F16}", step.name);
        return Err(Error::new(ErrorKind::Weights, cause, "run it in f32").with_hint(Hint::UseF32));
    }
    let packed = variant.packing.pack(&step.kernel, read, values);
    let bound = match variant.shader.textures.contains(&read) {
        true => Bound::Texture(texture::filled(gpu, &step.name, packed)),
        false => Bound::whole(filled(gpu, &step.name, &storage.encode(&packed), wgpu::BufferUsages::STORAGE)),
    };
    uploads.insert(key, bound.clone());
    Ok(bound)
}

/// What a step reads and writes, as `variant` takes it.
fn bound(
    gpu: &Gpu,
    plan: &Plan,
    rows: &Rows,
    step: &Step,
    variant: &Variant,
    activations: &Activations,
    overflow: Option<&Overflow>,
) -> Result<Vec<Bound>> {
    let activation = |id| {
        let (buffer, size) = (activations.of(id).clone(), texture::whole_rows(rows.bytes(plan, id)));
        Bound::Buffer(Place { buffer, offset: 0, size })
    };
    let reads = step.reads.iter().enumerate().map(|(read, &id)| match plan.buffers[id].constant() {
        Some(values) => constant(gpu, step, variant, read, (values, rows.row(id).storage)),
        None => Ok(activation(id)),
    });
    let overflow = overflow.filter(|_| variant.shader.notes_overflow);
    let flags = overflow.map(|overflow| Bound::whole(overflow.buffer.clone()));
    reads.chain([Ok(activation(step.write))]).chain(flags.map(Ok)).collect()
}
