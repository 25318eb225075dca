//! Several threads classify at once on one classifier: the same bits as one after the other, and nearly twice the
//! throughput on two cores.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ecgpu::{
    Classifier, Recording, Weights,
    ecg::{Condition, synthesize},
    engine::backend::cpu::Cpu,
};
use ecgpu_testing::skip;

/// How long each measurement lasts, and how often it is repeated: other work on the machine can only lower the ratio.
const SECONDS: Duration = Duration::from_millis(200);
const ATTEMPTS: usize = 30;

/// The least ratio of two callers' throughput to one caller's.
const LEAST_GAIN: f64 = 1.7;

fn classifier(threads: usize) -> Classifier {
    Classifier::on(Weights::built_in().unwrap(), Box::new(Cpu::with_threads(threads).unwrap())).unwrap()
}

fn recording(seed: u64) -> Recording {
    synthesize(Condition::Norm, seed, 100.0, 10.0).unwrap()
}

/// Measures how many records per second `callers` threads classify together.
fn throughput(classifier: &Classifier, callers: usize) -> f64 {
    let (stop, start, recording) = (AtomicBool::new(false), Barrier::new(callers + 1), recording(1));
    thread::scope(|scope| {
        let call = || {
            classifier.classify(&recording).unwrap();
            start.wait();
            let mut records = 0;
            while !stop.load(Ordering::Relaxed) {
                classifier.classify(&recording).unwrap();
                records += 1;
            }
            records
        };
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(call)).collect();
        start.wait();
        let begin = Instant::now();
        thread::sleep(SECONDS);
        stop.store(true, Ordering::Relaxed);
        let records: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        records as f64 / begin.elapsed().as_secs_f64()
    })
}

#[test]
fn two_callers_get_nearly_twice_the_throughput_of_one() {
    if thread::available_parallelism().map_or(1, usize::from) < 2 {
        return skip("one core cannot compute for two callers at once");
    }
    let (one_thread, all_threads) = (classifier(1), classifier(2));
    let mut best = [0.0f64; 2];
    for _ in 0..ATTEMPTS {
        let one = throughput(&one_thread, 1);
        // Callers that share the pool of all cores must not slow each other down.
        for (best, classifier) in best.iter_mut().zip([&one_thread, &all_threads]) {
            *best = best.max(throughput(classifier, 2) / one);
        }
        if best.iter().all(|gain| *gain >= LEAST_GAIN) {
            return;
        }
    }
    panic!("two callers got {:.2} times the throughput of one, on one pool of all cores {:.2}", best[0], best[1]);
}

#[test]
fn requests_of_many_threads_give_the_bits_of_one_thread() {
    let classifier = classifier(2);
    let recordings: Vec<Recording> = (0..4).map(recording).collect();
    let alone: Vec<_> = recordings.iter().map(|recording| classifier.classify(recording).unwrap()).collect();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for (recording, alone) in recordings.iter().zip(&alone) {
                    assert_eq!(&classifier.classify(recording).unwrap(), alone);
                }
            });
        }
    });
}
