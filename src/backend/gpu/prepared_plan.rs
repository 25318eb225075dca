//! A plan that is ready to run on a GPU: dispatches, buffers of the host, and the commands of a run. Inference and training
//! share it. A run has one readback, and one submission unless it would take a GPU too long.

use std::{ops::Range, sync::Arc, time::Duration};

use super::{
    Gpu,
    buffer::{BufferSlice, zeroed},
    clock::Instant,
    device_memory::DeviceMemory,
    dispatch::Dispatch,
    faults::{self, Faults},
    layouts::Layouts,
    overflow::Overflow,
    profile::{self, Profile},
    queue::Queue,
    staging::{Patience, Staging},
    submissions::{self, Pace},
    ticket::{self, Ticket},
};
use crate::{
    Result,
    kernels::RowLayout,
    plan::{BufferId, Plan, Step},
};

/// How long a run is polled for before the thread sleeps. A large GPU computes one record in about this time, and waking up
/// may take as long again. A software adapter is not polled, because it computes on the core that would poll. The
/// measurements are in `docs/measurements/gpu-host-path.md`.
const SPIN: Duration = Duration::from_micros(200);

/// Runs of a stream that are in flight at once: the device computes one while the host fills or reads the other.
pub(super) const MOST_IN_FLIGHT: usize = 2;

/// A plan's dispatches with the buffers through which the host exchanges inputs and outputs.
pub(super) struct PreparedPlan {
    pub(super) device: wgpu::Device,
    pub(super) queue: Queue,
    pub(super) faults: Arc<Faults>,
    /// The dispatches, each with its step.
    dispatches: Vec<(usize, Dispatch)>,
    /// The floating-point operations of each step.
    operations: Vec<u64>,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    overflow: Option<Overflow>,
    /// One set for each run that may be in flight.
    host_buffers: Vec<HostBuffers>,
    /// The dispatches of each submission of a run.
    submissions: Vec<Range<usize>>,
    /// A buffer for each submission but the last, through which the ticket passes to the next: it arrives only if the GPU
    /// executed them all.
    relays: Vec<wgpu::Buffer>,
    pace: Pace,
    patience: Patience,
}

/// The host's buffers for one run. The device's memory is shared by all runs, because they run one after another.
struct HostBuffers {
    /// One for each input, and at least one. The ticket is at the end of the last.
    uploads: Vec<Staging>,
    /// The outputs, the overflow flags, and the ticket.
    readback: Staging,
    /// The commands of the next run. They are recorded while the device computes the current run, because recording takes
    /// nearly half of the host's time.
    /// None before the first run; else one command buffer for each submission.
    recorded: Vec<wgpu::CommandBuffer>,
}

/// A submitted run.
pub(super) struct InFlight {
    /// The number of its host buffers.
    host: usize,
    submission: wgpu::SubmissionIndex,
    start: Instant,
    ticket: Ticket,
}

/// An input of the plan on the device.
struct Input {
    buffer: wgpu::Buffer,
    layout: RowLayout,
    /// The samples of each row.
    samples: usize,
    /// The bytes of all rows, without the base offset.
    bytes: u64,
}

impl Input {
    /// Writes the rows of an input to a mapped upload buffer.
    fn write(&self, numbers: &[f32], mapped: &mut wgpu::BufferViewMut) {
        let RowLayout { offset, pitch, storage, .. } = self.layout;
        for (row, samples) in numbers.chunks_exact(self.samples).enumerate() {
            let samples = storage.encode(samples);
            let start = (row * pitch + offset) * storage.bytes();
            mapped.slice(start..start + samples.len()).copy_from_slice(&samples);
        }
    }
}

/// An output of the plan on the device, and its copy in the readback buffer.
pub(super) struct Output {
    /// The output on the device, from its base offset on.
    pub(super) source: BufferSlice,
    /// The first byte of the copy in the readback buffer.
    copy_offset: u64,
    /// Whether an earlier output has the same source and therefore the same copy.
    copied_before: bool,
    pub(super) layout: RowLayout,
    /// `[batch, channels, samples]`.
    shape: [usize; 3],
    /// The channels of each record that the host asks for.
    selected: Range<usize>,
}

impl Output {
    /// Returns the numbers of all rows, without the base offset.
    pub(super) fn numbers(&self) -> usize {
        let [batch, channels, _] = self.shape;
        batch * channels * self.layout.pitch
    }

    /// Returns the samples of each row.
    pub(super) fn samples(&self) -> usize {
        self.shape[2]
    }

