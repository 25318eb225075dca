//! Arguments as C gives them: texts, arrays, and addresses for results.

use std::ffi::{CStr, c_char};

use crate::error::{Failure, Outcome};

/// Returns a text; none if it is null.
///
/// # Safety
/// `text` is null or ends with a zero, and stays as it is for `'a`.
pub unsafe fn text<'a>(text: *const c_char, name: &str) -> Outcome<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not null, and the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| Failure::usage(format!("{name} is not UTF-8"), "encode it in UTF-8"))
}

/// Returns an array. Null is an array of length 0.
///
/// # Safety
/// `first` is null or the first of `length` numbers that stay as they are for `'a`.
pub unsafe fn array<'a, T>(first: *const T, length: usize, name: &str) -> Outcome<&'a [T]> {
    check(first, length, name)?;
    if length == 0 {
        return Ok(&[]);
    }
    // SAFETY: aligned, not null, not too long, and the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(first, length) })
}

/// Returns an array that is written to; none if it is null.
///
/// # Safety
/// `first` is null or the first of `length` numbers that have no other user for `'a`.
pub unsafe fn array_mut<'a, T>(first: *mut T, length: usize, name: &str) -> Outcome<Option<&'a mut [T]>> {
    if first.is_null() && length == 0 {
        return Ok(None);
    }
    check(first, length, name)?;
    // SAFETY: aligned, not null, not too long, and the caller's promise.
    Ok(Some(unsafe { std::slice::from_raw_parts_mut(first, length) }))
}

fn check<T>(first: *const T, length: usize, name: &str) -> Outcome<()> {
    if length == 0 {
        return Ok(());
    }
    if first.is_null() {
        return Err(Failure::usage(
            format!("{name} is NULL, with a length of {length}"),
            "give an array of this length",
        ));
    }
    if !first.is_aligned() {
        return Err(Failure::usage(format!("{name} is not aligned"), "give the address of an array of its type"));
    }
    if length.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(Failure::usage(format!("{name} has a length of {length}"), "give the number of its elements"));
    }
    Ok(())
}

/// Writes a result where its address is given; null is passed over. Never fails: it ends the work of many calls.
///
/// # Safety
/// `out` is null or valid for a write.
pub unsafe fn give<T>(out: *mut T, value: T) -> Outcome<()> {
    if !out.is_null() {
        // SAFETY: not null, and the caller's promise.
        unsafe { out.write(value) };
    }
    Ok(())
}
