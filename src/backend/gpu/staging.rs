//! Staging buffers: host memory that the GPU can copy to and from. They are created once and mapped again for each run.
//!
//! `Queue::write_buffer` would create, map and free a buffer on each call and submit the copy in a command buffer of its
//! own. The comparison is in `docs/measurements/gpu-host-path.md`.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::{Duration, Instant},
};

use super::faults;
use crate::Result;

/// How long to wait for wgpu's callback that a buffer is mapped, after the GPU has finished with it. wgpu calls back at once,
/// but another thread that polls the device at the same time may run the callback.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(10);

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
    pub(super) fn for_operations(operations: usize, spin: Duration) -> Self {
        Self { spin, limit: Duration::from_secs(60 + operations as u64 / 100_000_000) }
    }
}

/// A buffer of host memory that is mapped for writing or for reading.
pub(super) struct Staging {
    pub(super) buffer: wgpu::Buffer,
    mode: wgpu::MapMode,
    /// A channel for the result of a mapping, kept so that a mapping allocates nothing. It has room for one, because one
    /// mapping is pending at most.
    sender: SyncSender<bool>,
    results: Receiver<bool>,
}

impl Staging {
    /// Creates a buffer that the host writes, mapped and full of zeros.
    pub(super) fn upload(device: &wgpu::Device, bytes: u64) -> Self {
        let staging = Self::new(device, bytes, wgpu::MapMode::Write);
        let _ = staging.sender.try_send(true);
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
        let (sender, results) = sync_channel(1);
        Self { buffer, mode, sender, results }
    }

    /// Requests that the buffer be mapped when everything submitted so far has finished.
    pub(super) fn map(&self) {
        let sender = self.sender.clone();
        self.buffer.map_async(self.mode, .., move |result| {
            // The channel is full only after a failure of the device, which has been reported.
            let _ = sender.try_send(result.is_ok());
        });
    }

    /// Waits until the buffer is mapped after a submission.
    ///
    /// # Errors
    /// The device failed, or has not finished within the limit.
    pub(super) fn wait(
        &self,
        device: &wgpu::Device,
        submission: wgpu::SubmissionIndex,
        patience: Patience,
    ) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < patience.spin {
            faults::poll(device, wgpu::PollType::Poll)?;
            if let Ok(mapped) = self.results.try_recv() {
                return check_mapped(Some(mapped));
            }
        }
        // In slices, so that a process that was stopped for long loses one of them and not the whole time.
        for _ in 0..patience.limit.as_secs() {
            let timeout = Some(Duration::from_secs(1));
            if faults::poll(device, wgpu::PollType::Wait { submission_index: Some(submission.clone()), timeout })? {
                return self.take_result();
            }
        }
        Err(faults::failed("it did not finish in time"))
    }

    /// Takes the result of the last mapping, whose submission has finished.
    fn take_result(&self) -> Result<()> {
        check_mapped(self.results.recv_timeout(CALLBACK_TIMEOUT).ok())
    }

    /// Returns the contents of a readback buffer that is mapped, see [`Staging::wait`].
    ///
    /// # Errors
    /// The device failed.
    pub(super) fn view(&self) -> Result<wgpu::BufferView> {
        self.buffer.get_mapped_range(..).map_err(|error| faults::failed(&error.to_string()))
    }

    /// Returns the contents of an upload buffer for writing. The contents are those written last. The submission that reads
    /// the buffer must have finished.
    ///
    /// # Errors
    /// The device failed.
    pub(super) fn view_mut(&self) -> Result<wgpu::BufferViewMut> {
        self.take_result()?;
        self.buffer.get_mapped_range_mut(..).map_err(|error| faults::failed(&error.to_string()))
    }

    /// Returns the buffer to the GPU. No view of it may exist.
    pub(super) fn unmap(&self) {
        self.buffer.unmap();
    }
}

fn check_mapped(mapped: Option<bool>) -> Result<()> {
    match mapped {
        Some(true) => Ok(()),
        Some(false) => Err(faults::failed("its memory could not be mapped")),
        None => Err(faults::failed("a mapping of its memory was never answered")),
    }
}
