//! Memory of the CPU backend: aligned to cache lines, and shared by threads that write different places of it.

use std::{cell::UnsafeCell, ops::Range};

/// Numbers in a cache line, which is also the largest vector.
pub(super) const LINE: usize = 16;

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Zeros to begin with, aligned to cache lines: a vector load that spans two lines costs twice.
pub(super) struct Aligned(Vec<Line>);

impl Aligned {
    /// At least `len` numbers.
    pub(super) fn new(len: usize) -> Self {
        Self(vec![Line([0.0; LINE]); len.div_ceil(LINE)])
    }

    pub(super) fn as_slice(&self) -> &[f32] {
        // SAFETY: lines are arrays of f32 without gaps between them.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LINE) }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: lines are arrays of f32 without gaps between them.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * LINE) }
    }
}

/// Like [`Aligned`], for threads that write different places of it. Which places, the work's items decide.
pub(super) struct Area(Box<[UnsafeCell<Line>]>);

// SAFETY: every access is unsafe and vouches for not racing with another.
unsafe impl Sync for Area {}

impl Area {
    /// At least `len` numbers.
    pub(super) fn new(len: usize) -> Self {
        Self((0..len.div_ceil(LINE)).map(|_| UnsafeCell::new(Line([0.0; LINE]))).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len() * LINE
    }

    fn start(&self) -> *mut f32 {
        UnsafeCell::raw_get(self.0.as_ptr()).cast()
    }

    /// # Safety
    /// Nobody writes in `range` as long as the slice lives.
    pub(super) unsafe fn read(&self, range: Range<usize>) -> &[f32] {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?} of {}", self.len());
        // SAFETY: in bounds as just checked; free of writers as the caller vouches.
        unsafe { std::slice::from_raw_parts(self.start().add(range.start), range.len()) }
    }

    /// # Safety
    /// Nobody else reads or writes in `range` as long as the slice lives.
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
