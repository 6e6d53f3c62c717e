//! How long a call may take.

use std::time::Duration;

use tokio::time::Instant;

use crate::method::CallTimeout;
use crate::scope;

/// How long a call may take.
///
/// The clock is read when the call is first waited for, or its deadline asked for: many calls that are
/// made at once are answered before that, and to read it would be much of what they cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    after: Option<Duration>,
    /// `None` also as long as nobody has waited.
    deadline: Option<Instant>,
}

impl Time {
    /// A call with all the time that there is.
    pub(crate) const ENDLESS: Self = Self {
        after: None,
        deadline: None,
    };

    /// Makes the time of a call, which the call that is being handled here may cut short.
    pub(crate) fn new(timeout: CallTimeout, default: Duration) -> Self {
        let after = match timeout {
            CallTimeout::After(after) => Some(after),
            CallTimeout::Default => Some(default),
            CallTimeout::Never => None,
        };
        match scope::inherited_deadline() {
            Some(inherited) => Self::within(inherited, after),
            None => Self {
                after,
                deadline: None,
            },
        }
    }

    fn within(outer: Instant, after: Option<Duration>) -> Self {
        let now = Instant::now();
        let own = after.and_then(|after| now.checked_add(after));
        let deadline = own.map_or(outer, |own| own.min(outer));
        Self {
            after: Some(deadline.saturating_duration_since(now)),
            deadline: Some(deadline),
        }
    }

    /// Starts the clock, unless it runs, and returns until when the call may take.
    pub(crate) fn begin(&mut self) -> Option<Instant> {
        match (self.after, self.deadline) {
            (Some(_), None) => self.begin_at(Instant::now()),
            (_, deadline) => deadline,
        }
    }

    /// The same at a time that is known.
    pub(crate) fn begin_at(&mut self, now: Instant) -> Option<Instant> {
        if let (Some(after), None) = (self.after, self.deadline) {
            match now.checked_add(after) {
                Some(deadline) => self.deadline = Some(deadline),
                // Beyond the clock's range.
                None => self.after = None,
            }
        }
        self.deadline
    }

    /// Returns until when the call may take; `None` also as long as the clock does not run.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns how long the call may take in all.
    pub(crate) const fn after(&self) -> Option<Duration> {
        self.after
    }

    /// What is left at the beginning, as it travels.
    pub(crate) fn remaining_us(&self) -> Option<u64> {
        self.after.map(micros)
    }
}

/// Counts a time as it travels.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
