//! A repeated run of the CPU backend allocates nothing.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use ecgpu::{
    Classifier, Weights,
    engine::backend::{Backend, cpu::Cpu},
    engine::network::Folded,
    engine::plan::{Keep, Plan},
};

/// An allocator that counts the allocations of its thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is forwarded to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the same contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_second_run_allocates_nothing() {
    let weights = Weights::built_in().unwrap();
    let folded = Folded::new(&weights.network, &weights.parameters).unwrap();
    let cpu = Cpu::with_threads(1).unwrap();
    for (batch, samples, keep) in [(1, 1000, Keep::Results), (3, 200, Keep::Stages)] {
        let plan = Plan::new(&folded, batch, samples, keep).unwrap();
        let (input, mut outputs) = (vec![0.5; batch * 12 * samples], Vec::new());
        let mut executor = cpu.prepare(&plan).unwrap();
        executor.run(&input, &mut outputs).unwrap();
        let before = ALLOCATIONS.get();
        executor.run(&input, &mut outputs).unwrap();
        assert_eq!(ALLOCATIONS.get(), before);
    }
}

#[test]
fn a_classifier_that_fills_the_callers_arrays_allocates_nothing_the_second_time() {
    let weights = Weights::built_in().unwrap();
    let classifier = Classifier::on(weights, Box::new(Cpu::with_threads(1).unwrap())).unwrap();
    let (input, mut logits, mut embedding) = (vec![0.5; 2 * 12 * 400], [0.0; 10], [0.0; 512]);
    classifier.run_into(&input, 2, 400, &mut logits, Some(&mut embedding)).unwrap();
    let expected = classifier.run(&input, 2, 400).unwrap();
    let before = ALLOCATIONS.get();
    classifier.run_into(&input, 2, 400, &mut logits, Some(&mut embedding)).unwrap();
    assert_eq!(ALLOCATIONS.get(), before);
    assert_eq!((&logits[..], &embedding[..]), (&expected.logits[..], &expected.embedding[..]));
    let error = classifier.run_into(&input, 2, 400, &mut logits[..9], None).unwrap_err();
    assert_eq!(error.cause(), "an array of 9 numbers for logits, which has 10");
}
