//! Staging buffers: host memory that the GPU can copy to and from. They are created once and mapped again for each run.
//!
//! `Queue::write_buffer` would create, map and free a buffer on each call and submit the copy in a command buffer of its
//! own. The comparison is in `docs/measurements/gpu-host-path.md`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    faults,
    mapping::{self, Mapped, Mapping},
};
use crate::Result;

/// How long to wait for the GPU.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// How long to poll before the thread sleeps.
    pub(super) spin: Duration,
    /// When to give up. A driver that hangs must not keep the caller for ever.
    pub(super) limit: Duration,
}

impl Patience {
    /// The time for a number of floating-point operations. The slowest that can be expected, software Vulkan with unsuitable
    /// shaders on a busy machine, computes a hundred million in a second and compiles for some seconds first.
    pub(super) fn for_operations(operations: u64, spin: Duration) -> Self {
        Self { spin, limit: Duration::from_secs(60 + operations / 100_000_000) }
    }
}

/// A buffer of host memory that is mapped for writing or for reading.
pub(super) struct Staging {
    pub(super) buffer: wgpu::Buffer,
    mode: wgpu::MapMode,
    /// The result of the last mapping.
    mapping: Arc<Mapping>,
}

impl Staging {
    /// Creates a buffer that the host writes, mapped and full of zeros.
    pub(super) fn upload(device: &wgpu::Device, bytes: u64) -> Self {
        let staging = Self::new(device, bytes, wgpu::MapMode::Write);
        staging.mapping.set(true);
        staging
    }

    /// Creates a buffer that the host reads, not mapped yet.
    pub(super) fn readback(device: &wgpu::Device, bytes: u64) -> Self {
        Self::new(device, bytes, wgpu::MapMode::Read)
    }

    fn new(device: &wgpu::Device, bytes: u64, mode: wgpu::MapMode) -> Self {
        let usage = match mode {
            wgpu::MapMode::Write => wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
            wgpu::MapMode::Read => wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        };
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("staging"),
            size: bytes,
            usage,
            mapped_at_creation: mode == wgpu::MapMode::Write,
        });
        Self { buffer, mode, mapping: Arc::default() }
    }

    /// Requests that the buffer be mapped when everything submitted so far has finished.
    pub(super) fn map(&self) {
        let mapping = self.mapping.clone();
        self.buffer.map_async(self.mode, .., move |result| mapping.set(result.is_ok()));
    }

    /// Waits until the buffer is mapped after a submission. On a native device the thread polls meanwhile, and the future is
    /// ready at once.
    ///
    /// # Errors
    /// The device failed, or has not finished within the limit.
    pub(super) async fn wait(
        &self,
        device: &wgpu::Device,
        submission: wgpu::SubmissionIndex,
        patience: Patience,
    ) -> Result<()> {
        // A browser polls the device itself.
        if !cfg!(target_family = "wasm")
            && let Some(mapped) = self.poll(device, submission, patience)?
        {
            return mapped.check();
        }
        self.mapped().await
    }

    /// Polls a device until a submission has finished. Returns the result of the mapping if it is known by then.
    fn poll(
        &self,
        device: &wgpu::Device,
        submission: wgpu::SubmissionIndex,
        patience: Patience,
    ) -> Result<Option<Mapped>> {
        let start = Instant::now();
        while start.elapsed() < patience.spin {
            faults::poll(device, wgpu::PollType::Poll)?;
            if let Some(mapped) = self.mapping.take() {
                return Ok(Some(mapped));
            }
        }
        // In slices, so that a process that was stopped for long loses one of them and not the whole time.
        for _ in 0..patience.limit.as_secs() {
            let timeout = Some(Duration::from_secs(1));
            if faults::poll(device, wgpu::PollType::Wait { submission_index: Some(submission.clone()), timeout })? {
                return Ok(None);
            }
        }
        Err(faults::failed("it did not finish in time"))
    }

    /// Waits for the result of the last mapping, whose submission has finished on a native device.
    ///
    /// # Errors
    /// The device failed.
    pub(super) async fn mapped(&self) -> Result<()> {
        self.mapping.taken().await.check()
    }

    /// Returns the contents of a readback buffer that is mapped, see [`Staging::wait`].
    ///
    /// # Errors
    /// The device failed.
    pub(super) fn view(&self) -> Result<wgpu::BufferView> {
        self.buffer.get_mapped_range(..).map_err(|error| mapping::failed(&error.to_string()))
    }

    /// Returns the contents of an upload buffer that is mapped, see [`Staging::mapped`], for writing. The contents are those
    /// written last.
    ///
    /// # Errors
    /// The device failed.
    pub(super) fn view_mut(&self) -> Result<wgpu::BufferViewMut> {
        self.buffer.get_mapped_range_mut(..).map_err(|error| mapping::failed(&error.to_string()))
    }

    /// Returns the buffer to the GPU. No view of it may exist.
    pub(super) fn unmap(&self) {
        self.buffer.unmap();
    }
}
