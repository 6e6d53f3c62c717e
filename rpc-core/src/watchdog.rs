//! Whether a main thread is kept from its work. Pure.
//!
//! A handler that computes for long, or that waits without `await`, keeps its endpoint from serving
//! anybody else, and nothing fails: callers time out elsewhere. So each main thread is looked at from
//! outside, from time to time.

use std::time::Duration;

use tokio::time::Instant;

use crate::pulse::{Beat, Doing};

/// What an endpoint has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) beat: Beat,
    /// Whether messages wait in the mailbox.
    pub(crate) mail: bool,
    /// Whether nothing was under way when it last did something.
    pub(crate) idle: bool,
}

/// What a look at a main thread shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Busy,
    /// It has had nothing to do since it was looked at last.
    Idle,
    /// It does not get on, and that was not told yet.
    Stalled(Stall),
}

/// Watches one main thread, from one look at it to the next.
#[derive(Debug)]
pub(crate) struct Watched {
    /// `None` before it is looked at.
    last: Option<Beat>,
    /// Since when it has not moved though there was something to do, and how many looks saw it so.
    since: Instant,
    looks: u32,
    reported: bool,
}

/// A main thread that does not get on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stall {
    /// The code that keeps it; [`Doing::Nothing`] if its task is not run though messages wait: the
    /// runtime's threads are busy with something else.
    pub(crate) by: Doing,
    /// For how long at least.
    pub(crate) time: Duration,
}

impl Watched {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            last: None,
            since: now,
            looks: 0,
            reported: false,
        }
    }

    /// Looks at a main thread. Each stall is told once, if it takes longer than a limit.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        progress: Progress,
        limit: Option<Duration>,
    ) -> Seen {
        let Progress { beat, mail, idle } = progress;
        let by = beat.doing();
        let rests = by == Doing::Nothing && !mail;
        let moved = self.last != Some(beat);
        if rests || moved || self.looks == 0 {
            *self = Self {
                last: Some(beat),
                since: now,
                looks: u32::from(!rests),
                reported: false,
            };
            return match rests && idle && !moved {
                true => Seen::Idle,
                false => Seen::Busy,
            };
        }
        self.looks += 1;
        let time = now.saturating_duration_since(self.since);
        let is_late = limit.is_some_and(|limit| time >= limit);
        // A process that was paused as a whole finds the time gone by at its second look.
        if self.reported || !is_late || self.looks < LOOKS_MIN {
            return Seen::Busy;
        }
        self.reported = true;
        Seen::Stalled(Stall { by, time })
    }
}

/// Returns how often to look.
pub(crate) fn tick(limit: Duration) -> Duration {
    (limit / 4).max(TICK_MIN)
}

/// More often would keep an idle process busy.
const TICK_MIN: Duration = Duration::from_millis(10);
const LOOKS_MIN: u32 = 3;

#[cfg(test)]
mod tests {
    use super::{Doing, Duration, Instant, Progress, Seen, Stall, Watched};
    use crate::pulse::{Beat, Pulse};

    const SECOND: Duration = Duration::from_secs(1);
    const LIMIT: Duration = Duration::from_secs(5);

    struct Look(Watched, Instant);

    impl Look {
        fn new() -> Self {
            let start = Instant::now();
            Self(Watched::new(start), start)
        }

        /// Returns the stall that is seen, if one is.
        fn at(&mut self, second: u32, beat: Beat, mail: bool) -> Option<Stall> {
            let idle = false;
            match self.see(second, Progress { beat, mail, idle }) {
                Seen::Stalled(stall) => Some(stall),
                Seen::Busy | Seen::Idle => None,
            }
        }

        fn see(&mut self, second: u32, progress: Progress) -> Seen {
            let now = self.1 + second * SECOND;
            self.0.look(now, progress, Some(LIMIT))
        }
    }

    #[test]
    fn a_handler_that_blocks_is_told_once() {
        let (pulse, mut look) = (Pulse::new(), Look::new());
        let during = pulse.during(Doing::Method(3));
        for second in 0..5 {
            assert_eq!(look.at(second, pulse.beat(), false), None);
        }
        let stall = Stall {
            by: Doing::Method(3),
            time: LIMIT,
        };
        assert_eq!(look.at(5, pulse.beat(), false), Some(stall));
        assert_eq!(look.at(60, pulse.beat(), true), None, "it was told");
        drop(during);
        assert_eq!(look.at(61, pulse.beat(), false), None);
        // The next is told too.
        let _during = pulse.during(Doing::Timer);
        assert_eq!(look.at(70, pulse.beat(), false), None);
        assert_eq!(look.at(71, pulse.beat(), false), None);
        let told = look.at(75, pulse.beat(), false);
        assert_eq!(told.map(|it| it.by), Some(Doing::Timer));
    }

    #[test]
    fn a_main_thread_that_gets_on_or_has_nothing_to_do_is_not_told() {
        let (pulse, mut look) = (Pulse::new(), Look::new());
        for second in 0..30 {
            let during = pulse.during(Doing::Method(0));
            assert_eq!(look.at(second, pulse.beat(), true), None);
            drop(during);
        }
        for second in 30..60 {
            assert_eq!(look.at(second, pulse.beat(), false), None);
        }
    }

    #[test]
    fn mail_that_nobody_takes_is_told() {
        let (pulse, mut look) = (Pulse::new(), Look::new());
        assert_eq!(look.at(0, pulse.beat(), true), None);
        assert_eq!(look.at(3, pulse.beat(), true), None);
        let told = look.at(6, pulse.beat(), true);
        assert_eq!(told.map(|it| it.by), Some(Doing::Nothing));
    }

    #[test]
    fn a_process_that_was_paused_is_no_stall() {
        let (pulse, mut look) = (Pulse::new(), Look::new());
        let _during = pulse.during(Doing::Method(0));
        assert_eq!(look.at(0, pulse.beat(), true), None);
        assert_eq!(look.at(100, pulse.beat(), true), None);
    }

    #[test]
    fn a_main_thread_that_did_nothing_since_the_last_look_is_idle() {
        let (pulse, mut look) = (Pulse::new(), Look::new());
        let at_rest = |pulse: &Pulse| Progress {
            beat: pulse.beat(),
            mail: false,
            idle: true,
        };
        assert_eq!(look.see(0, at_rest(&pulse)), Seen::Busy, "it is new");
        assert_eq!(look.see(1, at_rest(&pulse)), Seen::Idle);
        drop(pulse.during(Doing::Method(0)));
        assert_eq!(look.see(2, at_rest(&pulse)), Seen::Busy, "it ran meanwhile");
        assert_eq!(look.see(3, at_rest(&pulse)), Seen::Idle);
        let (mail, idle) = (true, false);
        let waits = Progress {
            mail,
            ..at_rest(&pulse)
        };
        assert_eq!(look.see(4, waits), Seen::Busy, "a message waits");
        let awaits = Progress {
            idle,
            ..at_rest(&pulse)
        };
        assert_eq!(
            look.see(5, awaits),
            Seen::Busy,
            "a handler awaits something"
        );
        let _during = pulse.during(Doing::Timer);
        assert_eq!(look.see(6, at_rest(&pulse)), Seen::Busy);
    }

    #[test]
    fn without_a_limit_nothing_is_told() {
        let (pulse, mut look) = (Pulse::new(), Look::new());
        let _during = pulse.during(Doing::Method(0));
        for second in 0..60 {
            let progress = Progress {
                beat: pulse.beat(),
                mail: true,
                idle: false,
            };
            let now = look.1 + second * SECOND;
            assert_eq!(look.0.look(now, progress, None), Seen::Busy);
        }
    }
}
