//! A moment as one number, which atomics can hold.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

/// A moment of tokio's clock, in nanoseconds from another that is the same for the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i64);

impl Moment {
    /// Later than every other.
    pub(crate) const NEVER: Self = Self(i64::MAX);

    pub(crate) fn now() -> Self {
        Self::of(Instant::now())
    }

    pub(crate) fn of(instant: Instant) -> Self {
        let base = *BASE;
        Self(match instant.checked_duration_since(base) {
            Some(after) => nanos(after),
            None => -nanos(base.duration_since(instant)),
        })
    }

    pub(crate) const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    pub(crate) const fn nanos(self) -> i64 {
        self.0
    }

    /// Returns the moment that is so many nanoseconds later.
    pub(crate) const fn plus(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Returns how much later it is than another, if it is.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        let nanos = self.0.saturating_sub(earlier.0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())
    }

    /// Returns when a timer for it is to strike. One that the clock does not reach is to be set again
    /// then.
    pub(crate) fn instant(self) -> Instant {
        let from_base = Duration::from_nanos(self.0.unsigned_abs());
        let instant = match self.0 {
            0.. => BASE.checked_add(from_base),
            _ => BASE.checked_sub(from_base),
        };
        instant.unwrap_or_else(|| Instant::now() + FAR)
    }
}

/// Counts a time; 292 years are as good as any more.
pub(crate) fn nanos(time: Duration) -> i64 {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(i64::from(time.subsec_nanos()))
}

/// Far enough, and not beyond the clock.
const FAR: Duration = Duration::from_secs(365 * 86_400);

static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Moment, nanos};

    #[test]
    fn a_moment_is_told_again_as_it_was() {
        let now = Instant::now();
        let hour = Duration::from_secs(3_600);
        for instant in [now, now + hour, now.checked_sub(hour).unwrap_or(now)] {
            assert_eq!(Moment::of(instant).instant(), instant);
        }
        assert_eq!(Moment::of(now).plus(nanos(hour)), Moment::of(now + hour));
        assert_eq!(Moment::of(now + hour).since(Moment::of(now)), hour);
        assert_eq!(
            Moment::of(now).since(Moment::of(now + hour)),
            Duration::ZERO
        );
    }

    #[test]
    fn what_is_beyond_all_numbers_is_never() {
        let never = Moment::now().plus(nanos(Duration::MAX));
        assert_eq!(never, Moment::NEVER);
        assert!(never.instant() > Instant::now());
    }
}
