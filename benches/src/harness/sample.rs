use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// What one turn of a load has shown.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// How many calls were made, in that part of the turn whose clock was read rarely.
    pub calls: u64,
    /// How long they took together.
    pub elapsed: Duration,
    /// How much of the processors this process used meanwhile.
    pub cpu: Duration,
    /// How long each call or batch took, in the other part.
    pub latencies: Vec<Duration>,
}

impl Sample {
    /// Adds what another caller has done at the same time.
    pub(super) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.latencies.extend_from_slice(&other.latencies);
    }

    /// Returns how many calls were made in a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64()
    }

    /// Returns how much of the processors a call has cost, in nanoseconds.
    #[must_use]
    pub fn cpu_ns(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.calls as f64
    }

    /// Returns the latency that so many of a thousand calls do not exceed.
    #[must_use]
    pub fn permille(&self, part: usize) -> Duration {
        let mut latencies = self.latencies.clone();
        latencies.sort_unstable();
        let last = latencies.len().saturating_sub(1);
        latencies
            .get(last * part / 1000)
            .copied()
            .unwrap_or_default()
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
