//! Which of an endpoint's code is known to be quick, or even brief. Pure.
//!
//! What quick code answers may wait until those who come after it are answered too: to tell each at
//! once costs more than most handlers do. So it may not be while code runs that takes long. What is
//! brief takes less time than it takes to have it done elsewhere. Nobody knows that of code before it has
//! run, and so it is told by how long it took before.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::pulse::Doing;

/// For each kind of code, how many more times it has to be quick before it is trusted, and then how many
/// times brief. Few endpoints have more methods than there are places; those beyond are never trusted.
#[derive(Clone, Copy)]
pub(super) struct Trust([u8; PLACES]);

/// Which code is known to be brief, for those on other threads.
#[derive(Default)]
pub(crate) struct Briefs(AtomicU16);

impl Default for Trust {
    fn default() -> Self {
        Self([UNKNOWN; PLACES])
    }
}

impl Trust {
    /// Tells whether such code was quick of late.
    pub(super) const fn has(&self, doing: Doing) -> bool {
        self.left(doing) <= NOT_BRIEF
    }

    /// Tells whether such code took next to no time of late.
    pub(super) const fn is_brief(&self, doing: Doing) -> bool {
        self.left(doing) == BRIEF
    }

    /// Tells whether it is still to be found out how long such code takes.
    pub(super) const fn is_to_time(&self, doing: Doing) -> bool {
        !matches!(self.left(doing), BRIEF | NOT_BRIEF)
    }

    const fn left(&self, doing: Doing) -> u8 {
        match place(doing) {
            Some(place) => self.0[place],
            None => UNKNOWN,
        }
    }

    /// Such code took so long. Returns whether that is long.
    pub(super) fn ran(&mut self, doing: Doing, took: Duration) -> bool {
        let is_slow = took >= SLOW;
        let Some(place) = place(doing) else {
            return is_slow;
        };
        let left = &mut self.0[place];
        *left = match *left {
            _ if is_slow => KNOWN_SLOW,
            QUICK => NEARLY_BRIEF,
            before @ QUICK.. => before - 1,
            _ if took >= BRIEF_MAX => NOT_BRIEF,
            NOT_BRIEF => NEARLY_BRIEF,
            before => before.saturating_sub(1),
        };
        is_slow
    }

    /// Such code went on after it had begun: however quick that was, it is not brief.
    pub(super) fn went_on(&mut self, doing: Doing) {
        if let Some(place) = place(doing) {
            self.0[place] = NOT_BRIEF.max(self.0[place]);
        }
    }
}

impl Briefs {
    pub(crate) fn has(&self, doing: Doing) -> bool {
        let places = self.0.load(Ordering::Relaxed);
        place(doing).is_some_and(|place| places >> place & 1 == 1)
    }

    pub(crate) fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Says whether such code is brief; the main thread calls it.
    pub(super) fn set(&self, doing: Doing, is_brief: bool) {
        let Some(place) = place(doing) else { return };
        let before = self.0.load(Ordering::Relaxed);
        let places = match is_brief {
            true => before | 1 << place,
            false => before & !(1 << place),
        };
        if places != before {
            self.0.store(places, Ordering::Relaxed);
        }
    }
}

const fn place(doing: Doing) -> Option<usize> {
    match doing {
        Doing::Posted => Some(0),
        Doing::Method(method) if (method as usize) < PLACES - 1 => Some(method as usize + 1),
        _ => None,
    }
}

/// As many as [`Briefs`] has bits.
const PLACES: usize = 16;
const BRIEF: u8 = 0;
/// So many times it has to be brief.
const NEARLY_BRIEF: u8 = 7;
/// It is quick, and known not to be brief.
const NOT_BRIEF: u8 = 8;
/// It is quick from the next time on.
const QUICK: u8 = NOT_BRIEF + 1;
const UNKNOWN: u8 = NOT_BRIEF + 2;
const KNOWN_SLOW: u8 = NOT_BRIEF + 32;
/// As long as this nobody is to wait for somebody else's handler.
const SLOW: Duration = Duration::from_millis(1);
/// To have another thread do it takes about as long; code that is not optimized takes ten times as long.
const BRIEF_MAX: Duration = Duration::from_micros(if cfg!(debug_assertions) { 50 } else { 5 });

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BRIEF_MAX, Briefs, SLOW, Trust};
    use crate::pulse::Doing;

    #[test]
    fn code_is_trusted_once_it_was_quick_some_times_and_later_if_it_was_slow() {
        let mut trust = Trust::default();
        let first = runs(&mut trust, BRIEF_MAX, Trust::has);
        assert!(first > 0);
        assert!(!trust.has(Doing::Method(4)));
        trust.ran(METHOD, SLOW);
        assert!(runs(&mut trust, BRIEF_MAX, Trust::has) > first);
    }

    #[test]
    fn code_is_brief_once_it_took_next_to_no_time_some_times() {
        let mut trust = Trust::default();
        let first = runs(&mut trust, Duration::ZERO, Trust::is_brief);
        assert!(first > runs(&mut Trust::default(), Duration::ZERO, Trust::has));
        assert!(!trust.is_to_time(METHOD), "it is known");
        trust.ran(METHOD, BRIEF_MAX);
        assert!(trust.has(METHOD) && !trust.is_brief(METHOD) && !trust.is_to_time(METHOD));
        runs(&mut trust, Duration::ZERO, Trust::is_brief);
        trust.ran(METHOD, SLOW);
        assert!(!trust.has(METHOD) && trust.is_to_time(METHOD));
    }

    #[test]
    fn code_that_goes_on_is_not_brief() {
        let mut trust = Trust::default();
        trust.went_on(METHOD);
        assert!(!trust.has(METHOD) && trust.is_to_time(METHOD));
        runs(&mut trust, Duration::ZERO, Trust::is_brief);
        trust.went_on(METHOD);
        assert!(trust.has(METHOD) && !trust.is_brief(METHOD));
    }

    #[test]
    fn others_hear_which_code_is_brief() {
        let briefs = Briefs::default();
        briefs.set(METHOD, true);
        assert!(briefs.has(METHOD) && !briefs.has(Doing::Method(4)));
        briefs.set(Doing::Method(4), true);
        briefs.set(METHOD, false);
        assert!(!briefs.has(METHOD) && briefs.has(Doing::Method(4)));
    }

    #[test]
    fn each_method_has_its_own_place_or_none() {
        let (mut trust, briefs) = (Trust::default(), Briefs::default());
        runs(&mut trust, Duration::ZERO, Trust::is_brief);
        briefs.set(METHOD, true);
        assert!(!trust.has(Doing::Posted));
        for method in 4..200 {
            let other = Doing::Method(method);
            assert!(!trust.has(other) && trust.is_to_time(other) && !briefs.has(other));
        }
        let last = Doing::Method(199);
        for _ in 0..99 {
            assert!(!trust.ran(last, Duration::ZERO));
            briefs.set(last, true);
        }
        assert!(!trust.has(last) && !briefs.has(last), "there is none");
        assert!(trust.ran(last, SLOW));
    }

    /// Returns after how many runs that took so long something is so.
    fn runs(trust: &mut Trust, took: Duration, is_so: fn(&Trust, Doing) -> bool) -> usize {
        let mut runs = 0;
        while !is_so(trust, METHOD) {
            trust.ran(METHOD, took);
            runs += 1;
        }
        runs
    }

    const METHOD: Doing = Doing::Method(3);
}
