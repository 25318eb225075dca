//! The pool of prepared executors. Each is lent to one request at a time, so that requests of several threads run at once.

use std::{
    future::poll_fn,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use crate::{
    Result,
    backend::{BLOCKS, Executor},
};

/// The number of idle executors that are kept, or the pool's limit if that is larger. The least recently used is dropped
/// first. A folder of recordings has a few different lengths, each with full batches and one smaller batch.
const MIN_IDLE: usize = 8;

/// The batch size and the number of samples that an executor is prepared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) batch: usize,
    pub(super) samples: usize,
}

/// An executor, and memory for what it returns.
pub(super) struct Ready {
    pub(super) executor: Box<dyn Executor>,
    /// The outputs of the last run that was not a stream.
    pub(super) outputs: Vec<Vec<f32>>,
}

/// All executors of a classifier.
pub(super) struct Executors {
    /// The largest number of executors that are lent at once; further requests wait.
    limit: usize,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    /// The executors that no request uses, the most recently used last.
    idle: Vec<(Shape, Ready)>,
    lent: usize,
    /// The requests that wait for an executor without blocking a thread.
    waiting: Vec<Waker>,
}

impl Executors {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), state: Mutex::default(), returned: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether an idle executor has this shape.
    pub(super) fn has_idle(&self, shape: Shape) -> bool {
        self.state().idle.iter().any(|(other, _)| *other == shape)
    }

    /// Lends an idle executor of the shape, or one that `prepare` makes. Waits while the limit is reached.
    ///
    /// # Errors
    /// `prepare` fails.
    pub(super) async fn lend(
        &self,
        shape: Shape,
        prepare: impl AsyncFnOnce() -> Result<Box<dyn Executor>>,
    ) -> Result<Lent<'_>> {
        let mut lent = if BLOCKS { self.lend_idle(self.blocked(), shape) } else { self.free(shape).await };
        if lent.ready.is_none() {
            log::debug!("preparing an executor for batch {} of {} samples", shape.batch, shape.samples);
            lent.ready = Some(Ready { executor: prepare().await?, outputs: Vec::new() });
        }
        Ok(lent)
    }

    /// Blocks while the limit is reached.
    fn blocked(&self) -> MutexGuard<'_, State> {
        let reached = |state: &mut State| state.lent >= self.limit;
        self.returned.wait_while(self.state(), reached).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the limit is reached, and lends as [`Executors::lend_idle`] does.
    async fn free(&self, shape: Shape) -> Lent<'_> {
        poll_fn(|context| {
            let mut state = self.state();
            if state.lent < self.limit {
                return Poll::Ready(self.lend_idle(state, shape));
            }
            state.waiting.push(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Lends an idle executor of the shape, if there is one, within the limit. Dropping what is lent allows the next request.
    fn lend_idle<'a>(&'a self, mut state: MutexGuard<'a, State>, shape: Shape) -> Lent<'a> {
        state.lent += 1;
        let idle = state.idle.iter().rposition(|(other, _)| *other == shape).map(|at| state.idle.remove(at).1);
        Lent { executors: self, shape, ready: idle }
    }
}

/// An executor that one request uses. Without a call of [`Lent::give_back`], as after a failure, the executor is dropped.
pub(super) struct Lent<'a> {
    executors: &'a Executors,
    shape: Shape,
    ready: Option<Ready>,
}

impl Lent<'_> {
    pub(super) fn ready(&mut self) -> &mut Ready {
        self.ready.as_mut().expect("it is set when the executor is lent and taken when it is given back")
    }

    /// Keeps the executor for the next request of its shape.
    pub(super) fn give_back(mut self) {
        let Some(ready) = self.ready.take() else { return };
        let mut state = self.executors.state();
        state.idle.push((self.shape, ready));
        if state.idle.len() > MIN_IDLE.max(self.executors.limit) {
            // The executor is dropped after the lock is released: freeing its device memory may take long.
            let oldest = state.idle.remove(0);
            drop(state);
            drop(oldest);
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.ready = None;
        let mut state = self.executors.state();
        state.lent -= 1;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.executors.returned.notify_one();
        waiting.into_iter().for_each(Waker::wake);
    }
}
