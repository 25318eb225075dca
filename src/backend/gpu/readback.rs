//! Waiting for what the GPU has copied into a buffer that the host can see.

use std::time::{Duration, Instant};

use super::faults;
use crate::Result;

/// Maps a whole staging buffer once all that was submitted is done: polls for as long as `spin`, then sleeps.
///
/// # Errors
/// The device failed.
pub(super) fn map(device: &wgpu::Device, staging: &wgpu::Buffer, spin: Duration) -> Result<wgpu::BufferView> {
    let (sender, mapped) = std::sync::mpsc::channel();
    staging.map_async(wgpu::MapMode::Read, .., move |result| {
        // The receiver is gone only if the wait below has failed, which is reported there.
        let _ = sender.send(result);
    });
    let poll = |how| device.poll(how).map_err(|error| faults::failed(&error.to_string()));
    let start = Instant::now();
    let mut answer = None;
    while answer.is_none() && start.elapsed() < spin {
        poll(wgpu::PollType::Poll)?;
        answer = mapped.try_recv().ok();
    }
    if answer.is_none() {
        poll(wgpu::PollType::wait_indefinitely())?;
        answer = mapped.recv().ok();
    }
    let answered = answer.ok_or_else(|| faults::failed("the readback was never answered"))?;
    answered.map_err(|error| faults::failed(&error.to_string()))?;
    staging.get_mapped_range(..).map_err(|error| faults::failed(&error.to_string()))
}
