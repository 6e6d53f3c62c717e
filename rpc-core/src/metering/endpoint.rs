//! The metrics of an endpoint: what its mailbox holds, and what its handlers do.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tokio::time::Instant;

use crate::frame::PutError;
use crate::method::MethodInfo;
use crate::turn;

/// Meters one endpoint.
pub(crate) struct EndpointMeter {
    mailbox: Gauge,
    /// When it began; what is queued is told by the time since.
    base: Instant,
    /// In the order of the endpoint's methods.
    methods: Box<[MethodMeter]>,
}

/// Meters one method of an endpoint.
struct MethodMeter {
    calls: Counter,
    dropped: Counter,
    handler: Histogram,
    oversized: Counter,
    response: Histogram,
    wait: Histogram,
}

/// Meters the response to a call that came over a connection.
pub(crate) struct ResponseMeter {
    meter: Arc<EndpointMeter>,
    method: usize,
}

/// When a message was queued: nanoseconds since the meter's base, and one more, so that it is half as
/// large as the time.
#[derive(Clone, Copy)]
pub(crate) struct Queued(NonZeroU64);

/// The time that a handler takes, recorded at its end.
pub(crate) struct Timing<'a> {
    meter: &'a MethodMeter,
    /// `None` once it is recorded.
    begun: Option<Instant>,
}

impl EndpointMeter {
    /// Makes the handles, if somebody records.
    pub(crate) fn new(endpoint: &str, methods: &[&'static MethodInfo]) -> Option<Arc<Self>> {
        super::is_recorded().then(|| {
            let methods = methods.iter().map(|it| MethodMeter::new(endpoint, it.name));
            Arc::new(Self {
                mailbox: gauge!("rpc_mailbox_messages", "endpoint" => endpoint.to_owned()),
                base: Instant::now(),
                methods: methods.collect(),
            })
        })
    }

    /// A message is put into the mailbox.
    pub(crate) fn queued(&self) {
        self.mailbox.increment(1.0);
    }

    /// Returns when a message is put there that is put now.
    pub(crate) fn now(&self) -> Queued {
        let now = turn::began().unwrap_or_else(Instant::now);
        let since = now.saturating_duration_since(self.base).as_nanos();
        let nanos = u64::try_from(since).unwrap_or(u64::MAX);
        Queued(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// So many messages were taken out of it.
    pub(crate) fn taken(&self, messages: u32) {
        if messages > 0 {
            self.mailbox.decrement(messages);
        }
    }

    /// The endpoint has ended, and its mailbox is gone.
    pub(crate) fn ended(&self) {
        self.mailbox.set(0.0);
    }

    /// A one-way message was turned away.
    pub(crate) fn dropped(&self, method: usize) {
        self.methods[method].dropped.increment(1);
    }

    /// A handler begins, of a message that was queued then.
    pub(crate) fn begin(&self, method: usize, queued: Option<Queued>, now: Instant) -> Timing<'_> {
        let meter = &self.methods[method];
        meter.calls.increment(1);
        if let Some(Queued(queued)) = queued {
            let since = now.saturating_duration_since(self.base);
            let wait = since.saturating_sub(Duration::from_nanos(queued.get() - 1));
            meter.wait.record(wait);
        }
        let begun = Some(now);
        Timing { meter, begun }
    }
}

impl MethodMeter {
    fn new(endpoint: &str, method: &'static str) -> Self {
        let labels = || {
            [
                metrics::Label::new("endpoint", endpoint.to_owned()),
                metrics::Label::from_static_parts("method", method),
            ]
        };
        Self {
            calls: counter!("rpc_calls_total", labels().iter()),
            dropped: counter!("rpc_messages_dropped_total", labels().iter()),
            handler: histogram!("rpc_handler_seconds", labels().iter()),
            oversized: counter!("rpc_oversized_total", labels().iter()),
            response: histogram!("rpc_response_bytes", labels().iter()),
            wait: histogram!("rpc_mailbox_wait_seconds", labels().iter()),
        }
    }
}

impl ResponseMeter {
    /// Makes one of another that is used no more, which most often is of the same endpoint.
    pub(crate) fn renew(before: &mut Option<Self>, metered: Option<(&Arc<EndpointMeter>, usize)>) {
        match (before, metered) {
            (Some(before), Some((meter, method))) if Arc::ptr_eq(&before.meter, meter) => {
                before.method = method;
            }
            (before, metered) => {
                *before = metered.map(|(meter, method)| {
                    let meter = Arc::clone(meter);
                    Self { meter, method }
                });
            }
        }
    }

    /// A response of this many bytes is on its way.
    pub(crate) fn sent(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.meter.methods[self.method].response.record(bytes);
    }

    /// A response was not put into a frame.
    pub(crate) fn refused(&self, error: &PutError) {
        if matches!(error, PutError::TooLarge { .. }) {
            self.meter.methods[self.method].oversized.increment(1);
        }
    }
}

impl Timing<'_> {
    /// The handler ends. Returns when.
    pub(crate) fn end(mut self) -> Instant {
        let now = Instant::now();
        self.record(now);
        now
    }

    fn record(&mut self, now: Instant) {
        if let Some(begun) = self.begun.take() {
            self.meter
                .handler
                .record(now.saturating_duration_since(begun));
        }
    }
}

impl Drop for Timing<'_> {
    fn drop(&mut self) {
        if self.begun.is_some() {
            self.record(Instant::now());
        }
    }
}
