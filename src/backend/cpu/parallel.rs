//! A team of threads that works through phases of items: every item of a phase is done before the next phase begins.
//!
//! The calling thread takes part and never waits for a helper that has not begun, only for items that somebody is
//! working on. So a run ends even if no helper ever comes, because the pool is small, busy or the caller's own. Helpers
//! are started once a run, not once a phase: one takes 2 to 50 µs to come, the longer if it sleeps, and a phase takes 3
//! to 100. From one phase to the next it then takes 0.3 µs.

#[cfg(feature = "threads")]
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::{Error, ErrorKind, Result};

/// Rounds that a thread looks whether a phase is done before it lets others have the processor; about 10 µs.
const ROUNDS: usize = 500;

/// Threads that work together.
#[derive(Clone)]
pub(super) struct Team {
    workers: usize,
    /// The helpers' own threads; without, they are the process's.
    #[cfg(feature = "threads")]
    pool: Option<Arc<rayon::ThreadPool>>,
}

impl Default for Team {
    /// All of the process's threads.
    fn default() -> Self {
        #[cfg(feature = "threads")]
        return Self { workers: rayon::current_num_threads(), pool: None };
        #[cfg(not(feature = "threads"))]
        Self { workers: 1 }
    }
}

impl Team {
    /// A team of `workers` threads, one of which is the caller's.
    pub(super) fn new(workers: usize) -> Result<Self> {
        if workers == 0 {
            return Err(Error::new(ErrorKind::Usage, "zero threads", "use 1 or more, or leave the number out"));
        }
        #[cfg(not(feature = "threads"))]
        if workers > 1 {
            let cause = format!("{workers} threads in a build for one");
            return Err(Error::new(ErrorKind::Usage, cause, "build with feature `threads`, or use 1"));
        }
        Ok(Self {
            workers,
            #[cfg(feature = "threads")]
            pool: if workers > 1 { Some(Arc::new(helpers(workers - 1)?)) } else { None },
        })
    }

    pub(super) fn workers(&self) -> usize {
        self.workers
    }

    /// Calls `work` with each phase, each of its items and the number of the worker that does it.
    pub(super) fn run(&self, progress: &mut Progress, work: &(dyn Fn(usize, usize, usize) + Sync)) {
        progress.reset();
        let progress = &*progress;
        #[cfg(feature = "threads")]
        if progress.workers > 1 {
            return match &self.pool {
                Some(pool) => pool.in_place_scope(|scope| progress.work_together(scope, work)),
                None => rayon::in_place_scope(|scope| progress.work_together(scope, work)),
            };
        }
        progress.work(0, work);
    }
}

#[cfg(feature = "threads")]
fn helpers(threads: usize) -> Result<rayon::ThreadPool> {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|index| format!("ecgpu-{index}"));
    builder.build().map_err(|error| {
        let cause = format!("{threads} threads could not be started: {error}");
        Error::new(ErrorKind::Device, cause, "use fewer threads")
    })
}

/// How far a run is.
pub(super) struct Progress {
    workers: usize,
    phases: Vec<Phase>,
    /// For each worker and phase the next item of the worker's share. Who has finished its own share takes from others'.
    next: Vec<AtomicUsize>,
    /// A worker has panicked: its item will never be done.
    stopped: AtomicBool,
}

struct Phase {
    items: usize,
    /// Items that are not done yet.
    left: AtomicUsize,
}

