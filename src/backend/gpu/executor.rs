//! One plan on one GPU: buffers, bind groups and pipelines made once, then run any number of times.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{Executor, Faults, Gpu, faults, profile::profile, readback, rows::Rows};
use crate::{
    Result,
    backend::check_input,
    kernels::{Row, Variant},
    plan::{Buffer, BufferId, Plan, Step},
};

/// How long a forward is polled for before the thread sleeps: about what a large GPU takes for one record, as waking up
/// may cost as much again. A software device gets none, because it computes on the core that would be polling.
pub(super) const SPIN: Duration = Duration::from_micros(200);

pub(super) struct GpuExecutor {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    faults: Arc<Faults>,
    plan: Plan,
    pub(super) dispatches: Vec<Dispatch>,
    input: Input,
    pub(super) outputs: Vec<Output>,
    staging: wgpu::Buffer,
    spin: Duration,
}

pub(super) struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    grid: [u32; 3],
}

impl Dispatch {
    /// A variant on what it reads and, last, what it writes.
    pub(super) fn new(gpu: &Gpu, name: &str, variant: &Variant, buffers: &[wgpu::BindingResource]) -> Self {
        let pipeline = gpu.pipelines.get(&variant.shader, buffers.len() - 1);
        let parameters = filled(gpu, name, bytemuck::cast_slice(&variant.parameters), wgpu::BufferUsages::UNIFORM);
        let bound = std::iter::once(parameters.as_entire_binding()).chain(buffers.iter().cloned());
        let entries: Vec<wgpu::BindGroupEntry> =
            (0..).zip(bound).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
        let bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(name),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        // Whoever chose the variant has checked that each fits into the device's limit, which is a u32.
        Self { pipeline, bindings, grid: variant.grid.map(|groups| groups as u32) }
    }

    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        let [x, y, z] = self.grid;
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

/// The buffer that the samples are written to: rows of `samples`, each followed by zeros up to the stride.
struct Input {
    buffer: wgpu::Buffer,
    row: Row,
    samples: usize,
    /// What is written; the zeros in it are written once, by its making.
    rows: Vec<f32>,
}

/// A buffer that is copied into the staging buffer at `offset`; both in bytes. Its rows, `length` floats in all, have
/// `samples` each.
pub(super) struct Output {
    pub(super) buffer: wgpu::Buffer,
    offset: u64,
    bytes: u64,
    pub(super) row: Row,
    pub(super) length: usize,
    pub(super) samples: usize,
}

impl GpuExecutor {
    pub(super) fn new(gpu: &Gpu, plan: &Plan) -> Result<Self> {
        let rows = Rows::of(plan);
        let variants = plan.steps.iter().map(|step| gpu.variant(step, &rows)).collect::<Result<Vec<Variant>>>()?;
        Self::with_variants(gpu, plan, &rows, variants)
    }

    /// With given rows and a variant for each step.
    pub(super) fn with_variants(gpu: &Gpu, plan: &Plan, rows: &Rows, variants: Vec<Variant>) -> Result<Self> {
        for id in 0..plan.buffers.len() {
            gpu.check_buffer(plan, rows, id)?;
        }
        let activations = Activations::new(gpu, plan, rows);
        let variants: Vec<(Variant, usize)> =
            variants.into_iter().zip(plan.steps.iter().map(|step| step.reads.len())).collect();
        gpu.pipelines.make(&variants)?;
        let dispatches = plan.steps.iter().zip(&variants);
        let dispatches =
            dispatches.map(|(step, (variant, _))| dispatch(gpu, plan, step, variant, &activations)).collect();
        let mut offset = 0;
        let outputs: Vec<Output> = plan
            .outputs
            .iter()
            .map(|&id| {
                let (row, [_, _, samples]) = (rows.row(id), plan.buffers[id].shape);
                let length = rows.len(plan, id) - row.head;
                let (buffer, bytes) = (activations.of(id).clone(), rows.bytes(plan, id));
                let output = Output { buffer, offset, bytes, row, length, samples };
                offset += output.bytes;
                output
            })
            .collect();
        let staging = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("staging"),
            size: offset,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let (row, samples) = (rows.row(plan.input()), plan.buffers[plan.input()].shape[2]);
        let [batch, channels, _] = plan.buffers[plan.input()].shape;
        let buffer = activations.of(plan.input()).clone();
        let input = Input { buffer, row, samples, rows: vec![0.0; batch * channels * row.stride] };
        Ok(Self {
            device: gpu.device.clone(),
            queue: gpu.queue.clone(),
            faults: gpu.faults.clone(),
            plan: plan.clone(),
            dispatches,
            input,
            outputs,
            staging,
            spin: if gpu.accelerator.software { Duration::ZERO } else { SPIN },
        })
    }

