//! A worker thread for blocking work: for asynchronous callers, whose executors must not be blocked, and in the background.
//! It needs no asynchronous runtime. It starts with the first job and ends with its owner.

#[cfg(feature = "threads")]
use std::sync::OnceLock;
use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError, mpsc},
    task::{Context, Poll, Waker},
    thread::JoinHandle,
    time::Duration,
};

use crate::{Error, ErrorKind, Hint, Result};

/// Starts the threads that all parts of the process share, which rayon would otherwise start at its first use, and panic where
/// it cannot.
///
/// # Errors
/// The system starts no more threads.
#[cfg(feature = "threads")]
pub(crate) fn shared_threads() -> Result<()> {
    static STARTED: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    let start = || match rayon::ThreadPoolBuilder::new().build_global() {
        // An error without a source says that the application has started them.
        Err(error) if std::error::Error::source(&error).is_some() => Err(error.to_string()),
        _ => Ok(()),
    };
    STARTED.get_or_init(start).clone().map_err(|error| {
        let cause = format!("the system starts no more threads: {error}");
        Error::new(ErrorKind::Device, cause, "raise the limit of its processes and threads, or stop other programs")
    })
}

/// Returns the result of a future that is ready when it is first polled, because it blocks where it has to wait.
///
/// # Errors
/// The future fails; or it waits for a GPU without blocking, as in a browser.
pub(crate) fn at_once<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => {
            let cause = "WebAssembly cannot block until a GPU has answered";
            let error = Error::new(ErrorKind::Device, cause, "await the asynchronous function, or use the CPU");
            Err(error.with_hint(Hint::UseCpu))
        }
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A worker thread with a queue of jobs.
#[derive(Default)]
pub(crate) struct Worker(Mutex<Option<Thread>>);

struct Thread {
    jobs: mpsc::Sender<Job>,
    /// Disconnected when the thread has finished its last job; nothing is ever sent.
    ended: mpsc::Receiver<()>,
    handle: JoinHandle<()>,
}

impl Worker {
    /// Queues `work` for the worker thread and returns a future of its result. If the future is dropped before `work` starts,
    /// `work` is skipped. WebAssembly has no threads: there `work` is done when this returns.
    ///
    /// # Errors
    /// The future fails if `work` panics or no thread can be started.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Pending<T> {
        let answer = Arc::new(Mutex::new(Answer { value: None, waker: None }));
        let promise = Promise(answer.clone());
        let job: Job = Box::new(move || {
            if promise.is_awaited() {
                promise.fulfil(work());
            }
        });
        if cfg!(target_family = "wasm") {
            job();
            return Pending(answer);
        }
        let mut thread = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            // If no thread can be started, the job and its promise are dropped, and the future fails.
            *thread = start().ok();
        }
        if let Some(thread) = thread.as_ref() {
            // Sending cannot fail: the thread has the receiver until `stop` drops the sender.
            let _ = thread.jobs.send(job);
        }
        drop(thread);
        Pending(answer)
    }

    /// Ends the thread after the jobs in its queue, and waits for that, at most for `timeout`.
    pub(crate) fn stop(&self, timeout: Duration) {
        let thread = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Thread { jobs, ended, handle }) = thread else { return };
        drop(jobs);
        if ended.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Disconnected) {
            // The thread catches all panics, so that joining cannot fail.
            let _ = handle.join();
        }
    }
}

/// Starts a thread that runs jobs until its sender is dropped.
fn start() -> std::io::Result<Thread> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let (disconnects_at_end, ended) = mpsc::channel();
    let run = move || {
        for job in jobs {
            // A job that panics must not end the thread. The panic drops the job's promise, which fails its future.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
        drop(disconnects_at_end);
    };
    let handle = std::thread::Builder::new().name("ecgpu".into()).spawn(run)?;
    Ok(Thread { jobs: sender, ended, handle })
}

/// The result of a job, and the task that waits for it.
struct Answer<T> {
    value: Option<Result<T>>,
    waker: Option<Waker>,
}

/// The job's side of an answer. It sets the result once, and sets an error when it is dropped without a result.
struct Promise<T>(Arc<Mutex<Answer<T>>>);

impl<T> Promise<T> {
    /// Returns whether the future still exists.
    fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    fn fulfil(self, value: T) {
        self.set(Ok(value));
    }

    fn set(&self, value: Result<T>) {
        let mut answer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answer.value.get_or_insert(value);
        if let Some(waker) = answer.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.set(Err(Error::new(ErrorKind::Device, "the worker thread stopped", "open the classifier again")));
    }
}

/// The future of a job's result.
pub(crate) struct Pending<T>(Arc<Mutex<Answer<T>>>);

impl<T> Pending<T> {
    /// Returns the result if the job has ended. The result is moved out: further calls return none.
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
    fn jobs_run_in_order_and_a_panic_fails_only_its_own_future() {
        let worker = Worker::default();
        let first = worker.run(|| 1);
        let panics = worker.run(|| -> i32 { std::panic::resume_unwind(Box::new("on purpose")) });
        let last = worker.run(|| 3);
        assert_eq!(pollster::block_on(first), Ok(1));
        assert!(pollster::block_on(panics).is_err());
        assert_eq!(pollster::block_on(last), Ok(3));
    }

    #[test]
    fn a_job_whose_future_was_dropped_is_skipped() {
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
    fn stop_waits_for_the_running_job_until_its_timeout() {
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
