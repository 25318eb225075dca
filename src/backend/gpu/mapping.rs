//! The result of mapping a buffer, from wgpu's callback to the one who waits for it.

use std::{
    future::poll_fn,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    time::Duration,
};

use super::faults;
use crate::{Error, Result};

/// How long to wait for wgpu's callback that a buffer is mapped, after the GPU has finished with it. wgpu calls back at once,
/// but another thread that polls the device at the same time may run the callback.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(10);

const NOT_MAPPED: &str = "its memory could not be mapped";

/// Makes an error of memory that is not there although it was mapped. A browser's reason has the whole stack of calls.
pub(super) fn failed(reason: &str) -> Error {
    if cfg!(target_family = "wasm") {
        log::debug!("{NOT_MAPPED}: {reason}");
        return faults::failed(NOT_MAPPED);
    }
    faults::failed(reason)
}

/// The result of a mapping.
#[derive(Clone, Copy)]
pub(super) enum Mapped {
    Yes,
    No,
    /// wgpu did not call back.
    Unanswered,
}

impl Mapped {
    /// Makes an error of a mapping that failed.
    pub(super) fn check(self) -> Result<()> {
        match self {
            Mapped::Yes => Ok(()),
            Mapped::No => Err(faults::failed(NOT_MAPPED)),
            Mapped::Unanswered => Err(faults::failed("a mapping of its memory was never answered")),
        }
    }
}

/// The place of a result. It is kept with its buffer, so that a mapping allocates nothing.
#[derive(Default)]
pub(super) struct Mapping {
    state: Mutex<State>,
    answered: Condvar,
}

#[derive(Default)]
struct State {
    result: Option<Mapped>,
    waker: Option<Waker>,
}

impl Mapping {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the result, and wakes the one who waits for it.
    pub(super) fn set(&self, mapped: bool) {
        let mut state = self.state();
        state.result = Some(if mapped { Mapped::Yes } else { Mapped::No });
        let waker = state.waker.take();
        drop(state);
        self.answered.notify_one();
        waker.into_iter().for_each(Waker::wake);
    }

    /// Takes the result if it is known.
    pub(super) fn take(&self) -> Option<Mapped> {
        self.state().result.take()
    }

    /// Waits for the result and takes it. A native program blocks, for a limited time.
    pub(super) async fn taken(&self) -> Mapped {
        if !cfg!(target_family = "wasm") {
            let unknown = |state: &mut State| state.result.is_none();
            let waited = self.answered.wait_timeout_while(self.state(), CALLBACK_TIMEOUT, unknown);
            return waited.unwrap_or_else(PoisonError::into_inner).0.result.take().unwrap_or(Mapped::Unanswered);
        }
        poll_fn(|context| {
            let mut state = self.state();
            match state.result.take() {
                Some(mapped) => Poll::Ready(mapped),
                None => {
                    state.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}
