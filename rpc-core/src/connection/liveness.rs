//! Whether a peer is still there, and does its part. Pure.
//!
//! ```text
//!           silence of an interval
//!   heard ────────────────────────▶ pinged ── silence of the timeout ──▶ lost: silent
//!     ▲                                │
//!     └────────── anything at all ─────┘
//! ```
//!
//! A silent death leaves no trace on the wire: a host that vanished answers nothing, and the system
//! may take minutes to notice. So a peer that has said nothing for an interval is pinged, and has
//! to answer: what is sent one way only proves nothing. A peer that begins a frame has to end it, and
//! one that is written to has to read: whoever does neither holds memory for nothing.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::RpcConfig;

/// What a connection has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// How many bytes came in all.
    pub(crate) read: u64,
    /// How many frames they made.
    pub(crate) frames: u64,
    /// Whether a part of a further frame is there.
    pub(crate) within_frame: bool,
    /// Whether nothing is read for now, whatever the peer says.
    pub(crate) held_up: bool,
    /// How many bytes the stream has taken in all.
    pub(crate) written: u64,
    /// Whether more bytes wait to be written.
    pub(crate) unwritten: bool,
}

/// Watches one connection, from one look at it to the next.
#[derive(Debug)]
pub(super) struct Liveness {
    limits: Limits,
    last: Progress,
    /// When something was last heard.
    heard: Instant,
    /// Since when the same frame is under way.
    frame: Instant,
    /// Since when the stream has taken nothing of what waits.
    stuck: Instant,
    /// Since when an answer is waited for.
    asked: Option<Instant>,
}

/// How long a peer may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    interval: Duration,
    silence: Duration,
    frame: Duration,
    write: Duration,
}

/// What is to be done about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    Ping,
    Lost(Lost),
}

/// Why a connection is given up though the transport has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Lost {
    #[error("the peer began a frame {0:?} ago and has not ended it")]
    Frame(Duration),
    #[error("the peer has not read what was sent to it for {0:?}")]
    NotReading(Duration),
    #[error("nothing was heard of the peer for {0:?}, though it was asked")]
    Silent(Duration),
}

impl Liveness {
    pub(super) const fn new(config: &RpcConfig, now: Instant) -> Self {
        Self {
            limits: Limits {
                interval: config.keepalive_interval,
                silence: config.keepalive_timeout,
                frame: config.frame_timeout,
                write: config.write_timeout,
            },
            last: Progress {
                read: 0,
                frames: 0,
                within_frame: false,
                held_up: false,
                written: 0,
                unwritten: false,
            },
            heard: now,
            frame: now,
            stuck: now,
            asked: None,
        }
    }

    /// Returns how long to wait until the next look.
    pub(super) fn tick(&self) -> Duration {
        let Limits {
            interval,
            silence,
            frame,
            write,
        } = self.limits;
        let shortest = interval.min(silence).min(frame).min(write);
        (shortest / 4).max(TICK_MIN)
    }

    /// Looks at a connection.
    pub(super) fn look(&mut self, now: Instant, progress: Progress) -> Verdict {
        let last = std::mem::replace(&mut self.last, progress);
        if progress.read != last.read || progress.held_up {
            self.heard = now;
            self.asked = None;
        }
        if !progress.within_frame || progress.frames != last.frames || progress.held_up {
            self.frame = now;
        }
        if !progress.unwritten || progress.written != last.written {
            self.stuck = now;
        }
        self.judge(now)
    }

    fn judge(&mut self, now: Instant) -> Verdict {
        let since = |then: Instant| now.saturating_duration_since(then);
        if since(self.frame) >= self.limits.frame {
            return Verdict::Lost(Lost::Frame(since(self.frame)));
        }
        if since(self.stuck) >= self.limits.write {
            return Verdict::Lost(Lost::NotReading(since(self.stuck)));
        }
        let silence = since(self.heard);
        let Limits {
            interval,
            silence: limit,
            ..
        } = self.limits;
        // Only a peer that was asked can be called silent: whoever was paused itself asks first, and
        // gives the peer as long to answer as at any other time.
        match self.asked {
            Some(asked) if since(asked) >= limit.saturating_sub(interval) => {
                Verdict::Lost(Lost::Silent(silence))
            }
            None if silence >= interval => {
                self.asked = Some(now);
                Verdict::Ping
            }
            _ => Verdict::Fine,
        }
    }
}

