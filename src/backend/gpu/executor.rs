//! One plan on one GPU: buffers, bind groups and pipelines made once, then run any number of times.

use std::sync::Arc;

use wgpu::util::DeviceExt;

use super::{Executor, Faults, Gpu, faults};
use crate::{
    Result,
    backend::check_input,
    plan::{BufferId, Plan, Step},
};

pub(super) struct GpuExecutor {
    device: wgpu::Device,
    queue: wgpu::Queue,
    faults: Arc<Faults>,
    plan: Plan,
    dispatches: Vec<Dispatch>,
    input: wgpu::Buffer,
    outputs: Vec<Output>,
    staging: wgpu::Buffer,
}

struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    grid: [u32; 3],
}

/// A buffer that is copied into the staging buffer at `offset`; both in bytes.
struct Output {
    buffer: wgpu::Buffer,
    offset: u64,
    bytes: u64,
}

impl GpuExecutor {
    pub(super) fn new(gpu: &Gpu, plan: &Plan) -> Result<Self> {
        for buffer in &plan.buffers {
            gpu.check_buffer(buffer)?;
        }
        let buffers = Buffers::new(gpu, plan);
        let dispatches = plan.steps.iter().map(|step| dispatch(gpu, plan, step, &buffers)).collect();
        let mut offset = 0;
        let outputs: Vec<Output> = plan
            .outputs
            .iter()
            .map(|&id| {
                let output = Output { buffer: buffers.of[id].clone(), offset, bytes: bytes_of(plan, id) };
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
        Ok(Self {
            device: gpu.device.clone(),
            queue: gpu.queue.clone(),
            faults: gpu.faults.clone(),
            plan: plan.clone(),
            dispatches,
            input: buffers.of[plan.input].clone(),
            outputs,
            staging,
        })
    }

    fn submit(&self, input: &[f32]) {
        self.queue.write_buffer(&self.input, 0, bytemuck::cast_slice(input));
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for Dispatch { pipeline, bindings, grid: [x, y, z] } in &self.dispatches {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, bindings, &[]);
            pass.dispatch_workgroups(*x, *y, *z);
        }
        drop(pass);
        for output in &self.outputs {
            encoder.copy_buffer_to_buffer(&output.buffer, 0, &self.staging, output.offset, output.bytes);
        }
        self.queue.submit([encoder.finish()]);
    }

    /// Waits for the submission and copies the staging buffer out.
    fn read(&self, outputs: &mut Vec<Vec<f32>>) -> Result<()> {
        let (sender, mapped) = std::sync::mpsc::channel();
        self.staging.map_async(wgpu::MapMode::Read, .., move |result| {
            // The receiver is gone only if the wait below has failed, which is reported there.
            let _ = sender.send(result);
        });
        self.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| faults::failed(&error.to_string()))?;
        let answered = mapped.recv().map_err(|_| faults::failed("the readback was never answered"))?;
        self.faults.check()?;
        answered.map_err(|error| faults::failed(&error.to_string()))?;
        let view = self.staging.get_mapped_range(..).map_err(|error| faults::failed(&error.to_string()))?;
        let values: &[f32] = bytemuck::cast_slice(&view);
        outputs.resize(self.outputs.len(), Vec::new());
        for (output, Output { offset, bytes, .. }) in outputs.iter_mut().zip(&self.outputs) {
            output.clear();
            output.extend_from_slice(&values[*offset as usize / 4..][..*bytes as usize / 4]);
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
        faults::scoped(&self.device, || {
            self.submit(input);
            self.read(outputs)
        })
    }
}

/// Where each of the plan's buffers lies on the device.
struct Buffers {
    of: Vec<wgpu::Buffer>,
}

impl Buffers {
    fn new(gpu: &Gpu, plan: &Plan) -> Self {
        let slots: Vec<wgpu::Buffer> = (0..plan.slots)
            .map(|slot| {
                gpu.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("activations"),
                    size: plan.slot_bytes(slot) as u64,
                    usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                })
            })
            .collect();
        let place = |id: BufferId| match (&plan.buffers[id].constant, plan.buffers[id].slot) {
            (Some(values), _) => gpu.constants.get(values, || upload(gpu, plan, id, values)),
            (None, Some(slot)) => slots[slot].clone(),
            (None, None) => unreachable!("the plan gives every activation a slot"),
        };
        Self { of: (0..plan.buffers.len()).map(place).collect() }
    }
}

/// Uploads a constant in the order in which the step that reads it wants it.
fn upload(gpu: &Gpu, plan: &Plan, id: BufferId, values: &[f32]) -> wgpu::Buffer {
    let reader = plan.steps.iter().find_map(|step| Some((step, step.reads.iter().position(|&read| read == id)?)));
    let packed = reader.map_or_else(|| values.to_vec(), |(step, read)| step.kernel.operation().packed(read, values));
    gpu.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: Some(&plan.buffers[id].name),
        contents: bytemuck::cast_slice(&packed),
        usage: wgpu::BufferUsages::STORAGE,
    })
}

fn bytes_of(plan: &Plan, id: BufferId) -> u64 {
    (plan.buffers[id].len() * size_of::<f32>()) as u64
}

fn dispatch(gpu: &Gpu, plan: &Plan, step: &Step, buffers: &Buffers) -> Dispatch {
    let operation = step.kernel.operation();
    let pipeline = gpu.pipelines.get(&operation.shader(), step.reads.len());
    let parameters = gpu.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: Some(&step.name),
        contents: bytemuck::cast_slice(&operation.parameters()),
        usage: wgpu::BufferUsages::UNIFORM,
    });
    let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: parameters.as_entire_binding() }];
    for (binding, &id) in (1..).zip(step.reads.iter().chain([&step.write])) {
        // An activation may be shorter than the memory that it shares.
        let size = plan.buffers[id].constant.is_none().then(|| bytes_of(plan, id)).and_then(std::num::NonZeroU64::new);
        let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &buffers.of[id], offset: 0, size });
        entries.push(wgpu::BindGroupEntry { binding, resource });
    }
    let bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(&step.name),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &entries,
    });
    // `largest_batch` has checked that each fits into the device's limit, which is a u32.
    Dispatch { pipeline, bindings, grid: operation.grid().map(|groups| groups as u32) }
}
