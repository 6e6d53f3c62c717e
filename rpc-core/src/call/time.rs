//! How long a call may take.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::method::CallTimeout;
use crate::moment::{self, Moment};
use crate::scope;

/// How long a call may take, and since when.
///
/// The clock is read when the call is first waited for or handled, whichever comes first: it is read once
/// for a call, since that is much of what one costs.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// In nanoseconds; [`ENDLESS`] if it may take for ever.
    after: i64,
    /// [`NOT_BEGUN`] as long as it is neither waited for nor handled.
    began: i64,
}

impl Time {
    /// A call with all the time that there is.
    pub(crate) const ENDLESS: Self = Self {
        after: ENDLESS,
        began: NOT_BEGUN,
    };

    /// Makes the time of a call, which the call that is being handled here may cut short.
    pub(crate) fn new(timeout: CallTimeout, default: Duration) -> Self {
        let after = match timeout {
            CallTimeout::After(after) => moment::nanos(after),
            CallTimeout::Default => moment::nanos(default),
            CallTimeout::Never => ENDLESS,
        };
        match scope::inherited_time() {
            Some(outer) if outer.after != ENDLESS => outer.cut(after),
            _ => Self {
                after,
                began: NOT_BEGUN,
            },
        }
    }

    /// What a peer's call has left. Its clock is not trusted.
    pub(crate) fn left_at(now: Moment, remaining_us: Option<u64>) -> Self {
        let nanos = |micros| moment::nanos(Duration::from_micros(micros));
        Self {
            after: remaining_us.map_or(ENDLESS, nanos),
            began: now.nanos(),
        }
    }

    /// Makes the time of a call within this one, which begins now.
    fn cut(self, after: i64) -> Self {
        let now = Moment::now();
        let mut outer = self;
        outer.begin_at(now);
        let left = moment::nanos(outer.deadline().since(now));
        Self {
            after: after.min(left),
            began: now.nanos(),
        }
    }

    /// Starts the clock, unless it runs.
    pub(crate) fn begin_at(&mut self, now: Moment) {
        if self.began == NOT_BEGUN {
            self.began = now.nanos();
        }
    }

    /// Returns until when the call may take; [`Moment::NEVER`] also as long as the clock does not run.
    pub(crate) const fn deadline(self) -> Moment {
        match self {
            Self { after: ENDLESS, .. }
            | Self {
                began: NOT_BEGUN, ..
            } => Moment::NEVER,
            Self { after, began } => Moment::from_nanos(began).plus(after),
        }
    }

    /// Returns when the clock was started.
    pub(crate) fn began(self) -> Option<Moment> {
        let began = Moment::from_nanos(self.began);
        (self.began != NOT_BEGUN).then_some(began)
    }

    /// Returns how long the call may take in all; `None` if for ever.
    pub(crate) fn after(self) -> Option<Duration> {
        let nanos = u64::try_from(self.after).unwrap_or_default();
        (self.after != ENDLESS).then(|| Duration::from_nanos(nanos))
    }

    /// A call that was made too late, within another whose time is over.
    pub(crate) const fn is_none(self) -> bool {
        self.after == 0
    }

    /// What is left at the beginning, as it travels.
    pub(crate) fn remaining_us(self) -> Option<u64> {
        self.after().map(micros)
    }
}

/// The time of a call, as its caller, its callee and whoever looks after deadlines see it.
///
/// Two that start the clock at once may see deadlines that are as far apart as they were.
#[derive(Debug)]
pub(crate) struct Clock {
    after: AtomicI64,
    began: AtomicI64,
}

impl Clock {
    pub(crate) const fn new(time: Time) -> Self {
        Self {
            after: AtomicI64::new(time.after),
            began: AtomicI64::new(time.began),
        }
    }

    /// Sets another time. Only the caller's side does.
    pub(crate) fn set(&self, time: Time) {
        // Who reads both meanwhile finds a clock that does not run, or that it has changed.
        self.began.store(NOT_BEGUN, Ordering::Relaxed);
        self.after.store(time.after, Ordering::Release);
        self.began.store(time.began, Ordering::Release);
    }

    pub(crate) fn time(&self) -> Time {
        loop {
            let began = self.began.load(Ordering::Acquire);
            let after = self.after.load(Ordering::Acquire);
            if self.began.load(Ordering::Relaxed) == began {
                return Time { after, began };
            }
        }
    }

    /// Starts the clock, unless it runs, and returns the time.
    pub(crate) fn begin(&self) -> Time {
        self.begin_at(Moment::now)
    }

    /// The same at a time that is asked for only if it is needed.
    pub(crate) fn begin_at(&self, now: impl FnOnce() -> Moment) -> Time {
        let mut time = self.time();
        if time.began == NOT_BEGUN {
            time.began = now().nanos();
            self.began.store(time.began, Ordering::Release);
        }
        time
    }
}

/// Counts a time as it travels.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

const ENDLESS: i64 = i64::MAX;
const NOT_BEGUN: i64 = i64::MIN;

#[cfg(test)]
mod tests {
    use super::Time;
    use crate::moment::Moment;

    #[test]
    fn a_call_with_all_the_time_has_no_deadline_whenever_it_began() {
        for began in [-7, 0, 7] {
            let mut time = Time::ENDLESS;
            time.begin_at(Moment::from_nanos(began));
            assert_eq!(time.deadline(), Moment::NEVER);
            assert_eq!(time.began(), Some(Moment::from_nanos(began)));
        }
    }
}
