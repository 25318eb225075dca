//! How long the GPU computes on each step, by its own clock: a timestamp before and after each dispatch, which for this
//! stands in a pass of its own.

use std::time::Duration;

use super::{executor::Dispatch, readback};
use crate::{Error, ErrorKind, Result};

/// Bytes of a timestamp.
const TIMESTAMP: u64 = 8;

/// Runs dispatches once, their input being written already, and returns each one's time.
///
/// # Errors
/// The device was opened without timestamps, or fails.
pub(super) fn profile(device: &wgpu::Device, queue: &wgpu::Queue, dispatches: &[&Dispatch]) -> Result<Vec<Duration>> {
    if !device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
        let remedy = "profile another device, or have the host application open this one with TIMESTAMP_QUERY";
        return Err(Error::new(ErrorKind::Device, "the GPU gives no timestamps", remedy));
    }
    let count = 2 * dispatches.len() as u32;
    let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
        label: Some("profile"),
        ty: wgpu::QueryType::Timestamp,
        count,
    });
    let buffer = |label, usage| {
        let size = u64::from(count) * TIMESTAMP;
        device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
    };
    let resolved = buffer("timestamps", wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
    let staging = buffer("timestamps read back", wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ);
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    for (first, dispatch) in (0..).step_by(2).zip(dispatches) {
        let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
            query_set: &queries,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        });
        let descriptor = wgpu::ComputePassDescriptor { label: Some("profile"), timestamp_writes };
        dispatch.record(&mut encoder.begin_compute_pass(&descriptor));
    }
    encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
    encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, staging.size());
    queue.submit([encoder.finish()]);
    let view = readback::map(device, &staging, Duration::ZERO)?;
    let ticks: &[u64] = bytemuck::cast_slice(&view);
    let nanoseconds = f64::from(queue.get_timestamp_period());
    let time = |pair: &[u64]| Duration::from_nanos((pair[1].saturating_sub(pair[0]) as f64 * nanoseconds) as u64);
    Ok(ticks.chunks_exact(2).map(time).collect())
}
