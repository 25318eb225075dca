//! Memory of the CPU backend: aligned to cache lines, and shared by threads that write different places of it.

use std::{cell::UnsafeCell, mem::MaybeUninit, ops::Range};

/// Numbers in a cache line, which is also the largest vector.
pub(super) const LINE: usize = 16;

/// Numbers aligned to cache lines: a vector load that spans two lines costs twice. Threads write different places of
/// them; which, the work's items decide.
///
/// Whoever writes a page first brings it, which costs a microsecond, and what nobody writes takes no memory. (An
/// allocator that is asked for zeros and for the alignment writes all of them itself.)
pub(super) struct Area {
    numbers: Box<[UnsafeCell<MaybeUninit<f32>>]>,
    /// Where the first line begins.
    start: usize,
}

// SAFETY: every access is unsafe and vouches for not racing with another.
unsafe impl Sync for Area {}

impl Area {
    /// At least `len` zeros.
    pub(super) fn new(len: usize) -> Self {
        let numbers = Box::into_raw(vec![0.0f32; Self::room(len)].into_boxed_slice());
        // SAFETY: a number, one that need not be written, and a cell of it lie in memory alike.
        Self::aligned(unsafe { Box::from_raw(numbers as *mut [UnsafeCell<MaybeUninit<f32>>]) })
    }

    /// At least `len` numbers, none to be read before it is written.
    pub(super) fn unwritten(len: usize) -> Self {
        let numbers = Box::into_raw(Box::<[f32]>::new_uninit_slice(Self::room(len)));
        // SAFETY: a cell lies in memory as what it holds.
        Self::aligned(unsafe { Box::from_raw(numbers as *mut [UnsafeCell<MaybeUninit<f32>>]) })
    }

    fn room(len: usize) -> usize {
        len.next_multiple_of(LINE) + LINE
    }

    fn aligned(numbers: Box<[UnsafeCell<MaybeUninit<f32>>]>) -> Self {
        let start = numbers.as_ptr().align_offset(LINE * size_of::<f32>());
        Self { numbers, start }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len() - LINE
    }

    fn start(&self) -> *mut f32 {
        UnsafeCell::raw_get(self.numbers[self.start..].as_ptr()).cast()
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
