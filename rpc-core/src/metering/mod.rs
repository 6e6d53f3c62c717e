//! What is counted and timed of endpoints, calls and connections.
//!
//! The handles are made when an endpoint starts, when a gateway is connected and when a connection
//! is opened, and only if somebody records: a call that nobody records costs a look at a `None`.

mod calls;
mod connection;
mod endpoint;
mod laps;
mod runs;
mod tally;

pub(crate) use self::calls::CallMeter;
pub(crate) use self::connection::ConnectionMeter;
pub use self::connection::Direction;
pub(crate) use self::endpoint::{EndpointMeter, Queued, ResponseMeter, Timing};
pub(crate) use self::laps::Laps;
pub(crate) use self::tally::{MainTally, tell};

use std::cell::Cell;

use metrics::{IntoF64, Unit};

/// Tells whether a recorder is installed here.
///
/// The facade does not say. But a handle of no recorder never asks for the value that it is given.
pub(crate) fn is_recorded() -> bool {
    let asked = Cell::new(false);
    connections(Direction::Outgoing).increment(Nothing(&asked));
    asked.get()
}

/// Adds nothing to a gauge, and notices that it is asked how much that is.
struct Nothing<'a>(&'a Cell<bool>);

impl IntoF64 for Nothing<'_> {
    fn into_f64(self) -> f64 {
        self.0.set(true);
        0.0
    }
}

fn connections(direction: Direction) -> metrics::Gauge {
    metrics::gauge!("rpc_connections", "direction" => direction.name())
}

/// Tells the recorder what the metrics are.
pub(crate) fn describe() {
    use Unit::{Bytes, Count, Seconds};
    let counters = [
        ("rpc_bytes_total", Bytes, "what connections carried"),
        (
            "rpc_call_errors_total",
            Count,
            "calls that failed, at their caller",
        ),
        ("rpc_calls_total", Count, "messages that handlers took"),
        (
            "rpc_messages_dropped_total",
            Count,
            "one-way messages that nobody handles",
        ),
        (
            "rpc_oversized_total",
            Count,
            "responses larger than a frame may be",
        ),
        (
            "rpc_timeouts_total",
            Count,
            "calls whose answer did not come in time",
        ),
    ];
    for (name, unit, description) in counters {
        metrics::describe_counter!(name, unit, description);
    }
    let gauges = [
        ("rpc_connections", "connections that carry calls"),
        ("rpc_mailbox_messages", "messages that wait in a mailbox"),
    ];
    for (name, description) in gauges {
        metrics::describe_gauge!(name, Count, description);
    }
    let histograms = [
        (
            "rpc_handler_seconds",
            Seconds,
            "how long handlers took, from their begin to their answer",
        ),
        (
            "rpc_mailbox_wait_seconds",
            Seconds,
            "how long messages waited in a mailbox",
        ),
        (
            "rpc_response_bytes",
            Bytes,
            "how large responses over connections are",
        ),
    ];
    for (name, unit, description) in histograms {
        metrics::describe_histogram!(name, unit, description);
    }
}

#[cfg(test)]
mod tests;
