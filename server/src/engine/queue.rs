//! The bounded queue of records that wait for the device, grouped by their length.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ecgpu::{Output, Result};
use tokio::sync::oneshot;

/// The most numbers of one batch: 64 MiB in f32. Batches of very long records are smaller.
const LARGEST_BATCH_NUMBERS: usize = 16 << 20;

/// The longest time after which a client is told to come again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// One record as the network takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// The numbers, `[leads, samples]`.
    pub values: Vec<f32>,
    /// The samples per lead.
    pub samples: usize,
}

/// The result of one record.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The outputs of the batch that the record was computed in.
    pub output: Arc<Output>,
    /// The place of the record in the batch.
    pub index: usize,
    /// The records of the batch.
    pub batch: usize,
}

/// Where the result of a record arrives.
pub type Reply = oneshot::Receiver<Result<Answer>>;

/// A record that waits.
pub struct Waiting {
    pub input: Input,
    pub reply: oneshot::Sender<Result<Answer>>,
    /// Records of the usual length that this one counts for.
    weight: usize,
    order: u64,
}

/// Why a request was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// As many records wait as may wait.
    Full {
        /// After which time there will be room, at the rate that was measured.
        retry_after: Duration,
    },
    /// The engine ends.
    Closed,
}

/// The place of a request in the queue while its recordings are prepared.
pub struct Place(Arc<Queue>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.state().places -= 1;
        // Who waits for the last place of a closed queue.
        self.0.added.notify_all();
    }
}

/// Records that wait for the device. Their number is bounded, where a record longer than usual counts for several.
///
/// A request gets a [`Place`] while the bound is not reached, and is then accepted whole, whatever its size: a large one gets
/// a place whenever a small one does, and none is refused after it was prepared.
pub struct Queue {
    limit: usize,
    usual_samples: usize,
    state: Mutex<State>,
    added: Condvar,
    /// The time that the device needs for a record of the usual length, in nanoseconds; 0 before anything was measured.
    nanoseconds: AtomicU64,
}

#[derive(Default)]
struct State {
    /// The records by their samples per lead, the oldest first.
    groups: BTreeMap<usize, VecDeque<Waiting>>,
    /// What the records count for.
    weight: usize,
    /// The places of requests that are being prepared. Each counts for one record.
    places: usize,
    next: u64,
    closed: bool,
    abandoned: u64,
}

impl Queue {
    /// Makes a queue for `limit` records of `usual_samples` samples per lead.
    pub fn new(limit: usize, usual_samples: usize) -> Self {
        let (state, added) = (Mutex::default(), Condvar::new());
        Self { limit: limit.max(1), usual_samples: usual_samples.max(1), state, added, nanoseconds: AtomicU64::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many records of the usual length those that wait count for.
    pub fn weight(&self) -> usize {
        self.state().weight
    }

    /// Returns how many records were dropped since their client had left.
    pub fn abandoned(&self) -> u64 {
        self.state().abandoned
    }

    /// Returns the records of the usual length that a record counts for.
    fn weight_of(&self, samples: usize) -> usize {
        samples.div_ceil(self.usual_samples).max(1)
    }

    /// Gives a request a place, before its recordings are prepared.
    ///
    /// # Errors
    /// The queue is full or closed.
    pub fn place(self: &Arc<Self>) -> std::result::Result<Place, Refused> {
        let mut state = self.state();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.weight + state.places >= self.limit {
            state.drop_abandoned();
        }
        let before = state.weight + state.places;
        if before >= self.limit {
            let time = Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed).saturating_mul(before as u64));
            return Err(Refused::Full { retry_after: time.clamp(Duration::from_secs(1), LONGEST_WAIT) });
        }
        state.places += 1;
        Ok(Place(self.clone()))
    }

    /// Adds the records of the request that has a place.
    pub fn push(&self, place: Place, inputs: Vec<Input>) -> Vec<Reply> {
        let mut state = self.state();
        let mut replies = Vec::with_capacity(inputs.len());
        for input in inputs {
            let (reply, receiver) = oneshot::channel();
            let (weight, order) = (self.weight_of(input.samples), state.next);
            state.next += 1;
            state.weight += weight;
            state.groups.entry(input.samples).or_default().push_back(Waiting { input, reply, weight, order });
            replies.push(receiver);
        }
        drop(state);
        drop(place);
        self.added.notify_one();
        replies
    }

