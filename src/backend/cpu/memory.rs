//! Memory of the CPU backend: aligned to cache lines, and shared by threads that write different places of it.

use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error},
    ops::Range,
    ptr::NonNull,
};

/// Numbers in a cache line, which is also the largest vector.
pub(super) const LINE: usize = 16;

/// Bytes of a huge page of the processors whose kernels are the fastest here.
const HUGE_PAGE: usize = 2 << 20;

/// Numbers aligned to cache lines: a vector load that spans two lines costs twice. Threads write different places of
/// them; which, the work's items decide.
pub(super) struct Area {
    start: NonNull<f32>,
    len: usize,
}

// SAFETY: it owns its numbers, and every access is unsafe and vouches for not racing with another.
unsafe impl Send for Area {}
// SAFETY: as above.
unsafe impl Sync for Area {}

impl Area {
    /// At least `len` zeros.
    pub(super) fn new(len: usize) -> Self {
        let area = Self::unwritten(len);
        // SAFETY: there is room for so many, and nobody else knows of it yet.
        unsafe { area.start.write_bytes(0, area.len) };
        area
    }

    /// At least `len` numbers, none to be read before it is written. Whoever writes a page first brings it, so threads
    /// that write different places share that work, too.
    pub(super) fn unwritten(len: usize) -> Self {
        let len = len.next_multiple_of(LINE).max(LINE);
        let layout = Self::layout(len);
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        if layout.align() == HUGE_PAGE {
            use_huge_pages(start, layout.size());
        }
        Self { start: start.cast(), len }
    }

    fn layout(len: usize) -> Layout {
        let bytes = len * size_of::<f32>();
        let align = if bytes < HUGE_PAGE { LINE * size_of::<f32>() } else { HUGE_PAGE };
        Layout::from_size_align(bytes, align).expect("a plan's buffers are far smaller than the address space")
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn start(&self) -> *mut f32 {
        self.start.as_ptr()
    }

    /// # Safety
    /// `range` has been written, and nobody writes in it as long as the slice lives.
    pub(super) unsafe fn read(&self, range: Range<usize>) -> &[f32] {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?} of {}", self.len());
        // SAFETY: in bounds as just checked; free of writers as the caller vouches.
        unsafe { std::slice::from_raw_parts(self.start().add(range.start), range.len()) }
    }

    /// # Safety
    /// `range` has been written, if only with zeros, and nobody else reads or writes in it as long as the slice lives.
    #[expect(clippy::mut_from_ref, reason = "this is what the area is for")]
    pub(super) unsafe fn write(&self, range: Range<usize>) -> &mut [f32] {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?} of {}", self.len());
        // SAFETY: in bounds as just checked; nobody else's as the caller vouches.
        unsafe { std::slice::from_raw_parts_mut(self.start().add(range.start), range.len()) }
    }

    /// The place `at`, after which `rows` runs of `columns` numbers are in bounds, each `row` after the last.
    pub(super) fn place(&self, at: usize, rows: usize, row: usize, columns: usize) -> *mut f32 {
        assert!(rows > 0 && at + (rows - 1) * row + columns <= self.len(), "{rows} rows at {at} of {}", self.len());
        // SAFETY: in bounds as just checked.
        unsafe { self.start().add(at) }
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout, and nobody borrows it any more.
        unsafe { dealloc(self.start.as_ptr().cast(), Self::layout(self.len)) };
    }
}

/// Asks for few large pages instead of many small ones: 4 of the 5.4 MB of network 542k's packed weights then come in
/// two pages and 0.3 ms, instead of in 1024 and 1.5 ms.
#[cfg(target_os = "linux")]
fn use_huge_pages(start: NonNull<u8>, bytes: usize) {
    use std::ffi::{c_int, c_void};

    /// From the system's `sys/mman.h`, the same on every processor.
    const MADV_HUGEPAGE: c_int = 14;
    unsafe extern "C" {
        fn madvise(start: *mut c_void, bytes: usize, advice: c_int) -> c_int;
    }
    // SAFETY: the pages are the caller's, and the advice changes nothing about what they hold. It may be refused, which
    // costs no more than time; so the answer does not matter.
    unsafe { madvise(start.as_ptr().cast(), bytes, MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn use_huge_pages(_: NonNull<u8>, _: usize) {}
