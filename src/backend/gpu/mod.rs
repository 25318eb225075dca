//! The plan on any GPU through wgpu: one compute pass, one submit and one readback a forward. The only module that names
//! wgpu.

mod adapter;
mod executor;
mod faults;
mod pipeline;

use std::sync::Arc;

pub use adapter::{Adapter, adapters};
pub use wgpu;

use super::{Backend, ConstantCache, DeviceInfo, Executor, batch_by_memory};
use crate::{
    Error, ErrorKind, Result,
    plan::{Buffer, Plan},
};
use executor::GpuExecutor;
use faults::Faults;
use pipeline::Pipelines;

/// Changes a shader before it is compiled: called with its name and its source. For proving that a comparison notices.
pub type EditShader = Arc<dyn Fn(&str, &str) -> String + Send + Sync>;

/// A GPU as a device.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: DeviceInfo,
    faults: Arc<Faults>,
    pipelines: Pipelines,
    constants: ConstantCache<wgpu::Buffer>,
}

impl Gpu {
    /// Opens an adapter with all that it offers.
    ///
    /// # Errors
    /// The driver refuses to give a device.
    pub fn open(adapter: &Adapter) -> Result<Self> {
        let (device, queue) = adapter.request()?;
        let faults = Faults::watching(&device);
        Ok(Self::on(device, queue, faults))
    }

    /// Runs on a device that the host application already has. Its error handlers are left as they are.
    pub fn from_host(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        Self::on(device, queue, Arc::default())
    }

    fn on(device: wgpu::Device, queue: wgpu::Queue, faults: Arc<Faults>) -> Self {
        let adapter = device.adapter_info();
        let info = DeviceInfo { name: adapter.name.clone(), backend: adapter::backend_name(adapter.backend) };
        let pipelines = Pipelines::new(device.clone());
        Self { device, queue, info, faults, pipelines, constants: ConstantCache::default() }
    }

    /// The same device, with every shader changed by `edit` before it is compiled.
    pub fn with_edited_shaders(mut self, edit: EditShader) -> Self {
        self.pipelines.edit = Some(edit);
        self
    }

    /// The largest buffer that one binding can see, in bytes.
    fn largest_binding(&self) -> u64 {
        let limits = self.device.limits();
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size)
    }

    fn check_buffer(&self, buffer: &Buffer) -> Result<usize> {
        let bytes = (buffer.len() * size_of::<f32>()) as u64;
        let largest = self.largest_binding();
        if bytes > largest {
            let cause = format!(
                "buffer {} of one record would take {bytes} bytes, and {} allows {largest}",
                buffer.name, self.info.name
            );
            return Err(Error::new(ErrorKind::Shape, cause, "cut the recording into shorter ones or use --device cpu"));
        }
        Ok((largest / bytes) as usize)
    }
}

impl Backend for Gpu {
    fn info(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn largest_batch(&self, plan: &Plan) -> Result<usize> {
        let groups = self.device.limits().max_compute_workgroups_per_dimension as usize;
        let mut batch = batch_by_memory(plan).min(groups);
        for buffer in &plan.buffers {
            let fits = self.check_buffer(buffer)?;
            if buffer.constant.is_none() {
                batch = batch.min(fits);
            }
        }
        if let Some((step, grid)) = plan
            .steps
            .iter()
            .map(|step| (step, step.kernel.operation().grid()))
            .find(|(_, grid)| grid.iter().any(|&n| n > groups))
        {
            let cause = format!("step {} needs {grid:?} workgroups, and {} allows {groups}", step.name, self.info.name);
            return Err(Error::new(ErrorKind::Shape, cause, "cut the recording into shorter ones or use --device cpu"));
        }
        Ok(batch)
    }

    fn prepare(&self, plan: &Plan) -> Result<Box<dyn Executor>> {
        self.faults.check()?;
        let executor = faults::scoped(&self.device, || GpuExecutor::new(self, plan))?;
        Ok(Box::new(executor))
    }
}