    /// Copies the selected samples out of a mapped readback buffer.
    fn read(&self, readback: &[u8], samples: &mut Vec<f32>) {
        let RowLayout { base_offset, offset, pitch, storage } = self.layout;
        let start = self.copy_offset as usize + base_offset * storage.bytes();
        let numbers = storage.decode(&readback[start..][..self.numbers() * storage.bytes()]);
        samples.clear();
        for record in numbers.chunks_exact(self.shape[1] * pitch) {
            let rows = record.chunks_exact(pitch).take(self.selected.end).skip(self.selected.start);
            rows.for_each(|row| samples.extend_from_slice(&row[offset..][..self.samples()]));
        }
    }
}

/// Describes each output with its place in the readback buffer.
fn outputs(plan: &Plan, layouts: &Layouts, memory: &DeviceMemory, channels: &[Range<usize>]) -> Vec<Output> {
    let mut end = 0;
    let mut outputs: Vec<Output> = Vec::with_capacity(plan.outputs.len());
    for (at, (&id, selected)) in plan.outputs.iter().zip(channels).enumerate() {
        let memory = memory.slice(id);
        let source = BufferSlice { size: layouts.bytes(plan, id).min(memory.size), ..memory.clone() };
        let earlier = plan.outputs[..at].iter().position(|&other| other == id);
        let copy_offset = earlier.map_or(end, |earlier| outputs[earlier].copy_offset);
        end = end.max(copy_offset + source.size);
        outputs.push(Output {
            source,
            copy_offset,
            copied_before: earlier.is_some(),
            layout: layouts.of(id),
            shape: plan.buffers[id].shape,
            selected: selected.clone(),
        });
    }
    outputs
}

/// Creates a buffer for the ticket of each submission but the last.
fn relays(device: &wgpu::Device, submissions: &[Range<usize>]) -> Vec<wgpu::Buffer> {
    (1..submissions.len()).map(|_| zeroed(device, "ticket", ticket::BYTES)).collect()
}

impl PreparedPlan {
    /// Prepares a plan with compiled dispatches. `channels` are the channels of each output that the host asks for.
    pub(super) fn new(
        gpu: &Gpu,
        (plan, layouts): (&Plan, &Layouts),
        channels: &[Range<usize>],
        memory: &DeviceMemory,
        dispatches: Vec<(usize, Dispatch)>,
        overflow: Option<Overflow>,
    ) -> Self {
        let input = |&id: &BufferId| {
            let ([batch, channels, samples], layout) = (plan.buffers[id].shape, layouts.of(id));
            let bytes = (batch * channels * layout.pitch * layout.storage.bytes()) as u64;
            Input { buffer: memory.slice(id).buffer.clone(), layout, samples, bytes }
        };
        let spin = if gpu.accelerator.software { Duration::ZERO } else { SPIN };
        let of_step = |step: &Step| step.kernel.operation().floating_point_operations();
        let operations: Vec<u64> = plan.steps.iter().map(of_step).collect();
        let submissions = submissions::divide(&operations, &dispatches, gpu.largest_submission);
        let mut prepared = Self {
            device: gpu.device.clone(),
            queue: gpu.queue.clone(),
            faults: gpu.faults.clone(),
            dispatches,
            operations,
            inputs: plan.inputs.iter().map(input).collect(),
            outputs: outputs(plan, layouts, memory, channels),
            overflow,
            host_buffers: Vec::with_capacity(MOST_IN_FLIGHT),
            relays: relays(&gpu.device, &submissions),
            submissions,
            pace: Pace::new(gpu.largest_submission, gpu.longest_submission),
            patience: Patience::for_operations(MOST_IN_FLIGHT as u64 * plan.floating_point_operations(), spin),
        };
        prepared.add_host_buffers();
        prepared
    }

    fn add_host_buffers(&mut self) {
        let mut bytes: Vec<u64> = self.inputs.iter().map(|input| input.bytes).collect();
        match bytes.last_mut() {
            Some(last) => *last += ticket::BYTES,
            None => bytes.push(ticket::BYTES),
        }
        let uploads = bytes.into_iter().map(|bytes| Staging::upload(&self.device, bytes)).collect();
        let flags = self.overflow.as_ref().map_or(0, Overflow::bytes);
        let readback = Staging::readback(&self.device, self.output_bytes() + flags + ticket::BYTES);
        self.host_buffers.push(HostBuffers { uploads, readback, recorded: Vec::new() });
    }

    /// Returns the bytes of all outputs in the readback buffer.
    fn output_bytes(&self) -> u64 {
        self.outputs.iter().map(|output| output.copy_offset + output.source.size).max().unwrap_or(0)
    }

    /// Returns output number `at`.
    pub(super) fn output(&self, at: usize) -> &Output {
        &self.outputs[at]
    }

    /// Waits until the host may write to some upload buffers.
    async fn uploads_mapped(&self, host: usize) -> Result<()> {
        for upload in &self.host_buffers[host].uploads {
            upload.mapped().await?;
        }
        Ok(())
    }

