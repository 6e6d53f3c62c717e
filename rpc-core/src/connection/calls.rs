//! The calls that wait for an answer. Pure.

use slab::Slab;

use crate::mutant::{self, Mutant};

/// Calls by number. A place that is used again gets another number, so that a late answer never
/// meets the wrong call.
#[derive(Debug)]
pub(super) struct CallTable<P> {
    calls: Slab<(u32, P)>,
    /// How many calls there were, so that each has a number of its own.
    generation: u32,
    limit: usize,
    closed: bool,
}

/// Why a call is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    Closed,
    Full { limit: usize },
}

impl<P> CallTable<P> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            calls: Slab::new(),
            generation: 0,
            limit: limit.min(u32::MAX as usize),
            closed: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Adds a call, and returns its number.
    pub(super) fn insert(&mut self, call: P) -> Result<u64, NotTaken> {
        if self.closed {
            return Err(NotTaken::Closed);
        }
        if self.calls.len() >= self.limit {
            return Err(NotTaken::Full { limit: self.limit });
        }
        if !mutant::is(Mutant::ReusedCallId) {
            self.generation = self.generation.wrapping_add(1);
        }
        let index = self.calls.insert((self.generation, call));
        let index = u32::try_from(index).expect("the limit is less than 2^32");
        Ok(u64::from(self.generation) << 32 | u64::from(index))
    }

    /// Returns a call, if it is still that call.
    pub(super) fn get(&self, id: u64) -> Option<&P> {
        let (generation, call) = self.calls.get(index(id)?)?;
        (u64::from(*generation) == id >> 32).then_some(call)
    }

    /// Returns all calls.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut P> {
        self.calls.iter_mut().map(|(_, (_, call))| call)
    }

    /// Takes a call out, if it is still that call.
    pub(super) fn take(&mut self, id: u64) -> Option<P> {
        self.get(id)?;
        Some(self.calls.remove(index(id)?).1)
    }

    /// Takes no more calls, and returns those that wait, in the order in which they were made.
    pub(super) fn close(&mut self) -> Vec<P> {
        self.closed = true;
        let newest = self.generation;
        let mut calls: Vec<(u32, P)> = self.calls.drain().collect();
        // Counted back from the newest, since the count may have begun anew meanwhile.
        calls.sort_by_key(|(generation, _)| std::cmp::Reverse(newest.wrapping_sub(*generation)));
        calls.into_iter().map(|(_, call)| call).collect()
    }
}

/// Returns the place of the call with this number.
fn index(id: u64) -> Option<usize> {
    usize::try_from(id & u64::from(u32::MAX)).ok()
}

#[cfg(test)]
mod tests {
    use super::{CallTable, NotTaken};

    #[test]
    fn a_place_is_used_again_under_another_number() {
        let mut table = CallTable::new(2);
        let first = table.insert("first").unwrap();
        assert_eq!(table.take(first), Some("first"));
        assert_eq!(table.take(first), None);
        let second = table.insert("second").unwrap();
        assert_ne!(first, second);
        assert_eq!(first & 0xFFFF_FFFF, second & 0xFFFF_FFFF, "the same place");
        assert_eq!(table.take(first), None, "a late answer");
        assert_eq!(table.take(u64::MAX), None);
        assert_eq!(table.take(second), Some("second"));
    }

    #[test]
    fn the_limit_holds() {
        let mut table = CallTable::new(2);
        let first = table.insert(1).unwrap();
        table.insert(2).unwrap();
        assert_eq!(table.insert(3), Err(NotTaken::Full { limit: 2 }));
        table.take(first);
        assert!(table.insert(3).is_ok());
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn a_closed_table_gives_back_its_calls_in_order() {
        let mut table = CallTable::new(9);
        table.generation = u32::MAX - 2;
        let ids: Vec<u64> = (0..6).map(|it| table.insert(it).unwrap()).collect();
        table.take(ids[1]);
        table.insert(6).unwrap();
        assert_eq!(table.close(), [0, 2, 3, 4, 5, 6]);
        assert!(table.is_closed());
        assert_eq!(table.insert(7), Err(NotTaken::Closed));
    }
}
