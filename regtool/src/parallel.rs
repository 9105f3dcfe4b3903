//! The same work for many items, with many requests in flight.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many changes are in flight: a source makes those durable together that wait together.
pub const WRITERS: usize = 96;
/// How many reads are in flight: enough to keep the registry busy.
pub const READERS: usize = 16;

/// Does `work` for every item, in no particular order, with so many threads, until one breaks. Returns
/// whether all was done.
pub fn for_each<T: Sync>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> ControlFlow<()> + Sync,
) -> bool {
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let worker = || {
        while !stopped.load(Ordering::Relaxed) {
            let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            if work(item).is_break() {
                stopped.store(true, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    !stopped.into_inner()
}

/// Locks what workers share. One that panicked left nothing half done in it: all they do is add.
pub fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes back what workers shared.
pub fn into_inner<T>(shared: Mutex<T>) -> T {
    shared.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the first of several.
pub fn keep_first<T>(kept: &Mutex<Option<T>>, new: T) {
    lock(kept).get_or_insert(new);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_item_gets_its_work_once() {
        let items: Vec<usize> = (0..1000).collect();
        let done = Mutex::new(HashSet::new());
        let complete = for_each(8, &items, |item| {
            assert!(done.lock().unwrap().insert(*item));
            ControlFlow::Continue(())
        });
        assert!(complete);
        assert_eq!(done.into_inner().unwrap().len(), 1000);
    }

    #[test]
    fn a_break_stops_all() {
        let items = vec![(); 100_000];
        let count = AtomicUsize::new(0);
        let complete = for_each(8, &items, |()| {
            count.fetch_add(1, Ordering::Relaxed);
            ControlFlow::Break(())
        });
        assert!(!complete);
        assert!(count.into_inner() <= 8);
    }
}
