//! What the server counts and measures, in one place: the rest of the crate calls these functions and knows no more.

use std::time::Duration;

/// A batch of `records` was computed in `time`.
pub fn batch(records: usize, time: Duration) {
    log::trace!("batch of {records} in {time:?}");
}

/// A request to a route was answered.
pub fn request(route: &str, status: u16, time: Duration) {
    log::trace!("{route}: {status} after {time:?}");
}

/// A request was refused: `full`, `unauthorised`, `connections` or `memory`.
pub fn refused(why: &'static str) {
    log::trace!("refused: {why}");
}
