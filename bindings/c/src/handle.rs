//! Objects that a C program names by handles. A handle is a number in the guise of a pointer: it is looked up, never
//! dereferenced, so that a closed handle or one of another kind is found out.

use std::{
    collections::BTreeMap,
    ptr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::error::{Failure, Outcome};

/// The next number. On 64 bits numbers are never used again: 2^60 objects take longer than any program lives. On 32 bits they
/// come round after 2^28 objects, and those in use are passed over.
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// What handles are apart. No allocation begins at such an address, so that a real pointer is no handle.
const STRIDE: usize = 16;
/// What is added to a multiple of [`STRIDE`].
const OFFSET: usize = 5;

/// All objects of one kind.
pub struct Table<T> {
    noun: &'static str,
    objects: RwLock<BTreeMap<usize, Arc<T>>>,
}

impl<T> Table<T> {
    /// Makes an empty table of objects that messages call `noun`.
    pub const fn new(noun: &'static str) -> Self {
        Self { noun, objects: RwLock::new(BTreeMap::new()) }
    }

    /// Adds an object and returns its handle.
    pub fn insert<H>(&self, object: T) -> *mut H {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let number = loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(STRIDE).wrapping_add(OFFSET);
            if !objects.contains_key(&number) {
                break number;
            }
        };
        objects.insert(number, Arc::new(object));
        ptr::without_provenance_mut(number)
    }

    /// Returns the object of a handle.
    ///
    /// # Errors
    /// The handle is null, closed, or of another kind.
    pub fn get<H>(&self, handle: *const H) -> Outcome<Arc<T>> {
        if handle.is_null() {
            return Err(Failure::handle(format!("a {} that is NULL", self.noun)));
        }
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.get(&handle.addr()).cloned().ok_or_else(|| self.closed())
    }

    /// Removes the object of a handle, which lives on while a call uses it. Null is accepted.
    ///
    /// # Errors
    /// The handle is closed, or of another kind.
    pub fn remove<H>(&self, handle: *const H) -> Outcome<()> {
        if handle.is_null() {
            return Ok(());
        }
        let removed = self.objects.write().unwrap_or_else(PoisonError::into_inner).remove(&handle.addr());
        // Dropped without the lock: freeing a device's memory may take long.
        removed.map(drop).ok_or_else(|| self.closed())
    }

    fn closed(&self) -> Failure {
        Failure::handle(format!("a {} that is closed, or a handle of something else", self.noun))
    }
}

/// Removes the object of the handle at an address, and sets the handle to null. A null address is accepted.
///
/// # Safety
/// `handle` is null or valid for a read and a write.
pub unsafe fn close<T, H>(table: &Table<T>, handle: *mut *mut H) -> Outcome<()> {
    if handle.is_null() {
        return Ok(());
    }
    // SAFETY: not null, and the caller's promise.
    let closed = unsafe { handle.replace(ptr::null_mut()) };
    table.remove(closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_handle_is_found_out_and_its_object_lives_while_it_is_used() {
        static TABLE: Table<String> = Table::new("text");
        let handle: *mut u8 = TABLE.insert("a".into());
        let used = TABLE.get(handle).unwrap();
        TABLE.remove(handle).unwrap();
        assert_eq!(*used, "a");
        assert!(TABLE.get(handle).is_err() && TABLE.remove(handle).is_err());
        assert!(TABLE.get(ptr::null::<u8>()).is_err() && TABLE.remove(ptr::null::<u8>()).is_ok());
        let other: *mut u8 = TABLE.insert("b".into());
        assert_ne!(other.addr(), handle.addr());
    }
}
