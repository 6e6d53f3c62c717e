//! Which of an endpoint's code is known to be quick. Pure.
//!
//! What quick code answers may wait until those who come after it are answered too: to tell each at
//! once costs more than most handlers do. So it may not be while code runs that takes long. Nobody knows
//! that of code before it has run, and so it is told by how long it took before.

use std::time::Duration;

use crate::pulse::Doing;

/// For each kind of code, how many more times it has to be quick before it is trusted. Many kinds may
/// share a place.
#[derive(Clone, Copy)]
pub(super) struct Trust([u8; PLACES]);

impl Default for Trust {
    fn default() -> Self {
        Self([UNKNOWN; PLACES])
    }
}

impl Trust {
    /// Tells whether such code was quick of late.
    pub(super) const fn has(&self, doing: Doing) -> bool {
        self.0[place(doing)] == 0
    }

    /// Such code took so long. Returns whether that is long.
    pub(super) fn ran(&mut self, doing: Doing, took: Duration) -> bool {
        let (is_slow, left) = (took >= SLOW, &mut self.0[place(doing)]);
        *left = match is_slow {
            true => KNOWN_SLOW,
            false => left.saturating_sub(1),
        };
        is_slow
    }
}

const fn place(doing: Doing) -> usize {
    doing.code() as usize % PLACES
}

const PLACES: usize = 16;
const UNKNOWN: u8 = 2;
const KNOWN_SLOW: u8 = 32;
/// As long as this nobody is to wait for somebody else's handler.
const SLOW: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{SLOW, Trust};
    use crate::pulse::Doing;

    #[test]
    fn code_is_trusted_once_it_was_quick_some_times_and_later_if_it_was_slow() {
        let (mut trust, method) = (Trust::default(), Doing::Method(3));
        let runs = |trust: &mut Trust| {
            let mut runs = 0;
            while !trust.has(method) {
                trust.ran(method, Duration::ZERO);
                runs += 1;
            }
            runs
        };
        let first = runs(&mut trust);
        assert!(first > 0);
        assert!(!trust.has(Doing::Method(4)));
        trust.ran(method, SLOW);
        assert!(runs(&mut trust) > first);
    }
}
