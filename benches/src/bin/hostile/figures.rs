//! Latencies, and the memory of this process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::victim::VictimGateway;

/// What a caller has seen.
#[derive(Default)]
pub(crate) struct Latencies {
    taken: Vec<Duration>,
    pub(crate) failed: usize,
}

impl Latencies {
    /// Calls the gateways in turn, each call after the answer of the one before.
    pub(crate) async fn of(gateways: &[Arc<dyn VictimGateway>], time: Duration) -> Self {
        let mut latencies = Self::default();
        let end = Instant::now() + time;
        for gateway in gateways.iter().cycle() {
            let begin = Instant::now();
            if begin >= end {
                break;
            }
            match gateway.echo(1).timeout(Duration::from_secs(1)).await {
                Ok(_) => latencies.taken.push(begin.elapsed()),
                Err(_) => {
                    latencies.failed += 1;
                    // One that is refused at once would be asked again at once.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
        latencies.taken.sort_unstable();
        latencies
    }

    /// Returns how many calls were made.
    pub(crate) fn asked(&self) -> usize {
        self.taken.len() + self.failed
    }

    /// Returns the latency that so many of a thousand calls do not exceed.
    fn permille(&self, part: usize) -> Duration {
        let last = self.taken.len().saturating_sub(1);
        self.taken
            .get(last * part / 1000)
            .copied()
            .unwrap_or_default()
    }
}

/// `p50 / p99 / max`, in µs.
impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = [500, 990, 1000].map(|it| self.permille(it).as_micros());
        write!(f, "{p50} / {p99} / {max}")
    }
}

pub(crate) const MIB: u64 = 1 << 20;
