//! A repeated forward pass on the GPU allocates nothing itself. wgpu allocates for each encoder, pass and submission,
//! so the pass is compared with a plain wgpu loop that records the same commands and waits in the same way.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    borrow::Cow,
    cell::Cell,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use ecgpu::{
    Weights,
    engine::backend::{
        Backend,
        gpu::{Gpu, adapters, wgpu},
    },
    engine::kernels::{Accelerator, Kernel, RowLayout, Storage},
    engine::network::Folded,
    engine::plan::{Keep, Plan, Step},
};
use ecgpu_testing::skip;

/// An allocator that counts the allocations of its thread.
struct Counting;

thread_local! {
    /// The number of allocations, and their bytes.
    static TAKEN: Cell<[usize; 2]> = const { Cell::new([0; 2]) };
}

// SAFETY: every call is forwarded to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.with(|taken| taken.set([taken.get()[0] + 1, taken.get()[1] + layout.size()]));
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the same contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How many runs precede the counted ones, so that wgpu's own lists reach their size.
const WARM: usize = 20;
/// How many runs are counted.
const COUNTED: usize = 50;

/// Counts the allocations and the bytes of each of [`COUNTED`] runs.
fn taken(mut run: impl FnMut()) -> Vec<[usize; 2]> {
    (0..WARM).for_each(|_| run());
    let mut runs = Vec::with_capacity(COUNTED);
    for _ in 0..COUNTED {
        let before = TAKEN.get();
        run();
        let after = TAKEN.get();
        runs.push([after[0] - before[0], after[1] - before[1]]);
    }
    runs
}

/// A loop in plain wgpu, of the same shape as a plan: as many dispatches with as many bindings each, one upload, the
/// same copies back and into textures.
struct Bare {
    device: wgpu::Device,
    queue: wgpu::Queue,
    dispatches: Vec<BareDispatch>,
    texture: wgpu::Texture,
    upload: wgpu::Buffer,
    input: wgpu::Buffer,
    results: Vec<wgpu::Buffer>,
    readback: wgpu::Buffer,
    answer: SyncSender<bool>,
    answers: Receiver<bool>,
}

struct BareDispatch {
    /// The buffer that is copied into a texture before the dispatch.
    copied: Option<wgpu::Buffer>,
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
}

const BYTES: u64 = 4096;

/// Lists which of a step's reads its default variant takes from textures.
fn textures(step: &Step, accelerator: &Accelerator) -> &'static [usize] {
    let Kernel::Conv1d(conv) = &step.kernel else { return &[] };
    let operation = step.kernel.on_gpu();
    let row = |start, samples: usize| RowLayout {
        base_offset: 64,
        offset: start,
        pitch: (samples + 32).next_multiple_of(8),
        storage: Storage::F32,
    };
    let rows = [row(operation.offset(0), conv.in_samples), row(0, conv.out_samples)];
    operation.variants(&rows, accelerator).swap_remove(0).shader.textures
}

impl Bare {
    fn like(plan: &Plan, accelerator: &Accelerator) -> Self {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
        let instance = wgpu::Instance::new(descriptor);
        let adapter = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all())).remove(0);
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
        use wgpu::BufferUsages as Usage;
        let buffer = |usage, mapped_at_creation| {
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size: BYTES, usage, mapped_at_creation })
        };
        let storage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let slots: Vec<wgpu::Buffer> = (0..plan.slots).map(|_| buffer(storage, false)).collect();
        let of = |id: usize| plan.buffers[id].slot().map_or_else(|| buffer(storage, false), |slot| slots[slot].clone());
        let texture = texture(&device);
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        let dispatch = |step: &Step| {
            let (reads, textures) = (step.reads.len(), textures(step, accelerator));
            let layout = layout(&device, reads, textures);
            let uniform = buffer(Usage::UNIFORM, false);
            let activations: Vec<wgpu::Buffer> = step.reads.iter().chain([&step.write]).map(|&id| of(id)).collect();
            let bound = activations.iter().enumerate().map(|(at, buffer)| match textures.contains(&at) {
                true => wgpu::BindingResource::TextureView(&view),
                false => buffer.as_entire_binding(),
            });
            let bound = std::iter::once(uniform.as_entire_binding()).chain(bound);
            let entry = |(binding, resource)| wgpu::BindGroupEntry { binding, resource };
            let entries: Vec<wgpu::BindGroupEntry> = (0..).zip(bound).map(entry).collect();
            let group = wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries };
            let group = device.create_bind_group(&group);
            let copied = textures.contains(&0).then(|| activations[0].clone());
            BareDispatch { copied, pipeline: pipeline(&device, &layout, reads, textures), group }
        };
        let dispatches = plan.steps.iter().map(dispatch).collect();
        let (answer, answers) = sync_channel(1);
        Self {
            upload: buffer(Usage::MAP_WRITE | Usage::COPY_SRC, true),
            input: of(plan.input()),
            results: plan.outputs.iter().map(|&id| of(id)).collect(),
            readback: buffer(Usage::MAP_READ | Usage::COPY_DST, false),
            device,
            queue,
            texture,
            dispatches,
            answer,
            answers,
        }
    }

    /// Runs one forward pass. Waits like every caller that must know whether the readback succeeded.
    fn run(&self) {
        self.upload.get_mapped_range_mut(..).unwrap().slice(..).copy_from_slice(&[0; BYTES as usize]);
        self.upload.unmap();
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&self.upload, 0, &self.input, 0, BYTES);
        for dispatches in self.dispatches.chunk_by(|_, next| next.copied.is_none()) {
            if let Some(buffer) = &dispatches[0].copied {
                let layout = wgpu::TexelCopyBufferLayout { bytes_per_row: Some(256), ..Default::default() };
                let from = wgpu::TexelCopyBufferInfo { buffer, layout };
                encoder.copy_buffer_to_texture(from, self.texture.as_image_copy(), self.texture.size());
            }
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for BareDispatch { pipeline, group, .. } in dispatches {
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, group, &[]);
                pass.dispatch_workgroups(1, 1, 1);
            }
        }
        for (result, at) in self.results.iter().zip((0..).step_by(16)) {
            encoder.copy_buffer_to_buffer(result, 0, &self.readback, at, 16);
        }
        // The ticket that proves that the GPU came this far.
        encoder.copy_buffer_to_buffer(&self.upload, BYTES - 8, &self.readback, BYTES - 8, 8);
        let submission = self.queue.submit([encoder.finish()]);
        for (buffer, mode) in [(&self.upload, wgpu::MapMode::Write), (&self.readback, wgpu::MapMode::Read)] {
            let answer = self.answer.clone();
            buffer.map_async(mode, .., move |result| {
                let _ = answer.try_send(result.is_ok());
            });
        }
        self.device.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: None }).unwrap();
        assert!(self.answers.recv().unwrap());
        drop(self.readback.get_mapped_range(..).unwrap());
        self.readback.unmap();
    }
}

