//! Tickets prove that the GPU executed a run: a number goes up with the inputs, and the last command of the run copies it to
//! the end of the readback buffer, where the host compares it.
//!
//! A driver may report that an aborted run has finished, as Metal does. The readback buffer then holds what an earlier run
//! left there, which looks like a result.

use std::sync::atomic::{AtomicU64, Ordering};

use super::faults;
use crate::Result;

/// The bytes of a ticket.
pub(super) const BYTES: u64 = size_of::<u64>() as u64;

/// A number that no other run of this process has, never 0. All devices and plans share the numbers, because a new buffer may
/// have the memory of an old one.
#[derive(Clone, Copy)]
pub(super) struct Ticket(u64);

impl Ticket {
    /// Returns the next ticket.
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Writes the ticket to the end of a mapped upload buffer.
    pub(super) fn write(self, upload: &mut wgpu::BufferViewMut) {
        let start = upload.len() - BYTES as usize;
        upload.slice(start..).copy_from_slice(&self.0.to_ne_bytes());
    }

    /// Takes the ticket off the end of a mapped readback buffer and returns what is before it.
    ///
    /// # Errors
    /// It is another ticket: the GPU did not execute the run to its end.
    pub(super) fn check(self, readback: &[u8]) -> Result<&[u8]> {
        match readback.split_last_chunk() {
            Some((rest, ticket)) if *ticket == self.0.to_ne_bytes() => Ok(rest),
            _ => Err(faults::failed("it aborted a run and reported it as finished")),
        }
    }
}

/// Records the copy of a ticket from the end of an upload buffer to the end of a readback buffer. It must be the last command
/// of a run.
pub(super) fn copy(encoder: &mut wgpu::CommandEncoder, upload: &wgpu::Buffer, readback: &wgpu::Buffer) {
    encoder.copy_buffer_to_buffer(upload, upload.size() - BYTES, readback, readback.size() - BYTES, BYTES);
}
