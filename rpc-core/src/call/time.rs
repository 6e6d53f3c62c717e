//! How long a call may take.

use std::time::Duration;

use tokio::time::Instant;

use crate::method::CallTimeout;
use crate::scope;

/// How long a call may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    pub(crate) after: Option<Duration>,
    pub(crate) deadline: Option<Instant>,
}

impl Time {
    /// A call with all the time that there is.
    pub(super) const ENDLESS: Self = Self {
        after: None,
        deadline: None,
    };

    /// Starts the clock of a call, which the call that is being handled here may cut short.
    pub(crate) fn new(timeout: CallTimeout, default: Duration) -> Self {
        let after = match timeout {
            CallTimeout::After(after) => Some(after),
            CallTimeout::Default => Some(default),
            CallTimeout::Never => None,
        };
        match (after, scope::inherited_deadline()) {
            (after, Some(inherited)) => Self::within(inherited, after),
            (None, None) => Self::ENDLESS,
            (Some(time), None) => match Instant::now().checked_add(time) {
                Some(deadline) => Self {
                    after,
                    deadline: Some(deadline),
                },
                None => Self::ENDLESS,
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

    /// Tells whether it allows more than another deadline does.
    pub(super) fn is_longer(&self, than: Option<Instant>) -> bool {
        than.is_some_and(|than| self.deadline.is_none_or(|deadline| deadline > than))
    }

    /// What is left, as it travels.
    pub(crate) fn remaining_us(&self) -> Option<u64> {
        self.after.map(micros)
    }
}

/// Counts a time as it travels.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
