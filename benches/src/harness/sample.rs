use std::fs;
use std::time::Duration;

use hdrhistogram::Histogram;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use rpc_core::BoxError;

/// What one turn of a load has shown.
#[derive(Clone, Debug)]
pub struct Sample {
    /// How many calls were made, in that part of the turn whose clock was read rarely.
    pub calls: u64,
    /// How long they took together.
    pub elapsed: Duration,
    /// How much of the processors this process used meanwhile.
    pub cpu: Duration,
    /// How many nanoseconds each call or batch took, in the other part.
    pub latencies: Histogram<u64>,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            calls: 0,
            elapsed: Duration::ZERO,
            cpu: Duration::ZERO,
            latencies: Histogram::new(DIGITS).expect("it is a precision"),
        }
    }
}

impl Sample {
    /// Adds what another caller has done at the same time.
    pub(super) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        let added = self.latencies.add(&other.latencies);
        added.expect("a histogram grows");
    }

    /// Takes down how long a call or batch took.
    pub(super) fn took(&mut self, time: Duration) {
        let recorded = self.latencies.record(time.as_nanos() as u64);
        recorded.expect("a histogram grows");
    }

    /// Returns how many calls were made in a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64()
    }

    /// Returns how long a call took on average, in nanoseconds.
    #[must_use]
    pub fn mean_ns(&self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.calls as f64
    }

    /// Returns how much of the processors a call has cost, in nanoseconds.
    #[must_use]
    pub fn cpu_ns(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.calls as f64
    }

    /// Returns the latency that so much of a hundred calls do not exceed, in nanoseconds, if any was
    /// timed.
    #[must_use]
    pub fn percentile_ns(&self, percent: f64) -> Option<f64> {
        let known = !self.latencies.is_empty();
        known.then(|| self.latencies.value_at_percentile(percent) as f64)
    }
}

/// Returns how much of the processors this process has used, in user and in kernel.
#[must_use]
pub fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process may ask what it used");
    let time = |it: TimeVal| {
        Duration::from_secs(it.tv_sec() as u64) + Duration::from_micros(it.tv_usec() as u64)
    };
    time(usage.user_time()) + time(usage.system_time())
}

/// Returns how many bytes of memory this process has.
///
/// # Errors
///
/// There is no `/proc`, or it says something else than Linux's.
pub fn resident() -> Result<u64, BoxError> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').nth(1).ok_or("statm has no second field")?;
    Ok(pages.parse::<u64>()? * PAGE)
}

/// That of x86-64, and of most others.
const PAGE: u64 = 4096;
/// How many decimal digits of a latency are kept.
const DIGITS: u8 = 3;
