//! The CPU backend's thread pool. A run consists of phases of work items, with a barrier after each phase.
//!
//! The calling thread takes part. It waits for items that a thread is working on, never for a helper that has not begun,
//! so a run ends even if no helper ever comes, because the pool is small, busy, or the caller is one of its threads.
//! Helpers start once per run, not once per phase: a helper takes 2 to 50 µs to start, longest when it sleeps, and a phase
//! takes 3 to 100 µs. Passing from one phase to the next takes 0.3 µs.
//!
//! Several callers may run at once. A run takes as helpers only threads that no other run uses, so that the callers and
//! their helpers together are no more than the pool's workers: two callers on two cores work one thread each, instead of
//! four threads waiting for each other at two barriers (`docs/measurements/cpu-threads.md`).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
#[cfg(feature = "threads")]
use std::sync::{Arc, OnceLock};

#[cfg(feature = "threads")]
use crate::worker::shared_threads;
use crate::{Error, ErrorKind, Result};

/// How often a thread looks whether a phase is complete before it yields the processor: about 10 µs.
const SPINS: usize = 500;

/// The most threads that are started. More help no network, and thousands take seconds to start and to synchronise.
const MOST_WORKERS: usize = 1024;

/// A function that does one work item: its arguments are the phase, the item and the number of the worker.
pub(super) type WorkFunction<'a> = dyn Fn(usize, usize, usize) + Sync + 'a;

/// Threads that work on the items of a run together.
#[derive(Clone)]
pub(super) struct ThreadPool {
    workers: usize,
    /// The helpers' own threads. Without any, helpers run on the process's shared threads.
    #[cfg(feature = "threads")]
    helpers: Option<Arc<rayon::ThreadPool>>,
    /// How many threads are in use by runs: all callers and their helpers.
    #[cfg(feature = "threads")]
    in_use: Arc<AtomicUsize>,
}

impl Default for ThreadPool {
    /// A pool of all threads of the process. All such pools share them.
    fn default() -> Self {
        #[cfg(feature = "threads")]
        {
            static IN_USE: OnceLock<Arc<AtomicUsize>> = OnceLock::new();
            let in_use = IN_USE.get_or_init(Arc::default).clone();
            // Where no thread can be started, the caller works alone.
            let workers = if shared_threads().is_ok() { rayon::current_num_threads() } else { 1 };
            Self { workers, helpers: None, in_use }
        }
        #[cfg(not(feature = "threads"))]
        Self { workers: 1 }
    }
}

impl ThreadPool {
    /// Creates a pool of `workers` threads, of which the caller of a run is one.
    ///
    /// # Errors
    /// Zero workers, more than [`MOST_WORKERS`], more than one without feature `threads`, or the system starts no more
    /// threads.
    pub(super) fn new(workers: usize) -> Result<Self> {
        if workers == 0 {
            return Err(Error::new(ErrorKind::Usage, "zero threads", "use 1 or more, or leave the number out"));
        }
        if workers > MOST_WORKERS {
            let remedy = format!("use {MOST_WORKERS} or fewer, or leave the number out");
            return Err(Error::new(ErrorKind::Usage, format!("{workers} threads"), remedy));
        }
        #[cfg(not(feature = "threads"))]
        if workers > 1 {
            let cause = format!("{workers} threads in a build for one");
            return Err(Error::new(ErrorKind::Usage, cause, "build with feature `threads`, or use 1"));
        }
        Ok(Self {
            workers,
            #[cfg(feature = "threads")]
            helpers: if workers > 1 { Some(Arc::new(start_helpers(workers - 1)?)) } else { None },
            #[cfg(feature = "threads")]
            in_use: Arc::default(),
        })
    }

    /// The most threads that one run uses.
    pub(super) fn workers(&self) -> usize {
        self.workers
    }

    /// Calls `function` for each item of each phase. Every item of a phase is complete before the next phase begins.
    pub(super) fn run(&self, work: &mut PhasedWork, function: &WorkFunction) {
        work.reset();
        let work = &*work;
        #[cfg(feature = "threads")]
        {
            let lease = Lease::new(&self.in_use, self.workers, work.workers - 1);
            if lease.helpers > 0 {
                return match &self.helpers {
                    Some(helpers) => {
                        helpers.in_place_scope(|scope| work.run_with_helpers(scope, lease.helpers, function));
                    }
                    None => rayon::in_place_scope(|scope| work.run_with_helpers(scope, lease.helpers, function)),
                };
            }
            work.run_worker(0, function);
        }
        #[cfg(not(feature = "threads"))]
        work.run_worker(0, function);
    }
}

