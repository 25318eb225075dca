//! Memory that the host and the GPU both reach, made once and mapped anew for each forward.
//!
//! `Queue::write_buffer` makes, maps and frees such a buffer for each call and submits the copy in a command buffer of its
//! own; a buffer that is kept is written in place, without a copy of the input in between. On lavapipe, in turns within
//! one process on a busy machine, the median forward by a kept buffer was 0.6 to 7 % shorter in each of six cases; the
//! fastest tenth of them was between 6 % shorter and 8 % longer.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::{Duration, Instant},
};

use super::faults;
use crate::Result;

/// How long wgpu may take to say that a buffer is mapped once the GPU is done with it. It does so at once; another thread
/// that polls the device at the same time may be the one to be told, and is waited for.
const ANSWER: Duration = Duration::from_secs(10);

/// A buffer of host memory.
pub(super) struct Staging {
    pub(super) buffer: wgpu::Buffer,
    mode: wgpu::MapMode,
    /// Kept, so that to map takes no memory: of one place, as there is one answer to each mapping.
    answer: SyncSender<bool>,
    answers: Receiver<bool>,
}

impl Staging {
    /// A buffer that the host writes, mapped and full of zeros.
    pub(super) fn upload(device: &wgpu::Device, bytes: u64) -> Self {
        let staging = Self::new(device, bytes, wgpu::MapMode::Write);
        let _ = staging.answer.try_send(true);
        staging
    }

    /// A buffer that the host reads, not mapped yet.
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
        let (answer, answers) = sync_channel(1);
        Self { buffer, mode, answer, answers }
    }

    /// Has the buffer mapped once all that was submitted so far is done.
    pub(super) fn map(&self) {
        let answer = self.answer.clone();
        self.buffer.map_async(self.mode, .., move |result| {
            // There is room, unless the device has failed before, which was reported then.
            let _ = answer.try_send(result.is_ok());
        });
    }

    /// Waits for a submission after which the buffer was to be mapped: polls for as long as `spin`, then sleeps.
    ///
    /// # Errors
    /// The device failed.
    pub(super) fn wait(&self, device: &wgpu::Device, submission: wgpu::SubmissionIndex, spin: Duration) -> Result<()> {
        let poll = |how| device.poll(how).map_err(|error| faults::failed(&error.to_string()));
        let start = Instant::now();
        while start.elapsed() < spin {
            poll(wgpu::PollType::Poll)?;
            if let Ok(mapped) = self.answers.try_recv() {
                return answered(Some(mapped));
            }
        }
        poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: None })?;
        self.answered()
    }

    /// Takes the answer to the last mapping, whose submission is done.
    fn answered(&self) -> Result<()> {
        answered(self.answers.recv_timeout(ANSWER).ok())
    }

    /// The whole buffer to be read, [waited](Self::wait) for.
    ///
    /// # Errors
    /// The device failed.
    pub(super) fn view(&self) -> Result<wgpu::BufferView> {
        self.buffer.get_mapped_range(..).map_err(|error| faults::failed(&error.to_string()))
    }

    /// The whole buffer to be written, where it holds what was written last. The submission that read it is done.
    ///
    /// # Errors
    /// The device failed.
    pub(super) fn view_mut(&self) -> Result<wgpu::BufferViewMut> {
        self.answered()?;
        self.buffer.get_mapped_range_mut(..).map_err(|error| faults::failed(&error.to_string()))
    }

    /// Hands the buffer to the GPU; no view of it may be left.
    pub(super) fn unmap(&self) {
        self.buffer.unmap();
    }
}

fn answered(mapped: Option<bool>) -> Result<()> {
    match mapped {
        Some(true) => Ok(()),
        Some(false) => Err(faults::failed("its memory could not be mapped")),
        None => Err(faults::failed("a mapping of its memory was never answered")),
    }
}