/// Creates a texture of sixteen texels, four in each row of 64 bytes.
fn texture(device: &wgpu::Device) -> wgpu::Texture {
    device.create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d { width: 4, height: 4, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba32Float,
        usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    })
}

/// Creates a layout of a uniform buffer, the reads and one buffer to write.
fn layout(device: &wgpu::Device, reads: usize, textures: &[usize]) -> wgpu::BindGroupLayout {
    let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
    let texture = wgpu::BindingType::StorageTexture {
        access: wgpu::StorageTextureAccess::ReadOnly,
        format: wgpu::TextureFormat::Rgba32Float,
        view_dimension: wgpu::TextureViewDimension::D2,
    };
    let storage = |read_only| buffer(wgpu::BufferBindingType::Storage { read_only });
    let types = std::iter::once(buffer(wgpu::BufferBindingType::Uniform))
        .chain((0..reads).map(|read| if textures.contains(&read) { texture } else { storage(true) }))
        .chain(std::iter::once(storage(false)));
    let entry = |(binding, ty)| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty,
        count: None,
    };
    let entries: Vec<_> = (0..).zip(types).map(entry).collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries })
}

/// Creates a pipeline that uses every binding and computes almost nothing.
fn pipeline(
    device: &wgpu::Device,
    group: &wgpu::BindGroupLayout,
    reads: usize,
    textures: &[usize],
) -> wgpu::ComputePipeline {
    let declared = |at: usize| match textures.contains(&(at - 1)) {
        true => format!("@group(0) @binding({at}) var r{at}: texture_storage_2d<rgba32float, read>;"),
        false => format!("@group(0) @binding({at}) var<storage, read> r{at}: array<f32>;"),
    };
    let first = |at: usize| match textures.contains(&(at - 1)) {
        true => format!("+ textureLoad(r{at}, vec2(0, 0)).x"),
        false => format!("+ r{at}[0]"),
    };
    let read: String = (1..=reads).map(declared).collect();
    let sum: String = (1..=reads).map(first).collect();
    let source = format!(
        "@group(0) @binding(0) var<uniform> p: vec4<f32>; {read}
         @group(0) @binding({}) var<storage, read_write> y: array<f32>;
         @compute @workgroup_size(1) fn main() {{ y[0] = p.x {sum}; }}",
        reads + 1
    );
    let source = wgpu::ShaderSource::Wgsl(source.into());
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(group)],
        immediate_size: 0,
    });
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: Some(&layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    })
}

#[test]
fn a_forward_pass_allocates_no_more_than_wgpu_itself_and_never_more_than_recorded() {
    let Some(adapter) = adapters().into_iter().next() else {
        return skip("no Vulkan, Metal or DX12 adapter");
    };
    let weights = Weights::built_in().unwrap();
    let folded = Folded::new(&weights.network, &weights.parameters).unwrap();
    let plan = Plan::new(&folded, 2, 200, Keep::Results).unwrap();
    let (input, mut outputs) = (vec![0.5; 2 * 12 * 200], Vec::new());
    let gpu = Gpu::open(&adapter).unwrap();
    let mut executor = gpu.prepare(&plan).unwrap();
    let bare = Bare::like(&plan, &gpu.accelerator());
    let of_wgpu = taken(|| bare.run());
    // The loop lacks the polling of a forward pass before it sleeps.
    assert_eq!(taken(|| drop(bare.device.poll(wgpu::PollType::Poll))), [[0; 2]; COUNTED]);

    let ours = taken(|| executor.run(&input, &mut outputs).unwrap());
    let most = |runs: &[[usize; 2]], what: usize| runs.iter().map(|run| run[what]).max();
    assert!((0..2).all(|what| most(&ours, what) <= most(&of_wgpu, what)), "{:?} for {:?}", ours[0], of_wgpu[0]);
    assert_eq!(ours[0], ours[COUNTED - 1], "allocations and bytes of the first and of the last run");

    // A stream allocates its list of outputs, and for each pass as much as a single run.
    let mut stream = |inputs: usize| {
        let mut inputs = std::iter::repeat_n(Cow::from(input.as_slice()), inputs);
        let before = TAKEN.get();
        executor.stream(&mut inputs, &mut |_, _| ()).unwrap();
        TAKEN.get()[0] - before[0]
    };
    // The first stream allocates the memory of the second pass in flight.
    stream(WARM);
    assert!(stream(20) - stream(10) <= 10 * of_wgpu[0][0], "10 more forwards of {} allocations", of_wgpu[0][0]);
}