#[cfg(feature = "threads")]
fn start_helpers(threads: usize) -> Result<rayon::ThreadPool> {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|index| format!("ecgpu-{index}"));
    builder.build().map_err(|error| {
        let cause = format!("{threads} threads could not be started: {error}");
        Error::new(ErrorKind::Device, cause, "use fewer threads")
    })
}

/// The threads that one run uses, given back when it is dropped.
#[cfg(feature = "threads")]
struct Lease<'a> {
    in_use: &'a AtomicUsize,
    helpers: usize,
}

#[cfg(feature = "threads")]
impl<'a> Lease<'a> {
    /// Takes the caller, and up to `wanted` helpers as long as no more than `workers` threads are in use.
    fn new(in_use: &'a AtomicUsize, workers: usize, wanted: usize) -> Self {
        let helpers = |in_use: usize| workers.saturating_sub(in_use + 1).min(wanted);
        // Relaxed: the number only bounds how many threads compete for the processor.
        let before = in_use
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |in_use| Some(in_use + 1 + helpers(in_use)))
            .unwrap_or_else(|in_use| in_use);
        Self { in_use, helpers: helpers(before) }
    }
}

#[cfg(feature = "threads")]
impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.in_use.fetch_sub(1 + self.helpers, Ordering::Relaxed);
    }
}

/// The phases of a run and how much of each is complete. It is reused from run to run.
pub(super) struct PhasedWork {
    workers: usize,
    phases: Vec<Phase>,
    /// For each worker and phase, the next item of the worker's share. A worker that has finished its own share takes items
    /// from the others'.
    next: Vec<AtomicUsize>,
    /// Whether a worker has panicked: its item will never be complete.
    stopped: AtomicBool,
}

struct Phase {
    items: usize,
    /// The items that are not complete yet.
    left: AtomicUsize,
}

impl PhasedWork {
    /// Creates the phases, each with its number of items. No more workers take part than the largest phase has items.
    pub(super) fn new(workers: usize, items: &[usize]) -> Self {
        let workers = workers.min(items.iter().copied().max().unwrap_or(1)).max(1);
        Self {
            workers,
            phases: items.iter().map(|&items| Phase { items, left: AtomicUsize::new(items) }).collect(),
            next: (0..workers * items.len()).map(|_| AtomicUsize::new(0)).collect(),
            stopped: AtomicBool::new(false),
        }
    }

    /// The most workers that take part. Their numbers are below it.
    pub(super) fn workers(&self) -> usize {
        self.workers
    }

    fn reset(&mut self) {
        *self.stopped.get_mut() = false;
        for (at, next) in self.next.iter_mut().enumerate() {
            let (worker, phase) = (at / self.phases.len(), at % self.phases.len());
            *next.get_mut() = worker * self.phases[phase].items / self.workers;
        }
        self.phases.iter_mut().for_each(|phase| *phase.left.get_mut() = phase.items);
    }

    #[cfg(feature = "threads")]
    fn run_with_helpers<'scope>(
        &'scope self,
        scope: &rayon::Scope<'scope>,
        helpers: usize,
        function: &'scope WorkFunction<'scope>,
    ) {
        for worker in 1..=helpers {
            scope.spawn(move |_| self.run_worker(worker, function));
        }
        self.run_worker(0, function);
    }

    fn run_worker(&self, worker: usize, function: &WorkFunction) {
        let guard = StopOnPanic(&self.stopped);
        for (number, phase) in self.phases.iter().enumerate() {
            let done = self.run_items(number, phase, worker, function);
            // Release: a thread that sees the phase complete also sees what its items wrote.
            phase.left.fetch_sub(done, Ordering::Release);
            if !self.wait(phase) {
                break;
            }
        }
        std::mem::forget(guard);
    }

    /// Does items of the worker's own share, then of the other workers' shares, and returns how many.
    fn run_items(&self, number: usize, phase: &Phase, worker: usize, function: &WorkFunction) -> usize {
        let mut done = 0;
        for owner in (worker..self.workers).chain(0..worker) {
            let next = &self.next[owner * self.phases.len() + number];
            let end = (owner + 1) * phase.items / self.workers;
            // The load skips finished shares without a write, which is what a worker finds that comes late.
            while next.load(Ordering::Relaxed) < end {
                let item = next.fetch_add(1, Ordering::Relaxed);
                if item >= end {
                    break;
                }
                function(number, item, worker);
                done += 1;
            }
        }
        done
    }

    /// Waits until every item of the phase is complete. Returns `false` if that will never happen.
    fn wait(&self, phase: &Phase) -> bool {
        let mut spins = 0;
        // Acquire: what the phase's items wrote is visible from here on.
        while phase.left.load(Ordering::Acquire) != 0 {
            if self.stopped.load(Ordering::Relaxed) {
                return false;
            }
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        true
    }
}

