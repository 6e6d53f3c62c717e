//! Values that a histogram is to be told of, equal ones together. Pure.

use std::mem;

/// A few different values, and how often each came.
///
/// Whoever adds a value that has no place any more is handed those that were there, to tell of them.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// The one that came last.
    last: Run,
    /// Those that came before.
    others: [Run; OTHERS_MAX],
    used: usize,
}

/// How often a value came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) value: u64,
    pub(super) count: usize,
}

impl Run {
    pub(super) const fn once(value: u64) -> Self {
        Self { value, count: 1 }
    }
}

impl Runs {
    /// A value came so many times.
    #[inline]
    pub(super) fn add(&mut self, value: u64, count: usize, tell: impl FnMut(Run)) {
        if self.last.value != value {
            self.change(value, tell);
        }
        self.last.count += count;
    }

    /// Another value is the last.
    #[inline(never)]
    fn change(&mut self, value: u64, tell: impl FnMut(Run)) {
        let before = mem::replace(&mut self.last, Run { value, count: 0 });
        let mut others = self.others[..self.used].iter_mut();
        if let Some(other) = others.find(|it| it.value == value) {
            self.last = *other;
            *other = before;
            return;
        }
        if before.count == 0 {
            return;
        }
        if self.used == OTHERS_MAX {
            self.take_others(tell);
        }
        self.others[self.used] = before;
        self.used += 1;
    }

    /// Tells of all, and forgets them.
    pub(super) fn take(&mut self, mut tell: impl FnMut(Run)) {
        if self.last.count > 0 {
            tell(self.last);
            self.last.count = 0;
        }
        if self.used > 0 {
            self.take_others(tell);
        }
    }

    fn take_others(&mut self, tell: impl FnMut(Run)) {
        let used = mem::take(&mut self.used);
        let others = self.others[..used].iter().copied();
        others.filter(|it| it.count > 0).for_each(tell);
    }
}

/// Makes times alike that differ by no more than anybody would read out of them: below some microseconds
/// it depends on what else is in the processor's caches whether code takes a quarter more or less. What is
/// longer stays what it is.
pub(super) const fn coarse(nanos: u64) -> u64 {
    if nanos < 1 << STEP_BITS || nanos >= EXACT_NANOS {
        return nanos;
    }
    let dropped = nanos.ilog2() + 1 - STEP_BITS;
    let middle = 1 << dropped >> 1;
    (nanos >> dropped << dropped) + middle
}

const OTHERS_MAX: usize = 3;
/// So many of a time's highest bits are kept: eight steps from each power of two to the next.
const STEP_BITS: u32 = 4;
/// From here on times are told as they were: 16 microseconds.
const EXACT_NANOS: u64 = 1 << 14;

#[cfg(test)]
mod tests {
    use super::{EXACT_NANOS, OTHERS_MAX, Run, Runs, coarse};

    #[test]
    fn nothing_that_was_added_is_lost() {
        let (mut runs, mut told) = (Runs::default(), Vec::new());
        let values = 0..4 * OTHERS_MAX as u64;
        for value in values.clone().chain(values.clone()) {
            runs.add(value % 7, 3, |it| told.push(it));
        }
        runs.take(|it| told.push(it));
        for value in 0..7 {
            let told = told.iter().filter(|it| it.value == value);
            let times = values.clone().filter(|it| it % 7 == value).count();
            assert_eq!(told.map(|it| it.count).sum::<usize>(), 2 * 3 * times);
        }
        runs.take(|it| panic!("{it:?} was told already"));
    }

    #[test]
    fn equal_values_are_told_once() {
        let (mut runs, mut told) = (Runs::default(), Vec::new());
        for value in [5, 6, 5, 6, 5] {
            runs.add(value, 1, |it| panic!("{it:?} is told too early"));
        }
        runs.take(|it| told.push((it.value, it.count)));
        assert_eq!(told, [(5, 3), (6, 2)]);
        let run = Run { value: 7, count: 1 };
        runs.add(run.value, run.count, drop);
        runs.take(|it| assert_eq!(it, run));
    }

    #[test]
    fn short_times_are_told_nearly_and_long_ones_exactly() {
        let mut different = std::collections::BTreeSet::new();
        for nanos in 0..2 * EXACT_NANOS {
            let told = coarse(nanos);
            if !(16..EXACT_NANOS).contains(&nanos) {
                assert_eq!(told, nanos);
            } else {
                assert!(
                    told.abs_diff(nanos) * 16 <= nanos,
                    "{nanos} is told as {told}"
                );
                different.insert(told);
            }
        }
        assert_eq!(different.len(), 8 * 10, "eight for each doubling");
    }
}