impl Progress {
    /// For runs with so many items in each phase; of the workers, only as many as find work take part.
    pub(super) fn new(workers: usize, items: &[usize]) -> Self {
        let workers = workers.min(items.iter().copied().max().unwrap_or(1)).max(1);
        Self {
            workers,
            phases: items.iter().map(|&items| Phase { items, left: AtomicUsize::new(items) }).collect(),
            next: (0..workers * items.len()).map(|_| AtomicUsize::new(0)).collect(),
            stopped: AtomicBool::new(false),
        }
    }

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
    fn work_together<'scope>(
        &'scope self,
        scope: &rayon::Scope<'scope>,
        work: &'scope (dyn Fn(usize, usize, usize) + Sync),
    ) {
        for worker in 1..self.workers {
            scope.spawn(move |_| self.work(worker, work));
        }
        self.work(0, work);
    }

    fn work(&self, worker: usize, work: &(dyn Fn(usize, usize, usize) + Sync)) {
        let guard = StopOnPanic(&self.stopped);
        for (number, phase) in self.phases.iter().enumerate() {
            let done = self.take_items(number, phase, worker, work);
            // Release: who sees the phase done sees what its items wrote.
            phase.left.fetch_sub(done, Ordering::Release);
            if !self.wait(phase) {
                break;
            }
        }
        std::mem::forget(guard);
    }

    /// Does items of the worker's own share, then of the others', and returns how many.
    fn take_items(
        &self,
        number: usize,
        phase: &Phase,
        worker: usize,
        work: &(dyn Fn(usize, usize, usize) + Sync),
    ) -> usize {
        let mut done = 0;
        for owner in (worker..self.workers).chain(0..worker) {
            let next = &self.next[owner * self.phases.len() + number];
            let end = (owner + 1) * phase.items / self.workers;
            // The first look spares a share that is finished, which is what a worker finds that comes late.
            while next.load(Ordering::Relaxed) < end {
                let item = next.fetch_add(1, Ordering::Relaxed);
                if item >= end {
                    break;
                }
                work(number, item, worker);
                done += 1;
            }
        }
        done
    }

    /// Waits until every item of the phase is done; `false` if that will never be.
    fn wait(&self, phase: &Phase) -> bool {
        let mut rounds = 0;
        // Acquire: what the phase's items wrote is seen from here on.
        while phase.left.load(Ordering::Acquire) != 0 {
            if self.stopped.load(Ordering::Relaxed) {
                return false;
            }
            rounds += 1;
            if rounds < ROUNDS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        true
    }
}

/// Lets the others stop waiting when a worker panics; forgotten when it does not.
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

    /// More than one thread only where the build has them.
    fn teams() -> impl Iterator<Item = usize> {
        [1, 2, 5].into_iter().filter(|&workers| workers == 1 || cfg!(feature = "threads"))
    }

    #[test]
    fn every_item_is_done_once_and_after_all_of_the_phase_before() {
        let items = [3, 0, 1, 64, 7];
        for workers in teams() {
            let team = Team::new(workers).unwrap();
            let mut progress = Progress::new(workers, &items);
            for _ in 0..100 {
                let done = items.map(|items| (0..items).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>());
                team.run(&mut progress, &|phase, item, worker| {
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
        // The pool's one thread is the caller's, so that no helper comes before the run is over.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let team = Team { workers: 4, pool: None };
        let done = AtomicUsize::new(0);
        pool.install(|| {
            team.run(&mut Progress::new(4, &[10, 10]), &|_, _, _| {
                done.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(done.into_inner(), 20);
    }

    #[cfg(feature = "threads")]
    #[test]
    fn a_panic_reaches_the_caller_and_leaves_nobody_waiting() {
        let team = Team::new(3).unwrap();
        let mut progress = Progress::new(3, &[8, 8]);
        let run = |progress: &mut Progress, bad: usize| {
            team.run(progress, &|phase, item, _| assert!((phase, item) != (0, bad), "on purpose"));
        };
        for bad in 0..8 {
            assert!(catch_unwind(AssertUnwindSafe(|| run(&mut progress, bad))).is_err());
        }
        run(&mut progress, 8);
    }

    #[test]
    fn zero_threads_are_refused_with_a_remedy() {
        let error = Team::new(0).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("use 1 or more"), "{error}");
    }

    #[cfg(not(feature = "threads"))]
    #[test]
    fn more_threads_than_the_build_has_are_refused_with_a_remedy() {
        let error = Team::new(2).err().unwrap().to_string();
        assert!(error.contains("build with feature `threads`"), "{error}");
    }
}
