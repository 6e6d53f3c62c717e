use std::ops::RangeInclusive;
use std::time::Duration;

/// What a [`SimNetwork`](super::SimNetwork) is like, before anything is done to it.
///
/// ```
/// use rpc_core::testing::sim::SimConfig;
///
/// let mut config = SimConfig::seeded(42);
/// config.give_up_after = None;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimConfig {
    /// Where all randomness comes from: the same seed is the same run. The default is 0.
    pub seed: u64,
    /// How long a segment is under way, drawn anew for each. A range of equal ends is a fixed
    /// latency; tokio's timers make what arrives seen at the next whole millisecond. The default is
    /// 1 to 20 ms.
    pub latency: RangeInclusive<Duration>,
    /// How many bytes a stream holds in each direction, under way and unread together. With fewer,
    /// a large frame takes more turns; with more, a slow reader holds its writer up later. Zero
    /// counts as one. The default is 256 KiB.
    pub window_bytes: usize,
    /// How many connections may wait to be accepted. A dial beyond it is tried again each second.
    /// Zero counts as one. The default is 128.
    pub accept_backlog: usize,
    /// How many streams one side of a connection may have open that it opened. Zero counts as one.
    /// The default is 4,096.
    pub streams_max: usize,
    /// After how long without an acknowledgement a side gives its connection up, with `TimedOut`.
    /// With `None` it waits for ever, which nobody's network does. The default is 20 s.
    pub give_up_after: Option<Duration>,
    /// How much virtual time [`run`](super::run) may take: a run that waits for what never comes
    /// ends with a panic, not never. The default is a day.
    pub time_limit: Duration,
    /// How many of the latest events the trace keeps; its hash covers all. The default is 10,000.
    pub trace_events_max: usize,
}

impl SimConfig {
    /// Returns the default configuration with this seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            latency: Duration::from_millis(1)..=Duration::from_millis(20),
            window_bytes: 256 << 10,
            accept_backlog: 128,
            streams_max: 4096,
            give_up_after: Some(Duration::from_secs(20)),
            time_limit: Duration::from_secs(24 * 60 * 60),
            trace_events_max: 10_000,
        }
    }
}
