//! What is to run on a main thread later. Pure but for the clock's type.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Identifies a timer of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerId(u64);

/// Timers of an endpoint with what each runs, in the order in which they are due.
pub(crate) struct Timers<A> {
    due: BTreeMap<(Instant, TimerId), Timer<A>>,
    /// When each timer is due: cancelling needs it, so that nothing is left behind.
    at: BTreeMap<TimerId, Instant>,
    next: u64,
}

struct Timer<A> {
    action: A,
    period: Option<Duration>,
}

impl<A> Default for Timers<A> {
    fn default() -> Self {
        Self {
            due: BTreeMap::new(),
            at: BTreeMap::new(),
            next: 0,
        }
    }
}

impl<A> Timers<A> {
    /// Sets a timer, which recurs if it has a period.
    pub(crate) fn set(&mut self, at: Instant, period: Option<Duration>, action: A) -> TimerId {
        let id = TimerId(self.next);
        self.next += 1;
        self.put(id, at, Timer { action, period });
        id
    }

    fn put(&mut self, id: TimerId, at: Instant, timer: Timer<A>) {
        self.due.insert((at, id), timer);
        self.at.insert(id, at);
    }

    /// Removes a timer. Returns what it would have run if it was still set.
    pub(crate) fn cancel(&mut self, id: TimerId) -> Option<A> {
        let at = self.at.remove(&id)?;
        self.due.remove(&(at, id)).map(|it| it.action)
    }

    /// Takes the first timer that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Due<A>> {
        let entry = self.due.first_entry().filter(|it| it.key().0 <= now)?;
        let ((_, id), Timer { action, period }) = entry.remove_entry();
        self.at.remove(&id);
        Some(Due { id, action, period })
    }

    /// Sets a recurring timer again, its period after now: a slow main thread is not flooded. It is not
    /// due at once, before others that are.
    pub(crate) fn again(&mut self, due: Due<A>, now: Instant) {
        let at = due.period.map(|it| now.checked_add(it.max(PERIOD_MIN)));
        if let Some(at) = at.flatten() {
            let timer = Timer {
                action: due.action,
                period: due.period,
            };
            self.put(due.id, at, timer);
        }
    }

    /// Returns when the first timer is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// Returns how many timers are set.
    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }

    /// Removes all timers, and returns what they would have run.
    pub(crate) fn clear(&mut self) -> Vec<A> {
        self.at.clear();
        let due = std::mem::take(&mut self.due);
        due.into_values().map(|it| it.action).collect()
    }
}

/// A timer whose time has come.
pub(crate) struct Due<A> {
    pub(crate) id: TimerId,
    pub(crate) action: A,
    pub(crate) period: Option<Duration>,
}

/// What is to run more often would keep a main thread busy with nothing else.
const PERIOD_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, Timers};

    #[tokio::test(start_paused = true)]
    async fn timers_run_in_order_and_cancelled_ones_are_gone() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set(at(30), None, "late");
        let cancelled = timers.set(at(10), None, "cancelled");
        timers.set(at(20), Some(Duration::from_millis(5)), "recurring");
        assert_eq!(timers.cancel(cancelled), Some("cancelled"));
        assert_eq!(timers.cancel(cancelled), None);
        assert_eq!(timers.next_due(), Some(at(20)));
        assert!(timers.take_due(at(19)).is_none());
        let due = timers.take_due(at(21)).expect("it is due");
        assert_eq!(due.action, "recurring");
        timers.again(due, at(21));
        assert_eq!(timers.next_due(), Some(at(26)));
        assert_eq!(timers.clear(), ["recurring", "late"]);
        assert_eq!(timers.next_due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_recurs_leaves_time_for_others() {
        let start = Instant::now();
        let mut timers = Timers::default();
        timers.set(start, Some(Duration::ZERO), "recurring");
        let due = timers.take_due(start).expect("it is due");
        timers.again(due, start);
        assert_eq!(timers.next_due(), Some(start + Duration::from_millis(1)));
    }

    // Flink: ScheduledFutureAdapterTest#testCompareToEqualsHashCode
    #[tokio::test(start_paused = true)]
    async fn timers_of_one_time_run_in_the_order_in_which_they_were_set() {
        let at = Instant::now();
        let mut timers = Timers::default();
        for action in ["first", "second", "third"] {
            timers.set(at, None, action);
        }
        timers.set(at - Duration::from_millis(1), None, "earlier");
        let ran = std::iter::from_fn(|| timers.take_due(at).map(|it| it.action));
        assert_eq!(
            ran.collect::<Vec<_>>(),
            ["earlier", "first", "second", "third"]
        );
    }
}