    /// Waits for records and takes a batch: of the length of the oldest, in their order, as many as the largest power of two
    /// up to `largest`. Returns nothing once the queue is closed, empty, and no request has a place.
    pub fn take(&self, largest: usize) -> Option<Vec<Waiting>> {
        let mut state = self.state();
        loop {
            if let Some(batch) = state.take(largest) {
                return Some(batch);
            }
            if state.closed && state.places == 0 {
                return None;
            }
            state = self.added.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Accepts nothing more. What waits will still be taken.
    pub fn close(&self) {
        self.state().closed = true;
        self.added.notify_all();
    }

    /// Notes how long the device took for `records` records of `samples` samples.
    pub fn measured(&self, records: usize, samples: usize, time: Duration) {
        let weight = (records * self.weight_of(samples)) as f64;
        let each = time.as_nanos() as f64 / weight;
        // An exponential average over about ten batches; one thread writes it.
        let before = self.nanoseconds.load(Ordering::Relaxed) as f64;
        let average = if before == 0.0 { each } else { 0.9 * before + 0.1 * each };
        self.nanoseconds.store(average.max(1.0) as u64, Ordering::Relaxed);
    }
}

impl State {
    fn take(&mut self, largest: usize) -> Option<Vec<Waiting>> {
        loop {
            let oldest =
                self.groups.iter().min_by_key(|(_, group)| group.front().map_or(u64::MAX, |first| first.order));
            let samples = *oldest?.0;
            self.drop_abandoned_of(samples);
            let Some(group) = self.groups.get_mut(&samples) else { continue };
            let numbers = group.front().map_or(1, |first| first.input.values.len().max(1));
            let most = largest.min(LARGEST_BATCH_NUMBERS / numbers).min(group.len()).max(1);
            let batch: Vec<Waiting> = group.drain(..1 << most.ilog2()).collect();
            if group.is_empty() {
                self.groups.remove(&samples);
            }
            self.weight -= batch.iter().map(|waiting| waiting.weight).sum::<usize>();
            return Some(batch);
        }
    }

    fn drop_abandoned(&mut self) {
        let lengths: Vec<usize> = self.groups.keys().copied().collect();
        lengths.into_iter().for_each(|samples| self.drop_abandoned_of(samples));
    }

    /// Drops the records of a length whose client has left.
    fn drop_abandoned_of(&mut self, samples: usize) {
        let Some(group) = self.groups.get_mut(&samples) else { return };
        let (weight, abandoned) = (&mut self.weight, &mut self.abandoned);
        group.retain(|waiting| {
            if waiting.reply.is_closed() {
                *weight -= waiting.weight;
                *abandoned += 1;
            }
            !waiting.reply.is_closed()
        });
        if group.is_empty() {
            self.groups.remove(&samples);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(lengths: &[usize]) -> Vec<Input> {
        lengths.iter().map(|&samples| Input { values: vec![0.0; samples], samples }).collect()
    }

    fn lengths(batch: &[Waiting]) -> Vec<usize> {
        batch.iter().map(|waiting| waiting.input.samples).collect()
    }

    fn queue(limit: usize) -> Arc<Queue> {
        Arc::new(Queue::new(limit, 10))
    }

    fn push(queue: &Arc<Queue>, lengths: &[usize]) -> Vec<Reply> {
        queue.push(queue.place().unwrap(), inputs(lengths))
    }

    #[test]
    fn a_batch_has_one_length_the_oldest_and_a_power_of_two_of_records() {
        let queue = queue(100);
        let _replies = push(&queue, &[10, 20, 10, 10, 20, 10, 10, 10]);
        assert_eq!(lengths(&queue.take(64).unwrap()), [10; 4]);
        assert_eq!(lengths(&queue.take(64).unwrap()), [20; 2], "the oldest now");
        assert_eq!(lengths(&queue.take(1).unwrap()), [10]);
        assert_eq!(lengths(&queue.take(64).unwrap()), [10]);
        assert_eq!(queue.weight(), 0);
        queue.close();
        assert!(queue.take(64).is_none());
    }

    #[test]
    fn a_request_is_accepted_whole_while_there_is_room() {
        let queue = queue(4);
        let mut replies = push(&queue, &[10; 3]);
        replies.extend(push(&queue, &[10; 9]));
        queue.measured(1, 10, Duration::from_millis(500));
        assert_eq!(queue.place().err(), Some(Refused::Full { retry_after: Duration::from_secs(6) }));
        assert_eq!(queue.take(8).unwrap().len(), 8);
        assert!(queue.place().is_err(), "four wait");
        queue.take(1).unwrap();
        let place = queue.place().unwrap();
        assert!(queue.place().is_err(), "the last place is taken");
        drop(place);
        assert!(queue.place().is_ok());
        queue.close();
        assert_eq!(queue.place().err(), Some(Refused::Closed));
    }

    #[test]
    fn who_has_a_place_is_computed_although_the_queue_is_closed() {
        let queue = queue(4);
        let place = queue.place().unwrap();
        queue.close();
        let _replies = queue.push(place, inputs(&[10]));
        assert_eq!(queue.take(64).unwrap().len(), 1);
        assert!(queue.take(64).is_none());
    }

    #[test]
    fn a_long_record_counts_for_several() {
        let queue = queue(4);
        let _replies = push(&queue, &[31]);
        assert_eq!(queue.weight(), 4);
        assert!(queue.place().is_err());
    }

    #[test]
    fn records_whose_client_has_left_make_room_and_are_not_computed() {
        let queue = queue(3);
        let mut replies = push(&queue, &[10, 20, 10]);
        assert!(queue.place().is_err());
        replies.truncate(1);
        assert!(queue.place().is_ok());
        assert_eq!(lengths(&queue.take(64).unwrap()), [10]);
        assert_eq!((queue.weight(), queue.abandoned()), (0, 2));
    }

    #[test]
    fn a_batch_of_very_long_records_is_small() {
        let queue = Arc::new(Queue::new(100, LARGEST_BATCH_NUMBERS));
        let _replies = push(&queue, &[LARGEST_BATCH_NUMBERS / 2 - 1; 5]);
        assert_eq!(queue.take(64).unwrap().len(), 2);
    }
}
