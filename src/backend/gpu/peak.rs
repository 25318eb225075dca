//! Measures what the device itself can do: multiplications with addition in registers, and a copy between two buffers. They
//! bound every kernel, so that a profile can say how much of the device it uses.

use std::time::{Duration, Instant};

use super::{Gpu, buffer::zeroed, faults, waiting::block_on};
use crate::Result;

/// The fastest that a device was measured to compute and to copy.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Peak {
    /// f32 operations per second, of which a multiplication with addition counts as two.
    pub operations_per_second: f64,
    /// Bytes per second that a copy reads and writes, of buffers larger than most caches.
    pub bytes_per_second: f64,
}

/// Chains of multiplications with addition, which do not wait for one another. The result is stored, so that no compiler
/// leaves them out.
const MULTIPLY: &str = "
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let factor = x[0];
    var a = vec4f(f32(id.x));
    var b = a + 1.0;
    var c = a + 2.0;
    var d = a + 3.0;
    for (var i = 0u; i < LOOPSu; i++) {
        a = fma(a, factor, factor);
        b = fma(b, factor, factor);
        c = fma(c, factor, factor);
        d = fma(d, factor, factor);
    }
    y[id.x] = a + b + c + d;
}";

/// Copies some vec4s in one invocation, far from each other, so that those of a subgroup are next to each other.
const COPY: &str = "
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    for (var i = 0u; i < COPIESu; i++) {
        y[id.x + i * INVOCATIONSu] = x[id.x + i * INVOCATIONSu];
    }
}";

/// Invocations of a workgroup of both shaders.
const WORKGROUP: u64 = 64;
/// Iterations of a chain in one invocation.
const LOOPS: u64 = 1024;
/// Operations of an iteration: four chains of four numbers, each multiplied and added.
const OPERATIONS: u64 = 4 * 4 * 2;
/// The bytes of a vec4.
const VEC4: u64 = 16;
/// The vec4s that an invocation copies.
const COPIES: u64 = 4;
/// The size of each of the two buffers: as large as every adapter can bind, and larger than the caches of most.
const BYTES: u64 = 128 << 20;
/// The most workgroups of a dispatch: a power of two that every adapter takes along one dimension.
const MOST_GROUPS: u64 = 1 << 15;
/// Workgroups of the first measurement, few enough for the slowest adapter.
const FIRST_GROUPS: u64 = 64;
/// How long a measured submission takes at least. Work is doubled until it does.
const LONG_ENOUGH: Duration = Duration::from_millis(30);
/// How often a submission is measured; the fastest counts.
const ROUNDS: usize = 5;
/// How long to wait for one submission.
const LIMIT: Duration = Duration::from_secs(30);

impl Gpu {
    /// Measures how fast the device computes and copies. It takes less than a second, and some seconds on a software adapter.
    ///
    /// # Errors
    /// The device failed.
    pub fn measure_peak(&self) -> Result<Peak> {
        block_on(faults::scoped(&self.device, || {
            let buffers = ["peak x", "peak y"].map(|label| zeroed(&self.device, label, BYTES));
            let multiply = Work::new(self, &MULTIPLY.replace("LOOPS", &LOOPS.to_string()), &buffers);
            let invocations = (MOST_GROUPS * WORKGROUP).to_string();
            let copy = COPY.replace("COPIES", &COPIES.to_string()).replace("INVOCATIONS", &invocations);
            let copy = Work::new(self, &copy, &buffers);
            Ok(Peak {
                operations_per_second: multiply.groups_per_second(self)? * (WORKGROUP * LOOPS * OPERATIONS) as f64,
                bytes_per_second: copy.groups_per_second(self)? * (WORKGROUP * COPIES * 2 * VEC4) as f64,
            })
        }))
    }
}

/// A shader with its buffers.
struct Work {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
}

impl Work {
    fn new(gpu: &Gpu, source: &str, buffers: &[wgpu::Buffer; 2]) -> Self {
        let module = gpu.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("peak"),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("peak"),
            layout: None,
            module: &module,
            entry_point: None,
            compilation_options: Default::default(),
            cache: None,
        });
        let entries =
            [0, 1].map(|at| wgpu::BindGroupEntry { binding: at, resource: buffers[at as usize].as_entire_binding() });
        let layout = &pipeline.get_bind_group_layout(0);
        let descriptor = wgpu::BindGroupDescriptor { label: Some("peak"), layout, entries: &entries };
        Self { bind_group: gpu.device.create_bind_group(&descriptor), pipeline }
    }

    /// Measures how many workgroups the device runs in a second.
    fn groups_per_second(&self, gpu: &Gpu) -> Result<f64> {
        let mut groups = FIRST_GROUPS;
        // The first run compiles on some drivers.
        self.time(gpu, groups)?;
        while self.time(gpu, groups)? < LONG_ENOUGH {
            groups *= 2;
        }
        let times = (0..ROUNDS).map(|_| self.time(gpu, groups)).collect::<Result<Vec<_>>>()?;
        let fastest = times.into_iter().min().unwrap_or(LONG_ENOUGH);
        Ok(groups as f64 / fastest.as_secs_f64())
    }

    /// Runs a number of workgroups, a power of two, in one submission.
    fn time(&self, gpu: &Gpu, groups: u64) -> Result<Duration> {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        let of_dispatch = groups.min(MOST_GROUPS);
        (0..groups / of_dispatch).for_each(|_| pass.dispatch_workgroups(of_dispatch as u32, 1, 1));
        drop(pass);
        let start = Instant::now();
        let submission_index = Some(gpu.queue.submit([encoder.finish()]));
        if faults::poll(&gpu.device, wgpu::PollType::Wait { submission_index, timeout: Some(LIMIT) })? {
            return Ok(start.elapsed());
        }
        Err(faults::failed("it did not finish in time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_covers_the_buffers() {
        assert_eq!(MOST_GROUPS * WORKGROUP * COPIES * VEC4, BYTES);
    }
}