    fn write_input(&mut self, samples: &[f32]) {
        let Input { buffer, row, samples: length, rows } = &mut self.input;
        let start = row.start;
        for (row, samples) in rows.chunks_exact_mut(row.stride).zip(samples.chunks_exact(*length)) {
            row[start..][..*length].copy_from_slice(samples);
        }
        self.queue.write_buffer(buffer, (row.head * size_of::<f32>()) as u64, bytemuck::cast_slice(rows));
    }

    fn submit(&mut self, samples: &[f32]) {
        self.write_input(samples);
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        self.dispatches.iter().for_each(|dispatch| dispatch.record(&mut pass));
        drop(pass);
        for output in &self.outputs {
            encoder.copy_buffer_to_buffer(&output.buffer, 0, &self.staging, output.offset, output.bytes);
        }
        self.queue.submit([encoder.finish()]);
    }

    /// Waits for the submission and copies the staging buffer out.
    fn read(&self, outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        let view = readback::map(&self.device, &self.staging, self.spin);
        // Why the device failed says more than that the readback did.
        self.faults.check()?;
        let view = view?;
        let values: &[f32] = bytemuck::cast_slice(&view);
        outputs.resize(self.outputs.len(), Vec::new());
        for (output, Output { offset, row, samples, length, .. }) in outputs.iter_mut().zip(&self.outputs) {
            let rows = values[*offset as usize / size_of::<f32>() + row.head..][..*length].chunks_exact(row.stride);
            output.clear();
            rows.for_each(|floats| output.extend_from_slice(&floats[row.start..][..*samples]));
        }
        drop(view);
        self.staging.unmap();
        Ok(())
    }
}

impl Executor for GpuExecutor {
    fn run(&mut self, input: &[f32], outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        check_input(&self.plan, input)?;
        self.faults.check()?;
        let device = self.device.clone();
        faults::scoped(&device, || {
            self.submit(input);
            self.read(outputs)
        })
    }

    fn profile(&mut self, input: &[f32]) -> Result<Vec<Duration>> {
        check_input(&self.plan, input)?;
        self.faults.check()?;
        let device = self.device.clone();
        faults::scoped(&device, || {
            self.write_input(input);
            profile(&self.device, &self.queue, &self.dispatches.iter().collect::<Vec<_>>())
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
                    size: bytes(slot),
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

/// A buffer with these contents. wgpu's own `create_buffer_init` panics where the device is lost or out of memory; a
/// write is an error that the caller's scope catches.
pub(super) fn filled(gpu: &Gpu, label: &str, contents: &[u8], usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: contents.len() as u64,
        usage: usage | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.queue.write_buffer(&buffer, 0, contents);
    buffer
}

/// A constant in the order in which a variant reads it, uploaded once.
pub(super) fn constant(gpu: &Gpu, step: &Step, variant: &str, read: usize, values: &Arc<[f32]>) -> wgpu::Buffer {
    let uploads = gpu.constants.get(values, Arc::default);
    let mut uploads = uploads.lock().unwrap_or_else(PoisonError::into_inner);
    let upload = || {
        let packed = step.kernel.operation().packed(variant, read, values);
        filled(gpu, &step.name, bytemuck::cast_slice(&packed), wgpu::BufferUsages::STORAGE)
    };
    uploads.entry(variant.to_string()).or_insert_with(upload).clone()
}

fn dispatch(gpu: &Gpu, plan: &Plan, step: &Step, variant: &Variant, activations: &Activations) -> Dispatch {
    let reads = step.reads.iter().enumerate().map(|(read, &id)| match plan.buffers[id].constant() {
        Some(values) => constant(gpu, step, variant.name, read, values),
        None => activations.of(id).clone(),
    });
    let buffers: Vec<wgpu::Buffer> = reads.chain([activations.of(step.write).clone()]).collect();
    let bindings: Vec<wgpu::BindingResource> = buffers.iter().map(wgpu::Buffer::as_entire_binding).collect();
    Dispatch::new(gpu, &step.name, variant, &bindings)
}