    /// Writes the inputs and a ticket to upload buffers. The zeros between the samples were written when the buffers were
    /// created.
    fn upload(&self, host: usize, inputs: &[&[f32]], ticket: Ticket) -> Result<()> {
        let uploads = &self.host_buffers[host].uploads;
        for (at, upload) in uploads.iter().enumerate() {
            let mut mapped = upload.view_mut()?;
            if let (Some(input), Some(numbers)) = (self.inputs.get(at), inputs.get(at)) {
                input.write(numbers, &mut mapped);
            }
            if at + 1 == uploads.len() {
                ticket.write(&mut mapped);
            }
            drop(mapped);
            upload.unmap();
        }
        Ok(())
    }

    /// Begins commands with the copies of the inputs to the device and the reset of the overflow flags.
    fn begin_commands(&self, host: usize) -> wgpu::CommandEncoder {
        let mut encoder = self.encoder();
        for (Input { buffer, layout, bytes, .. }, upload) in self.inputs.iter().zip(&self.host_buffers[host].uploads) {
            let to = (layout.base_offset * layout.storage.bytes()) as u64;
            encoder.copy_buffer_to_buffer(&upload.buffer, 0, buffer, to, *bytes);
        }
        self.overflow.iter().for_each(|overflow| overflow.reset(&mut encoder));
        encoder
    }

