//! Measures how long the GPU computes each dispatch, by the GPU's own clock: a timestamp before and after the dispatch, which
//! is in a compute pass of its own.

use std::time::Duration;

use super::{
    dispatch::Dispatch,
    staging::{Patience, Staging},
    ticket::{self, Ticket},
};
use crate::{Error, ErrorKind, Result};

/// The bytes of a timestamp.
const TIMESTAMP: u64 = 8;

/// Checks that the device can measure.
///
/// # Errors
/// The device was opened without timestamps.
pub(super) fn check(device: &wgpu::Device) -> Result<()> {
    if device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
        return Ok(());
    }
    let remedy = "profile another device, or have the host application open this one with TIMESTAMP_QUERY";
    Err(Error::new(ErrorKind::Device, "the GPU gives no timestamps", remedy))
}

/// A submitted run with timestamps.
pub(super) struct Profile {
    readback: Staging,
    submission: wgpu::SubmissionIndex,
    ticket: Ticket,
}

impl Profile {
    /// Submits dispatches. `encoder` has the copies of their inputs from `uploads`, the last of which has the ticket.
    pub(super) fn submit(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        dispatches: &[&Dispatch],
        mut encoder: wgpu::CommandEncoder,
        (uploads, ticket): (&[Staging], Ticket),
    ) -> Self {
        let count = 2 * dispatches.len() as u32;
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("profile"),
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        let resolved = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: u64::from(count) * TIMESTAMP,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let readback = Staging::readback(device, resolved.size() + ticket::BYTES);
        for (first, dispatch) in (0..).step_by(2).zip(dispatches) {
            dispatch.record_timed(&mut encoder, &queries, first);
        }
        encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &readback.buffer, 0, resolved.size());
        uploads.last().into_iter().for_each(|upload| ticket::copy(&mut encoder, &upload.buffer, &readback.buffer));
        let submission = queue.submit([encoder.finish()]);
        uploads.iter().for_each(Staging::map);
        readback.map();
        Self { readback, submission, ticket }
    }

    /// Waits until the run has finished.
    ///
    /// # Errors
    /// The device failed.
    pub(super) async fn wait(&self, device: &wgpu::Device, patience: Patience) -> Result<()> {
        let patience = Patience { spin: Duration::ZERO, ..patience };
        self.readback.wait(device, self.submission.clone(), patience).await
    }

    /// Returns the time of each dispatch of a run that has finished, none if the timestamps do not advance.
    ///
    /// # Errors
    /// The device failed.
    pub(super) fn times(&self, queue: &wgpu::Queue) -> Result<Option<Vec<Duration>>> {
        let view = self.readback.view()?;
        let ticks: &[u64] = bytemuck::cast_slice(self.ticket.check(&view)?);
        Ok(durations(ticks, f64::from(queue.get_timestamp_period())))
    }
}

/// Returns the times between pairs of timestamps. None if no time passes between any two: some drivers write zeros, as those
/// of macOS 26 do.
fn durations(ticks: &[u64], nanoseconds: f64) -> Option<Vec<Duration>> {
    let passed = |pair: &[u64]| pair[1].saturating_sub(pair[0]);
    let time = |pair| Duration::from_nanos((passed(pair) as f64 * nanoseconds) as u64);
    ticks.chunks_exact(2).any(|pair| passed(pair) > 0).then(|| ticks.chunks_exact(2).map(time).collect())
}

/// Makes an error of timestamps between which no time passes.
pub(super) fn unusable() -> Error {
    let remedy = "update its driver, or profile another device";
    Error::new(ErrorKind::Device, "the GPU's timestamps do not advance", remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_that_do_not_advance_are_none() {
        let nanoseconds = |times: [u64; 2]| Some(times.map(Duration::from_nanos).to_vec());
        assert_eq!(durations(&[10, 13, 20, 20], 2.0), nanoseconds([6, 0]));
        // A clock that goes back counts as no time.
        assert_eq!(durations(&[10, 13, 20, 19], 2.0), nanoseconds([6, 0]));
        assert_eq!(durations(&[0; 4], 2.0), None);
        assert_eq!(durations(&[7, 7, 7, 7], 2.0), None);
    }
}
