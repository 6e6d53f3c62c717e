//! How long handlers take, with few looks at the clock: one costs as much as some handlers do.
//!
//! Handlers of one method that run one after the other are timed together, if they are known to be so
//! quick that nobody would tell them apart. If they are not so this time, one of them was not: it is told
//! to have taken what the others cannot have.

use tokio::time::Instant;

use super::endpoint::{EndpointMeter, Queued, Timing};
use super::tally;
use crate::moment::Moment;

/// The laps of a round of messages, one after the other.
pub(crate) struct Laps<'a> {
    meter: &'a EndpointMeter,
    lap: Option<Lap>,
    /// When a lap ended after which nothing else was done.
    looked: Option<Instant>,
}

/// Handlers of one method between two looks at the clock.
#[derive(Debug)]
pub(super) struct Lap {
    pub(super) method: usize,
    pub(super) handlers: usize,
    begun: Instant,
    /// How many there may be.
    most: usize,
    /// When their messages were queued.
    queued: [Queued; LAP_MAX],
}

/// What handlers took that were timed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Each of them so long.
    Alike(u64),
    /// One of them was long, and the others took what they usually do.
    OneLong { long: u64, others: u64 },
}

impl<'a> Laps<'a> {
    pub(crate) const fn new(meter: &'a EndpointMeter) -> Self {
        Self {
            meter,
            lap: None,
            looked: None,
        }
    }

    /// A handler begins, of a message that was queued then.
    pub(crate) fn begin(&mut self, method: usize, queued: Queued) {
        match &mut self.lap {
            Some(lap) if lap.method == method && lap.handlers < lap.most => {
                lap.queued[lap.handlers] = queued;
                lap.handlers += 1;
            }
            _ => self.begin_lap(method, queued),
        }
    }

    fn begin_lap(&mut self, method: usize, queued: Queued) {
        self.end_lap();
        let is_quick = tally::with(self.meter, |it| it.is_quick(method));
        self.lap = Some(Lap {
            method,
            handlers: 1,
            begun: self.looked.take().unwrap_or_else(Instant::now),
            most: if is_quick == Some(true) { LAP_MAX } else { 1 },
            queued: [queued; LAP_MAX],
        });
    }

    /// A handler ends.
    pub(crate) fn end(&mut self) {
        if self.lap.as_ref().is_some_and(|it| it.handlers == it.most) {
            self.end_lap();
        }
    }

    /// The handler that has begun does not end yet: it is timed by itself.
    pub(crate) fn leave(&mut self) -> Option<Timing<'a>> {
        let lap = self.lap.take()?;
        tally::with(self.meter, |it| it.begun(&lap, 0));
        Some(Timing::new(self.meter, lap.method, lap.begun))
    }

    /// Ends the lap, if one is under way.
    pub(crate) fn end_lap(&mut self) {
        if let Some(lap) = self.lap.take() {
            let now = Instant::now();
            tally::with(self.meter, |it| it.handled(&lap, lap.took(now)));
            self.looked = Some(now);
        }
    }

    /// Something else is done that is not timed.
    pub(crate) fn interrupt(&mut self) {
        self.end_lap();
        self.looked = None;
    }

    /// Returns when it is, as it is told by the last lap if nothing else was done since.
    pub(crate) fn now(&mut self) -> Instant {
        self.end_lap();
        *self.looked.get_or_insert_with(Instant::now)
    }
}

/// Also if a handler panics.
impl Drop for Laps<'_> {
    fn drop(&mut self) {
        self.end_lap();
    }
}

impl Lap {
    /// Returns how many nanoseconds it took, if it ends now.
    fn took(&self, now: Instant) -> u64 {
        let took = now.saturating_duration_since(self.begun).as_nanos();
        u64::try_from(took).unwrap_or(u64::MAX)
    }

    /// Says what each handler took of a lap that took so long in all, and what they usually take from now
    /// on; `None` if that is too much for several to be timed together.
    pub(super) fn share(&self, took: u64, usual: Option<u64>) -> (Share, Option<u64>) {
        let each = self.each(took);
        match usual {
            _ if each < QUICK_NANOS => (Share::Alike(each), Some(each)),
            Some(others) if self.handlers > 1 => {
                let long = took - others * (self.handlers as u64 - 1);
                (Share::OneLong { long, others }, None)
            }
            _ => (Share::Alike(each), None),
        }
    }

    const fn each(&self, took: u64) -> u64 {
        took / self.handlers as u64
    }

    /// Says how long the messages waited of a lap that took so long in all, and how many of them so long.
    /// Where it is not known when each handler began, they are told to have begun at equal distances.
    pub(super) fn waits(&self, took: u64, mut told: impl FnMut(u64, usize)) {
        let each = self.each(took);
        // Of quick ones it makes no difference.
        let step = if each < QUICK_NANOS { 0 } else { each };
        let begun = Moment::of(self.begun).nanos();
        let (mut place, queued) = (0, &self.queued[..self.handlers]);
        while let Some(first) = queued.get(place) {
            // Those that came together.
            let same = queued[place..].iter().take_while(|it| *it == first);
            let count = if step == 0 { same.count() } else { 1 };
            let waited = begun.saturating_sub(first.moment().nanos());
            let waited = u64::try_from(waited).unwrap_or_default();
            told(waited + step * place as u64, count);
            place += count;
        }
    }
}

/// So many handlers are timed together: as often the main loop looks whether answers have waited long.
const LAP_MAX: usize = 4;
/// Handlers that take less than this are not told apart.
const QUICK_NANOS: u64 = 1_000;
