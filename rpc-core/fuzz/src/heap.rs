//! An allocator that counts, so that an input that takes too much memory is found.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

#[global_allocator]
static HEAP: Counting = Counting {
    held: AtomicUsize::new(0),
    peak: AtomicUsize::new(0),
};

struct Counting {
    held: AtomicUsize,
    peak: AtomicUsize,
}

/// Returns what `run` held at most, beyond what was held before.
pub fn peak_of(run: impl FnOnce()) -> usize {
    let before = HEAP.held.load(Ordering::Relaxed);
    HEAP.peak.store(before, Ordering::Relaxed);
    run();
    HEAP.peak.load(Ordering::Relaxed).saturating_sub(before)
}

impl Counting {
    fn add(&self, size: usize) {
        let held = self.held.fetch_add(size, Ordering::Relaxed) + size;
        self.peak.fetch_max(held, Ordering::Relaxed);
    }

    fn remove(&self, size: usize) {
        self.held.fetch_sub(size, Ordering::Relaxed);
    }
}

// SAFETY: all is left to the system's allocator; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.add(layout.size());
        // SAFETY: the caller's promises are those that the system's allocator wants.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.add(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be there for a moment.
        self.add(size);
        // SAFETY: as above.
        let moved = unsafe { System.realloc(pointer, layout, size) };
        self.remove(layout.size());
        moved
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) };
        self.remove(layout.size());
    }
}
