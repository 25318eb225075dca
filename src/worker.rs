//! A thread that runs blocking work for asynchronous callers, so that no executor is ever blocked and no runtime is
//! presupposed. It starts with the first job and ends with its owner.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError, mpsc},
    task::{Context, Poll, Waker},
};

use crate::{Error, ErrorKind, Result};

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub(crate) struct Worker(OnceLock<mpsc::Sender<Job>>);

impl Worker {
    /// Runs `work` on the worker's thread; the future waits for its result.
    ///
    /// The future fails if the work never ends with a result: it panicked, or the thread is gone.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Pending<T> {
        let answer = Arc::new(Mutex::new(Answer { value: None, waker: None }));
        let promise = Promise(answer.clone());
        let job: Job = Box::new(move || promise.keep(work()));
        // A send that fails drops the job and with it the promise, which fails the future.
        let _ = self.0.get_or_init(start).send(job);
        Pending(answer)
    }
}

fn start() -> mpsc::Sender<Job> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let run = move || {
        for job in jobs {
            // A job that panics must not take the jobs after it along; dropping its promise has failed its future.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
    };
    // Where no thread can be started, the receiver is dropped and every send fails.
    let _ = std::thread::Builder::new().name("ecgpu".into()).spawn(run);
    sender
}

struct Answer<T> {
    value: Option<Result<T>>,
    waker: Option<Waker>,
}

/// Answers once, with a failure at the latest when it is dropped.
struct Promise<T>(Arc<Mutex<Answer<T>>>);

impl<T> Promise<T> {
    fn keep(self, value: T) {
        self.answer(Ok(value));
    }

    fn answer(&self, value: Result<T>) {
        let mut answer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answer.value.get_or_insert(value);
        if let Some(waker) = answer.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.answer(Err(Error::new(ErrorKind::Device, "the worker thread stopped", "open the classifier again")));
    }
}

/// A result that is still being computed.
pub(crate) struct Pending<T>(Arc<Mutex<Answer<T>>>);

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let mut answer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match answer.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                answer.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_in_turn_and_a_panic_fails_its_own_future_alone() {
        let worker = Worker::default();
        let first = worker.run(|| 1);
        let panics = worker.run(|| -> i32 { std::panic::resume_unwind(Box::new("on purpose")) });
        let last = worker.run(|| 3);
        assert_eq!(pollster::block_on(first), Ok(1));
        assert!(pollster::block_on(panics).is_err());
        assert_eq!(pollster::block_on(last), Ok(3));
    }
}