/// Makes the other workers stop waiting when a worker panics. It is forgotten when the worker ends normally.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "threads")]
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// Pool sizes to test: more than one worker only where the build has threads.
    fn worker_counts() -> impl Iterator<Item = usize> {
        [1, 2, 5].into_iter().filter(|&workers| workers == 1 || cfg!(feature = "threads"))
    }

    #[test]
    fn each_item_runs_once_and_after_the_phase_before_it() {
        let items = [3, 0, 1, 64, 7];
        for workers in worker_counts() {
            let pool = ThreadPool::new(workers).unwrap();
            let mut work = PhasedWork::new(workers, &items);
            for _ in 0..100 {
                let done = items.map(|items| (0..items).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>());
                pool.run(&mut work, &|phase, item, worker| {
                    assert!(worker < workers);
                    assert!(done[..phase].iter().flatten().all(|times| times.load(Ordering::Relaxed) == 1));
                    done[phase][item].fetch_add(1, Ordering::Relaxed);
                });
                assert!(done.iter().flatten().all(|times| times.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[cfg(feature = "threads")]
    #[test]
    fn a_run_ends_without_helpers() {
        // The caller is the only thread of its rayon pool, so no helper comes before the run is over.
        let rayon_pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let pool = ThreadPool { workers: 4, helpers: None, in_use: Arc::default() };
        let done = AtomicUsize::new(0);
        rayon_pool.install(|| {
            pool.run(&mut PhasedWork::new(4, &[10, 10]), &|_, _, _| {
                done.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(done.into_inner(), 20);
    }

    #[cfg(feature = "threads")]
    #[test]
    fn callers_and_helpers_are_never_more_than_the_workers_or_the_callers() {
        let pool = ThreadPool::new(3).unwrap();
        let first = Lease::new(&pool.in_use, pool.workers, 1);
        let second = Lease::new(&pool.in_use, pool.workers, 2);
        let third = Lease::new(&pool.in_use, pool.workers, 2);
        assert_eq!([first.helpers, second.helpers, third.helpers], [1, 0, 0]);
        drop((first, second));
        assert_eq!(Lease::new(&pool.in_use, pool.workers, 2).helpers, 1, "the third run is still in progress");
        drop(third);
        assert_eq!(pool.in_use.load(Ordering::Relaxed), 0);
    }

    #[cfg(feature = "threads")]
    #[test]
    fn two_callers_run_at_once_on_one_pool() {
        let pool = ThreadPool::new(2).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut work = PhasedWork::new(pool.workers(), &[5, 1, 9]);
                    for _ in 0..200 {
                        let done = AtomicUsize::new(0);
                        pool.run(&mut work, &|_, _, _| {
                            done.fetch_add(1, Ordering::Relaxed);
                        });
                        assert_eq!(done.into_inner(), 15);
                    }
                });
            }
        });
        assert_eq!(pool.in_use.load(Ordering::Relaxed), 0);
    }

    #[cfg(feature = "threads")]
    #[test]
    fn a_panic_reaches_the_caller_and_no_worker_keeps_waiting() {
        let pool = ThreadPool::new(3).unwrap();
        let mut work = PhasedWork::new(3, &[8, 8]);
        let run = |work: &mut PhasedWork, bad: usize| {
            pool.run(work, &|phase, item, _| assert!((phase, item) != (0, bad), "on purpose"));
        };
        for bad in 0..8 {
            assert!(catch_unwind(AssertUnwindSafe(|| run(&mut work, bad))).is_err());
        }
        run(&mut work, 8);
        assert_eq!(pool.in_use.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn zero_threads_are_refused_with_a_remedy() {
        let error = ThreadPool::new(0).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("use 1 or more"), "{error}");
    }

    #[cfg(not(feature = "threads"))]
    #[test]
    fn more_threads_than_the_build_has_are_refused_with_a_remedy() {
        let error = ThreadPool::new(2).err().unwrap().to_string();
        assert!(error.contains("build with feature `threads`"), "{error}");
    }
}
