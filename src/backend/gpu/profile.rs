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

/// Runs dispatches once and returns the time of each. `encoder` has the copies of their inputs from `uploads`, the last of
/// which has the ticket.
///
/// # Errors
/// The device failed.
pub(super) fn profile(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    dispatches: &[&Dispatch],
    mut encoder: wgpu::CommandEncoder,
    (uploads, ticket): (&[Staging], Ticket),
    patience: Patience,
) -> Result<Vec<Duration>> {
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
    readback.wait(device, submission, Patience { spin: Duration::ZERO, ..patience })?;
    let view = readback.view()?;
    let ticks: &[u64] = bytemuck::cast_slice(ticket.check(&view)?);
    let nanoseconds = f64::from(queue.get_timestamp_period());
    let time = |pair: &[u64]| Duration::from_nanos((pair[1].saturating_sub(pair[0]) as f64 * nanoseconds) as u64);
    Ok(ticks.chunks_exact(2).map(time).collect())
}
