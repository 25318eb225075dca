//! The queue of a device, and how a device is closed. wgpu waits for it without a limit when it drops the last handle of the
//! queue, panics if the wait fails, and frees memory that the device may still use then.

use std::{
    mem,
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use super::faults::{self, Faults};

/// How long to wait for a device before it is closed. It has finished already, unless a run or a stream was given up.
const CLOSING: Duration = Duration::from_secs(60);

/// A handle of a queue.
#[derive(Clone)]
pub(super) struct Queue(Arc<Last>);

/// What all handles share. It is dropped with the last.
struct Last {
    /// None only while it is dropped.
    queue: Option<wgpu::Queue>,
    device: wgpu::Device,
    faults: Arc<Faults>,
}

impl Queue {
    /// Wraps the queue of a device with these faults.
    pub(super) fn new(queue: wgpu::Queue, device: wgpu::Device, faults: Arc<Faults>) -> Self {
        Self(Arc::new(Last { queue: Some(queue), device, faults }))
    }
}

impl Deref for Queue {
    type Target = wgpu::Queue;

    fn deref(&self) -> &wgpu::Queue {
        self.0.queue.as_ref().unwrap_or_else(|| unreachable!("a queue is there until its last handle is dropped"))
    }
}

impl Drop for Last {
    /// Leaves a device that failed, or that does not finish, as it is until the process ends.
    fn drop(&mut self) {
        let finished = || {
            let wait = wgpu::PollType::Wait { submission_index: None, timeout: Some(CLOSING) };
            self.faults.check().is_ok() && faults::poll(&self.device, wait) == Ok(true)
        };
        let queue = self.queue.take();
        if cfg!(target_family = "wasm") {
            // Otherwise its memory would be there until the browser collects it.
            if self.faults.are_watched() {
                self.device.destroy();
            }
        } else if finished() {
            if catch_unwind(AssertUnwindSafe(|| drop(queue))).is_err() {
                log::warn!("wgpu panicked while it closed a GPU");
            }
        } else {
            log::warn!("a GPU that failed is not closed");
            mem::forget(queue);
        }
    }
}
