//! A thread that runs blocking work for asynchronous callers and in the background, so that no executor is ever blocked
//! and no runtime is presupposed. It starts with the first job and ends with its owner.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, mpsc},
    task::{Context, Poll, Waker},
    thread::JoinHandle,
    time::Duration,
};

use crate::{Error, ErrorKind, Result};

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub(crate) struct Worker(Mutex<Option<Thread>>);

struct Thread {
    jobs: mpsc::Sender<Job>,
    /// Nothing is ever sent: it is closed when the last job is over.
    ended: mpsc::Receiver<()>,
    handle: JoinHandle<()>,
}

impl Worker {
    /// Runs `work` on the worker's thread; the future waits for its result. If the future is dropped before its turn
    /// comes, `work` is not begun.
    ///
    /// The future fails if the work never ends with a result: it panicked, or the thread is gone.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Pending<T> {
        let answer = Arc::new(Mutex::new(Answer { value: None, waker: None }));
        let promise = Promise(answer.clone());
        let job: Job = Box::new(move || {
            if promise.is_awaited() {
                promise.keep(work());
            }
        });
        let mut thread = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            // Where no thread can be started, the job is dropped and with it the promise, which fails the future.
            *thread = start().ok();
        }
        if let Some(thread) = thread.as_ref() {
            // The receiver lives as long as the sender.
            let _ = thread.jobs.send(job);
        }
        drop(thread);
        Pending(answer)
    }

    /// Lets the thread end after the jobs that it has, and waits for that, though not longer than `patience`.
    pub(crate) fn stop(&self, patience: Duration) {
        let thread = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Thread { jobs, ended, handle }) = thread else { return };
        drop(jobs);
        if ended.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Disconnected) {
            // No panic gets out of the thread.
            let _ = handle.join();
        }
    }
}

fn start() -> std::io::Result<Thread> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let (still_running, ended) = mpsc::channel();
    let run = move || {
        for job in jobs {
            // A job that panics must not take the jobs after it along; dropping its promise has failed its future.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
        drop(still_running);
    };
    let handle = std::thread::Builder::new().name("ecgpu".into()).spawn(run)?;
    Ok(Thread { jobs: sender, ended, handle })
}

struct Answer<T> {
    value: Option<Result<T>>,
    waker: Option<Waker>,
}

/// Answers once, with a failure at the latest when it is dropped.
struct Promise<T>(Arc<Mutex<Answer<T>>>);

impl<T> Promise<T> {
    /// Whether somebody still waits for the answer.
    fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

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

impl<T> Pending<T> {
    /// The result, once it is there and has not been taken.
    pub(crate) fn try_take(&self) -> Option<Result<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).value.take()
    }
}

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
    #[test]
    fn what_nobody_awaits_is_not_begun() {
        let worker = Worker::default();
        let (go, wait) = mpsc::channel::<()>();
        let first = worker.run(move || wait.recv().is_err());
        let (begun, seen) = mpsc::channel();
        drop(worker.run(move || begun.send(())));
        drop(go);
        assert_eq!(pollster::block_on(first), Ok(true));
        worker.stop(Duration::from_secs(60));
        assert!(seen.recv().is_err());
    }

    #[test]
    fn a_stop_waits_for_the_job_but_not_for_ever() {
        let worker = Worker::default();
        let job = worker.run(|| std::thread::sleep(Duration::from_millis(50)));
        worker.stop(Duration::from_secs(60));
        assert!(job.try_take().is_some());
        let (go, wait) = mpsc::channel::<()>();
        let job = worker.run(move || wait.recv().is_err());
        worker.stop(Duration::from_millis(1));
        assert!(job.try_take().is_none());
        drop(go);
        assert_eq!(pollster::block_on(job), Ok(true));
    }
}
