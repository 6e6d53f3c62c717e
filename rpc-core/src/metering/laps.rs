//! How long handlers take, with few looks at the clock: one costs as much as some handlers do.
//!
//! Handlers of one method that run one after the other are timed together, if they are known to be so
//! quick that nobody would tell them apart. If they are not so this time, one of them was not: it is told
//! to have taken what the others cannot have.

use super::endpoint::{EndpointMeter, Queued, Timing};
use super::tally;
use crate::moment::Moment;

/// The laps of an endpoint, one after the other. Between two rounds of messages there is none.
pub(crate) struct Laps<'a> {
    meter: &'a EndpointMeter,
    lap: Lap,
    /// When a lap ended after which nothing else was done.
    looked: Option<Moment>,
}

/// Handlers of one method between two looks at the clock.
#[derive(Debug)]
pub(super) struct Lap {
    pub(super) method: usize,
    /// How many have begun; none if no lap is under way.
    pub(super) handlers: usize,
    /// How many there may be.
    most: usize,
    begun: Moment,
    /// When their messages were queued.
    queued: [Moment; LAP_MAX],
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
    pub(crate) fn boxed(meter: &'a EndpointMeter) -> Box<Self> {
        Box::new(Self {
            meter,
            lap: Lap {
                method: 0,
                handlers: 0,
                most: 0,
                begun: Moment::NEVER,
                queued: [Moment::NEVER; LAP_MAX],
            },
            looked: None,
        })
    }

    /// A handler begins, of a message that was queued then.
    #[inline]
    pub(crate) fn begin(&mut self, method: usize, queued: Queued) {
        let lap = &mut self.lap;
        if lap.method != method || lap.handlers >= lap.most {
            self.begin_lap(method);
        }
        let lap = &mut self.lap;
        lap.queued[lap.handlers] = queued.moment();
        lap.handlers += 1;
    }

    #[inline(never)]
    fn begin_lap(&mut self, method: usize) {
        self.end_lap();
        let is_quick = tally::with(self.meter, |it| it.is_quick(method));
        self.lap.most = if is_quick == Some(true) { LAP_MAX } else { 1 };
        self.lap.method = method;
        self.lap.begun = self.looked.take().unwrap_or_else(Moment::now);
    }

    /// A handler ends.
    pub(crate) fn end(&mut self) {
        if self.lap.handlers >= self.lap.most {
            self.end_lap();
        }
    }

    /// The handler that has begun does not end yet: it is timed by itself.
    pub(crate) fn leave(&mut self) -> Timing<'a> {
        let lap = &mut self.lap;
        tally::with(self.meter, |it| it.begun(lap, 0));
        lap.handlers = 0;
        Timing::new(self.meter, lap.method, lap.begun)
    }

    /// Ends the lap, if one is under way.
    fn end_lap(&mut self) {
        let lap = &mut self.lap;
        if lap.handlers > 0 {
            let now = Moment::now();
            tally::with(self.meter, |it| it.handled(lap, lap.took(now)));
            (lap.handlers, lap.most) = (0, 0);
            self.looked = Some(now);
        }
    }

    /// Something else is done that is not timed.
    pub(crate) fn interrupt(&mut self) {
        self.end_lap();
        self.looked = None;
    }

    /// Returns when it is, as it is told by the last lap if nothing else was done since.
    pub(crate) fn now(&mut self) -> Moment {
        self.end_lap();
        *self.looked.get_or_insert_with(Moment::now)
    }
}

impl Lap {
    /// Returns how many nanoseconds it took, if it ends now.
    fn took(&self, now: Moment) -> u64 {
        nanos(self.begun, now)
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
        let queued = &self.queued[..self.handlers];
        let Some(first) = queued.first() else { return };
        // Of quick ones it makes no difference when they began.
        let is_quick = took < self.handlers as u64 * QUICK_NANOS;
        if is_quick && queued.iter().all(|it| it == first) {
            return told(nanos(*first, self.begun), self.handlers);
        }
        let step = if is_quick { 0 } else { self.each(took) };
        for (place, queued) in (0..).zip(queued) {
            told(nanos(*queued, self.begun) + step * place, 1);
        }
    }
}

fn nanos(begin: Moment, end: Moment) -> u64 {
    let nanos = end.nanos().saturating_sub(begin.nanos());
    u64::try_from(nanos).unwrap_or_default()
}

/// So many handlers are timed together: as often the main loop looks whether answers have waited long.
const LAP_MAX: usize = 4;
/// Handlers that take less than this are not told apart.
const QUICK_NANOS: u64 = 1_000;