    /// Records the commands of one run, one command buffer for each submission.
    fn record(&self, host: usize, recorded: &mut Vec<wgpu::CommandBuffer>) {
        let HostBuffers { uploads, readback, .. } = &self.host_buffers[host];
        let readback = &readback.buffer;
        let mut ticket = uploads.last().map(|upload| &upload.buffer);
        let mut pass_ticket = |encoder: &mut wgpu::CommandEncoder, to| {
            ticket.replace(to).into_iter().for_each(|from| ticket::copy(encoder, from, to));
        };
        let mut encoder = self.begin_commands(host);
        for (number, dispatches) in self.submissions.iter().enumerate() {
            Dispatch::record(&mut encoder, self.dispatches[dispatches.clone()].iter().map(|(_, dispatch)| dispatch));
            if let Some(relay) = self.relays.get(number) {
                pass_ticket(&mut encoder, relay);
                recorded.push(std::mem::replace(&mut encoder, self.encoder()).finish());
            }
        }
        for Output { source, copy_offset, .. } in self.outputs.iter().filter(|output| !output.copied_before) {
            encoder.copy_buffer_to_buffer(&source.buffer, source.offset, readback, *copy_offset, source.size);
        }
        if let Some(overflow) = &self.overflow {
            overflow.copy(&mut encoder, readback, self.output_bytes());
        }
        pass_ticket(&mut encoder, readback);
        recorded.push(encoder.finish());
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// Submits one run and records the commands of the next.
    fn submit(&self, host: usize, inputs: &[&[f32]], recorded: &mut Vec<wgpu::CommandBuffer>) -> Result<InFlight> {
        if recorded.is_empty() {
            self.record(host, recorded);
        }
        let (ticket, start) = (Ticket::next(), Instant::now());
        self.upload(host, inputs, ticket)?;
        let submission = recorded.drain(..).fold(None, |_, commands| Some(self.queue.submit([commands])));
        let submission = submission.unwrap_or_else(|| unreachable!("a run has at least one submission"));
        self.host_buffers[host].uploads.iter().for_each(Staging::map);
        self.host_buffers[host].readback.map();
        self.record(host, recorded);
        Ok(InFlight { host, submission, start, ticket })
    }

    /// Copies the outputs of a run out of its readback buffer, which is mapped.
    fn collect(&self, readback: &Staging, ticket: Ticket, outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        let view = readback.view()?;
        let results = ticket.check(&view)?;
        outputs.resize(self.outputs.len(), Vec::new());
        self.outputs.iter().zip(&mut *outputs).for_each(|(output, samples)| output.read(results, samples));
        if let Some(overflow) = &self.overflow {
            overflow.apply(results, outputs);
        }
        drop(view);
        readback.unmap();
        Ok(())
    }

    /// Submits one run with the host buffers of this number, which are created if they are the next. The lengths of the
    /// inputs must have been checked.
    ///
    /// # Errors
    /// The device failed or has no memory for the buffers.
    pub(super) async fn start(&mut self, host: usize, inputs: &[&[f32]]) -> Result<InFlight> {
        if host == self.host_buffers.len() {
            // Without memory for more host buffers the device remains usable.
            faults::scoped(&self.device.clone(), || {
                self.add_host_buffers();
                Ok(())
            })
            .await?;
        }
        self.faults.check()?;
        self.faults.settle(self.uploads_mapped(host).await)?;
        let mut recorded = std::mem::take(&mut self.host_buffers[host].recorded);
        let in_flight = self.faults.guard(&self.device, || self.submit(host, inputs, &mut recorded)).await?;
        self.host_buffers[host].recorded = recorded;
        Ok(in_flight)
    }

    /// Waits for a run and fills `outputs` with its results.
    ///
    /// # Errors
    /// The device failed.
    pub(super) async fn finish(&mut self, in_flight: InFlight, outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        let InFlight { host, submission, start, ticket } = in_flight;
        let readback = &self.host_buffers[host].readback;
        self.faults.check()?;
        self.faults.settle(readback.wait(&self.device, submission, self.patience).await)?;
        self.faults.guard(&self.device, || self.collect(readback, ticket, outputs)).await?;
        if let Some(largest) = self.pace.record(self.operations.iter().sum(), start, Instant::now()) {
            self.divide(largest).await;
        }
        Ok(())
    }

    /// Divides later runs into submissions of at most `largest` floating-point operations, or of one step that has more.
    async fn divide(&mut self, largest: u64) {
        let submissions = submissions::divide(&self.operations, &self.dispatches, largest);
        // Without memory for the relays the division stays as it is.
        let relays = faults::scoped(&self.device, || Ok(relays(&self.device, &submissions))).await;
        let Ok(relays) = relays.inspect_err(|error| log::debug!("runs are not divided: {error}")) else { return };
        log::debug!("a run is divided into {} submissions, because it takes long", submissions.len());
        (self.submissions, self.relays) = (submissions, relays);
        // What was recorded for the next runs is divided as before.
        self.host_buffers.iter_mut().for_each(|buffers| buffers.recorded.clear());
    }

    /// Runs the plan once and returns how long the device computed each step, none if its timestamps do not advance.
    ///
    /// # Errors
    /// The device failed, or it was opened without timestamps.
    pub(super) async fn profile(&mut self, inputs: &[&[f32]]) -> Result<Option<Vec<Duration>>> {
        profile::check(&self.device)?;
        self.faults.check()?;
        self.faults.settle(self.uploads_mapped(0).await)?;
        let submit = || {
            let ticket = Ticket::next();
            self.upload(0, inputs, ticket)?;
            let dispatches: Vec<&Dispatch> = self.dispatches.iter().map(|(_, dispatch)| dispatch).collect();
            let (commands, uploads) = (self.begin_commands(0), &self.host_buffers[0].uploads);
            Ok(Profile::submit(&self.device, &self.queue, &dispatches, commands, (uploads, ticket)))
        };
        let profile = self.faults.guard(&self.device, submit).await?;
        self.faults.settle(profile.wait(&self.device, self.patience).await)?;
        let times = self.faults.guard(&self.device, || profile.times(&self.queue)).await?;
        Ok(times.map(|times| {
            let mut by_step = vec![Duration::ZERO; self.operations.len()];
            self.dispatches.iter().zip(times).for_each(|((step, _), time)| by_step[*step] += time);
            by_step
        }))
    }

    /// Reads a buffer back, outside of a run, as 32-bit words.
    ///
    /// # Errors
    /// The device failed.
    pub(super) async fn read_buffer(&self, buffer: &wgpu::Buffer) -> Result<Vec<u32>> {
        let reading = self.faults.guard(&self.device, || self.reading(buffer)).await?;
        self.finish_reading(reading).await
    }

    /// Records the commands that read a buffer back.
    fn reading(&self, buffer: &wgpu::Buffer) -> Result<Reading> {
        let (upload, ticket) = (Staging::upload(&self.device, ticket::BYTES), Ticket::next());
        let readback = Staging::readback(&self.device, buffer.size() + ticket::BYTES);
        let mut mapped = upload.view_mut()?;
        ticket.write(&mut mapped);
        drop(mapped);
        upload.unmap();
        let mut encoder = self.encoder();
        encoder.copy_buffer_to_buffer(buffer, 0, &readback.buffer, 0, buffer.size());
        ticket::copy(&mut encoder, &upload.buffer, &readback.buffer);
        Ok(Reading { commands: encoder.finish(), readback, ticket })
    }

    /// Submits the commands that read a buffer back, and waits for it.
    async fn finish_reading(&self, Reading { commands, readback, ticket }: Reading) -> Result<Vec<u32>> {
        let submit = || {
            let submission = self.queue.submit([commands]);
            readback.map();
            Ok(submission)
        };
        let submission = self.faults.guard(&self.device, submit).await?;
        self.faults.settle(readback.wait(&self.device, submission, self.patience).await)?;
        let read = || Ok(bytemuck::cast_slice(ticket.check(&readback.view()?)?).to_vec());
        self.faults.guard(&self.device, read).await
    }
}

/// A buffer that is to be read back.
struct Reading {
    commands: wgpu::CommandBuffer,
    readback: Staging,
    ticket: Ticket,
}

#[cfg(test)]
#[path = "prepared_plan_tests.rs"]
mod tests;
