//! The CPU backend takes no memory once it has run.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use ecgpu::{
    Weights,
    engine::backend::{Backend, cpu::Cpu},
    engine::network::Folded,
    engine::plan::{Keep, Plan},
};

/// Counts what this thread asks for.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller vouches.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller vouches.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_second_run_takes_no_memory() {
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
