//! Memory of the CPU backend: aligned to cache lines, and shared by threads that write disjoint ranges of it.

use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error},
    ops::Range,
    ptr::NonNull,
};

/// The f32 numbers in a cache line.
pub(super) const CACHE_LINE: usize = 16;

/// The bytes of a huge page on x86-64 and AArch64 Linux.
const HUGE_PAGE: usize = 2 << 20;

/// Numbers aligned to cache lines, because a vector load that crosses two lines costs twice. Threads access disjoint ranges
/// of a buffer; the operations decide which.
pub(super) struct AlignedBuffer {
    start: NonNull<f32>,
    len: usize,
}

// SAFETY: the buffer owns its numbers, and the caller of every access guarantees that it does not race with another.
unsafe impl Send for AlignedBuffer {}
// SAFETY: the caller of every access guarantees that it does not race with another.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// Allocates at least `len` zeros.
    pub(super) fn new(len: usize) -> Self {
        let buffer = Self::uninitialised(len);
        // SAFETY: there is room for `len` numbers, and no other reference to the buffer exists yet.
        unsafe { buffer.start.write_bytes(0, buffer.len) };
        buffer
    }

    /// Allocates at least `len` numbers, none of which may be read before it is written. The first write to a page makes
    /// the system provide it, so threads that write disjoint ranges share that work too.
    pub(super) fn uninitialised(len: usize) -> Self {
        let len = len.next_multiple_of(CACHE_LINE).max(CACHE_LINE);
        let layout = Self::layout(len);
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        if layout.align() == HUGE_PAGE {
            use_huge_pages(start, layout.size());
        }
        Self { start: start.cast(), len }
    }

    fn layout(len: usize) -> Layout {
        let align = if len < HUGE_PAGE / size_of::<f32>() { CACHE_LINE * size_of::<f32>() } else { HUGE_PAGE };
        let layout = Layout::array::<f32>(len).and_then(|layout| layout.align_to(align));
        layout.expect("`Cpu::prepare` refuses plans that do not fit into the address space")
    }

    /// The allocated numbers: the requested length, rounded up to whole cache lines.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn start(&self) -> *mut f32 {
        self.start.as_ptr()
    }

    /// Borrows a range.
    ///
    /// # Safety
    /// `range` has been written, and no thread writes in it as long as the slice is in use.
    pub(super) unsafe fn read(&self, range: Range<usize>) -> &[f32] {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?} of {}", self.len());
        // SAFETY: the bounds were just checked; the caller guarantees that there are no writers.
        unsafe { std::slice::from_raw_parts(self.start().add(range.start), range.len()) }
    }

    /// Borrows a range mutably.
    ///
    /// # Safety
    /// `range` has been written, zeros included, and no other code reads or writes in it as long as the slice is in use.
    #[expect(clippy::mut_from_ref, reason = "threads write disjoint ranges of one buffer")]
    pub(super) unsafe fn write(&self, range: Range<usize>) -> &mut [f32] {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?} of {}", self.len());
        // SAFETY: the bounds were just checked; the caller guarantees exclusive access.
        unsafe { std::slice::from_raw_parts_mut(self.start().add(range.start), range.len()) }
    }

    /// Returns a pointer to number `at`, and checks that `rows` rows of `columns` numbers, `pitch` apart, are in bounds from
    /// there on.
    pub(super) fn pointer(&self, at: usize, rows: usize, pitch: usize, columns: usize) -> *mut f32 {
        assert!(rows > 0 && at + (rows - 1) * pitch + columns <= self.len(), "{rows} rows at {at} of {}", self.len());
        // SAFETY: the bounds were just checked.
        unsafe { self.start().add(at) }
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: the memory was allocated with this layout, and no borrow of it is left.
        unsafe { dealloc(self.start.as_ptr().cast(), Self::layout(self.len)) };
    }
}

/// Asks the system for huge pages. Of the 5.4 MB of network 542k's packed weights, 4 MB then arrive in two pages and 0.3 ms,
/// instead of in 1024 pages and 1.5 ms.
#[cfg(target_os = "linux")]
fn use_huge_pages(start: NonNull<u8>, bytes: usize) {
    use std::ffi::{c_int, c_void};

    /// The constant of the system's `sys/mman.h`, the same on every processor.
    const MADV_HUGEPAGE: c_int = 14;
    unsafe extern "C" {
        fn madvise(start: *mut c_void, bytes: usize, advice: c_int) -> c_int;
    }
    // SAFETY: the pages belong to the caller, and the advice does not change their contents. The result is ignored, because
    // a refusal costs nothing but time.
    unsafe { madvise(start.as_ptr().cast(), bytes, MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn use_huge_pages(_: NonNull<u8>, _: usize) {}