/// More often would keep an idle process busy.
const TICK_MIN: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, Liveness, Lost, Progress, Verdict};
    use crate::config::RpcConfig;

    const SECOND: Duration = Duration::from_secs(1);

    fn watched() -> (Liveness, Instant) {
        let config = RpcConfig {
            keepalive_interval: 5 * SECOND,
            keepalive_timeout: 15 * SECOND,
            frame_timeout: 30 * SECOND,
            write_timeout: 20 * SECOND,
            ..RpcConfig::default()
        };
        let start = Instant::now();
        (Liveness::new(&config, start), start)
    }

    #[test]
    fn a_silent_peer_is_asked_and_then_lost() {
        let (mut liveness, start) = watched();
        let mut look = |second: u32, read| {
            let progress = Progress {
                read,
                ..Progress::default()
            };
            liveness.look(start + second * SECOND, progress)
        };
        assert_eq!(look(4, 0), Verdict::Fine);
        assert_eq!(look(5, 0), Verdict::Ping);
        assert_eq!(look(14, 0), Verdict::Fine, "it is asked once");
        assert_eq!(look(14, 1), Verdict::Fine, "it answered");
        assert_eq!(look(18, 1), Verdict::Fine);
        assert_eq!(look(19, 1), Verdict::Ping);
        assert_eq!(look(28, 1), Verdict::Fine);
        let lost = Verdict::Lost(Lost::Silent(15 * SECOND));
        assert_eq!(look(29, 1), lost);
    }

    #[test]
    fn a_process_that_was_paused_asks_before_it_gives_up() {
        let (mut liveness, start) = watched();
        let mut look = |second: u32| liveness.look(start + second * SECOND, Progress::default());
        assert_eq!(look(100), Verdict::Ping);
        assert_eq!(look(109), Verdict::Fine);
        assert_eq!(look(110), Verdict::Lost(Lost::Silent(110 * SECOND)));
    }

    #[test]
    fn a_frame_has_to_end() {
        let (mut liveness, start) = watched();
        let mut look = |second: u32, read, frames, within_frame| {
            let progress = Progress {
                read,
                frames,
                within_frame,
                ..Progress::default()
            };
            liveness.look(start + second * SECOND, progress)
        };
        assert_eq!(look(10, 1, 0, true), Verdict::Fine);
        // Dripping bytes do not help.
        assert_eq!(look(29, 2, 0, true), Verdict::Fine);
        assert_eq!(look(30, 3, 1, true), Verdict::Fine, "that was the next one");
        assert_eq!(look(59, 4, 1, true), Verdict::Fine);
        let lost = Verdict::Lost(Lost::Frame(30 * SECOND));
        assert_eq!(look(60, 5, 1, true), lost);
    }

    #[test]
    fn a_peer_that_is_not_listened_to_is_not_called_silent() {
        let (mut liveness, start) = watched();
        let mut look = |second: u32, held_up| {
            let progress = Progress {
                within_frame: true,
                held_up,
                ..Progress::default()
            };
            liveness.look(start + second * SECOND, progress)
        };
        assert_eq!(look(5, false), Verdict::Ping);
        assert_eq!(look(14, true), Verdict::Fine);
        assert_eq!(look(100, true), Verdict::Fine);
        assert_eq!(look(104, false), Verdict::Fine);
        assert_eq!(look(105, false), Verdict::Ping);
        let lost = Verdict::Lost(Lost::Silent(15 * SECOND));
        assert_eq!(look(115, false), lost);
    }

    #[test]
    fn a_peer_has_to_read() {
        let (mut liveness, start) = watched();
        let mut look = |second: u32, written, unwritten| {
            let progress = Progress {
                read: u64::from(second),
                written,
                unwritten,
                ..Progress::default()
            };
            liveness.look(start + second * SECOND, progress)
        };
        assert_eq!(look(10, 0, true), Verdict::Fine);
        assert_eq!(look(19, 1, true), Verdict::Fine);
        assert_eq!(look(38, 1, true), Verdict::Fine);
        let lost = Verdict::Lost(Lost::NotReading(20 * SECOND));
        assert_eq!(look(39, 1, true), lost);
        let (mut idle, start) = watched();
        let progress = Progress {
            read: 1,
            ..Progress::default()
        };
        let verdict = idle.look(start + 21 * SECOND, progress);
        assert_eq!(verdict, Verdict::Fine, "nothing waits to be written");
    }
}
